"""Sums of squared gradients of each window by group of parameters, without forming the gradients.

One forward pass keeps what goes into every module with parameters; the gradient of the softmax is known in closed
form (p minus the true token, at masked positions only); one backward pass through the activations alone gives what
comes back to every module's output, and :mod:`.layers` makes squares of the two.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import BertForMaskedLM, ModernBertForMaskedLM

from gfm_utils.ensembles import masked_features
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.groups import BIAS, CROSS, DECODER, MASK, VISIBLE, groups_of
from gfm_utils.measures.fisher.layers import (
    KNOWN,
    ReadRows,
    layer_gradients,
    layer_squares,
    parts_of,
    product_gradients,
    product_squares,
    squares,
)

#: Group -> number of each window, shape (n,).
Sums = dict[str, torch.Tensor]


def has_hooks(model: Any) -> bool:
    """Whether every parameter lies in a module whose gradient is known in :mod:`.layers`."""
    return type(model) in (BertForMaskedLM, ModernBertForMaskedLM) and all(
        type(module) in KNOWN or name == "cls.predictions"
        for name, module in model.named_modules()
        if has_parameters(module)
    )


def has_parameters(module: nn.Module) -> bool:
    """Whether a module has parameters beside those of its children."""
    return next(module.parameters(recurse=False), None) is not None


class Passed(NamedTuple):
    """What a forward and a backward pass give, for the mean loss of each window.

    Attributes:
        layers: group, module, its inputs and the gradient of its output, but for the two that follow.
        table: the input embedding.
        embedded: gradient of its output, shape (n, window, width).
        ids: what it read, shape (n, window).
        decoder: the output matrix and bias.
        features: what the decoder multiplies, shape (n, m, width).
        errors: gradient of the logits: p minus the true token, over m, shape (n, m, vocabulary).
    """

    layers: list[tuple[str, nn.Module, torch.Tensor, torch.Tensor]]
    table: nn.Embedding
    embedded: torch.Tensor
    ids: torch.Tensor
    decoder: nn.Linear
    features: torch.Tensor
    errors: torch.Tensor

    @property
    def tied(self) -> bool:
        """Whether input and output share their matrix."""
        return self.table.weight is self.decoder.weight


def passed(model: Any, examples: MaskedTokens) -> Passed:
    """Run the model on windows, forth and back; its hooks and what of it requires gradients stay as they were."""
    decoder, table = model.get_output_embeddings(), model.get_input_embeddings()
    groups, names = groups_of(model), {value: name for name, value in model.named_parameters()}
    wanted = {value: value.requires_grad for value in names}
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
    handles = [module.register_forward_hook(record) for module in hooked if has_parameters(module)]
    try:
        model.requires_grad_(False)
        with torch.enable_grad():
            features = masked_features(model, examples.ids, examples.positions)
    finally:
        for handle in handles:
            handle.remove()
        for value, before in wanted.items():
            value.requires_grad_(before)
    seen = [value for module, _ in calls for value in module.parameters(recurse=False)]
    assert len(seen) == len(set(seen)), "a module was called twice"
    assert {groups[names[value]] for value in names.keys() - set(seen)} <= {DECODER, BIAS}
    with torch.no_grad():
        errors = decoder(features).softmax(-1)
        errors.scatter_add_(2, examples.targets[..., None], -torch.ones_like(errors[..., :1]))
        errors /= errors.shape[1]
        gradients = torch.autograd.grad(features, outputs, errors @ decoder.weight)
    at = next(place for place, (module, _) in enumerate(calls) if module is table)
    layers = [
        (groups[names[module.weight]], module, inputs, gradient)
        for (module, inputs), gradient in zip(calls, gradients, strict=True)
        if module is not table
    ]
    return Passed(layers, table, gradients[at], calls[at][1], decoder, features.detach(), errors)


@torch.no_grad()
def sums_of_squares(model: Any, examples: MaskedTokens, scaled: bool = False) -> Sums:
    """Group -> squared norm of the gradient of each window's mean loss.

    Args:
        model: one that ``has_hooks``, in evaluation mode.
        examples: windows, all of which are in memory together.
        scaled: each gradient is multiplied by its parameter.

    Returns:
        Numbers in nats² (scaled: without a unit), shape (n,) each.
    """
    back, total = passed(model, examples), Sums()

    def put(group: str, values: torch.Tensor) -> None:
        total[group] = total.get(group, 0) + values.double()

    for group, module, inputs, gradient in back.layers:
        put(group, layer_squares(module, inputs, gradient, scaled))
    scale = back.table.weight if scaled else None
    read = ReadRows.of(back.table, back.ids, back.embedded)
    masked = read.row == examples.mask_id
    put(MASK, read.squares(scale, masked))
    put(VISIBLE, read.squares(scale, ~masked))
    bias = back.decoder.bias
    put(DECODER, product_squares(back.features, back.errors, back.decoder.weight if scaled else None))
    if bias is not None:
        put(BIAS, squares(back.errors.sum(1), bias if scaled else None))
    if back.tied:
        put(CROSS, _cross_terms(back, scale))
    return total


def _cross_terms(back: Passed, scale: torch.Tensor | None) -> torch.Tensor:
    """2 g_in · g_out of a tied matrix, shape (n,): only rows that a window reads have both."""
    embedded = back.embedded if scale is None else back.embedded * scale[back.ids].square()
    meeting = back.features @ embedded.mT  # a_m · g_t, which counts as often as token t's logit moved
    moved = back.errors.gather(2, back.ids[:, None, :].expand(-1, meeting.shape[1], -1))
    padding = back.table.padding_idx
    trained = torch.ones_like(back.ids) if padding is None else back.ids != padding
    return 2 * (meeting * moved * trained[:, None, :]).sum((1, 2))


@torch.no_grad()
def formed_gradients(model: Any, examples: MaskedTokens) -> Iterator[torch.Tensor]:
    """The gradients of each window's mean loss themselves, some rows of a matrix at a time: shape (n, ...)."""
    back = passed(model, examples)
    for _, module, inputs, gradient in back.layers:
        yield from layer_gradients(module, inputs, gradient)
    read = ReadRows.of(back.table, back.ids, back.embedded)
    for part in parts_of(len(back.table.weight), back.embedded.shape[2], back.ids):
        incoming = read.dense(part)
        yield incoming + back.errors[..., part].mT @ back.features if back.tied else incoming
    if not back.tied:
        yield from product_gradients(back.features, back.errors)
    if back.decoder.bias is not None:
        yield back.errors.sum(1)
