"""Splitting a corpus into training, validation and test parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gfm_utils.corpora.duplicates import groups
from gfm_utils.corpora.segments import Corpus, Segment, Split
from gfm_utils.errors import GfmError

#: A corpus with fewer symbols is refused.
SMALLEST = 5_000
#: A split is made of at least so many pieces (groups of records, or blocks); blocks are shortened to get
#: there.
PIECES = 40
#: Segments that come out shorter are dropped.
SHORTEST = 64


@dataclass(frozen=True)
class _Piece:
    """A stretch of one record, in source coordinates, that goes to one part as a whole."""

    record: int
    begin: int
    end: int
    symbols: int


def split(
    corpus: Corpus,
    seed: int = 42,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    block: int = 100_000,
    gap: int = 1_000,
    max_symbols: int | None = None,
) -> Split:
    """Split a corpus by record, and long records by block; the same seed gives the same split.

    Records of at most ``block`` symbols go to one part as a whole, together with their near-duplicates
    (records that share 64 bases or 20 words, see :mod:`gfm_utils.corpora.duplicates`). Longer records are cut
    into equal blocks, assigned at random; where two blocks of different parts meet, ``gap`` symbols are
    dropped, half on each side. Neighbouring blocks of one part stay in one segment. When the blocks would be
    fewer than ``PIECES`` they are shortened, and the gap to at most a quarter of a block; what was used
    stands in the result.

    Args:
        corpus: the corpus.
        seed: of the random assignment.
        fractions: shares of train, validation and test, adding up to 1.
        block: longest stretch that is assigned as a whole, in symbols.
        gap: symbols dropped between blocks of different parts.
        max_symbols: take about so many symbols, spread over the whole corpus, all parts shrunk alike;
            None: all. Segments shorter than ``SHORTEST`` symbols are dropped.

    Returns:
        The three parts, each in the order of the source.

    Raises:
        GfmError: the corpus is too short to be split, or the arguments make no sense.
    """
    _check(corpus, fractions, block, gap, max_symbols)
    records = _by_record(corpus.segments)
    total = corpus.symbols
    wanted = min(max_symbols or total, total)
    pieces = _pieces(records, block)
    while len(pieces) * wanted < PIECES * total and block > SHORTEST:
        block //= 2
        pieces = _pieces(records, block)
    gap = min(gap, block // 4)
    rng = np.random.default_rng(seed)
    parts = _assigned(corpus, records, pieces, fractions, wanted, rng)
    result: tuple[list[Segment], list[Segment], list[Segment]] = ([], [], [])
    for number, begin, end, part in _stretches(pieces, parts, gap):
        for segment in records[number]:
            cut = segment.slice(max(begin - segment.start, 0), max(end - segment.start, 0))
            if len(cut) >= SHORTEST:
                result[part].append(cut)
    if not all(result):
        raise GfmError(
            f"corpus {corpus.name!r} cannot be split: a part of it came out empty ({len(pieces)} pieces of "
            f"at most {block} {corpus.unit}s); give a longer corpus or fewer, longer records"
        )
    train, validation, test = result
    return Split(train, validation, test, seed, block, gap)


def _check(
    corpus: Corpus, fractions: tuple[float, float, float], block: int, gap: int, max_symbols: int | None
) -> None:
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise GfmError(f"fractions {fractions} do not make a split; give three positive shares that add up to 1")
    if block < SHORTEST or gap < 0:
        raise GfmError(
            f"block {block} or gap {gap} is too small; a block has at least {SHORTEST} symbols, a gap 0"
        )
    if corpus.symbols < SMALLEST:
        copies = f" ({corpus.dropped})" if corpus.dropped else ""
        raise GfmError(
            f"corpus {corpus.name!r} has {corpus.symbols} {corpus.unit}s{copies}; at least {SMALLEST} are needed "
            "for a split into train, validation and test: give a longer one"
        )
    if max_symbols is not None and max_symbols < SMALLEST:
        raise GfmError(f"max_symbols is {max_symbols}; at least {SMALLEST} {corpus.unit}s are needed for a split")


def _by_record(segments: Sequence[Segment]) -> list[list[Segment]]:
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.record, []).append(segment)
    return list(found.values())


def _pieces(records: Sequence[Sequence[Segment]], block: int) -> list[_Piece]:
    """Whole short records, and blocks of long ones, in the order of the source."""
    pieces = []
    for number, record in enumerate(records):
        first, last = record[0].start, record[-1].start + len(record[-1])
        if last - first <= block:
            pieces.append(_Piece(number, first, last, sum(map(len, record))))
            continue
        edges = np.linspace(first, last, -(-(last - first) // block) + 1).astype(np.int64).tolist()
        starts = np.array([segment.start for segment in record])
        ends = starts + np.array([len(segment) for segment in record])
        for begin, end in pairwise(edges):
            symbols = int(np.clip(np.minimum(ends, end) - np.maximum(starts, begin), 0, None).sum())
            if symbols:
                pieces.append(_Piece(number, begin, end, symbols))
    return pieces


def _assigned(
    corpus: Corpus,
    records: Sequence[Sequence[Segment]],
    pieces: Sequence[_Piece],
    fractions: tuple[float, float, float],
    wanted: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The part of each piece, 0 to 2, or -1 where it is left out: int64, shape (pieces,)."""
    group = _grouped(corpus, records, pieces)
    symbols = np.bincount(group, weights=[piece.symbols for piece in pieces])
    order = rng.permutation(len(symbols))
    # The largest groups go first, thus to train: one of them would be more than a small part should hold.
    large = symbols[order] > min(fractions) * symbols.sum() / 2
    order = np.concatenate([order[large], order[~large]])
    taken = symbols[order]
    middle = (np.cumsum(taken) - taken / 2) / symbols.sum()
    part = np.searchsorted(np.cumsum(fractions)[:2], middle)
    share = wanted / symbols.sum()
    chosen = np.full(len(symbols), -1)
    for number in range(3):
        mine = order[part == number]
        before = np.cumsum(symbols[mine]) - symbols[mine]
        keep = before + symbols[mine] / 2 <= share * symbols[mine].sum()
        keep[:1] = True
        chosen[mine[keep]] = number
    return chosen[group]


