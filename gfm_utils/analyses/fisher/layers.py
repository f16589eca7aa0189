"""Gradients of one layer's parameters for each example apart, from what goes in and what comes back.

With inputs a_t and output gradients g_t at the positions t of an example, the gradient of a linear layer's
matrix is Σ_t g_t a_tᵀ. Its square is the sum of the squares of that matrix, or, without forming it, the inner
product of the Gram matrices of the a's and of the g's (Goodfellow, arXiv 1510.01799, for one position; Li et al.,
arXiv 2110.05679, for several): whichever takes fewer multiplications. A norm's and a bias's gradients are vectors,
and a lookup's are the g's summed over the positions that read the same row.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import nn
from torch.nn import functional

#: Values of a gradient that are held at once on a CPU where gradients of examples have to be formed.
BUDGET = 2**25
#: Bytes of a GPU's free memory for each value: up to five copies in float32, and some room.
BYTES = 32
#: Values beyond which more at once make no GPU faster; with fewer the free memory decides.
LARGEST = 2**30


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


class Block(NamedTuple):
    """A part of a parameter, and its gradient for each example.

    Attributes:
        values: shape (k, ...).
        gradients: shape (n, k, ...).
    """

    values: torch.Tensor
    gradients: torch.Tensor


def squares(values: torch.Tensor) -> torch.Tensor:
    """Sum of squares of each example: (n, ...) -> (n,)."""
    flat = values.flatten(1)
    return torch.linalg.vecdot(flat, flat)


def product_squares(inputs: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """‖Σ_t g_t a_tᵀ‖² of each example, the cheaper way.

    Args:
        inputs: a, shape (n, t, i).
        gradients: g, shape (n, t, o).

    Returns:
        Shape (n,).
    """
    length, wide, high = inputs.shape[1], inputs.shape[2], gradients.shape[2]
    if length == 1:
        return squares(inputs) * squares(gradients)
    if length * (wide + high) > wide * high:
        return squares(gradients.mT @ inputs)
    return torch.linalg.vecdot((inputs @ inputs.mT).flatten(1), (gradients @ gradients.mT).flatten(1))


def rows_at_once(inputs: torch.Tensor, width: int) -> int:
    """Rows of a matrix whose gradients for all examples of a layer's inputs (n, ...) are formed together."""
    return max(1, values_at_once(BUDGET, inputs.device) // (len(inputs) * width))


def blocks_of_product(weight: torch.Tensor, inputs: torch.Tensor, gradients: torch.Tensor) -> Iterator[Block]:
    """The gradients of a matrix (o, i) themselves, some rows at a time."""
    rows = rows_at_once(inputs, weight.shape[1])
    for begin in range(0, len(weight), rows):
        part = slice(begin, begin + rows)
        yield Block(weight[part], gradients[..., part].mT @ inputs)


class Layer(ABC):
    """A module with parameters that was called once, on tensors of shape (n, t, ...).

    Args:
        module: the module.
        inputs: what it was given, shape (n, t, i), or ids (n, t) of a lookup.
        reused: its squares are asked for several times, for other gradients.
    """

    def __init__(self, module: nn.Module, inputs: torch.Tensor, reused: bool) -> None:
        self.module, self.inputs, self.reused = module, inputs.detach(), reused

    def at(self, place: int) -> Self:
        """The layer at one position alone, for output gradients of shape (n, 1, o) that are zero elsewhere."""
        found = copy.copy(self)
        found.inputs, found.reused = self.inputs[:, place : place + 1], False
        return found

    def squares(self, gradients: torch.Tensor) -> torch.Tensor:
        """Sum of squared gradients of all its parameters, shape (n,); of the output gradients (n, t, o)."""
        of_weight = self.weight_squares(gradients)
        return of_weight if getattr(self.module, "bias", None) is None else of_weight + squares(gradients.sum(1))

    def blocks(self, gradients: torch.Tensor) -> Iterator[Block]:
        """The gradients themselves."""
        yield from self.weight_blocks(gradients)
        bias = getattr(self.module, "bias", None)
        if bias is not None:
            yield Block(bias, gradients.sum(1))

    @abstractmethod
    def weight_squares(self, gradients: torch.Tensor) -> torch.Tensor:
        """Sum of squared gradients of the matrix or the weights, shape (n,)."""

    @abstractmethod
    def weight_blocks(self, gradients: torch.Tensor) -> Iterator[Block]:
        """The gradients of the matrix or the weights."""


class Linear(Layer):
    """A linear layer; reused, it keeps the Gram matrix of its inputs where that is the cheaper way."""

    module: nn.Linear

    def __init__(self, module: nn.Module, inputs: torch.Tensor, reused: bool) -> None:
        super().__init__(module, inputs, reused)
        few = 1 < self.inputs.shape[1] <= self.inputs.shape[2]
        self._gram = (self.inputs @ self.inputs.mT).flatten(1) if reused and few else None

    def weight_squares(self, gradients: torch.Tensor) -> torch.Tensor:
        """See ``Layer``."""
        if self._gram is None or not self.reused:
            return product_squares(self.inputs, gradients)
        return torch.linalg.vecdot(self._gram, (gradients @ gradients.mT).flatten(1))

    def weight_blocks(self, gradients: torch.Tensor) -> Iterator[Block]:
        """See ``Layer``."""
        return blocks_of_product(self.module.weight, self.inputs, gradients)


class LayerNorm(Layer):
    """A layer norm: Σ_t g_t x̂_t and Σ_t g_t, with x̂ the input of mean 0 and variance 1."""

    module: nn.LayerNorm

    def __init__(self, module: nn.Module, inputs: torch.Tensor, reused: bool) -> None:
        super().__init__(module, inputs, reused)
        norm = self.module
        self.inputs = functional.layer_norm(self.inputs, norm.normalized_shape, None, None, norm.eps)

    def weight_squares(self, gradients: torch.Tensor) -> torch.Tensor:
        """See ``Layer``."""
        return squares((gradients * self.inputs).sum(1))

    def weight_blocks(self, gradients: torch.Tensor) -> Iterator[Block]:
        """See ``Layer``."""
        yield Block(self.module.weight, (gradients * self.inputs).sum(1))


class Lookup(Layer):
    """An embedding: positions of an example that read the same row are summed before they are squared."""

    module: nn.Embedding

    def __init__(self, module: nn.Module, inputs: torch.Tensor, reused: bool) -> None:
        super().__init__(module, inputs, reused)
        rows = len(self.module.weight)
        keys = self.inputs + rows * torch.arange(len(self.inputs), device=self.inputs.device)[:, None]
        found, self._place = torch.unique(keys, return_inverse=True)
        self._example, self.row = found // rows, found % rows
        self._kept = self.row != (-1 if self.module.padding_idx is None else self.module.padding_idx)

    def sums(self, gradients: torch.Tensor) -> torch.Tensor:
        """Gradient of each row that an example reads, shape (rows read, width): zero for padding."""
        wide = gradients.shape[-1]
        total = gradients.new_zeros(len(self.row), wide).index_add_(
            0, self._place.flatten(), gradients.reshape(-1, wide)
        )
        return total * self._kept[:, None]

    def per_example(self, of_rows: torch.Tensor) -> torch.Tensor:
        """Numbers of the rows read (rows read,) summed for each example, shape (n,)."""
        return of_rows.new_zeros(len(self.inputs)).index_add_(0, self._example, of_rows)

    def weight_squares(self, gradients: torch.Tensor) -> torch.Tensor:
        """See ``Layer``."""
        return self.per_example(squares(self.sums(gradients)))

    def dense(self, gradients: torch.Tensor, part: slice) -> torch.Tensor:
        """Gradient of some rows of the matrix, shape (n, rows, width)."""
        first, last, _ = part.indices(len(self.module.weight))
        here = (self.row >= first) & (self.row < last)
        found = gradients.new_zeros(len(self.inputs), last - first, gradients.shape[-1])
        found[self._example[here], self.row[here] - first] = self.sums(gradients)[here]
        return found

    def weight_blocks(self, gradients: torch.Tensor) -> Iterator[Block]:
        """See ``Layer``."""
        rows = rows_at_once(self.inputs, gradients.shape[-1])
        for begin in range(0, len(self.module.weight), rows):
            part = slice(begin, begin + rows)
            yield Block(self.module.weight[part], self.dense(gradients, part))


#: The modules whose gradients are known here.
LAYERS: dict[type[nn.Module], type[Layer]] = {
    nn.Linear: Linear,
    nn.LayerNorm: LayerNorm,
    nn.Embedding: Lookup,
}
