"""The update of Muon against its iteration written down plainly, also for several models at once."""

import pytest
import torch

from gfm_utils.ensembles import build_model
from gfm_utils.ensembles.muon import NEWTON_SCHULZ, SCALE, Muon
from gfm_utils.ensembles.train_step import is_hidden_matrix

SHAPES = [(8, 8), (24, 8), (8, 16), (5, 5)]


def plainly_orthogonalised(matrix, steps=5):
    """Jordan's loop: on the matrix itself, divided by its Frobenius norm."""
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.square().sum().sqrt() + 1e-7)
    for _ in range(steps):
        squared = x @ x.T
        x = a * x + (b * squared + c * squared @ squared) @ x
    return x


def plain_step(weights, gradients, momenta, rate, kept=0.95):
    """One matrix after the other, tall ones lying on their side."""
    for number, gradient in enumerate(gradients):
        momenta[number] = kept * momenta[number] + (1 - kept) * gradient
        ahead = kept * momenta[number] + (1 - kept) * gradient
        tall = ahead.shape[0] > ahead.shape[1]
        update = plainly_orthogonalised(ahead.T).T if tall else plainly_orthogonalised(ahead)
        weights[number] = weights[number] - rate * SCALE * max(ahead.shape) ** 0.5 * update


@pytest.mark.parametrize("members", [0, 3])
def test_steps_are_those_of_one_matrix_after_the_other(members):
    torch.manual_seed(0)
    first = (members,) if members else ()
    weights = [torch.randn(*first, *shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
    apart = [matrix for stacked in weights for matrix in stacked.detach().clone().reshape(-1, *stacked.shape[-2:])]
    momenta, optimizer = [torch.zeros_like(matrix) for matrix in apart], Muon(weights, 0.1)
    for rate in (0.1, 0.02):
        gradients = [torch.randn_like(weight) for weight in weights]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        each = [one for stacked in gradients for one in stacked.reshape(-1, *stacked.shape[-2:])]
        plain_step(apart, each, momenta, rate)
    found = [matrix for stacked in weights for matrix in stacked.detach().reshape(-1, *stacked.shape[-2:])]
    for one, other in zip(found, apart, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("preset", ["modernbert-2x32", "bert-2x64", "roformer-2x64"])
def test_matrices_of_layers_and_head_are_its_own(preset):
    model = build_model(preset, 32, 16, seed=0)
    hidden = {name for name, value in model.named_parameters() if is_hidden_matrix(name, value.ndim)}
    assert hidden
    left = {name for name, value in model.named_parameters() if value.ndim == 2} - hidden
    assert left and all("embeddings" in name for name in left)


def test_the_rotary_base_is_that_of_the_preset():
    model = build_model("modernbert-2x64", 32, 16, seed=0)
    parameters = model.config.rope_parameters
    assert {own["rope_theta"] for own in parameters.values() if isinstance(own, dict)} == {100}
    frequencies = model.model.rotary_emb.full_attention_inv_freq
    torch.testing.assert_close(frequencies, 100.0 ** -(torch.arange(0, 32, 2) / 32))
