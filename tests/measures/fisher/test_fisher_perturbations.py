"""Perturbations of parameters: what the trace foretells, measured; and models that come back as they were."""

import numpy as np
import pytest
import torch

from gfm_utils.measures.fisher import parameter_perturbation
from gfm_utils.measures.fisher.groups import groups_of
from gfm_utils.measures.fisher.parameter_perturbation import PARTS, part_of, perturbed


@pytest.mark.parametrize("preset", ["modernbert-2x64", "bert-2x64"])
@pytest.mark.parametrize("tied", [True, False])
def test_small_perturbations_move_predictions_by_half_the_trace(monkeypatch, naive, preset, tied):
    model, examples = naive.problem(preset, tied, n=3)
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
