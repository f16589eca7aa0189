"""Sampled Fisher information, the paper's own form, and what perturbed and rescaled parameters do."""

import numpy as np
import pytest
import torch

from gfm_utils.measures.fisher import fisher_types, parameter_perturbation
from gfm_utils.measures.fisher.fisher_types import (
    effective_dimension,
    gradient_noise_ratio,
    log_probabilities,
    paper_fisher,
    sampled,
    squared_gradients,
)
from gfm_utils.measures.fisher.groups import DECODER, MASK, TOKENS, VISIBLE, derived, groups_of
from gfm_utils.measures.fisher.parameter_perturbation import PARTS, part_of, perturbed, rescaled

tied_or_not = pytest.mark.parametrize("tied", [True, False])
of_both = pytest.mark.parametrize("preset", ["modernbert-2x64", "bert-2x64"])


def test_sampled_is_unbiased_for_expected(naive):
    model, examples = naive.problem()
    expected = naive.expected(model, examples)
    draws = [squared_gradients(model, sampled(model, examples, seed)) for seed in range(150)]
    empirical, distances = squared_gradients(model, examples), []
    for group in (VISIBLE, MASK, "encoder.1.attention", DECODER):
        means = np.array([draw[group].sum() for draw in draws])
        error = means.std(ddof=1) / np.sqrt(len(means))
        assert abs(means.mean() - expected[group].sum()) < 4 * error, group
        distances.append(abs(empirical[group].sum() - expected[group].sum()) / error)
    assert max(distances) > 4  # another kind is told apart


def test_drawn_tokens_do_not_depend_on_the_batch(naive, monkeypatch):
    model, examples = naive.problem(n=5)
    whole = sampled(model, examples, 7).targets
    monkeypatch.setattr(fisher_types, "BUDGET", 1)
    assert torch.equal(sampled(model, examples, 7).targets, whole)
    assert not torch.equal(sampled(model, examples, 8).targets, whole)


@of_both
def test_the_papers_form_of_single_windows_has_the_shares_of_windows(naive, preset):
    model, examples = naive.problem(preset)
    paper = paper_fisher(model, examples, batch=1)
    windows = squared_gradients(model, examples, "sequence")
    embeddings, whole = derived(windows)["embeddings"].sum(), sum(paper.values())
    assert whole * examples.tokens == pytest.approx(sum(float(values.sum()) for values in windows.values()))
    assert (paper[TOKENS] + paper.get("embedding.other", 0)) * examples.tokens == pytest.approx(embeddings)
    batched = paper_fisher(model, examples, batch=3)
    assert sum(batched.values()) != pytest.approx(whole, rel=0.05)  # it depends on the batch


@tied_or_not
@of_both
def test_a_rescaling_moves_the_shares_and_not_the_invariant_ones(naive, preset, tied):
    model, examples = naive.problem(preset, tied)
    other = rescaled(model, 3.0)
    moved, before = log_probabilities(other, examples), log_probabilities(model, examples)
    torch.testing.assert_close(moved, before, rtol=1e-10, atol=1e-10)
    before, after = squared_gradients(model, examples), squared_gradients(other, examples)
    np.testing.assert_allclose(after[VISIBLE], before[VISIBLE] / 9, rtol=1e-8)
    shares = [(one[VISIBLE] + one[MASK]).sum() / sum(map(np.sum, one.values())) for one in (before, after)]
    assert shares[1] < 0.5 * shares[0]
    scaled, unmoved = (squared_gradients(one, examples, scaled=True) for one in (model, other))
    for group, values in scaled.items():
        np.testing.assert_allclose(unmoved[group], values, rtol=1e-7, atol=1e-15, err_msg=group)


def test_noise_ratio_and_effective_dimension_of_known_gradients():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 20))
    common = np.full((400, 20), 2.0)  # ‖E g‖² = 80, variance 20
    gram = (noise + common) @ (noise + common).T
    assert gradient_noise_ratio(gram) == pytest.approx(20 / 100, abs=0.02)
    assert gradient_noise_ratio(noise @ noise.T) == pytest.approx(1, abs=0.02)
    assert gradient_noise_ratio(common @ common.T) == pytest.approx(0, abs=1e-12)
    assert effective_dimension(noise @ noise.T) == pytest.approx(20, rel=0.1)
    assert effective_dimension(common @ common.T) == pytest.approx(1)
    few = rng.normal(size=(60, 20))
    assert effective_dimension(few @ few.T) == pytest.approx(20, rel=0.25)  # without bias by their number


@tied_or_not
@of_both
def test_small_perturbations_move_predictions_by_half_the_trace(monkeypatch, naive, preset, tied):
    model, examples = naive.problem(preset, tied)
    monkeypatch.setattr(parameter_perturbation, "SIZES", (1e-4,))
    monkeypatch.setattr(parameter_perturbation, "PERTURBATIONS", 60)
    exact = naive.expected(model, examples)
    monkeypatch.setattr(parameter_perturbation, "squared_gradients", lambda *given, **options: exact)
    foretold = parameter_perturbation.expected_divergences(model, examples, 0)
    measured = parameter_perturbation.perturbation_divergences(model, examples, 0)
    assert measured.shape == foretold.shape == (len(PARTS), 1)
    np.testing.assert_allclose(measured, foretold, rtol=0.25)  # 60 perturbations; the mean over all signs is equal
    assert foretold.sum() == pytest.approx(0.5e-8 * sum(value.sum() for value in exact.values()) / examples.tokens)


def test_a_perturbation_moves_its_part_alone_and_leaves_nothing_behind(naive):
    model, _ = naive.problem()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    groups = groups_of(model)
    with pytest.raises(KeyboardInterrupt), perturbed(model, "encoder", 0.5, 0):
        for name, value in model.named_parameters():
            moved = (value - before[name]).abs()
            assert torch.allclose(moved, torch.full_like(moved, 0.5 if part_of(groups[name]) == "encoder" else 0))
        raise KeyboardInterrupt
    assert all(value.equal(before[name]) for name, value in model.named_parameters())
