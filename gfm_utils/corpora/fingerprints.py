"""Fingerprints: exact and near-duplicate records told in one pass, in a table of bounded size.

The *sketch* of a record is the ``SKETCH`` least hashes of its runs of 64 bases (the same on either strand) or 20
words, a bottom-k sketch: two records of which the share J of all their runs is common (Jaccard) have a hash in
common in their sketches with probability 1 − (1 − J)**SKETCH at least: 0.996 at J = 0.5 and 0.57 at J = 0.1.
A record without a run that long has the hash of its content for a sketch.

Source: A. Broder, On the resemblance and containment of documents, SEQUENCES 1997.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.corpora.duplicates import LARGEST
from gfm_utils.corpora.segments import Kind, Segment
from gfm_utils.corpora.shingles import MATCH

#: Hashes that are kept of a record.
SKETCH = 8
#: Largest number of places in the table, of 12 bytes each: 400 MB, full with 23 million fingerprints.
PLACES = 1 << 25
#: A group may have so many symbols whatever its share.
ALWAYS = 1_000_000

_FULLEST = 0.7  # share of the places that are taken
_ALONE = -2  # in the table, for what belongs to no group
_BASE = 0x9E3779B97F4A7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_SYMBOL = np.array(
    [0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D1, 0x082EFA98EC4E6C89], dtype=np.uint64
)
_CODE = np.zeros(256, dtype=np.uint8)
_CODE[[ord(base) for base in "ACGT"]] = range(4)


def content_key(text: str) -> int:
    """64 bits of the hash of a text, not 0."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1


def sketch(segments: Sequence[Segment], kind: Kind, content: int) -> npt.NDArray[np.uint64]:
    """The least hashes of the runs within the segments of a record, in order, shape (1 to SKETCH,).

    Args:
        segments: of one record.
        kind: of the segments.
        content: the key of its content, which stands in for a record without runs.
    """
    least = np.full(SKETCH, np.iinfo(np.uint64).max, np.uint64)
    length = MATCH[kind]
    for segment in segments:
        if kind == "dna":
            codes = _CODE[np.frombuffer(segment.text.encode("ascii"), np.uint8)]
            _least(_SYMBOL[codes], _SYMBOL[3 - codes], length, True, least)
        elif words := segment.text.split():
            values = pd.util.hash_array(np.array(words, dtype=object), categorize=False)
            _least(values, values, length, False, least)
    found = least[least != np.iinfo(np.uint64).max]
    return found if len(found) else np.array([content], np.uint64)


