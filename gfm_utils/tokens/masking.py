"""Seeded masking: which positions of a window are predicted, and what the model sees there.

Each choice is a hash of (seed, stream, window, position): it depends neither on the batch nor on the order.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
#: Probability that a window has more tokens to predict than ``most_masked``.
RARE = 1e-9


def _hashes(seed: int, stream: int, windows: Integers, columns: int) -> npt.NDArray[np.uint64]:
    """Uniform 64-bit integers, shape (windows, columns), by SplitMix64 (Steele et al., OOPSLA 2014)."""

    def mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))

    with np.errstate(over="ignore"):
        key = mix(mix(np.full(1, seed, np.uint64)) ^ np.uint64(stream))
        rows = mix(key ^ windows.astype(np.uint64))
        return mix(rows[:, None] ^ mix(np.arange(columns, dtype=np.uint64))[None, :])


def evenly_spaced(total: int, count: int) -> Integers:
    """``count`` of the places 0 to ``total`` - 1, spread evenly, the first and the last among them; or all."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def masked_per_window(window: int, rate: float) -> int:
    """Tokens predicted in a window: the whole number nearest to ``rate * window``, at least 1."""
    return max(1, round(rate * window))


def most_masked(window: int, rate: float) -> int:
    """Places that are enough where each token is drawn by itself: more come with a probability of ``RARE``."""
    return int(np.argmax(bdtrc(np.arange(window + 1), window, rate) <= RARE))


def choose_positions(
    windows: Integers,
    window: int,
    rate: float,
    seed: int,
    epoch: int = 0,
    allowed: Booleans | None = None,
) -> Integers:
    """Positions to predict, ascending: as many in each window, uniform among its positions.

    Args:
        windows: indices of the windows, shape (n,).
        window: tokens a window.
        rate: share of the tokens to predict.
        seed: of the masks, which differ between epochs.
        epoch: its number.
        allowed: the positions to choose from, shape (n, window), at least so many in each window; None: all.

    Returns:
        Shape (n, ``masked_per_window(window, rate)``).
    """
    count = masked_per_window(window, rate)
    noise = _hashes(seed, 2 * epoch, np.asarray(windows), window)
    if allowed is not None:
        noise = np.where(allowed, noise, np.uint64(2**64 - 1))
    return np.sort(np.argpartition(noise, count - 1, axis=1)[:, :count], axis=1)


def choose_independently(windows: Integers, window: int, rate: float, seed: int, epoch: int = 0) -> Booleans:
    """Which tokens to predict, shape (n, window): each by itself with the probability ``rate``.

    As in Hugging Face's collator for masked language models, a window may have no such token. Arguments as of
    :func:`choose_positions`.
    """
    chosen: Booleans = _hashes(seed, 2 * epoch, np.asarray(windows), window) / 2.0**64 < rate
    return chosen


def places_of(chosen: Booleans, width: int) -> tuple[Integers, Booleans]:
    """The chosen positions (n, window) in rows (n, width), or of the window's length if one has more.

    Returns:
        Ascending positions, then 0 to the end of the row; and which of them are there.
    """
    if chosen.sum(axis=1).max(initial=0) > width:
        width = chosen.shape[1]
    places = np.argsort(~chosen, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(chosen, places, axis=1)
    return np.where(there, places, 0), there


def corrupt(
    ids: Integers,
    positions: Integers,
    windows: Integers,
    mask_id: int,
    ordinary: tuple[int, int],
    scheme: tuple[float, float, float],
    seed: int,
    epoch: int = 0,
) -> Integers:
    """What the model sees, shape (n, window): the windows with the chosen positions masked, replaced or left.

    Args:
        ids: token ids, shape (n, window); not changed.
        positions: positions to predict, shape (n, m).
        windows: indices of the windows, shape (n,).
        mask_id: id of ``[MASK]``.
        ordinary: ids from which a random token is drawn, as a half-open range.
        scheme: shares masked, replaced by a random token, left; BERT's is (0.8, 0.1, 0.1).
        seed: as of :func:`choose_positions`, like the epoch.
        epoch: its number.
    """
    noise = _hashes(seed, 2 * epoch + 1, np.asarray(windows), 2 * positions.shape[1])
    true = np.take_along_axis(ids, positions, axis=1)
    out = np.array(ids)
    np.put_along_axis(out, positions, _shown(true, noise, mask_id, ordinary, scheme), axis=1)
    return out


def corrupt_where(
    ids: Integers,
    chosen: Booleans,
    windows: Integers,
    mask_id: int,
    ordinary: tuple[int, int],
    scheme: tuple[float, float, float],
    seed: int,
    epoch: int = 0,
) -> Integers:
    """As :func:`corrupt`, of tokens of :func:`choose_independently`: what replaces one depends on its place."""
    noise = _hashes(seed, 2 * epoch + 1, np.asarray(windows), 2 * ids.shape[1])
    return np.where(chosen, _shown(ids, noise, mask_id, ordinary, scheme), ids)


def _shown(
    true: Integers,
    noise: npt.NDArray[np.uint64],
    mask_id: int,
    ordinary: tuple[int, int],
    scheme: tuple[float, float, float],
) -> Integers:
    """What replaces tokens, shape (n, m), by twice as many random integers."""
    count, (low, high) = true.shape[1], ordinary
    fate = noise[:, :count] / 2.0**64
    drawn = low + (noise[:, count:] % np.uint64(high - low)).astype(np.int64)
    shown = np.where(fate < scheme[0], mask_id, drawn)
    return np.where(fate >= scheme[0] + scheme[1], true, shown)


def mask_all(ids: Integers, positions: Integers, mask_id: int) -> Integers:
    """The windows with every chosen position replaced by ``[MASK]``, shape (n, window); ``ids`` is not changed."""
    out = np.array(ids)
    np.put_along_axis(out, positions, mask_id, axis=1)
    return out
