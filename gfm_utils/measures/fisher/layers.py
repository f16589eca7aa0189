"""Gradients of one layer's parameters for each window apart, from what goes in and what comes back.

Each kind has ``squares``, the sum of squares of each window, shape (n,), of the products with ``scale`` if given;
and ``dense``, the gradients themselves of some rows of the parameter, shape (n, rows, ...).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

#: Values of a gradient that are held at once on a CPU where gradients of windows have to be formed.
BUDGET = 2**25
#: Bytes of a GPU's free memory for each value: up to five copies in float32, and a reserve.
BYTES = 32
#: Values beyond which more at once make no GPU faster; with fewer the free memory decides.
LARGEST = 2**30
#: The modules whose gradients are known here.
KNOWN = (nn.Linear, nn.LayerNorm, nn.Embedding)


def values_at_once(on_cpu: int, where: torch.device) -> int:
    """Values of a batch, or of gradients that are formed, to be held at once on a device: at least ``on_cpu``.

    What PyTorch keeps of a GPU's memory without using it counts as free.
    """
    if where.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(where)
    free += torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    return max(on_cpu, min(LARGEST, free // BYTES))


def parts_of(parameter: torch.Tensor, windows: int) -> Iterator[slice]:
    """Rows of a parameter, as many at a time as there is memory for their gradients in so many windows."""
    rows, width = len(parameter), parameter[0].numel()
    step = max(1, values_at_once(BUDGET, parameter.device) // (windows * width))
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def _squares(values: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
    flat = (values if scale is None else values * scale).flatten(1)
    return torch.linalg.vecdot(flat, flat)


@dataclass(frozen=True)
class Plain:
    """Gradients (n, ...) as they are, of a bias, the weights of a norm, or a parameter of an unknown layer."""

    values: torch.Tensor

    def squares(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """See the module."""
        return _squares(self.values, scale)

    def dense(self, part: slice) -> torch.Tensor:
        """See the module."""
        return self.values[:, part]


@dataclass(frozen=True)
class Product:
    """Gradients Σ_t g_t a_tᵀ of a linear layer's matrix: inputs a (n, t, i) and output gradients g (n, t, o)."""

    inputs: torch.Tensor
    gradients: torch.Tensor

    def squares(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """By the way that takes fewer multiplications: the matrix, or the Gram matrices of the a's and of the g's.

        The latter are due to Goodfellow (arXiv 1510.01799), for one position, and Li et al. (arXiv 2110.05679).
        """
        (windows, length, wide), high = self.inputs.shape, self.gradients.shape[2]
        if scale is not None:
            parts = parts_of(scale, windows)
            return torch.stack([_squares(self.dense(part), scale[part]) for part in parts]).sum(0)
        if length == 1:
            return _squares(self.inputs) * _squares(self.gradients)
        if length * (wide + high) > wide * high:
            return _squares(self.gradients.mT @ self.inputs)
        grams = [values @ values.mT for values in (self.inputs, self.gradients)]
        return torch.linalg.vecdot(grams[0].flatten(1), grams[1].flatten(1))

    def dense(self, part: slice) -> torch.Tensor:
        """See the module."""
        return self.gradients[..., part].mT @ self.inputs


@dataclass(frozen=True)
class ReadRows:
    """Gradients of the rows of an embedding that windows read: those of positions with the same row are added up.

    Attributes:
        windows: number of windows.
        window: window of each row that one reads, shape (r,).
        row: the row, shape (r,).
        gradients: its gradient, shape (r, width): zero for padding.
    """

    windows: int
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
        return cls(count, distinct // rows, distinct % rows, total)

    def where(self, chosen: torch.Tensor) -> "ReadRows":
        """Of the chosen rows alone, shape (r,)."""
        return replace(self, window=self.window[chosen], row=self.row[chosen], gradients=self.gradients[chosen])

    def squares(self, scale: torch.Tensor | None = None) -> torch.Tensor:
        """See the module."""
        of_rows = _squares(self.gradients, None if scale is None else scale[self.row])
        return of_rows.new_zeros(self.windows).index_add_(0, self.window, of_rows)

    def dense(self, part: slice) -> torch.Tensor:
        """See the module."""
        here = self.where((self.row >= part.start) & (self.row < part.stop))
        values = self.gradients.new_zeros(self.windows, part.stop - part.start, self.gradients.shape[1])
        values[here.window, here.row - part.start] = here.gradients
        return values


Gradients = Plain | Product | ReadRows


def gradients_of(
    module: nn.Module, inputs: torch.Tensor, gradients: torch.Tensor
) -> Iterator[tuple[torch.Tensor, Gradients]]:
    """Each own parameter of one of the ``KNOWN`` modules, with its gradients.

    Inputs have the shape (n, t, i), or (n, t) if they are ids, and the gradients of the outputs (n, t, o).
    """
    if isinstance(module, nn.Embedding):
        yield module.weight, ReadRows.of(module, inputs, gradients)
    elif isinstance(module, nn.LayerNorm):
        normalised = functional.layer_norm(inputs, module.normalized_shape, None, None, module.eps)
        yield module.weight, Plain((gradients * normalised).sum(1))
    elif isinstance(module, nn.Linear):
        yield module.weight, Product(inputs, gradients)
    if (bias := getattr(module, "bias", None)) is not None:
        yield bias, Plain(gradients.sum(1))
