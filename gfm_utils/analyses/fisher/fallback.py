"""The same sums for any masked language model, by ``torch.func``: gradients of each example are formed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from gfm_utils.analyses.fisher.exact import Per, Sums, row_of
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import CROSS, DECODER, MASK, TOKENS, VISIBLE, groups_of

Tensors = dict[str, torch.Tensor]
#: Entry of a tied matrix for what comes through the output.
OUTPUT_PATH = "(through the output)"


class _Logits(torch.nn.Module):
    """A masked language model as a function of ids, positions and attention, for ``functional_call``."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        logits = self.model(input_ids=ids, attention_mask=attention).logits
        return logits.gather(1, positions.unsqueeze(-1).expand(-1, -1, logits.shape[-1]))


def gradients(model: Any, examples: MaskedTokens) -> Tensors:
    """Gradients of the mean loss of each window, all at once: parameter -> (n, *shape).

    Args:
        model: in evaluation mode; a tied matrix has two entries, its own name for what comes through the input
            and ``OUTPUT_PATH`` for what comes through the output.
        examples: windows; their gradients are held together.
    """
    wrapped = _Logits(model)
    with torch.no_grad():  # BigBird chooses its kind of attention when it first reads, with random numbers
        wrapped(examples.ids[:1], examples.positions[:1].clamp(min=0), torch.ones_like(examples.ids[:1]))
    named = dict(model.named_parameters())
    names = {id(value): name for name, value in named.items()}
    alias = {n: names[id(v)] for n, v in model.named_parameters(remove_duplicate=False)}
    table, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    values = {name: value.detach() for name, value in named.items()}
    if decoder.weight is table.weight:
        path = next(name for name, module in model.named_modules() if module is decoder)
        alias[f"{path}.weight"] = OUTPUT_PATH
        values[OUTPUT_PATH] = decoder.weight.detach()

    def loss(values: Tensors, *example: torch.Tensor) -> torch.Tensor:
        ids, positions, targets, there, *rest = (tensor.unsqueeze(0) for tensor in example)
        placed = {f"model.{name}": values[source] for name, source in alias.items()}
        attention = rest[0] if rest else torch.ones_like(whole)
        inputs = (ids, positions, attention)
        logits = functional_call(wrapped, placed, inputs, tie_weights=False)
        losses = functional.cross_entropy(logits[0], targets[0], reduction="none")
        return (losses * there[0]).sum() / there.sum()

    there = examples.there
    positions, targets = examples.positions.clamp(min=0), examples.targets.clamp(min=0)
    given = [examples.ids, positions, targets, there.to(next(iter(values.values())).dtype)]
    whole = torch.ones_like(examples.ids[:1])
    if examples.attention is not None and not examples.attention.all():
        given.append(examples.attention)
    else:
        try:
            with _eager_attention(model):
                each: Tensors = vmap(grad(loss), (None, *[0] * len(given)))(values, *given)
            return each
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            pass
    # torch.func allows neither random numbers, nor gradients that a model has written out itself, nor a look into
    # a mask of padding, which transformers take: windows go one by one through plain backward passes
    rows = [_gradient(loss, values, [tensor[row] for tensor in given]) for row in range(len(examples))]
    return {name: torch.stack([row[name] for row in rows]) for name in values}


@torch.enable_grad()
def _gradient(loss: Callable[..., torch.Tensor], values: Tensors, example: Sequence[torch.Tensor]) -> Tensors:
    """Gradient of a loss of one example by a plain backward pass; 0 for what does not take part."""
    leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
    found = torch.autograd.grad(
        loss(leaves, *example), list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, found, strict=True))


@contextmanager
def _eager_attention(model: Any) -> Iterator[None]:
    """Attention written out: the fused kernel has no batching rule, so ``vmap`` would run it row by row."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def sums_of_squares(model: Any, examples: MaskedTokens, per: Per) -> Sums:
    """As in :mod:`.exact`."""
    if per == "sequence":
        return group_sums(model, examples, gradients(model, examples))
    there, total = examples.there, {}
    for group, values in sums_of_squares(model, examples.apart(), "sequence").items():
        total[group] = values.new_zeros(there.shape)
        total[group][there] = values
    return total


def group_sums(model: Any, examples: MaskedTokens, found: Tensors, scaled: bool = False) -> Sums:
    """Squares of gradients that are formed, by group.

    Args:
        model: whose gradients they are.
        examples: of which they were taken.
        found: result of ``gradients``.
        scaled: multiply each gradient by its parameter first.
    """
    groups, sums, tied = groups_of(model), Sums(), OUTPUT_PATH in found
    if scaled:
        values = dict(model.named_parameters())
        values[OUTPUT_PATH] = model.get_output_embeddings().weight
        found = {name: value * values[name].detach() for name, value in found.items()}

    def add(group: str, values: torch.Tensor) -> None:
        sums[group] = sums.get(group, 0) + values.double()

    for name, value in found.items():
        group = groups.get(name, DECODER)
        if group == TOKENS:
            masked, rows = row_of(examples), value.square().sum(2)
            of_mask = rows[:, masked] if masked >= 0 else torch.zeros_like(rows[:, 0])
            add(MASK, of_mask)
            add(VISIBLE, rows.sum(1) - of_mask)
            if tied:
                add(CROSS, 2 * (value * found[OUTPUT_PATH]).flatten(1).sum(1))
        else:
            add(group, value.flatten(1).square().sum(1))
    return sums