@numba.njit(cache=True, nogil=True)
def _mixed(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _least(values, others, length, strands, least):  # type: ignore[no-untyped-def]
    """Put the hashes of the runs of ``length`` values among the least ones, by rolling polynomials mod 2**64.

    ``others`` are the values of the complements; with ``strands`` the lesser of the hashes of a run and its
    reverse complement is taken.
    """
    base, inverse = np.uint64(_BASE), np.uint64(_BASE_INVERSE)
    top = np.uint64(1)
    for _ in range(length - 1):
        top *= base
    ahead, back, power = np.uint64(0), np.uint64(0), np.uint64(1)
    last = len(least) - 1
    for i in range(len(values)):
        if i < length:
            ahead = ahead * base + values[i]
            back += others[i] * power
            power *= base
            if i < length - 1:
                continue
        else:
            ahead = (ahead - values[i - length] * top) * base + values[i]
            back = (back - others[i - length]) * inverse + others[i] * top
        value = _mixed(ahead)
        if strands:
            value = min(value, _mixed(back))
        if value < least[last] and value != 0:
            place = last
            while place > 0 and least[place - 1] > value:
                place -= 1
            if place > 0 and least[place - 1] == value:
                continue
            for j in range(last, place, -1):
                least[j] = least[j - 1]
            least[place] = value


class Groups:
    """Groups of near-duplicate records, and the contents met, in one table of bounded size.

    A record belongs to the group with which its sketch has most hashes in common, unless that would make the
    group larger than the share ``LARGEST`` of the symbols so far (boilerplate would draw everything together);
    otherwise it begins a group. Groups are never merged. A record takes 12 bytes for each of up to 9
    fingerprints in a table at most ``_FULLEST`` full, thus 150 to 310 bytes, and 9 to 18 for its group.
    Once ``PLACES`` is full no more is remembered, which ``forgotten`` counts.

    Attributes:
        forgotten: records that the table had no room for.
    """

    def __init__(self, places: int = PLACES) -> None:
        self._most = places
        self._keys = np.zeros(min(places, 1 << 12), np.uint64)
        self._groups = np.zeros(len(self._keys), np.int32)
        self._sizes = np.zeros(1 << 10, np.int64)
        self._parts = np.zeros(1 << 10, np.uint8)
        self._used = self._count = self._symbols = 0
        self.forgotten = 0

    def met(self, content: int) -> bool:
        """Whether that content was met before; from now on it was."""
        known: bool = self._keys[_slot(self._keys, np.uint64(content))] != 0
        if not known:
            self._remember(np.array([content], np.uint64), _ALONE)
        return known

    def part(self, found: npt.NDArray[np.uint64], symbols: int, otherwise: int) -> int:
        """The part of a split that a record goes to: that of the group it joins.

        Args:
            found: its sketch.
            symbols: its size.
            otherwise: the part of the group that it begins if it joins none, 0 to 255.
        """
        self._symbols += symbols
        largest = max(ALWAYS, int(LARGEST * self._symbols))
        joined = int(_most_shared(self._keys, self._groups, found, self._sizes, largest - symbols))
        number = joined if joined >= 0 else self._count
        if joined >= 0:
            otherwise = int(self._parts[joined])
        if self._remember(found, number):
            if number == len(self._sizes):
                self._sizes = np.concatenate([self._sizes, np.zeros_like(self._sizes)])
                self._parts = np.concatenate([self._parts, np.zeros_like(self._parts)])
            self._sizes[number] += symbols
            self._parts[number] = otherwise
            self._count += joined < 0
        return otherwise

    def _remember(self, values: npt.NDArray[np.uint64], group: int) -> bool:
        if self._used + len(values) > _FULLEST * len(self._keys):
            if 2 * len(self._keys) > self._most:
                self.forgotten += 1
                return False
            keys, groups = np.zeros(2 * len(self._keys), np.uint64), np.zeros(2 * len(self._keys), np.int32)
            _move(self._keys, self._groups, keys, groups)
            self._keys, self._groups = keys, groups
        self._used += int(_put(self._keys, self._groups, values, group))
        return True


@numba.njit(cache=True)
def _slot(keys, value):  # type: ignore[no-untyped-def]
    """Where a value stands in the table, or would stand: open addressing with linear probing, 0 for free."""
    mask = np.uint64(len(keys) - 1)
    at = value & mask
    while keys[at] != 0 and keys[at] != value:
        at = (at + np.uint64(1)) & mask
    return at


@numba.njit(cache=True)
def _put(keys, groups, values, group):  # type: ignore[no-untyped-def]
    """Add the values that are new; how many those are."""
    fresh = 0
    for value in values:
        at = _slot(keys, value)
        if keys[at] == 0:
            keys[at], groups[at] = value, group
            fresh += 1
    return fresh


@numba.njit(cache=True)
def _move(keys, groups, new_keys, new_groups):  # type: ignore[no-untyped-def]
    for i in range(len(keys)):
        if keys[i] != 0:
            at = _slot(new_keys, keys[i])
            new_keys[at], new_groups[at] = keys[i], groups[i]


@numba.njit(cache=True)
def _most_shared(keys, groups, values, sizes, room):  # type: ignore[no-untyped-def]
    """The group of most of the values, the oldest of several, that has room; -1 without one."""
    found = np.full(len(values), -1, np.int64)
    for i in range(len(values)):
        at = _slot(keys, values[i])
        if keys[at] != 0:
            found[i] = groups[at]
    best, most = -1, 0
    for i in range(len(found)):
        if found[i] < 0 or sizes[found[i]] > room:
            continue
        shared = 0
        for j in range(len(found)):
            shared += found[j] == found[i]
        if shared > most or (shared == most and found[i] < best):
            best, most = found[i], shared
    return best
