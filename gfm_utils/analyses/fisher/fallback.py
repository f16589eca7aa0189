"""The same sums for any masked language model, by one plain backward pass for each example."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from gfm_utils.analyses.fisher.exact import Per, Sums, has_hooks
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of
from gfm_utils.ensembles import masked_features

Tensors = dict[str, torch.Tensor]


def logits_at(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Logits at the masked positions, shape (n, m, vocabulary)."""
    if has_hooks(model):
        features = masked_features(model, examples.ids, examples.positions)
        return torch.as_tensor(model.get_output_embeddings()(features))
    logits = model(input_ids=examples.ids).logits
    return logits.gather(1, examples.positions[..., None].expand(-1, -1, logits.shape[-1]))


def gradient(model: Any, examples: MaskedTokens) -> Tensors:
    """Gradient of the mean loss of all masked tokens, of every parameter (0 where it takes no part)."""
    named = dict(model.named_parameters())
    wanted = {name: value.requires_grad for name, value in named.items()}
    try:
        model.requires_grad_(True)
        with torch.enable_grad():
            logits, targets = logits_at(model, examples).flatten(0, 1), examples.targets.flatten()
            losses = functional.cross_entropy(logits, targets, reduction="none")
            loss = losses @ torch.full_like(losses, 1 / examples.tokens)
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


def sums_of_squares(model: Any, examples: MaskedTokens, per: Per, scaled: bool = False) -> Sums:
    """As in :mod:`.exact`; ``scaled`` multiplies each gradient by its parameter first."""
    apart = examples.apart() if per == "token" else examples
    with untied(model) as tied:
        groups = groups_of(model)
        scales = {name: value.detach() for name, value in model.named_parameters()} if scaled else {}
        rows = []
        for one in apart.batches(1):
            found = {name: value * scales.get(name, 1) for name, value in gradient(model, one).items()}
            rows.append(_group_squares(found, groups, one.mask_id, tied))
    shape = examples.positions.shape if per == "token" else (len(examples),)
    return {group: torch.stack([row[group] for row in rows]).reshape(shape) for group in rows[0]}


def _group_squares(gradients: Tensors, groups: Mapping[str, str], mask: int, tied: bool) -> Tensors:
    """Group -> sum of the squares of its gradients, of one example."""
    squares: Tensors = {}

    def add(group: str, value: torch.Tensor) -> None:
        squares[group] = squares.get(group, 0) + value.double()

    for name, value in gradients.items():
        if groups[name] != TOKENS:
            add(groups[name], value.square().sum())
            continue
        rows = value.square().sum(1)
        add(MASK, rows[mask])
        add(VISIBLE, rows.sum() - rows[mask])
        if tied:
            through_output = next(gradients[other] for other in groups if groups[other] == DECODER)
            add(CROSS, 2 * (value * through_output).sum())
    return squares
