"""Counting blocks (k-grams) of symbols, and the counts of counts that every estimator reads.

Memory: 4 bytes a symbol for the identifiers of the blocks (8 where they do not fit), twice while an order is
extended, and 4 bytes for every possible (direct index, at most 4**13) or observed block.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Up to this many possible blocks are indexed directly; above it, the observed blocks are numbered.
DIRECT_BLOCKS = 4**13


@dataclass(frozen=True)
class Multiplicities:
    """Counts of counts: ``species[j]`` blocks were seen ``times[j]`` times each, shape (d,), times ascending."""

    times: NDArray[np.float64]
    species: NDArray[np.float64]

    @property
    def observations(self) -> float:
        """N, the number of blocks that were counted, repeats included."""
        return float(self.times @ self.species)

    @property
    def distinct(self) -> float:
        """Number of different blocks that were seen."""
        return float(self.species.sum())

    @property
    def singletons(self) -> float:
        """f_1, the number of blocks that were seen exactly once."""
        return float(self.species[0]) if self.times[0] == 1 else 0.0

    @property
    def coverage(self) -> float:
        """Share of the probability that lies on blocks already seen, by Good and Turing: 1 − f_1 / N."""
        return 1.0 - self.singletons / self.observations


def multiplicities(counts: NDArray[np.integer[Any]]) -> Multiplicities:
    """Counts of counts from how often each block was seen, shape (n,), at least one of them; zeros are ignored."""
    largest = int(counts.max())
    if largest <= counts.size:  # counting is faster than sorting, and takes no more memory
        histogram = _count(counts, largest + 1)
        histogram[0] = 0
        times = np.flatnonzero(histogram)
        species = histogram[times]
    else:
        times, species = np.unique(counts[counts != 0], return_counts=True)
    return Multiplicities(times.astype(np.float64), species.astype(np.float64))


@dataclass(frozen=True)
class BlockIds:
    """Which block of length ``order`` starts at each of n symbols.

    ``ids`` has shape (n,), numbers below ``size``; −1 where the block would cross the end of a segment.
    """

    order: int
    ids: NDArray[np.int32] | NDArray[np.int64]
    size: int

    def counts(self) -> NDArray[np.uint32]:
        """How often each block occurs, shape (size,)."""
        return _count(self.ids, self.size)


def block_ids(segments: Sequence[NDArray[np.integer[Any]]], alphabet: int, max_order: int) -> Iterator[BlockIds]:
    """Identify the blocks of length 1, 2, … ``max_order``; ends early when no segment is long enough.

    Identifiers are base-``alphabet`` numbers while ``alphabet**order`` is at most ``DIRECT_BLOCKS``
    (DNA to order 13), and numbers in order of appearance above that (tokens, characters).

    ``segments`` have shape (length,) each, of symbols from 0 to ``alphabet`` − 1.

    Raises:
        ValueError: a symbol is outside the alphabet.
    """
    ends = np.cumsum([len(segment) for segment in segments], dtype=np.int64)
    parts = [np.asarray(segment) for segment in segments if len(segment)]
    symbols = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
    if symbols.size and (int(symbols.min()) < 0 or int(symbols.max()) >= alphabet):
        raise ValueError(f"symbols must lie between 0 and {alphabet - 1}")
    longest = max((len(part) for part in parts), default=0)
    ids: NDArray[Any] = np.zeros(len(symbols), np.int32)
    size = 1
    for order in range(1, min(max_order, longest) + 1):
        size *= alphabet
        longer: NDArray[Any] = np.empty(len(ids), np.int32 if size <= np.iinfo(np.int32).max else np.int64)
        _extend(ids, symbols, ends, order, alphabet, longer)
        ids = longer
        if size > DIRECT_BLOCKS:
            valid: NDArray[np.bool_] = ids >= 0
            numbers, seen = pd.factorize(ids[valid])
            ids[valid], size = numbers, len(seen)
        yield BlockIds(order, ids, size)


def leave_one_out(blocks: BlockIds, counts: NDArray[np.uint32], chunks: int) -> Iterator[Multiplicities]:
    """Counts of counts without each of ``chunks`` equal chunks in turn; one that leaves nothing behind is skipped.

    ``counts`` are those of all blocks, shape (size,).
    """
    borders = np.linspace(0, len(blocks.ids), chunks + 1).astype(np.int64)
    for start, stop in itertools.pairwise(borders):
        rest = counts - _count(blocks.ids[start:stop], blocks.size)
        if rest.any():
            yield multiplicities(rest)


@numba.njit(cache=True)
def _extend(
    ids: np.ndarray, symbols: np.ndarray, ends: np.ndarray, order: int, alphabet: int, longer: np.ndarray
) -> None:  # pragma: no cover - compiled
    start = 0
    for end in ends:
        last = max(start, end - order + 1)
        for i in range(start, last):
            longer[i] = np.int64(ids[i]) * alphabet + np.int64(symbols[i + order - 1])
        longer[last:end] = -1
        start = end


@numba.njit(cache=True)
def _count(ids: np.ndarray, size: int) -> np.ndarray:  # pragma: no cover - compiled
    counts = np.zeros(size, np.uint32)
    for block in ids:
        if block >= 0:
            counts[block] += np.uint32(1)
    return counts
