"""Coordinates: from the cleaned, concatenated sequence of a corpus back to its records, and there again.

Cleaning cuts records at N and other codes, so neighbours in the concatenated sequence need not be neighbours
in the FASTA. A :class:`CoordinateMap` knows where the cuts are; nothing it gives crosses one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora.segments import Segment

Ints = npt.NDArray[np.int64]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class CoordinateMap:
    """Where the segments of a corpus lie in its records and in the concatenated sequence.

    Attributes:
        names: of the records, in the order of their first segments.
        record: number of the record of each segment, shape (segments,).
        start: position of each segment's first symbol in its record, from 0, shape (segments,).
        offset: position of that symbol in the concatenated sequence, and at the end the length of the sequence:
            shape (segments + 1,).
    """

    names: tuple[str, ...]
    record: Ints
    start: Ints
    offset: Ints

    @classmethod
    def of(cls, segments: Iterable[Segment], limit: int | None = None) -> "CoordinateMap":
        """The map of the concatenation of some segments, in their order; empty ones are left out.

        Args:
            segments: of a corpus, or of a part of it.
            limit: stop after so many symbols.

        Raises:
            ValueError: two segments overlap in their record.
        """
        numbers: dict[str, int] = {}
        record, start, offset = [], [], [0]
        for segment in segments:
            length = len(segment) if limit is None else min(len(segment), limit - offset[-1])
            if length <= 0:
                continue
            record.append(numbers.setdefault(segment.record, len(numbers)))
            start.append(segment.start)
            offset.append(offset[-1] + length)
        coordinates = cls(tuple(numbers), *(np.array(values, np.int64) for values in (record, start, offset)))
        order = coordinates._sorted[0]
        end = (coordinates.start + coordinates.length)[order]
        if np.any((np.diff(coordinates.record[order]) == 0) & (end[:-1] > coordinates.start[order][1:])):
            raise ValueError("two segments of one record overlap, so its positions are not unique")
        return coordinates

    @property
    def symbols(self) -> int:
        """Length of the concatenated sequence."""
        return int(self.offset[-1])

    @property
    def length(self) -> Ints:
        """Symbols of each segment, shape (segments,)."""
        return np.diff(self.offset)

    @cached_property
    def _sorted(self) -> tuple[Ints, Ints, int]:
        """Order of the segments by record and start, their keys in that order, and the keys of one record."""
        span = int((self.start + self.length).max(initial=0)) + 1
        key = self.record * span + self.start
        order = np.argsort(key, kind="stable")
        return order, key[order], span

    def to_source(self, positions: npt.ArrayLike) -> tuple[Ints, Ints]:
        """Record and position in it of positions in the concatenated sequence.

        Args:
            positions: of any shape, from 0 to ``symbols`` − 1.

        Returns:
            Numbers of the records (into ``names``) and positions in them (from 0, FASTA coordinates), both in
            the shape of ``positions``.

        Raises:
            IndexError: a position is outside the sequence.
        """
        where = np.asarray(positions, np.int64)
        if where.size and not 0 <= where.min() <= where.max() < self.symbols:
            raise IndexError(f"positions must lie between 0 and {self.symbols - 1}")
        segment = np.searchsorted(self.offset, where, side="right") - 1
        return self.record[segment], self.start[segment] + where - self.offset[segment]

    def intervals(self, record: npt.ArrayLike, begin: npt.ArrayLike, end: npt.ArrayLike) -> tuple[Ints, Ints]:
        """What is left of intervals of records in the concatenated sequence; one cut in two gives two.

        Args:
            record: numbers of records, shape (intervals,).
            begin: first position of each interval in its record, from 0.
            end: the position after its last one.

        Returns:
            Begins and ends (exclusive) in the concatenated sequence, each within one segment, ordered by the
            interval and then by position.
        """
        number, first, last = (np.atleast_1d(np.asarray(part, np.int64)) for part in (record, begin, end))
        order, keys, span = self._sorted
        # may overlap: from the segment that holds or precedes the begin to the last one that starts before the end
        low = np.searchsorted(keys, number * span + np.clip(first, 0, span - 1), side="right") - 1
        high = np.searchsorted(keys, number * span + np.clip(last, 0, span - 1), side="left")
        low = np.maximum(low, 0)
        count = np.where((number >= 0) & (number < len(self.names)), np.maximum(high - low, 0), 0)
        which = np.repeat(np.arange(len(number)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        segment = order[low[which] + within] if len(which) else np.zeros(0, np.int64)
        start = self.start[segment]
        left = np.maximum(first[which], start)
        right = np.minimum(last[which], start + self.length[segment])
        keep = (left < right) & (self.record[segment] == number[which])
        shift = (self.offset[segment] - start)[keep]
        return left[keep] + shift, right[keep] + shift

    def split(self, values: npt.NDArray[_Scalar]) -> list[npt.NDArray[_Scalar]]:
        """Cut an array with one row a symbol at the cuts: a list of views, one a segment.

        Raises:
            ValueError: the array has another length.
        """
        if len(values) != self.symbols:
            raise ValueError(f"{len(values)} values for a sequence of {self.symbols} symbols")
        return np.split(values, self.offset[1:-1]) if self.symbols else []

    def windows(self, size: int) -> tuple[Ints, Ints]:
        """Windows that cover the sequence and never cross a cut.

        Each segment is divided evenly into round(length / size) windows, at least one: so a window is between
        two thirds and three halves of ``size`` long, and shorter only where its segment is.

        Args:
            size: symbols a window, about.

        Returns:
            Begins and ends (exclusive) in the concatenated sequence, shape (windows,) each.

        Raises:
            ValueError: ``size`` is not positive.
        """
        if size < 1:
            raise ValueError("a window must hold at least one symbol")
        count = np.maximum(1, np.rint(self.length / size).astype(np.int64))
        segment = np.repeat(np.arange(len(count)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        begin = self.offset[segment] + within * self.length[segment] // count[segment]
        return begin, np.append(begin[1:], self.symbols)[: len(begin)]


def sums(values: npt.NDArray[Any], begin: Ints, kind: type = np.float64) -> npt.NDArray[Any]:
    """Sums over neighbouring windows that cover an array, from the begin of each to that of the next.

    Args:
        values: shape (symbols,).
        begin: strictly rising, the first 0, shape (windows,).
        kind: type that the sums are made in.
    """
    return np.add.reduceat(values, begin, dtype=kind) if len(begin) else np.zeros(0, kind)
