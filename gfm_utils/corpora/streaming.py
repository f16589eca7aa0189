"""Splitting a source that does not fit in memory: one pass, each piece assigned when it is met.

A *piece* is a record of at most ``block`` symbols, or a block of a longer one. The part it goes to follows from a
hash of the seed and of its content, so that it depends neither on what comes later nor on the order of the files,
and that the shares of the parts come out as asked only on average.

What holds as in :func:`gfm_utils.corpora.split`, and what does not:

- Where blocks of different parts meet, ``gap`` symbols are dropped, half on each side. Blocks have ``block``
  symbols each, the last one of a record what is left; neighbouring blocks of one part stay segments of their own.
- A piece with exactly the content of an earlier one (upper and lower case alike in DNA) is dropped, be it a
  record or a block of a longer one.
- Near-duplicate records of at most ``block`` symbols go to one part *with a probability that rises with what they
  share* (see :mod:`gfm_utils.corpora.fingerprints`), not for certain once they share one run; two groups that a
  later record joins stay where they are; and what the table has no room for goes by its own least hash alone.
  The leak check counts what is left.
- ``max_symbols`` takes the first so many symbols (to the end of a piece), not a sample from all over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora.assembling import check_nucleotides
from gfm_utils.corpora.blocks import Block, blocks, place_of
from gfm_utils.corpora.cleaning import DnaCounts, clean_dna, clean_text, first_foreign
from gfm_utils.corpora.fingerprints import Groups, content_key, sketch
from gfm_utils.corpora.planning import Plan
from gfm_utils.corpora.segments import Kind, Segment
from gfm_utils.corpora.splitting import SHORTEST

#: Version of what streaming gives; part of the key of what is made of it.
STREAMED = 1
#: Symbols a block, and symbols dropped between blocks of different parts.
BLOCK, GAP = 100_000, 1_000
#: Shares of the training part, and of that and the validation part: the rest is for tests.
EDGES = (0.8, 0.9)


class Piece(NamedTuple):
    """A block as it stands in the source, the key of its content, and the part it goes to.

    The part is None for a whole record: that of its near-duplicates decides.
    """

    block: Block
    content: int
    part: int | None


class Cleaned(NamedTuple):
    """What cleaning gave for a piece: segments, what was met, and the sketch of a whole record."""

    segments: list[Segment]
    symbols: int
    counts: DnaCounts
    foreign: str
    repaired: bool
    sketch: npt.NDArray[np.uint64] | None


def clean(piece: Piece, kind: Kind, repairs: tuple[str, ...]) -> Cleaned:
    """Clean a piece; segments shorter than ``SHORTEST`` symbols are left out."""
    block, counts, foreign, repaired = piece.block, DnaCounts(), "", False
    if kind == "dna":
        found = clean_dna(block.record, block.text, counts)
        foreign = first_foreign(block.text) if counts.foreign else ""
    else:
        text, repaired = clean_text(block.text, repairs)
        found = [Segment(block.record, 0, text)]
    kept = [Segment(s.record, block.start + s.start, s.text) for s in found if len(s) >= SHORTEST]
    fingerprint = sketch(kept, kind, piece.content) if kept and piece.part is None else None
    return Cleaned(kept, sum(map(len, kept)), counts, foreign, repaired, fingerprint)


@dataclass
class _File:
    """What was met in one file so far."""

    source: str
    counts: DnaCounts = field(default_factory=DnaCounts)
    culprit: tuple[int, str, str] | None = None


class Stream:
    """The pieces of a source, and their assignment to the parts of a split.

    Iterate over it, clean each piece (anywhere, in any number at once), and give them back to :meth:`take` in the
    same order, which says where each goes; after the last one call :meth:`finish`.

    Args:
        plan: the source.
        seed: of the assignment.
        max_symbols: stop after about so many symbols; None: read all.
        block: longest piece, in symbols.
        gap: symbols dropped between blocks of different parts; at most a quarter of a block.

    Attributes:
        block: as used.
        gap: as used.
        stats: counts so far, see ``Corpus.stats``; ``forgotten``: records beyond the memory for near-duplicates.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int,
        max_symbols: int | None = None,
        block: int = BLOCK,
        gap: int = GAP,
    ) -> None:
        self._plan, self._seed, self._most = plan, seed, max_symbols
        self.block, self.gap = block, min(gap, block // 4)
        self._groups = Groups()
        self._file = _File("")
        self._soft = 0
        self.stats: dict[str, Any] = dict.fromkeys(
            ("pieces", "symbols", "cut_symbols", "repaired_records", "dropped_empty", "dropped_duplicate"), 0
        )

    def __iter__(self) -> Iterator[Piece]:
        """Pieces in the order of the source, exact duplicates left out; only a few blocks are held at once.

        Raises:
            GfmError: the source cannot be read; says where.
        """
        before: Piece | None = None  # the block that waits for its neighbour
        front = 0  # symbols to be dropped at its beginning
        for block in blocks(self._plan, self.block, self._most):
            text = block.text.upper() if self._plan.kind == "dna" else block.text
            content = content_key(text)
            piece = Piece(block, content, None if block.whole else self._part(content))
            apart = (
                before is not None
                and _of_one_record(before.block, block)
                and before.part != piece.part
            )  # fmt: skip
            if before is not None:
                yield from self._fresh(before, front, self.gap // 2 if apart else 0)
            before, front = piece, self.gap - self.gap // 2 if apart else 0
        if before is not None:
            yield from self._fresh(before, front, 0)

    def _fresh(self, piece: Piece, front: int, back: int) -> Iterator[Piece]:
        if self._groups.met(piece.content):
            self.stats["dropped_duplicate"] += 1
        else:
            yield piece._replace(block=piece.block.trimmed(front, back)) if front or back else piece

    def _part(self, value: int) -> int:
        """Part of what has that hash."""
        mixed = blake2b(value.to_bytes(8, "little") + self._seed.to_bytes(8, "little", signed=True), digest_size=8)
        return int(np.searchsorted(EDGES, int.from_bytes(mixed.digest(), "little") / 2**64, side="right"))

    @property
    def full(self) -> bool:
        """Whether ``max_symbols`` are taken: no further piece is wanted."""
        return self._most is not None and self.stats["symbols"] >= self._most

    def take(self, piece: Piece, cleaned: Cleaned) -> int | None:
        """The part that a piece goes to, 0 to 2; None if nothing of it is left.

        Raises:
            GfmError: the file before this one looks like protein.
        """
        if piece.block.source != self._file.source:
            self._check()
            self._file = _File(piece.block.source)
        met, stats = self._file, self.stats
        if cleaned.foreign and met.culprit is None:
            met.culprit = (piece.block.number, piece.block.record, cleaned.foreign)
        met.counts.letters += cleaned.counts.letters
        met.counts.foreign += cleaned.counts.foreign
        self._soft += cleaned.counts.soft_masked
        stats["cut_symbols"] += cleaned.counts.cut
        stats["repaired_records"] += cleaned.repaired
        stats["symbols"] += cleaned.symbols
        if not cleaned.symbols:
            stats["dropped_empty"] += 1
            return None
        stats["pieces"] += 1
        if cleaned.sketch is None:
            return piece.part
        return self._groups.part(cleaned.sketch, cleaned.symbols, self._part(int(cleaned.sketch[0])))

    def finish(self) -> dict[str, Any]:
        """Check the last file, and give the counts.

        Raises:
            GfmError: it looks like protein.
        """
        self._check()
        unused = ("repaired_records",) if self._plan.kind == "dna" else ("cut_symbols",)
        stats = {name: count for name, count in self.stats.items() if name not in unused}
        if self._plan.kind == "dna":
            stats["soft_masked_share"] = self._soft / stats["symbols"] if stats["symbols"] else 0.0
        return stats | {"forgotten": self._groups.forgotten, "block": self.block, "gap": self.gap}

    def _check(self) -> None:
        met = self._file
        form = next((form for path, form in self._plan.files if str(path) == met.source), None)
        where = partial(place_of, Path(met.source), form) if form else lambda *_: ""
        check_nucleotides(met.counts, met.culprit, where, met.source)


def _of_one_record(one: Block, other: Block) -> bool:
    return (one.source, one.number) == (other.source, other.number)
