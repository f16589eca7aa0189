"""What gradients are taken of: masked tokens in their windows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from gfm_utils.errors import GfmError


@dataclass(frozen=True)
class MaskedTokens:
    """Masked windows and the tokens to predict there; a window may have fewer tokens to predict than another.

    Attributes:
        ids: what the model sees, shape (n, window).
        positions: masked positions, shape (n, m); -1 where a window has fewer than m.
        targets: the true tokens there, shape (n, m); anything where there is none.
        mask_id: id of ``[MASK]``; None where the vocabulary has no such token.
        attention: 1 for tokens and 0 for padding, shape (n, window); None: no window is padded.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    mask_id: int | None
    attention: torch.Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            GfmError: shapes do not fit, a position lies outside its window, or a window has no masked token.
        """
        n, window = self.ids.shape
        if self.positions.shape != self.targets.shape or self.positions.shape[0] != n:
            raise GfmError(
                f"masked tokens: positions have the shape {tuple(self.positions.shape)}, targets "
                f"{tuple(self.targets.shape)} and there are {n} windows: give one row a window to both"
            )
        if n and (int(self.positions.max()) >= window or int(self.positions.max(dim=1).values.min()) < 0):
            raise GfmError(f"masked tokens: every window needs a position from 0 to {window - 1}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def there(self) -> torch.Tensor:
        """Whether there is a token to predict, shape (n, m)."""
        return self.positions >= 0

    @property
    def tokens(self) -> int:
        """Number of masked tokens."""
        return int(self.there.sum())

    def __getitem__(self, rows: slice | torch.Tensor) -> "MaskedTokens":
        """Some of the windows."""
        attention = None if self.attention is None else self.attention[rows]
        return replace(
            self,
            ids=self.ids[rows],
            positions=self.positions[rows],
            targets=self.targets[rows],
            attention=attention,
        )

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
        rows, slots = self.there.nonzero(as_tuple=True)
        attention = None if self.attention is None else self.attention[rows]
        return replace(
            self, ids=self.ids[rows], positions=self.positions[rows, slots, None],
            targets=self.targets[rows, slots, None], attention=attention,
        )  # fmt: skip

    def to(self, where: Any) -> "MaskedTokens":
        """On a device."""
        attention = None if self.attention is None else self.attention.to(where)
        return replace(
            self, ids=self.ids.to(where), positions=self.positions.to(where), targets=self.targets.to(where),
            attention=attention,
        )  # fmt: skip
