"""Gradients of one layer's parameters for each window apart, from what goes in and what comes back.

With inputs a_t and output gradients g_t at the positions t of a window, the gradient of a linear layer's
matrix is Σ_t g_t a_tᵀ. Its square is the sum of the squares of that matrix, or, without forming it, the inner
product of the Gram matrices of the a's and of the g's (Goodfellow, arXiv 1510.01799, for one position; Li et al.,
arXiv 2110.05679, for several): whichever takes fewer multiplications. A norm's and a bias's gradients are vectors,
and a lookup's are the g's summed over the positions that read the same row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

#: Values of a gradient that are held at once on a CPU where gradients of windows have to be formed.
BUDGET = 2**25
#: Bytes of a GPU's free memory for each value: up to five copies in float32, and some room.
BYTES = 32
#: Values beyond which more at once make no GPU faster; with fewer the free memory decides.
LARGEST = 2**30
#: The modules whose gradients are known here.
KNOWN = (nn.Linear, nn.LayerNorm, nn.Embedding)


def values_at_once(on_cpu: int, where: torch.device) -> int:
    """Values of a batch, or of gradients that are formed, to be held at once on a device.

    Args:
        on_cpu: how many on a CPU, and on any other device at least.
        where: the device; what PyTorch keeps of a GPU's memory without using it counts as free.
    """
    if where.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(where)
    free += torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    return max(on_cpu, min(LARGEST, free // BYTES))


def squares(values: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    """Sum of squares of each window, of the products with ``scale`` if there is one: (n, ...) -> (n,)."""
    flat = (values if scale is None else values * scale).flatten(1)
    return torch.linalg.vecdot(flat, flat)


def parts_of(rows: int, width: int, windows: torch.Tensor) -> Iterator[slice]:
    """Rows of a matrix, some at a time: gradients of as many windows (n, ...) as there is room for."""
    step = max(1, values_at_once(BUDGET, windows.device) // (len(windows) * width))
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def product_squares(
    inputs: torch.Tensor, gradients: torch.Tensor, scale: torch.Tensor | None = None
) -> torch.Tensor:
    """‖Σ_t g_t a_tᵀ‖² of each window, the cheaper way.

    Args:
        inputs: a, shape (n, t, i).
        gradients: g, shape (n, t, o).
        scale: multiplies each matrix entry by entry, shape (o, i); None: as it is.

    Returns:
        Shape (n,).
    """
    length, wide, high = inputs.shape[1], inputs.shape[2], gradients.shape[2]
    if scale is not None:
        parts = parts_of(high, wide, inputs)
        return torch.stack([squares(gradients[..., part].mT @ inputs, scale[part]) for part in parts]).sum(0)
    if length == 1:
        return squares(inputs) * squares(gradients)
    if length * (wide + high) > wide * high:
        return squares(gradients.mT @ inputs)
    return torch.linalg.vecdot((inputs @ inputs.mT).flatten(1), (gradients @ gradients.mT).flatten(1))


@dataclass(frozen=True)
class ReadRows:
    """Gradients of the rows of an embedding that each window reads: positions of the same row are added up.

    Attributes:
        count: of the windows, n.
        window: place of the window, of each row that one reads, shape (r,).
        row: the row, shape (r,).
        gradients: its gradient, shape (r, width): zero for padding.
    """

    count: int
    window: torch.Tensor
    row: torch.Tensor
    gradients: torch.Tensor

    @classmethod
    def of(cls, module: nn.Embedding, ids: torch.Tensor, gradients: torch.Tensor) -> "ReadRows":
        """From ids (n, t) and the gradients of the outputs (n, t, width)."""
        rows, (count, _, width) = len(module.weight), gradients.shape
        keys = ids + rows * torch.arange(count, device=ids.device)[:, None]
        distinct, place = torch.unique(keys, return_inverse=True)
        total = gradients.new_zeros(len(distinct), width)
        total.index_add_(0, place.flatten(), gradients.reshape(-1, width))
        if module.padding_idx is not None:
            total[distinct % rows == module.padding_idx] = 0
        return cls(count, distinct // rows, distinct % rows, total)

    def squares(self, scale: torch.Tensor | None, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """Sum of squares of each window, shape (n,); of the chosen rows (r,) alone, if given."""
        of_rows = squares(self.gradients, None if scale is None else scale[self.row])
        of_rows = of_rows if chosen is None else of_rows * chosen
        return of_rows.new_zeros(self.count).index_add_(0, self.window, of_rows)

    def dense(self, part: slice) -> torch.Tensor:
        """Gradients of some rows of the matrix, shape (n, rows, width)."""
        inside = (self.row >= part.start) & (self.row < part.stop)
        values = self.gradients.new_zeros(self.count, part.stop - part.start, self.gradients.shape[1])
        values[self.window[inside], self.row[inside] - part.start] = self.gradients[inside]
        return values


def layer_squares(module: nn.Module, inputs: torch.Tensor, gradients: torch.Tensor, scaled: bool) -> torch.Tensor:
    """Sum of the squared gradients of all of a layer's own parameters, of each window.

    Args:
        module: one of ``KNOWN``.
        inputs: what it was given, shape (n, t, i), or ids (n, t).
        gradients: of its output, shape (n, t, o).
        scaled: each gradient is multiplied by its parameter.

    Returns:
        Shape (n,).
    """
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    scale = weight if scaled else None
    if isinstance(module, nn.Embedding):
        return ReadRows.of(module, inputs, gradients).squares(scale)
    if isinstance(module, nn.LayerNorm):
        total = squares((gradients * _normalised(module, inputs)).sum(1), scale)
    else:
        total = product_squares(inputs, gradients, scale)
    return total if bias is None else total + squares(gradients.sum(1), bias if scaled else None)


def layer_gradients(module: nn.Module, inputs: torch.Tensor, gradients: torch.Tensor) -> Iterator[torch.Tensor]:
    """The same gradients themselves, shape (n, ...): some rows of a matrix at a time."""
    if isinstance(module, nn.LayerNorm):
        yield (gradients * _normalised(module, inputs)).sum(1)
    elif isinstance(module, nn.Embedding):
        rows = ReadRows.of(module, inputs, gradients)
        yield from (rows.dense(part) for part in parts_of(len(module.weight), module.weight.shape[1], inputs))
    else:
        yield from product_gradients(inputs, gradients)
    if getattr(module, "bias", None) is not None:
        yield gradients.sum(1)


def product_gradients(inputs: torch.Tensor, gradients: torch.Tensor) -> Iterator[torch.Tensor]:
    """The gradients Σ_t g_t a_tᵀ of a matrix (o, i), some rows at a time: (n, rows, i)."""
    for part in parts_of(gradients.shape[2], inputs.shape[2], inputs):
        yield gradients[..., part].mT @ inputs


def _normalised(module: nn.LayerNorm, inputs: torch.Tensor) -> torch.Tensor:
    """Inputs of mean 0 and variance 1: what a norm multiplies by its weights."""
    return functional.layer_norm(inputs, module.normalized_shape, None, None, module.eps)
