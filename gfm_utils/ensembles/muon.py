"""Muon: an optimiser that moves a matrix by its momentum with singular values that are made about equal.

Directions that few gradients point to are learned as fast as those that many do (Jordan et al., 2024,
https://kellerjordan.github.io/posts/muon/).
"""

from collections.abc import Iterable
from typing import Any

import torch
from typing_extensions import override

#: Coefficients of the Newton-Schulz iteration, X <- a X + (b A + c A^2) X with A = X X^T (Jordan et al.).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
STEPS = 5
#: Share of the old momentum that is kept.
MOMENTUM = 0.95
#: An orthogonalised update times this and the root of the matrix's longer side is as large as Adam's usually is
#: (Liu et al., 2025, arXiv 2502.16982).
SCALE = 0.2


def orthogonaliser(squared: torch.Tensor) -> torch.Tensor:
    """From X X^T of matrices X, not longer than wide, the Q for which Q X has the singular vectors of X.

    Both have shape (n, rows, rows); the singular values of Q X are near 1 (between 0.7 and 1.2). The Newton-Schulz
    iteration multiplies a matrix by polynomials of its product with its own transpose alone, so that matrices of
    one short side can be worked on together, however long the other side is.
    """
    a, b, c = NEWTON_SCHULZ
    norm = squared.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()[:, None, None] + 1e-7
    one = torch.eye(squared.shape[-1], dtype=squared.dtype, device=squared.device)
    gram, whole = squared / norm**2, one / norm
    for step in range(STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * one
        whole = factor @ whole
        if step + 1 < STEPS:
            gram = factor @ gram @ factor
    return whole


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised in the precision of the parameters.

    Takes matrices, shape (rows, columns), or those of several models, (models, rows, columns), which
    ``torch.optim.Muon`` does not; the learning rate is a number, or a tensor that is filled for every step.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float | torch.Tensor) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    @override
    def step(self, closure: Any = None) -> None:  # type: ignore[override] # no closure is ever given
        """Move every matrix by its gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in moved:
                if not self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in moved]
            momenta = [self.state[parameter]["momentum"] for parameter in moved]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            sides: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
            for parameter, update in zip(moved, ahead, strict=True):
                sides.setdefault(min(update.shape[-2:]), []).append((parameter, update))
            for pairs in sides.values():
                self._move(group["lr"], pairs)

    def _move(self, rate: Any, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Move matrices with short sides of one length by their updates."""
        parameters, wide = [], []
        for parameter, update in pairs:
            rows, columns = update.shape[-2:]
            stacked, matrices = parameter.view(-1, rows, columns), update.view(-1, rows, columns)
            tall = rows > columns
            parameters.append(stacked.mT if tall else stacked)
            wide.append(matrices.mT if tall else matrices)
        whole = orthogonaliser(torch.cat([matrices @ matrices.mT for matrices in wide])) * (rate * SCALE)
        parts = whole.split([len(matrices) for matrices in wide])
        for parameter, matrices, part in zip(parameters, wide, parts, strict=True):
            parameter.baddbmm_(part, matrices, alpha=-(matrices.shape[-1] ** 0.5))