def _grouped(corpus: Corpus, records: Sequence[Sequence[Segment]], pieces: Sequence[_Piece]) -> np.ndarray:
    """Number of the group of each piece: near-duplicate whole records together, each block for itself."""
    of_record = np.bincount([piece.record for piece in pieces], minlength=len(records))
    whole = np.flatnonzero(of_record == 1)
    near = (
        groups([records[number] for number in whole.tolist()], corpus.kind)
        if len(whole) > 1
        else np.zeros(len(whole))
    )
    label = dict(zip(whole.tolist(), near.astype(int).tolist(), strict=True))
    keys = [label.get(piece.record, -1 - index) for index, piece in enumerate(pieces)]
    return np.unique(keys, return_inverse=True)[1]


def _stretches(pieces: Sequence[_Piece], parts: np.ndarray, gap: int) -> list[tuple[int, int, int, int]]:
    """Merge neighbouring pieces of one part, and draw back from neighbours of another.

    Returns:
        Record number, begin, end and part of each stretch, in the order of the source.
    """
    merged: list[tuple[int, int, int, int]] = []
    for piece, part in zip(pieces, parts.tolist(), strict=True):
        if part < 0:
            continue
        begin = piece.begin
        if merged:
            record, start, end, other = merged[-1]
            if (record, end) == (piece.record, begin):
                if part == other:
                    merged[-1] = (record, start, piece.end, part)
                    continue
                merged[-1] = (record, start, end - gap // 2, other)
                begin += gap - gap // 2
        merged.append((piece.record, begin, piece.end, part))
    return merged
