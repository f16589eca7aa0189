"""Splitting a source that does not fit in memory: read twice, once to survey it, once for what is made of it.

Where a piece goes :func:`gfm_utils.corpora.splitting.assigned` says, as for a corpus in memory: near-duplicate
records of at most ``block`` symbols to one part, blocks of longer ones each for itself. What is particular to it:

- Blocks have ``block`` symbols each, the last one of a record what is left; neighbouring blocks of one part stay
  segments of their own.
- A piece with exactly the content of an earlier one (upper and lower case alike but in text) is dropped, be it a
  record or a block of a longer one.
- Of more than ``duplicates.MOST`` runs a share is compared, which ``compared_share`` says.
- ``max_symbols`` takes the first so many symbols (to the end of a piece), not a sample from all over.

A piece takes 50 bytes until all are assigned, and a run 12 (see there).
"""

from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora.cleaning import LetterCounts, clean_sequence, clean_text
from gfm_utils.corpora.duplicates import Groups, content_key, runs
from gfm_utils.corpora.planning import Plan
from gfm_utils.corpora.readers import Stretches
from gfm_utils.corpora.segments import Kind, Segment
from gfm_utils.corpora.sequences import check_letters
from gfm_utils.corpora.splitting import SHORTEST, Pieces, assigned, drawn_back

#: Version of what streaming gives; part of the key of what is made of it.
STREAMED = 2
#: Symbols a block, and symbols dropped between blocks of different parts.
BLOCK, GAP = 100_000, 1_000


@dataclass(frozen=True)
class Block:
    """A stretch of one record, as it stands in the source (not cleaned).

    Attributes:
        source: the file, or the stream, in words.
        number: of the record in its file, from 0.
        record: its name.
        start: offset of ``text[0]`` in the record, white space and digits not counted but in text.
        text: at most as many symbols as were asked for.
        whole: the record has no other block.
    """

    source: str
    number: int
    record: str
    start: int
    text: str
    whole: bool

    def trimmed(self, front: int, back: int) -> "Block":
        """The block without so many symbols at its two ends."""
        return replace(self, start=self.start + front, text=self.text[front : max(front, len(self.text) - back)])


def blocks(plan: Plan, size: int, max_symbols: int | None = None) -> Iterator[Block]:
    """The records of a source, those of more than ``size`` symbols cut into blocks of that many.

    FASTA and plain text are read in stretches, whatever the length of a record or a line. Of other formats one
    record (a read, a row, an article) is in memory at a time, and a thousand rows of a table.
    Text is cut at white space where there is some in the last half of a block.

    Args:
        plan: the source.
        size: symbols a block.
        max_symbols: read no more of a stream than so many symbols.

    Yields:
        Blocks in the order of the source; every one but the last of a record is full.

    Raises:
        GfmError: a file is missing, empty, truncated or in another format; says where.
    """
    for file in plan.parts:
        source = str(file[0]) if file else plan.source
        yield from _cut(source, plan.stretches(file, max_symbols), size, words=plan.kind == "text")


def _cut(source: str, stretches: Stretches, size: int, words: bool) -> Iterator[Block]:
    number, name, start, held = -1, "", 0, ""
    for begun, text in chain(stretches, [("", "")]):  # the end of the last record
        if begun is not None:
            if held:
                yield Block(source, number, name, start, held, whole=start == 0)
            number, name, start, held = number + 1, begun, 0, ""
        held += text
        begin = 0
        while len(held) - begin > size:
            end = _word_end(held, begin, size) if words else begin + size
            yield Block(source, number, name, start + begin, held[begin:end], whole=False)
            begin = end
        start, held = start + begin, held[begin:]


