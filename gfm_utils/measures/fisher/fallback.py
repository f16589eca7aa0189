"""Gradients of any masked language model, by plain backward passes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from gfm_utils.ensembles import masked_logits
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.groups import CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of

Tensors = dict[str, torch.Tensor]


def gradient(model: Any, examples: MaskedTokens) -> Tensors:
    """Gradient of the mean loss of all masked tokens, of every parameter (0 where it takes no part)."""
    named = dict(model.named_parameters())
    wanted = {name: value.requires_grad for name, value in named.items()}
    try:
        model.requires_grad_(True)
        with torch.enable_grad():
            logits = masked_logits(model, examples.ids, examples.positions)
            loss = functional.cross_entropy(logits.flatten(0, 1), examples.targets.flatten())
        values = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    finally:
        for name, value in named.items():
            value.requires_grad_(wanted[name])
    return dict(zip(named, values, strict=True))


@contextmanager
def untied(model: Any) -> Iterator[bool]:
    """The matrix of the decoder as a parameter by itself; tells whether it is tied to the input embedding else."""
    decoder = model.get_output_embeddings()
    weight = decoder.weight
    tied = weight is model.get_input_embeddings().weight
    if tied:
        decoder.weight = torch.nn.Parameter(weight.detach().clone())
    try:
        yield tied
    finally:
        decoder.weight = weight


def sums_of_squares(model: Any, examples: MaskedTokens, scaled: bool = False) -> Tensors:
    """As in :mod:`.per_example_gradients`, by one backward pass for each window."""
    with untied(model) as tied:
        groups = groups_of(model)
        scales = {name: value.detach() for name, value in model.named_parameters()} if scaled else {}
        rows = []
        for one in examples.batches(1):
            gradients = {name: value * scales.get(name, 1) for name, value in gradient(model, one).items()}
            rows.append(_group_squares(gradients, groups, one.mask_id, tied))
    return {group: torch.stack([row[group] for row in rows]) for group in rows[0]}


def _group_squares(gradients: Tensors, groups: Mapping[str, str], mask: int, tied: bool) -> Tensors:
    """Group -> sum of the squares of its gradients, of one window."""
    squares: Tensors = {}
    for name, value in gradients.items():
        squared = value.double().square()
        if groups[name] != TOKENS:
            squares[groups[name]] = squares.get(groups[name], 0) + squared.sum()
            continue
        squares |= {MASK: squared[mask].sum(), VISIBLE: squared.sum() - squared[mask].sum()}
        if tied:
            through_output = next(gradients[other] for other in groups if groups[other] == DECODER)
            squares[CROSS] = 2 * (value.double() * through_output).sum()
    return squares
