"""Sampled Fisher information, the paper's own form, and what needs formed gradients."""

import numpy as np
import pytest
import torch

from gfm_utils.measures.fisher import fisher_types, layers
from gfm_utils.measures.fisher.fisher_types import (
    effective_dimension,
    gradient_noise_ratio,
    gram_matrix,
    paper_fisher,
    sampled,
    squared_gradients,
)
from gfm_utils.measures.fisher.groups import DECODER, MASK, TOKENS, VISIBLE, derived
from gfm_utils.measures.fisher.parameter_perturbation import rescaled

BOTH = ("modernbert-2x64", "bert-2x64")


def share(parts, *groups):
    return sum(parts[group].sum() for group in groups) / sum(values.sum() for values in parts.values())


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


@pytest.mark.parametrize("preset", BOTH)
def test_the_papers_form_of_single_windows_has_the_shares_of_windows(naive, preset):
    model, examples = naive.problem(preset)
    paper = paper_fisher(model, examples, batch=1)
    windows = squared_gradients(model, examples, "sequence")
    ours = {group: float(values.sum()) for group, values in derived(windows).items()}
    whole = sum(paper.values())
    assert whole * examples.tokens == pytest.approx(sum(float(values.sum()) for values in windows.values()))
    assert (paper[TOKENS] + paper.get("embedding.other", 0)) * examples.tokens == pytest.approx(ours["embeddings"])
    batched = paper_fisher(model, examples, batch=3)
    assert sum(batched.values()) != pytest.approx(whole, rel=0.05)  # it depends on the batch


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("preset", BOTH)
def test_a_rescaling_moves_the_shares_and_not_the_invariant_ones(naive, preset, tied):
    model, examples = naive.problem(preset, tied)
    other = rescaled(model, 3.0)
    torch.testing.assert_close(
        fisher_types.log_probabilities(other, examples),
        fisher_types.log_probabilities(model, examples),
        rtol=1e-10,
        atol=1e-10,
    )
    before, after = squared_gradients(model, examples), squared_gradients(other, examples)
    np.testing.assert_allclose(after[VISIBLE], before[VISIBLE] / 9, rtol=1e-8)
    assert share(after, VISIBLE, MASK) < 0.5 * share(before, VISIBLE, MASK)
    scaled, unmoved = (
        squared_gradients(model, examples, scaled=True),
        squared_gradients(other, examples, scaled=True),
    )
    for group, values in scaled.items():
        np.testing.assert_allclose(unmoved[group], values, rtol=1e-7, atol=1e-15, err_msg=group)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("preset", [*BOTH, "roformer-2x64"])
def test_the_gram_matrix_is_that_of_the_loop(naive, preset, tied, monkeypatch):
    model, examples = naive.problem(preset, tied)
    monkeypatch.setattr(layers, "BUDGET", 2000)
    rows = [torch.cat([value.flatten() for value in row.values()]) for row in naive.loop(model, examples)]
    flat = torch.stack(rows)
    np.testing.assert_allclose(gram_matrix(model, examples), (flat @ flat.T).numpy(), rtol=1e-8, atol=1e-13)


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