def _word_end(text: str, begin: int, size: int) -> int:
    """Where a block of at most ``size`` characters ends: behind white space, if some is in its last half."""
    for mark in ("\n", " "):
        place = text.rfind(mark, begin + size // 2, begin + size)
        if place >= 0:
            return place + 1
    return begin + size


class Cleaned(NamedTuple):
    """What cleaning gave for a block: segments, what was met, and whether text was repaired."""

    segments: list[Segment]
    counts: LetterCounts
    repaired: bool

    @property
    def symbols(self) -> int:
        """Bases, residues or characters that are left."""
        return sum(map(len, self.segments))


def clean(block: Block, kind: Kind, repairs: tuple[str, ...]) -> Cleaned:
    """Clean a block; segments shorter than ``SHORTEST`` symbols are left out."""
    counts, repaired = LetterCounts(), False
    if kind == "text":
        text, repaired = clean_text(block.text, repairs)
        segments = [Segment(block.record, 0, text)]
    else:
        segments = clean_sequence(block.record, block.text, counts, number=block.number, kind=kind)
    kept = [Segment(s.record, block.start + s.start, s.text) for s in segments if len(s) >= SHORTEST]
    return Cleaned(kept, counts, repaired)


class BlockSummary(NamedTuple):
    """What a survey needs of a block: a hash of its content, its size after cleaning, counts, and its runs."""

    content: int
    symbols: int
    counts: LetterCounts
    repaired: bool
    runs: npt.NDArray[np.uint64] | None


def summarised(some: Sequence[Block], kind: Kind, repairs: tuple[str, ...]) -> list[BlockSummary]:
    """What a survey needs of some blocks; the runs are those of whole records."""
    cleaned = [clean(block, kind, repairs) for block in some]
    whole = [number for number, block in enumerate(some) if block.whole and cleaned[number].segments]
    of_block: dict[int, npt.NDArray[np.uint64]] = {}
    if whole:
        values, owners = runs([cleaned[number].segments for number in whole], kind, lasting=True)
        ends = np.searchsorted(owners, np.arange(len(whole) - 1), side="right")
        of_block = dict(zip(whole, np.split(values, ends), strict=True))
    return [
        BlockSummary(
            content_key(block.text if kind == "text" else block.text.upper()), cleaning.symbols, cleaning.counts,
            cleaning.repaired, of_block.get(number),
        )
        for number, (block, cleaning) in enumerate(zip(some, cleaned, strict=True))
    ]  # fmt: skip


class Survey:
    """Which pieces a source has, and which parts of a split they go to.

    Give every block of ``blocks(plan, block, max_symbols)`` to :meth:`add`, in order, until it is ``full``; then
    :meth:`assign`, and iterate over :meth:`pieces`.

    Args:
        plan: the source.
        max_symbols: stop after about so many symbols; None: read all.
        block: longest piece, in symbols.
        gap: symbols dropped between blocks of different parts; at most a quarter of a block.

    Attributes:
        block: as used.
        gap: as used.
        stats: counts, see ``Corpus.stats``; ``compared_share``: of the runs, those that were compared.
    """

    def __init__(self, plan: Plan, max_symbols: int | None = None, block: int = BLOCK, gap: int = GAP) -> None:
        self._plan, self._most = plan, max_symbols
        self.block, self.gap = block, min(gap, block // 4)
        self._groups = Groups()
        self._source, self._of_source, self._counts = "", LetterCounts(), LetterCounts()
        self._last: tuple[str, int] = ("", -1)
        self._record = -1
        self._rows = array("q")  # of each block: record, begin, end, symbols, whether it is whole, content
        self._read = 0
        self.stats: dict[str, Any] = dict.fromkeys(
            ("pieces", "symbols", "repaired_records", "dropped_empty", "dropped_duplicate"), 0
        )

    def blocks(self) -> Iterator[Block]:
        """The blocks of the source, in order.

        Raises:
            GfmError: the source cannot be read; says where.
        """
        return blocks(self._plan, self.block, self._most)

    @property
    def full(self) -> bool:
        """Whether ``max_symbols`` were met: no further block is wanted."""
        return self._most is not None and self._read >= self._most

    def add(self, block: Block, summary: BlockSummary) -> None:
        """Take a block into account.

        Raises:
            GfmError: the file before this one looks like another kind.
        """
        if block.source != self._source:
            self._check()
            self._source, self._of_source = block.source, LetterCounts()
        self._of_source.add(summary.counts)
        self._counts.add(summary.counts)
        self._read += summary.symbols
        self.stats["repaired_records"] += summary.repaired
        if (block.source, block.number) != self._last:
            self._last, self._record = (block.source, block.number), self._record + 1
        if summary.runs is not None:
            self._groups.add(summary.runs, np.full(len(summary.runs), len(self._rows) // 6))
        end = block.start + len(block.text)
        self._rows.extend((self._record, block.start, end, summary.symbols, block.whole, summary.content))

    def assign(self, seed: int) -> None:
        """Say where every piece goes.

        Args:
            seed: of the random order.

        Raises:
            GfmError: the last file looks like another kind.
        """
        self._check()
        record, begin, end, symbols, whole, content = np.frombuffer(self._rows, np.int64).reshape(-1, 6).T
        pieces = Pieces(record, begin, end, symbols, whole.astype(bool))
        first = np.zeros(len(content), bool)
        first[np.unique(content, return_index=True)[1]] = True
        filled = pieces.symbols > 0
        kept = first & filled
        self.stats |= {
            "pieces": int(kept.sum()), "symbols": int(pieces.symbols[kept].sum()),
            "dropped_empty": int((~filled).sum()), "dropped_duplicate": int((filled & ~first).sum()),
        }  # fmt: skip
        self._parts = np.full(len(kept), -1)
        if kept.any():
            sizes = pieces._replace(symbols=np.where(kept, pieces.symbols, 0))
            self._parts = np.where(kept, assigned(sizes, self._groups, seed, share=1.0), -1)
        begin, end = drawn_back(pieces, self._parts, self.gap)
        self._front, self._back = begin - pieces.begin, pieces.end - end

    def pieces(self) -> Generator[tuple[int, Block]]:
        """The part of each piece and the piece, drawn back from other parts; nothing for what is left out.

        Raises:
            GfmError: the source cannot be read any more.
        """
        for part, front, back, block in zip(self._parts, self._front, self._back, self.blocks(), strict=False):
            if part >= 0:
                yield int(part), block.trimmed(int(front), int(back)) if front or back else block

    def counts(self) -> dict[str, Any]:
        """The counts of what was surveyed."""
        stats = dict(self.stats)
        if self._plan.kind != "text":
            del stats["repaired_records"]
            stats["cut_symbols"] = self._counts.cut
            stats["soft_masked_share"] = self._counts.soft_masked / self._read if self._read else 0.0
        return stats | {"compared_share": self._groups.share, "block": self.block, "gap": self.gap}

    def _check(self) -> None:
        file = next((file for file in self._plan.files if str(file[0]) == self._source), None)
        check_letters(self._of_source, self._plan.kind, self._source, file)
