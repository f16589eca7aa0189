"""Sums of squared gradients of each example by group of parameters, without forming the gradients.

One forward pass keeps what goes into every module with parameters; the gradient of the softmax is known in closed
form (p minus the true token, at masked positions only); one backward pass through the activations alone gives what
comes back to every module's output, and :mod:`.layers` makes squares of the two. For single tokens there is one
forward pass for all masked tokens of a window, and one backward pass for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from transformers import BertForMaskedLM, ModernBertForMaskedLM

from gfm_utils.analyses.fisher import layers
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import BIAS, CROSS, DECODER, MASK, VISIBLE, groups_of
from gfm_utils.analyses.fisher.layers import LAYERS, Block, Layer, Lookup, blocks_of_product, product_squares
from gfm_utils.ensembles import masked_features
from gfm_utils.errors import GfmError

#: What an example is: a masked token, or a window with the mean loss of its masked tokens.
Per = Literal["token", "sequence"]
#: Group -> number of each example.
Sums = dict[str, torch.Tensor]


def check(model: Any) -> None:
    """Refuse a model that is not in evaluation mode or not in single or double precision.

    Raises:
        GfmError: it is neither.
    """
    precisions = {value.dtype for value in model.parameters()}
    if model.training or not precisions <= {torch.float32, torch.float64}:
        what = "in training mode" if model.training else f"in {', '.join(sorted(map(str, precisions)))}"
        raise GfmError(f"squared gradients need a model in evaluation mode in float32 or float64, not {what}")


def has_hooks(model: Any) -> bool:
    """Whether every parameter lies in a module whose gradient is known in :mod:`.layers`."""
    return type(model) in (BertForMaskedLM, ModernBertForMaskedLM) and all(
        type(module) in LAYERS or name == "cls.predictions"
        for name, module in model.named_modules()
        if _own(module)
    )


def _own(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of a module without those of its children."""
    return list(module.parameters(recurse=False))


@dataclass
class Pass:
    """One forward pass: its layers, their outputs and what the decoder multiplies.

    Attributes:
        features: shape (n, m, width).
        groups: group of each layer.
        layers: in the order in which they were called, the decoder left out.
        outputs: of each layer, shape (n, t, ...).
        table: place of the input embedding among them.
        inside: whether a layer is in the encoder or the embeddings, and not in the head.
    """

    features: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    groups: list[str] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    outputs: list[torch.Tensor] = field(default_factory=list)
    table: int = 0
    inside: list[bool] = field(default_factory=list)


@contextmanager
def recorded(model: Any, examples: MaskedTokens, reused: bool) -> Iterator[Pass]:
    """Run the model on examples; afterwards its hooks and what of it requires gradients are as they were.

    Args:
        model: in evaluation mode.
        examples: windows.
        reused: several gradients of the same pass will be asked for.
    """
    decoder, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    by_name, names = groups_of(model), {id(value): name for name, value in model.named_parameters()}
    wanted = {name: value.requires_grad for name, value in model.named_parameters()}
    inner = set(model.base_model.modules())
    run = Pass()

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        of_batch = inputs[0]
        if isinstance(module, nn.Embedding):  # ids may stand for the whole batch, and outputs begin the graph
            of_batch = of_batch.expand(len(examples), -1)
            output = output.expand(len(examples), -1, -1).requires_grad_(True)
        if module is embedding:
            run.table = len(run.layers)
        run.layers.append(LAYERS[type(module)](module, of_batch, reused))
        run.groups.append(by_name[names[id(module.weight)]])
        run.inside.append(module in inner)
        run.outputs.append(output)
        return output

    handles = []
    try:
        for module in model.modules():
            if module is not decoder and type(module) in LAYERS and _own(module):
                handles.append(module.register_forward_hook(record))
        for value in model.parameters():
            value.requires_grad_(False)
        with torch.enable_grad():
            run.features = masked_features(model, examples.ids, examples.positions)
        seen = {id(value) for layer in run.layers for value in _own(layer.module)}
        assert len(seen) == sum(len(_own(layer.module)) for layer in run.layers)
        missing = {name for name, value in model.named_parameters() if id(value) not in seen}
        assert {by_name[name] for name in missing} <= {DECODER, BIAS}, missing
        yield run
    finally:
        for handle in handles:
            handle.remove()
        for name, value in model.named_parameters():
            value.requires_grad_(wanted[name])


