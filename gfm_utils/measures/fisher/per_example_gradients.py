"""Gradients of masked language models for each window apart, without forming them where the layers are known."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import BertForMaskedLM, ModernBertForMaskedLM

from gfm_utils.ensembles import masked_features, masked_logits
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.groups import BIAS, CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of
from gfm_utils.measures.fisher.layers import (
    KNOWN,
    Gradients,
    Plain,
    Product,
    ReadRows,
    gradients_of,
    parts_of,
)

#: Group -> number of each window, shape (n,).
Sums = dict[str, torch.Tensor]


class Backpropagated(NamedTuple):
    """Gradients of the mean loss of each window.

    Attributes:
        parts: group, parameter and its gradients; of a matrix that is read by row, or tied, they add up.
        cross: 2 g_in · g_out of a tied matrix, shape (n,), of gradients that are multiplied by the scale if given.
    """

    parts: list[tuple[str, torch.Tensor, Gradients]]
    cross: Callable[[torch.Tensor | None], torch.Tensor] | None

    def formed(self, windows: int) -> Iterator[torch.Tensor]:
        """The gradients themselves, some rows of a parameter at a time, shape (windows, ...)."""
        of_parameter: dict[torch.Tensor, list[Gradients]] = {}
        for _, parameter, gradients in self.parts:
            of_parameter.setdefault(parameter, []).append(gradients)
        for parameter, several in of_parameter.items():
            for rows in parts_of(parameter, windows):
                yield reduce(torch.add, [one.dense(rows) for one in several])


def has_hooks(model: Any) -> bool:
    """Whether every parameter lies in a module whose gradient is known in :mod:`.layers`."""
    return type(model) in (BertForMaskedLM, ModernBertForMaskedLM) and all(
        type(module) in KNOWN or name == "cls.predictions"
        for name, module in model.named_modules()
        if _has_parameters(module)
    )


def _has_parameters(module: nn.Module) -> bool:
    """Whether a module has parameters of its own, not of its children."""
    return next(module.parameters(recurse=False), None) is not None


@contextmanager
def _requiring(model: Any, required: bool) -> Iterator[None]:
    """All parameters require a gradient, or none; afterwards those that did before."""
    before = {value: value.requires_grad for value in model.parameters()}
    model.requires_grad_(required)
    try:
        with torch.enable_grad():
            yield
    finally:
        for value, wanted in before.items():
            value.requires_grad_(wanted)


@torch.no_grad()
def backpropagated(model: Any, examples: MaskedTokens) -> Backpropagated:
    """Run a model on windows, all in memory together; its hooks and parameters stay as they were."""
    return (_by_hooks if has_hooks(model) else _by_passes)(model, examples)


def _by_hooks(model: Any, examples: MaskedTokens) -> Backpropagated:
    """By one pass through the activations alone, which gives what comes back to the output of every module.

    The gradient of the softmax is known in closed form: p minus the true token, at masked positions only.
    """
    decoder, table = model.get_output_embeddings(), cast(nn.Embedding, model.get_input_embeddings())
    groups, names = groups_of(model), {value: name for name, value in model.named_parameters()}
    calls: list[tuple[nn.Module, torch.Tensor]] = []
    outputs: list[torch.Tensor] = []

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        given = inputs[0].detach()
        if isinstance(module, nn.Embedding):  # ids may stand for the whole batch, and outputs begin the graph
            given = given.expand(len(examples), -1)
            output = output.expand(len(examples), -1, -1).requires_grad_(True)
        calls.append((module, given))
        outputs.append(output)
        return output

    hooked = [module for module in model.modules() if type(module) in KNOWN and module is not decoder]
    handles = [module.register_forward_hook(record) for module in hooked if _has_parameters(module)]
    try:
        with _requiring(model, False):
            features = masked_features(model, examples.ids, examples.positions)
    finally:
        for handle in handles:
            handle.remove()
    seen = [value for module, _ in calls for value in module.parameters(recurse=False)]
    assert len(seen) == len(set(seen)), "a module was called twice"
    assert {groups[names[value]] for value in names.keys() - set(seen)} <= {DECODER, BIAS}
    errors = decoder(features).softmax(-1)
    errors.scatter_add_(2, examples.targets[..., None], -torch.ones_like(errors[..., :1]))
    errors /= errors.shape[1]
    output = Product(features.detach(), errors)
    parts: list[tuple[str, torch.Tensor, Gradients]] = []
    cross = None
    arrived = torch.autograd.grad(features, outputs, errors @ decoder.weight)
    for (module, inputs), gradients in zip(calls, arrived, strict=True):
        if module is not table:
            parts += [(groups[names[module.weight]], *own) for own in gradients_of(module, inputs, gradients)]
            continue
        read = ReadRows.of(table, inputs, gradients)
        masked = read.row == examples.mask_id
        parts += [(MASK, table.weight, read.where(masked)), (VISIBLE, table.weight, read.where(~masked))]
        if table.weight is decoder.weight:
            cross = partial(_cross_terms, output, inputs, gradients, table.padding_idx)
    parts.append((DECODER, decoder.weight, output))
    if decoder.bias is not None:
        parts.append((BIAS, decoder.bias, Plain(errors.sum(1))))
    return Backpropagated(parts, cross)


def _cross_terms(
    output: Product, ids: torch.Tensor, embedded: torch.Tensor, padding: int | None, scale: torch.Tensor | None
) -> torch.Tensor:
    """2 g_in · g_out, shape (n,), by the gradients of the embedded ids: other rows have no g_in."""
    embedded = embedded if scale is None else embedded * scale[ids].square()
    meeting = output.inputs @ embedded.mT  # a_m · g_t, which counts as often as token t's logit moved
    moved = output.gradients.gather(2, ids[:, None, :].expand(-1, meeting.shape[1], -1))
    trained = torch.ones_like(ids) if padding is None else ids != padding
    return 2 * (meeting * moved * trained[:, None, :]).sum((1, 2))


def _by_passes(model: Any, examples: MaskedTokens) -> Backpropagated:
    """Of any model, by a backward pass for each window of a copy in which a tied matrix is two."""
    table, decoder = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    apart = copy.deepcopy(model)
    apart.get_output_embeddings().weight = nn.Parameter(decoder.detach().clone())
    rows = [gradient(apart, one) for one in examples.batches(1)]
    named, paths = dict(model.named_parameters()), list[torch.Tensor]()
    masked = torch.arange(len(table), device=table.device)[:, None] == examples.mask_id
    parts: list[tuple[str, torch.Tensor, Gradients]] = []
    for name, group in groups_of(apart).items():
        values = torch.stack([row[name] for row in rows])
        if group == TOKENS:
            parts += [(MASK, table, Plain(values * masked)), (VISIBLE, table, Plain(values * ~masked))]
        else:
            parts.append((group, decoder if group == DECODER else named[name], Plain(values)))
        if group in (TOKENS, DECODER):
            paths.append(values)

    def cross(scale: torch.Tensor | None) -> torch.Tensor:
        products = paths[0] * paths[1]
        return 2 * (products if scale is None else products * scale.square()).sum((1, 2))

    return Backpropagated(parts, cross if table is decoder else None)


@torch.no_grad()
def sums_of_squares(model: Any, examples: MaskedTokens, scaled: bool = False) -> Sums:
    """Group -> squared norm of the gradient of each window's mean loss, shape (n,), in nats².

    All windows are in memory together. Scaled, each gradient is multiplied by its parameter (no unit).
    """
    back, total = backpropagated(model, examples), Sums()
    for group, parameter, gradients in back.parts:
        squares = gradients.squares(parameter if scaled else None)
        total[group] = total.get(group, 0) + squares.double()
    if back.cross is not None:
        table = model.get_input_embeddings().weight
        total[CROSS] = back.cross(table if scaled else None).double()
    return total


def gradient(model: Any, examples: MaskedTokens) -> Sums:
    """Gradient of the mean loss of all masked tokens, of every parameter (0 where it takes no part)."""
    named = dict(model.named_parameters())
    with _requiring(model, True):
        logits = masked_logits(model, examples.ids, examples.positions)
        loss = functional.cross_entropy(logits.flatten(0, 1), examples.targets.flatten())
        values = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, values, strict=True))
