"""Small models with windows of repeated tokens, and the naive loop over examples."""

import copy
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


def untie(model):
    decoder = model.get_output_embeddings()
    decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
    return model


def make(preset="modernbert-2x64", tied=True, n=3):
    model = build_model(preset, VOCABULARY, WINDOW, 1).eval().double()
    model = model if tied else untie(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():  # biases and norms start at 0 and 1: move them
            value += 0.05 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    ids = torch.randint(5, 12, (n, WINDOW), generator=generator)  # few tokens, so that they repeat
    positions = torch.stack([torch.randperm(WINDOW - 4, generator=generator)[:4] for _ in range(n)])
    targets = torch.randint(5, VOCABULARY, (n, 4), generator=generator)
    ids.scatter_(1, positions, MASK_ID)
    ids[1, -2] = 0  # a [PAD] that is read: its embedding is never trained through the input
    return model, MaskedTokens(ids, positions, targets, MASK_ID)


def loop(model, examples):
    """Gradients by parameter of each window in turn, one plain backward pass an example: the obvious truth."""
    for one in examples.batches(1):
        model.zero_grad()
        logits = model(input_ids=one.ids).logits[0]
        functional.cross_entropy(logits[one.positions[0]], one.targets[0]).backward()
        yield {
            name: torch.zeros_like(value) if value.grad is None else value.grad
            for name, value in model.named_parameters()
        }
    model.zero_grad()


def squares(model, examples, scaled):
    """Group -> squares of each window, by the loop over a copy whose decoder has a matrix of its own."""
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    apart, total = untie(copy.deepcopy(model)), {}
    for gradients in loop(apart, examples):
        row, read = {}, {}
        for name, value in apart.named_parameters():
            group, gradient = groups_of(apart)[name], gradients[name] * (value.detach() if scaled else 1)
            read[group] = gradient
            if group == TOKENS:
                row |= {MASK: gradient[MASK_ID].square().sum()}
                row |= {VISIBLE: gradient.square().sum() - row[MASK]}
            else:
                row[group] = row.get(group, 0) + gradient.square().sum()
        if tied:
            row[CROSS] = 2 * (read[TOKENS] * read[DECODER]).sum()
        for group, value in row.items():
            total.setdefault(group, []).append(value)
    return {group: torch.stack(values).numpy() for group, values in total.items()}


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
    return SimpleNamespace(problem=make, loop=loop, squares=squares, expected=expected)
