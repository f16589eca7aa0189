"""The data of every step: windows in a seeded order with seeded masks, computed from the step alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.ensembles.specification import EnsembleSpec, Seeds
from gfm_utils.tokens import (
    SPECIAL,
    TokenStore,
    choose_independently,
    choose_positions,
    corrupt,
    corrupt_where,
    cut_windows,
    evenly_spaced,
    mask_all,
    places_of,
)

Integers = npt.NDArray[np.int64]
#: Target where there is nothing to predict: what PyTorch's cross-entropy leaves out.
IGNORED = -100
MASK = SPECIAL.index("[MASK]")


@dataclass(frozen=True)
class Batch:
    """One step's data; every step has the same shapes, with rare exceptions where masks are independent.

    Attributes:
        windows: indices of the windows, shape (batch,), or fewer at the end of an epoch.
        ids: what the model sees, shape (batch, window).
        positions: positions to predict, shape (batch, m).
        targets: the true tokens there, shape (batch, m); ``IGNORED`` where there is nothing to predict.
    """

    windows: Integers
    ids: Integers
    positions: Integers
    targets: Integers

    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``ids``, ``positions`` and ``targets`` as tensors."""
        return torch.from_numpy(self.ids), torch.from_numpy(self.positions), torch.from_numpy(self.targets)

    def filled(self, rows: int, places: int = 0) -> "Batch":
        """The same with at least so many windows and places a window, of which nothing is asked."""
        lower, right = rows - len(self.ids), max(0, places - self.positions.shape[1])
        if not lower and not right:
            return self
        return replace(
            self,
            ids=np.pad(self.ids, ((0, lower), (0, 0)), mode="edge"),
            positions=np.pad(self.positions, ((0, lower), (0, right))),
            targets=np.pad(self.targets, ((0, lower), (0, right)), constant_values=IGNORED),
        )


def batches(store: TokenStore, spec: EnsembleSpec, seeds: Seeds, start: int = 0) -> Iterator[Batch]:
    """The batches of the steps from ``start`` (counted from 0) on: seeded order, seeded masks, epoch after epoch.

    A batch depends on the seeds of order and masks and on its step, not on the steps before it. Windows of an
    epoch that fill no batch are left out, or are its last batch, filled up to the size of the others with windows
    of which nothing is asked: its loss is the mean over the tokens of its own windows.
    """
    starts, tokens = store.window_starts("train", spec.window), store.tokens("train")
    per_epoch = len(starts) // spec.batch if spec.drop_last else -(-len(starts) // spec.batch)
    order = np.zeros(0, np.int64)
    for step in range(start, spec.steps):
        epoch, within = divmod(step, per_epoch)
        if within == 0 or step == start:
            order = np.random.default_rng([seeds.order, epoch]).permutation(len(starts))
        windows = order[within * spec.batch : (within + 1) * spec.batch]
        clean = cut_windows(tokens, starts[windows], spec.window)
        yield _masked(spec, windows, clean, seeds.masks, epoch).filled(spec.batch)


def _masked(spec: EnsembleSpec, windows: Integers, clean: Integers, seed: int, epoch: int) -> Batch:
    """Windows as a specification hides them in training."""
    replacements = (0 if spec.special_replacements else len(SPECIAL), spec.vocabulary)
    how = (windows, MASK, replacements, spec.corruption, seed, epoch)
    if not spec.independent_masks:
        positions = choose_positions(windows, spec.window, spec.train_mask, seed, epoch)
        shown = corrupt(clean, positions, *how)
        return Batch(windows, shown, positions, np.take_along_axis(clean, positions, axis=1))
    chosen = choose_independently(windows, spec.window, spec.train_mask, seed, epoch)
    positions, there = places_of(chosen, spec.places)
    targets = np.where(there, np.take_along_axis(clean, positions, axis=1), IGNORED)
    return Batch(windows, corrupt_where(clean, chosen, *how), positions, targets)


def masked_windows(
    store: TokenStore, part: str, window: int, count: int, rate: float, seed: int
) -> tuple[Integers, ...]:
    """Windows of a part with pure ``[MASK]`` at seeded positions, spread evenly over the part.

    ``count`` is how many are wanted; all that exist if there are fewer. ``rate`` is the share of tokens masked.

    Returns:
        Masked ids (n, window), positions (n, m), true tokens there (n, m), offsets of the windows (n,).
    """
    starts = store.window_starts(part, window)
    chosen = evenly_spaced(len(starts), count)
    clean = store.windows(part, starts[chosen], window)
    positions = choose_positions(chosen, window, rate, seed)
    shown = mask_all(clean, positions, MASK)
    return shown, positions, np.take_along_axis(clean, positions, axis=1), starts[chosen]
