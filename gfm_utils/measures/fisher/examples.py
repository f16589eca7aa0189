"""Masked tokens in their windows, of which gradients are taken."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from gfm_utils.ensembles import Ensemble, device, masked_windows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL

#: Masked tokens of a window whose gradients are taken; tokens of one window are much alike.
TOKENS_A_WINDOW = 2


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

    def __getitem__(self, rows: slice | torch.Tensor) -> "MaskedTokens":
        """Some of the windows."""
        return replace(self, ids=self.ids[rows], positions=self.positions[rows], targets=self.targets[rows])

    def batches(self, size: int) -> Iterator["MaskedTokens"]:
        """All windows in their order, ``size`` at a time."""
        return (self[begin : begin + size] for begin in range(0, len(self), size))

    def thinned(self, count: int = TOKENS_A_WINDOW) -> "MaskedTokens":
        """The same windows with about ``count`` tokens to predict in each, evenly among them; all stay masked."""
        masked = self.positions.shape[1]
        columns = torch.linspace(0, masked - 1, min(count, masked)).round().long()
        return replace(self, positions=self.positions[:, columns], targets=self.targets[:, columns])

    def apart(self) -> "MaskedTokens":
        """Every masked token as a window of its own, in row-major order; the others stay masked."""
        ids = self.ids.repeat_interleave(self.positions.shape[1], dim=0)
        return replace(self, ids=ids, positions=self.positions.reshape(-1, 1), targets=self.targets.reshape(-1, 1))

    def to(self, where: Any) -> "MaskedTokens":
        """On a device."""
        return MaskedTokens(self.ids.to(where), self.positions.to(where), self.targets.to(where), self.mask_id)


def masked_tokens(ensemble: Ensemble, profile: Profile, seed: int, one_in: int = 1) -> MaskedTokens:
    """Masked test windows of an ensemble on the device, one in so many of the profile's ``fisher_windows``."""
    windows = max(2, profile.fisher_windows // one_in)
    masked = masked_windows(ensemble.store, "test", ensemble.spec.window, windows, profile.fisher_mask, seed)
    ids, positions, targets = map(torch.from_numpy, masked[:3])
    return MaskedTokens(ids, positions, targets, SPECIAL.index("[MASK]")).to(device())


def random_context(examples: MaskedTokens, seed: int) -> MaskedTokens:
    """The same masks and targets, with the visible tokens of all windows in random order."""
    generator, ids = torch.Generator().manual_seed(seed), examples.ids.clone()
    visible = ids != examples.mask_id
    shown = ids[visible]
    ids[visible] = shown[torch.randperm(len(shown), generator=generator).to(shown.device)]
    return replace(examples, ids=ids)
