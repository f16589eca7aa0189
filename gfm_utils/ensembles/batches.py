"""The data of every step: windows in a seeded order with seeded masks, computed from the step alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.ensembles.specification import EnsembleSpec, Seeds
from gfm_utils.errors import GfmError
from gfm_utils.tokens import PARTS, SPECIAL, TokenStore, choose_positions, corrupt, cut_windows, mask_all


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        windows: indices of the windows, shape (batch,).
        ids: what the model sees, shape (batch, window).
        positions: positions to predict, shape (batch, m).
        targets: the true tokens there, shape (batch, m).
    """

    windows: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]

    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``ids``, ``positions`` and ``targets`` as tensors."""
        return torch.from_numpy(self.ids), torch.from_numpy(self.positions), torch.from_numpy(self.targets)


def check_windows(store: TokenStore, spec: EnsembleSpec) -> None:
    """Refuse a corpus that has too little for one batch, or for validation or test.

    Raises:
        GfmError: a part has too few windows; the message says which and what to do.
    """
    for part in PARTS:
        count = len(store.window_starts(part, spec.window))
        if part == "train" and count < spec.batch:
            raise GfmError(
                f"corpus of {spec.condition!r} is too short: its training part has {count} windows of "
                f"{spec.window} tokens, fewer than one batch of {spec.batch}; give a longer corpus"
            )


def batches(store: TokenStore, spec: EnsembleSpec, seeds: Seeds, start: int = 0) -> Iterator[Batch]:
    """The batches of the steps from ``start`` on: seeded order, seeded masks, epoch after epoch.

    A batch depends on the seeds of order and masks and on its step, not on the steps before it.

    Args:
        store: the tokens.
        spec: what all members share.
        seeds: of the member.
        start: the first step, counted from 0.

    Raises:
        GfmError: the training part has fewer windows than one batch.
    """
    check_windows(store, spec)
    starts, tokens = store.window_starts("train", spec.window), store.tokens("train")
    per_epoch = len(starts) // spec.batch
    order = np.zeros(0, np.int64)
    for step in range(start, spec.steps):
        epoch, within = divmod(step, per_epoch)
        if within == 0 or step == start:
            order = np.random.default_rng([seeds.order, epoch]).permutation(len(starts))
        windows = order[within * spec.batch : (within + 1) * spec.batch]
        clean = cut_windows(tokens, starts[windows], spec.window)
        positions = choose_positions(windows, spec.window, spec.train_mask, seeds.masks, epoch)
        shown = corrupt(
            clean, positions, windows, SPECIAL.index("[MASK]"), (len(SPECIAL), spec.vocabulary),
            spec.corruption, seeds.masks, epoch,
        )  # fmt: skip
        yield Batch(windows, shown, positions, np.take_along_axis(clean, positions, axis=1))


def masked_windows(
    store: TokenStore, part: str, window: int, count: int, rate: float, seed: int
) -> tuple[npt.NDArray[np.int64], ...]:
    """Windows of a part with pure ``[MASK]`` at seeded positions, spread evenly over the part.

    Args:
        store: the tokens.
        part: ``validation`` or ``test``.
        window: tokens a window.
        count: windows wanted; all that exist if there are fewer.
        rate: share of tokens masked.
        seed: of the masks.

    Returns:
        Masked ids (n, window), positions (n, m), true tokens there (n, m), offsets of the windows (n,).
    """
    starts = store.window_starts(part, window)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(np.int64))
    clean = store.windows(part, starts[chosen], window)
    positions = choose_positions(chosen, window, rate, seed)
    shown = mask_all(clean, positions, SPECIAL.index("[MASK]"))
    return shown, positions, np.take_along_axis(clean, positions, axis=1), starts[chosen]
