"""Small models with windows of repeated tokens, and the naive loop over examples."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from gfm_utils.ensembles import build_model
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import log_probabilities, squared_gradients
from gfm_utils.measures.fisher.groups import CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of

VOCABULARY, WINDOW, MASK_ID = 21, 14, 4


def make(preset="modernbert-2x64", tied=True, dtype=torch.float64, n=3):
    model = build_model(preset, VOCABULARY, WINDOW, 1).eval().to(dtype)
    if not tied:
        decoder = model.get_output_embeddings()
        decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():  # biases and norms start at 0 and 1: move them
            value += 0.05 * torch.randn(value.shape, generator=generator, dtype=dtype)
    ids = torch.randint(5, 12, (n, WINDOW), generator=generator)  # few tokens, so that they repeat
    positions = torch.stack([torch.randperm(WINDOW - 4, generator=generator)[:4] for _ in range(n)])
    targets = torch.randint(5, VOCABULARY, (n, 4), generator=generator)
    ids.scatter_(1, positions, MASK_ID)
    ids[1, -2] = 0  # a [PAD] that is read: its embedding is never trained through the input
    return model, MaskedTokens(ids, positions, targets, MASK_ID)


def loop(model, examples, per="sequence", scaled=False):
    """Gradients by parameter of each example in turn, one plain backward pass an example: the obvious truth."""
    for one in (examples.apart() if per == "token" else examples).batches(1):
        model.zero_grad()
        logits = model(input_ids=one.ids).logits[0]
        functional.cross_entropy(logits[one.positions[0]], one.targets[0]).backward()
        yield {
            name: torch.zeros_like(value) if value.grad is None else value.grad * (value.detach() if scaled else 1)
            for name, value in model.named_parameters()
        }
    model.zero_grad()


def group_squares(model, gradients):
    """Group -> squares of one example; the rows of the embedding apart, a tied matrix in one."""
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    squares = {}
    for name, group in groups_of(model).items():
        square = gradients[name].square()
        if group == TOKENS and not tied:
            squares |= {MASK: square[MASK_ID].sum(), VISIBLE: square.sum() - square[MASK_ID].sum()}
        else:
            squares[group] = squares.get(group, 0.0) + square.sum()
    return squares


def assert_equal(model, ours, examples, per, tolerance, scaled=False):
    """Our squares are those of the loop, whose tokens come one after the other."""
    ours = {name: torch.as_tensor(value).flatten() for name, value in ours.items()}
    if CROSS in ours:
        ours[TOKENS] = sum(ours.pop(name) for name in (VISIBLE, MASK, DECODER, CROSS))
    rows = [group_squares(model, gradients) for gradients in loop(model, examples, per, scaled)]
    assert set(ours) == set(rows[0])
    for group, values in ours.items():
        truth = torch.stack([row[group] for row in rows])
        torch.testing.assert_close(values, truth, rtol=tolerance, atol=tolerance * 1e-3, msg=group)


def expected(model, examples):
    """Fisher information of each masked token: every token of the vocabulary with the model's probability."""
    p, total = log_probabilities(model, examples).exp().numpy(), {}
    for token in range(VOCABULARY):
        labelled = replace(examples, targets=torch.full_like(examples.targets, token))
        for group, values in squared_gradients(model, labelled).items():
            total[group] = total.get(group, 0) + p[..., token] * values
    return total


@pytest.fixture
def naive():
    """The loop and the problems, for the tests beside this file."""
    return SimpleNamespace(problem=make, loop=loop, expected=expected, assert_equal=assert_equal)
