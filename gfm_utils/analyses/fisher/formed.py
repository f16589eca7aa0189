"""What needs the gradients themselves: formed layer by layer and block by block, never all at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.analyses.fisher import layers
from gfm_utils.analyses.fisher.exact import Per, Returned, Sums, add, backward, check, has_hooks, recorded
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.fallback import gradient
from gfm_utils.analyses.fisher.groups import BIAS, CROSS, MASK, TOKENS, VISIBLE, groups_of
from gfm_utils.analyses.fisher.layers import Block


def scaled_sums(model: Any, examples: MaskedTokens, per: Per) -> Sums:
    """As ``sums_of_squares`` of :mod:`.exact`, of gradients that are multiplied by their parameters."""
    total: Sums = {}
    with recorded(model, examples, reused=False) as run, torch.no_grad():
        for back in backward(model, run, examples, per):

            def put(group: str, values: torch.Tensor, place: int | None = back.place) -> None:
                add(total, examples, per, place, group, values)

            for group, layer, gradient in back.parts:
                for block in layer.blocks(gradient):
                    put(group, layers.squares(block.gradients * block.values))
            for begin, (values, incoming), outgoing in _table_blocks(back):
                moved = incoming * values
                of_rows = torch.linalg.vecdot(moved, moved)
                masked = examples.mask_id - begin
                of_mask = of_rows[:, masked] if 0 <= masked < of_rows.shape[1] else of_rows.new_zeros(len(of_rows))
                put(MASK, of_mask)
                put(VISIBLE, of_rows.sum(1) - of_mask)
                if outgoing is not None:
                    put(CROSS, 2 * torch.linalg.vecdot(moved.flatten(1), (outgoing * values).flatten(1)))
            for group, block in back.decoder.blocks():
                put(group, layers.squares(block.gradients * block.values))
    return total


def _table_blocks(back: Returned) -> Iterator[tuple[int, Block, torch.Tensor | None]]:
    """First row, and gradients of some rows of the input embedding through the input and, if tied, the output."""
    weight, tied = back.lookup.module.weight, back.decoder.lookup is not None
    rows = layers.rows_at_once(back.embedded, weight.shape[1])
    for begin in range(0, len(weight), rows):
        part = slice(begin, begin + rows)
        outgoing = back.decoder.errors[..., part].mT @ back.decoder.features if tied else None
        yield begin, Block(weight[part], back.lookup.dense(back.embedded, part)), outgoing


def gram_matrices(model: Any, examples: MaskedTokens) -> dict[str, npt.NDArray[np.float64]]:
    """Inner products of the gradients of windows, by group: g_i · g_j, shape (n, n), in nats².

    Args:
        model: as for ``squared_gradients``.
        examples: masked windows, all of which are in memory together.

    Returns:
        Groups as in ``squared_gradients``, but a tied matrix is one group, ``embedding.tokens``.

    Raises:
        GfmError: the model is in training mode or has another precision.
    """
    check(model)
    total: dict[str, torch.Tensor] = {}

    def put(group: str, gradients: torch.Tensor) -> None:
        flat = gradients.flatten(1)
        total[group] = total.get(group, 0) + (flat @ flat.mT).double()

    if not has_hooks(model):
        rows = [gradient(model, one) for one in examples.batches(1)]
        for name, group in groups_of(model).items():
            put(group, torch.stack([row[name] for row in rows]))
        return {group: value.cpu().numpy() for group, value in total.items()}
    with recorded(model, examples, reused=False) as run, torch.no_grad():
        (back,) = backward(model, run, examples, "sequence")
        for group, layer, of_output in back.parts:
            for block in layer.blocks(of_output):
                put(group, block.gradients)
        for _, block, outgoing in _table_blocks(back):
            put(TOKENS, block.gradients if outgoing is None else block.gradients + outgoing)
        for group, block in back.decoder.blocks():
            if group == BIAS or back.decoder.lookup is None:
                put(group, block.gradients)
    return {group: value.cpu().numpy() for group, value in total.items()}


def gradient_noise_ratio(gram: npt.NDArray[np.float64]) -> float:
    """Share of E‖g‖² that is variance: 1 - ‖E g‖² / E‖g‖², with an unbiased ‖E g‖².

    The trace of an empirical Fisher information is E‖g‖². Where the ratio is 1 the examples pull in all directions
    and their mean is nothing; where it is near 0 the trace is one common gradient, as early in training
    (tr Cov / ‖E g‖² is the noise scale of McCandlish et al., arXiv 1812.06162).

    Args:
        gram: inner products of the gradients of independent examples, shape (n, n).
    """
    n = len(gram)
    diagonal = float(np.trace(gram))
    common = (float(gram.sum()) - diagonal) / (n * (n - 1))
    return 1 - common / (diagonal / n)


def effective_dimension(gram: npt.NDArray[np.float64]) -> float:
    """Participation ratio (tr F)² / tr F² of the empirical Fisher information F = E g gᵀ: directions in use.

    tr F² is E (g · g')² over pairs of different examples, which is unbiased; (tr F)² likewise leaves out the
    pairs of an example with itself.

    Args:
        gram: inner products of the gradients of independent examples, shape (n, n).
    """
    n, own = len(gram), np.diag(gram)
    pairs = n * (n - 1)
    trace_squared = (own.sum() ** 2 - np.square(own).sum()) / pairs
    return float(trace_squared / ((np.square(gram).sum() - np.square(own).sum()) / pairs))
