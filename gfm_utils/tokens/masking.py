"""Seeded masking: which positions of a window are predicted, and what the model sees there.

Each choice is a hash of (seed, stream, window, position), so it depends neither on the batch nor on the
order in which windows are read: all members of an ensemble, and every rerun, see the same masks.
"""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def _noise(seed: int, stream: int, windows: Integers, columns: int) -> npt.NDArray[np.uint64]:
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


def masked_per_window(window: int, rate: float) -> int:
    """Tokens predicted in a window: the whole number nearest to ``rate * window``, at least 1."""
    return max(1, round(rate * window))


def choose_positions(
    windows: Integers,
    window: int,
    rate: float,
    seed: int,
    epoch: int = 0,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Integers:
    """Positions to predict: the same number in each window, uniform among its positions.

    Args:
        windows: indices of the windows, shape (n,).
        window: tokens a window.
        rate: share of the tokens to predict.
        seed: of the masks.
        epoch: masks differ between epochs.
        allowed: the positions to choose from, shape (n, window), at least so many in each window; None: all.

    Returns:
        Ascending positions, shape (n, ``masked_per_window(window, rate)``).
    """
    count = masked_per_window(window, rate)
    noise = _noise(seed, 2 * epoch, np.asarray(windows), window)
    if allowed is not None:
        noise = np.where(allowed, noise, np.uint64(2**64 - 1))
    return np.sort(np.argpartition(noise, count - 1, axis=1)[:, :count], axis=1)


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
    """What the model sees: the windows with the chosen positions masked, replaced or left.

    Args:
        ids: token ids, shape (n, window); not changed.
        positions: positions to predict, shape (n, m).
        windows: indices of the windows, shape (n,).
        mask_id: id of ``[MASK]``.
        ordinary: ids from which a random token is drawn, as a half-open range.
        scheme: shares masked, replaced by a random token, left; BERT's is (0.8, 0.1, 0.1).
        seed: of the masks.
        epoch: masks differ between epochs.

    Returns:
        Token ids, shape (n, window).
    """
    noise = _noise(seed, 2 * epoch + 1, np.asarray(windows), 2 * positions.shape[1])
    fate = noise[:, : positions.shape[1]] / 2.0**64
    low, high = ordinary
    drawn = low + (noise[:, positions.shape[1] :] % np.uint64(high - low)).astype(np.int64)
    shown = np.where(fate < scheme[0], mask_id, drawn)
    rows = np.arange(len(ids))[:, None]
    shown = np.where(fate >= scheme[0] + scheme[1], ids[rows, positions], shown)
    out = np.array(ids)
    out[rows, positions] = shown
    return out


def mask_all(ids: Integers, positions: Integers, mask_id: int) -> Integers:
    """The windows with every chosen position replaced by ``[MASK]``, shape (n, window); ``ids`` is not changed."""
    out = np.array(ids)
    out[np.arange(len(ids))[:, None], positions] = mask_id
    return out
