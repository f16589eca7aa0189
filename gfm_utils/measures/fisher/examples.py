"""What gradients are taken of: masked tokens in their windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class MaskedTokens:
    """Masked windows and the tokens to predict there, as many in each.

    Attributes:
        ids: what the model sees, shape (n, window).
        positions: masked positions, shape (n, m).
        targets: the true tokens there, shape (n, m).
        mask_id: id of ``[MASK]``.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    mask_id: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """Number of masked tokens."""
        return self.positions.numel()

    def _changed(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "MaskedTokens":
        ids, positions, targets = map(change, (self.ids, self.positions, self.targets))
        return replace(self, ids=ids, positions=positions, targets=targets)

    def __getitem__(self, rows: slice | torch.Tensor) -> "MaskedTokens":
        """Some of the windows."""
        return self._changed(lambda values: values[rows])

    def batches(self, size: int) -> Iterator["MaskedTokens"]:
        """All windows in their order, ``size`` at a time."""
        for begin in range(0, len(self), size):
            yield self[begin : begin + size]

    def with_targets(self, targets: torch.Tensor) -> "MaskedTokens":
        """The same windows with other tokens to predict."""
        return replace(self, targets=targets)

    def thinned(self, count: int) -> "MaskedTokens":
        """The same windows with about ``count`` tokens to predict in each, evenly among them; all stay masked."""
        columns = (
            torch.linspace(0, self.positions.shape[1] - 1, min(count, self.positions.shape[1])).round().long()
        )
        return replace(self, positions=self.positions[:, columns], targets=self.targets[:, columns])

    def apart(self) -> "MaskedTokens":
        """Every masked token as a window of its own, in row-major order; the others stay masked."""
        ids = self.ids.repeat_interleave(self.positions.shape[1], dim=0)
        return replace(self, ids=ids, positions=self.positions.reshape(-1, 1), targets=self.targets.reshape(-1, 1))

    def to(self, where: Any) -> "MaskedTokens":
        """On a device."""
        return self._changed(lambda values: values.to(where))