@dataclass
class Decoder:
    """The output matrix and bias, and the gradient of each loss by the logits.

    Attributes:
        weight: shape (vocabulary, width).
        bias: shape (vocabulary,), or None.
        lookup: the input embedding's layer if the matrix is tied to it, else None.
        features: what it multiplies, shape (n, m, width).
        errors: p minus the true token, weighted, shape (n, m, vocabulary).
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    lookup: Lookup | None
    features: torch.Tensor
    errors: torch.Tensor

    def slot(self, place: int) -> "Decoder":
        """Of one masked token in each window."""
        part = slice(place, place + 1)
        return Decoder(self.weight, self.bias, self.lookup, self.features[:, part], self.errors[:, part])

    def squares(self, embedded: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Group and squares of each example; ``embedded`` is the gradient of the embedded tokens (n, t, width)."""
        yield DECODER, product_squares(self.features, self.errors)
        if self.bias is not None:
            yield BIAS, layers.squares(self.errors.sum(1))
        if self.lookup is not None:
            ids = self.lookup.inputs
            meeting = self.features @ embedded.mT  # a_m · g_t, which counts as often as token t's logit moved
            moved = self.errors.gather(2, ids[:, None, :].expand(-1, meeting.shape[1], -1))
            read = ids != (-1 if self.lookup.module.padding_idx is None else self.lookup.module.padding_idx)
            yield CROSS, 2 * (meeting * moved * read[:, None, :]).sum((1, 2))

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """The gradients themselves, without what reaches a tied matrix through the input."""
        for block in blocks_of_product(self.weight, self.features, self.errors):
            yield DECODER, block
        if self.bias is not None:
            yield BIAS, Block(self.bias, self.errors.sum(1))


def decoder_of(model: Any, run: Pass, examples: MaskedTokens, per: Per) -> Decoder:
    """The decoder with the errors of each loss (nats), in closed form."""
    module, table = model.get_output_embeddings(), run.layers[run.table]
    features = run.features.detach()
    weight = module.weight.detach()
    bias = None if module.bias is None else module.bias.detach()
    errors = nn.functional.linear(features, weight, bias).softmax(-1)
    errors.scatter_add_(2, examples.targets[..., None], -torch.ones_like(errors[..., :1]))
    if per == "sequence":
        errors *= 1 / errors.shape[1]
    tied = module.weight is table.module.weight
    return Decoder(weight, bias, table if tied and isinstance(table, Lookup) else None, features, errors)


class Returned(NamedTuple):
    """What one backward pass gives.

    Attributes:
        place: of the masked token in ``examples.positions``; None if all of a window were taken together.
        decoder: the errors that it began with.
        parts: group, layer and the gradient of its output, without the input embedding.
        lookup: the input embedding.
        embedded: the gradient of its output, shape (n, window, width).
    """

    place: int | None
    decoder: Decoder
    parts: list[tuple[str, Layer, torch.Tensor]]
    lookup: Lookup
    embedded: torch.Tensor


def backward(model: Any, run: Pass, examples: MaskedTokens, per: Per) -> Iterator[Returned]:
    """A backward pass for each masked token of the windows in turn, or one for the mean of each window."""
    whole = decoder_of(model, run, examples, per)
    of_features = whole.errors @ whole.weight
    places = [None] if per == "sequence" else list(range(of_features.shape[1]))
    for place in places:
        begin, decoder = of_features, whole
        if place is not None:
            begin, decoder = torch.zeros_like(of_features), whole.slot(place)
            begin[:, place] = of_features[:, place]
        gradients = torch.autograd.grad(run.features, run.outputs, begin, retain_graph=place != places[-1])
        parts = []
        for number, (layer, group, gradient) in enumerate(zip(run.layers, run.groups, gradients, strict=True)):
            if place is not None and not run.inside[number]:  # the head sees each token by itself
                parts.append((group, layer.at(place), gradient[:, place : place + 1]))
            elif number != run.table:
                parts.append((group, layer, gradient))
        lookup = run.layers[run.table]
        assert isinstance(lookup, Lookup)
        yield Returned(place, decoder, parts, lookup, gradients[run.table])


def sums_of_squares(model: Any, examples: MaskedTokens, per: Per) -> Sums:
    """Group -> squared norm of each example's gradient in nats², shape (n,) or, per token, (n, m)."""
    total: Sums = {}
    with recorded(model, examples, reused=per == "token") as run, torch.no_grad():
        for back in backward(model, run, examples, per):
            for group, layer, gradient in back.parts:
                add(total, examples, per, back.place, group, layer.squares(gradient))
            rows, masked = layers.squares(back.lookup.sums(back.embedded)), back.lookup.row == examples.mask_id
            add(total, examples, per, back.place, VISIBLE, back.lookup.per_example(rows * ~masked))
            add(total, examples, per, back.place, MASK, back.lookup.per_example(rows * masked))
            for group, values in back.decoder.squares(back.embedded):
                add(total, examples, per, back.place, group, values)
    return total


def add(
    total: Sums, examples: MaskedTokens, per: Per, place: int | None, group: str, values: torch.Tensor
) -> None:
    """Add numbers of the examples (n,) to those of a group: (n,), or a column of (n, m)."""
    if group not in total:
        shape = (len(examples),) if per == "sequence" else tuple(examples.positions.shape)
        total[group] = values.new_zeros(shape, dtype=torch.float64)
    (total[group] if place is None else total[group][:, place]).add_(values)
