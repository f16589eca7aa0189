"""Gradients of one layer's parameters for each window apart, from what goes in and what comes back.

With inputs a_t and output gradients g_t at the positions t of a window, the gradient of a linear layer's
matrix is Σ_t g_t a_tᵀ. Its square is the sum of the squares of that matrix, or, without forming it, the inner
product of the Gram matrices of the a's and of the g's (Goodfellow, arXiv 1510.01799, for one position; Li et al.,
arXiv 2110.05679, for several): whichever takes fewer multiplications. A norm's and a bias's gradients are vectors,
and a lookup's are the g's summed over the positions that read the same row.

Each kind has ``squares``, the sum of squares of each window, of the products with ``scale`` if there is one, shape
(n,); and ``formed``, the gradients themselves, some rows of a matrix at a time, shape (n, ...).
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


def parts_of(rows: int, width: int, windows: torch.Tensor) -> Iterator[slice]:
    """Rows of a matrix, some at a time: gradients of as many windows (n, ...) as there is room for."""
    step = max(1, values_at_once(BUDGET, windows.device) // (len(windows) * width))
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def _squares(values: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    flat = (values if scale is None else values * scale).flatten(1)
    return torch.linalg.vecdot(flat, flat)


@dataclass(frozen=True)
class Vector:
    """Gradients (n, ...) as they are, of a bias or of the weights of a norm."""

    values: torch.Tensor

    def squares(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """See the module."""
        return _squares(self.values, scale)

    def formed(self) -> Iterator[torch.Tensor]:
        """See the module."""
        yield self.values


@dataclass(frozen=True)
class Product:
    """Gradients Σ_t g_t a_tᵀ of a matrix (o, i).

    Attributes:
        inputs: a, shape (n, t, i).
        gradients: g, shape (n, t, o).
    """

    inputs: torch.Tensor
    gradients: torch.Tensor

    def squares(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """The cheaper way."""
        (_, length, wide), high = self.inputs.shape, self.gradients.shape[2]
        if scale is not None:
            parts = parts_of(high, wide, self.inputs)
            return torch.stack([_squares(self.dense(part), scale[part]) for part in parts]).sum(0)
        if length == 1:
            return _squares(self.inputs) * _squares(self.gradients)
        if length * (wide + high) > wide * high:
            return _squares(self.gradients.mT @ self.inputs)
        grams = [values @ values.mT for values in (self.inputs, self.gradients)]
        return torch.linalg.vecdot(grams[0].flatten(1), grams[1].flatten(1))

    def dense(self, part: slice) -> torch.Tensor:
        """Some rows of the matrix, shape (n, rows, i)."""
        return self.gradients[..., part].mT @ self.inputs

    def formed(self) -> Iterator[torch.Tensor]:
        """See the module."""
        return map(self.dense, parts_of(self.gradients.shape[2], self.inputs.shape[2], self.inputs))


@dataclass(frozen=True)
class ReadRows:
    """Gradients of the rows of an embedding that each window reads: positions of the same row are added up.

    Attributes:
        table: the embedding.
        windows: their ids, shape (n, t).
        window: place of the window, of each row that one reads, shape (r,).
        row: the row, shape (r,).
        gradients: its gradient, shape (r, width): zero for padding.
    """

    table: nn.Embedding
    windows: torch.Tensor
    window: torch.Tensor
    row: torch.Tensor
    gradients: torch.Tensor

    @classmethod
    def of(cls, table: nn.Embedding, ids: torch.Tensor, gradients: torch.Tensor) -> "ReadRows":
        """From ids (n, t) and the gradients of the outputs (n, t, width)."""
        rows, (count, _, width) = len(table.weight), gradients.shape
        keys = ids + rows * torch.arange(count, device=ids.device)[:, None]
        distinct, place = torch.unique(keys, return_inverse=True)
        total = gradients.new_zeros(len(distinct), width)
        total.index_add_(0, place.flatten(), gradients.reshape(-1, width))
        if table.padding_idx is not None:
            total[distinct % rows == table.padding_idx] = 0
        return cls(table, ids, distinct // rows, distinct % rows, total)

    def squares(self, scale: torch.Tensor | None = None, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """Of the chosen rows (r,) alone, if given."""
        of_rows = _squares(self.gradients, None if scale is None else scale[self.row])
        of_rows = of_rows if chosen is None else of_rows * chosen
        return of_rows.new_zeros(len(self.windows)).index_add_(0, self.window, of_rows)

    def dense(self, part: slice) -> torch.Tensor:
        """Some rows of the matrix, shape (n, rows, width)."""
        inside = (self.row >= part.start) & (self.row < part.stop)
        values = self.gradients.new_zeros(len(self.windows), part.stop - part.start, self.gradients.shape[1])
        values[self.window[inside], self.row[inside] - part.start] = self.gradients[inside]
        return values

    def formed(self) -> Iterator[torch.Tensor]:
        """See the module."""
        return map(self.dense, parts_of(len(self.table.weight), self.table.weight.shape[1], self.windows))


Gradients = Vector | Product | ReadRows


def gradients_of(
    module: nn.Module, inputs: torch.Tensor, gradients: torch.Tensor
) -> Iterator[tuple[torch.Tensor, Gradients]]:
    """Each of a layer's own parameters, with its gradients.

    Args:
        module: one of ``KNOWN``.
        inputs: what it was given, shape (n, t, i), or ids (n, t).
        gradients: of its output, shape (n, t, o).
    """
    if isinstance(module, nn.Embedding):
        yield module.weight, ReadRows.of(module, inputs, gradients)
    elif isinstance(module, nn.LayerNorm):
        normalised = functional.layer_norm(inputs, module.normalized_shape, None, None, module.eps)
        yield module.weight, Vector((gradients * normalised).sum(1))
    elif isinstance(module, nn.Linear):
        yield module.weight, Product(inputs, gradients)
    if (bias := getattr(module, "bias", None)) is not None:
        yield bias, Vector(gradients.sum(1))
