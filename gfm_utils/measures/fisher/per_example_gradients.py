"""Gradients of masked language models for each window apart: without forming them, or by plain backward passes.

The fast way: one forward pass keeps what goes into every module with parameters; the gradient of the softmax is
known in closed form (p minus the true token, at masked positions only); one backward pass through the activations
alone gives what comes back to every module's output, and :mod:`.layers` makes squares of the two. It knows BERT
and ModernBERT; any other model takes a backward pass for each window.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import BertForMaskedLM, ModernBertForMaskedLM

from gfm_utils.ensembles import masked_features, masked_logits
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.groups import BIAS, CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of
from gfm_utils.measures.fisher.layers import KNOWN, Gradients, Product, ReadRows, Vector, gradients_of, parts_of

#: Group -> number of each window, shape (n,).
Sums = dict[str, torch.Tensor]


def has_hooks(model: Any) -> bool:
    """Whether every parameter lies in a module whose gradient is known in :mod:`.layers`."""
    return type(model) in (BertForMaskedLM, ModernBertForMaskedLM) and all(
        type(module) in KNOWN or name == "cls.predictions"
        for name, module in model.named_modules()
        if _has_parameters(module)
    )


def _has_parameters(module: nn.Module) -> bool:
    """Whether a module has parameters beside those of its children."""
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


class Backpropagated(NamedTuple):
    """What a forward and a backward pass give, for the mean loss of each window.

    Attributes:
        layers: group of each module, and its parameters with their gradients, but for those that follow.
        read: gradients of the input embedding, without those that come by a tied decoder.
        embedded: gradient of its output, shape (n, window, width).
        output: gradients of the decoder's matrix; its inputs are the features (n, m, width), and the gradients of
            the logits are p minus the true token, over m, shape (n, m, vocabulary).
        decoder: the output matrix and bias.
    """

    layers: list[tuple[str, list[tuple[torch.Tensor, Gradients]]]]
    read: ReadRows
    embedded: torch.Tensor
    output: Product
    decoder: nn.Linear

    @property
    def tied(self) -> bool:
        """Whether input and output share their matrix."""
        return self.read.table.weight is self.decoder.weight


def _backpropagated(model: Any, examples: MaskedTokens) -> Backpropagated:
    """Run the model on windows, forth and back; its hooks and what of it requires gradients stay as they were."""
    decoder, table = model.get_output_embeddings(), model.get_input_embeddings()
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
    with torch.no_grad():
        errors = decoder(features).softmax(-1)
        errors.scatter_add_(2, examples.targets[..., None], -torch.ones_like(errors[..., :1]))
        errors /= errors.shape[1]
        backward = torch.autograd.grad(features, outputs, errors @ decoder.weight)
        at = next(place for place, (module, _) in enumerate(calls) if module is table)
        layers = [
            (groups[names[module.weight]], list(gradients_of(module, inputs, gradient)))
            for (module, inputs), gradient in zip(calls, backward, strict=True)
            if module is not table
        ]
        read = ReadRows.of(table, calls[at][1], backward[at])
    return Backpropagated(layers, read, backward[at], Product(features.detach(), errors), decoder)


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
    back, total = _backpropagated(model, examples), Sums()
    for group, own in back.layers:
        squares = sum(gradients.squares(parameter if scaled else None) for parameter, gradients in own)
        total[group] = total.get(group, 0) + torch.as_tensor(squares).double()
    scale, masked = back.read.table.weight if scaled else None, back.read.row == examples.mask_id
    total[MASK], total[VISIBLE] = (back.read.squares(scale, rows).double() for rows in (masked, ~masked))
    total[DECODER] = back.output.squares(back.decoder.weight if scaled else None).double()
    if (bias := back.decoder.bias) is not None:
        total[BIAS] = Vector(back.output.gradients.sum(1)).squares(bias if scaled else None).double()
    if back.tied:
        total[CROSS] = _cross_terms(back, scale).double()
    return total


def _cross_terms(back: Backpropagated, scale: torch.Tensor | None) -> torch.Tensor:
    """2 g_in · g_out of a tied matrix, shape (n,): only rows that a window reads have both."""
    ids, padding = back.read.windows, back.read.table.padding_idx
    embedded = back.embedded if scale is None else back.embedded * scale[ids].square()
    meeting = back.output.inputs @ embedded.mT  # a_m · g_t, which counts as often as token t's logit moved
    moved = back.output.gradients.gather(2, ids[:, None, :].expand(-1, meeting.shape[1], -1))
    trained = torch.ones_like(ids) if padding is None else ids != padding
    return 2 * (meeting * moved * trained[:, None, :]).sum((1, 2))


@torch.no_grad()
def formed_gradients(model: Any, examples: MaskedTokens) -> Iterator[torch.Tensor]:
    """The gradients of each window's mean loss themselves, some rows of a matrix at a time: shape (n, ...)."""
    back = _backpropagated(model, examples)
    for _, own in back.layers:
        for _, gradients in own:
            yield from gradients.formed()
    if back.tied:
        for part in parts_of(len(back.decoder.weight), back.embedded.shape[2], back.read.windows):
            yield back.read.dense(part) + back.output.dense(part)
    else:
        yield from back.read.formed()
        yield from back.output.formed()
    if back.decoder.bias is not None:
        yield back.output.gradients.sum(1)


def gradient(model: Any, examples: MaskedTokens) -> Sums:
    """Gradient of the mean loss of all masked tokens, of every parameter (0 where it takes no part)."""
    named = dict(model.named_parameters())
    with _requiring(model, True):
        logits = masked_logits(model, examples.ids, examples.positions)
        loss = functional.cross_entropy(logits.flatten(0, 1), examples.targets.flatten())
        values = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, values, strict=True))


@contextmanager
def _untied(model: Any) -> Iterator[bool]:
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


def plain_sums_of_squares(model: Any, examples: MaskedTokens, scaled: bool = False) -> Sums:
    """As ``sums_of_squares``, of any model, by one backward pass for each window."""
    with _untied(model) as tied:
        groups = groups_of(model)
        scales = {name: value.detach() if scaled else 1 for name, value in model.named_parameters()}
        rows = []
        for one in examples.batches(1):
            gradients = {name: value * scales[name] for name, value in gradient(model, one).items()}
            rows.append(_group_squares(gradients, groups, one.mask_id, tied))
    return {group: torch.stack([row[group] for row in rows]) for group in rows[0]}


def _group_squares(gradients: Sums, groups: Mapping[str, str], mask: int, tied: bool) -> Sums:
    """Group -> sum of the squares of its gradients, of one window."""
    squares: Sums = {}
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
