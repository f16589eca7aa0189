"""Splitting a corpus into training, validation and test parts.

A source is cut into *pieces*, whole short records and blocks of long ones, and :func:`assigned` says where each
goes: of a corpus in memory that is :func:`split`, of a larger one :mod:`gfm_utils.corpora.streaming`.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from gfm_utils.corpora.leaks import Groups, Integers, minimizers
from gfm_utils.corpora.segments import Corpus, Segment, Split, copies_note
from gfm_utils.errors import GfmError

#: Version of how records are grouped; part of the key of what is made of a split.
SPLIT = 2
#: Shares of train, validation and test.
FRACTIONS = (0.8, 0.1, 0.1)
#: Symbols of the longest stretch that is assigned as a whole, and those dropped between two of different parts.
BLOCK, GAP = 100_000, 1_000
#: A corpus with fewer symbols is refused.
SMALLEST = 5_000
#: A split is made of at least so many pieces; blocks are shortened to get there.
PIECES = 40
#: Segments that come out shorter are dropped.
SHORTEST = 64


class Pieces(NamedTuple):
    """Whole records or blocks of them, in the order of the source, each of shape (pieces,)."""

    record: Integers  # its number
    begin: Integers  # in coordinates of the source
    end: Integers
    symbols: Integers
    whole: np.ndarray  # bool: it is all of its record


def split(corpus: Corpus, seed: int = 42, max_symbols: int | None = None) -> Split:
    """Split a corpus by record, and long records by block; the same seed gives the same split.

    Records of at most ``BLOCK`` symbols go to one part as a whole, together with their near-duplicates
    (see :mod:`gfm_utils.corpora.leaks`). Longer records are cut into equal blocks, assigned at random; where two
    blocks of different parts meet, ``GAP`` symbols are dropped, half on each side. Neighbouring blocks of one part
    stay in one segment. When the blocks would be fewer than ``PIECES`` they are shortened, and the gap to at most
    a quarter of a block; what was used stands in the result. With ``max_symbols`` about so many symbols are taken,
    spread over the whole corpus, all parts shrunk alike. Segments shorter than ``SHORTEST`` are dropped.

    Returns:
        The three parts, each in the order of the source.

    Raises:
        GfmError: the corpus is too short to be split.
    """
    total = corpus.symbols
    if total < SMALLEST:
        note = f" ({copies})" if (copies := copies_note(corpus.stats)) else ""
        raise GfmError(
            f"corpus {corpus.name!r} has {total} {corpus.unit}s{note}; at least {SMALLEST} are needed for a "
            "split into train, validation and test: give a longer one"
        )
    if max_symbols is not None and max_symbols < SMALLEST:
        raise GfmError(f"max_symbols is {max_symbols}; at least {SMALLEST} {corpus.unit}s are needed for a split")
    records = [list(segments) for _, segments in groupby(corpus.segments, attrgetter("record"))]
    wanted, block = min(max_symbols or total, total), BLOCK
    pieces = _pieces(records, block)
    while len(pieces.symbols) * wanted < PIECES * total and block > SHORTEST:
        block //= 2
        pieces = _pieces(records, block)
    gap = min(GAP, block // 4)
    groups, whole = Groups(), np.flatnonzero(pieces.whole)
    if len(whole) > 1:
        values, owners = minimizers([records[number] for number in pieces.record[whole]], corpus.kind)
        groups.add(values, whole[owners])
    parts = assigned(pieces, groups, seed, wanted / total)
    result: tuple[list[Segment], ...] = ([], [], [])
    for number, begin, end, part in _merged(pieces, parts, gap):
        for segment in records[number]:
            cut = segment.slice(max(begin - segment.start, 0), max(end - segment.start, 0))
            if len(cut) >= SHORTEST:
                result[part].append(cut)
    if not all(result):
        raise GfmError(
            f"corpus {corpus.name!r} cannot be split: a part of it came out empty ({len(pieces.symbols)} pieces "
            f"of at most {block} {corpus.unit}s); give a longer corpus or fewer, longer records"
        )
    train, validation, test = result
    return Split(train, validation, test, block, gap)


def _pieces(records: Sequence[Sequence[Segment]], block: int) -> Pieces:
    pieces = []
    for number, record in enumerate(records):
        first, last = record[0].start, record[-1].start + len(record[-1])
        if last - first <= block:
            pieces.append((number, first, last, sum(map(len, record)), True))
            continue
        edges = np.linspace(first, last, -(-(last - first) // block) + 1).astype(np.int64).tolist()
        starts = np.array([segment.start for segment in record])
        ends = starts + np.array([len(segment) for segment in record])
        sizes = [np.clip(np.minimum(ends, e) - np.maximum(starts, b), 0, None).sum() for b, e in pairwise(edges)]
        blocks = [(number, *place, int(size)) for place, size in zip(pairwise(edges), sizes, strict=True) if size]
        pieces += [(*piece, len(blocks) == 1) for piece in blocks]
    return Pieces(*map(np.array, zip(*pieces, strict=True)))


def assigned(pieces: Pieces, groups: Groups, seed: int, share: float) -> Integers:
    """The part of each piece, 0 to 2, or -1 where it is left out: shape (pieces,).

    Whole records of a group of near-duplicates go together, blocks of longer ones each for itself; ``groups``
    holds the minimizers of whole records by their number. Of each part such a ``share`` is taken.
    """
    near = groups.joined(np.where(pieces.whole, pieces.symbols, 0))
    group = np.unique(np.where(pieces.whole, near, -1 - np.arange(len(near))), return_inverse=True)[1]
    symbols = np.bincount(group, weights=pieces.symbols)
    order = np.random.default_rng(seed).permutation(len(symbols))
    # The largest groups go first, thus to train: one of them would be more than a small part should hold.
    large = symbols[order] > min(FRACTIONS) * symbols.sum() / 2
    order = np.concatenate([order[large], order[~large]])
    middle = (np.cumsum(symbols[order]) - symbols[order] / 2) / symbols.sum()
    part = np.searchsorted(np.cumsum(FRACTIONS)[:2], middle)
    chosen = np.full(len(symbols), -1)
    for number in range(3):
        members = order[part == number]
        sizes = symbols[members]
        keep = np.cumsum(sizes) - sizes / 2 <= share * sizes.sum()
        keep[:1] = True
        chosen[members[keep]] = number
    return np.asarray(chosen[group])


def with_gaps(pieces: Pieces, parts: Integers, gap: int) -> tuple[Integers, Integers]:
    """Begin and end of each piece, drawn back by half a gap where it meets one of another part."""
    apart = _meeting(pieces, parts) & (parts[1:] != parts[:-1])
    begin, end = pieces.begin.copy(), pieces.end.copy()
    begin[1:] += apart * (gap - gap // 2)
    end[:-1] -= apart * (gap // 2)
    return begin, end


def _meeting(pieces: Pieces, parts: Integers) -> np.ndarray:
    """Whether a piece and the next one are neighbours and neither is left out, bool, shape (pieces - 1,)."""
    taken = (parts[1:] >= 0) & (parts[:-1] >= 0)
    return np.asarray(taken & (pieces.record[1:] == pieces.record[:-1]) & (pieces.begin[1:] == pieces.end[:-1]))


def _merged(pieces: Pieces, parts: Integers, gap: int) -> list[tuple[int, int, int, int]]:
    """Neighbouring pieces of one part together: record number, begin, end and part of each stretch."""
    begin, end = with_gaps(pieces, parts, gap)
    goes_on = _meeting(pieces, parts) & (parts[1:] == parts[:-1])
    first = (parts >= 0) & ~np.concatenate([[False], goes_on])
    last = (parts >= 0) & ~np.concatenate([goes_on, [False]])
    columns = (pieces.record[first], begin[first], end[last], parts[first])
    return list(zip(*(values.tolist() for values in columns), strict=True))
