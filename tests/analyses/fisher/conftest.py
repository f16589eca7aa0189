"""Small models with windows of repeated tokens, and the naive loop over examples."""

import pytest
import torch
from torch.nn import functional

from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of
from gfm_utils.analyses.fisher.kinds import log_probabilities, squared_gradients
from gfm_utils.ensembles import build_model

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


def group_squares(model, values):
    """Group -> squares of gradients by parameter; the rows of the embedding apart, paths together."""
    found = {}
    for name, group in groups_of(model).items():
        square = values[name].square()
        if group == TOKENS:
            found[MASK] = float(square[MASK_ID].sum())
            found[VISIBLE] = float(square.sum()) - found[MASK]
        else:
            found[group] = found.get(group, 0.0) + float(square.sum())
    return found


def loop(model, examples, per="sequence", transform=None):
    """Group -> tensor of each example, one plain backward pass an example: the obvious truth."""
    rows = []
    taken = examples.apart() if per == "token" else examples
    for one in taken.batches(1):
        model.zero_grad()
        logits = model(input_ids=one.ids).logits[0]
        functional.cross_entropy(logits[one.positions[0]], one.targets[0]).backward()
        gradients = {
            name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
            for name, value in model.named_parameters()
        }
        if transform is not None:
            gradients = transform(gradients)
        rows.append(group_squares(model, gradients))
    model.zero_grad()
    return {group: torch.tensor([row[group] for row in rows], dtype=torch.float64) for group in rows[0]}


def merged(squares):
    """Our groups, as the loop has them: the whole of a tied matrix in one, and tokens one after the other."""
    found = {name: torch.as_tensor(value).flatten() for name, value in squares.items()}
    if CROSS in found:
        matrix = (VISIBLE, MASK, DECODER, CROSS)
        found["matrix"] = sum(found.pop(name) for name in matrix)
    return found


def merged_loop(model, found):
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    if tied:
        found = dict(found)
        found["matrix"] = found.pop(VISIBLE) + found.pop(MASK)
    return found


def expected(model, examples):
    """Fisher information of each masked token: every token of the vocabulary with the model's probability."""
    p, total = log_probabilities(model, examples).exp().numpy(), {}
    for token in range(VOCABULARY):
        labelled = examples.with_targets(torch.full_like(examples.targets, token))
        for group, values in squared_gradients(model, labelled).items():
            total[group] = total.get(group, 0) + p[..., token] * values
    return total


@pytest.fixture
def naive():
    """The loop, the problems and what brings both into one form, for the tests beside this file."""

    class Naive:
        problem = staticmethod(make)
        loop = staticmethod(loop)
        merged = staticmethod(merged)
        expected = staticmethod(expected)
        mask_id, vocabulary = MASK_ID, VOCABULARY

        @staticmethod
        def assert_equal(model, ours, examples, per, tolerance, transform=None):
            expected = merged_loop(model, loop(model, examples, per, transform))
            found = merged(ours)
            assert set(found) == set(expected)
            for group, values in expected.items():
                torch.testing.assert_close(found[group], values, rtol=tolerance, atol=tolerance * 1e-3, msg=group)

    return Naive
