"""Splitting a source that does not fit in memory: read twice, once to survey it, once for what is made of it.

Where a piece goes :func:`gfm_utils.corpora.splitting.assigned` says, as for a corpus in memory. Particular to it:

- Blocks have ``BLOCK`` symbols each, the last one of a record what is left; neighbouring blocks of one part stay
  segments of their own.
- A piece with exactly the content of an earlier one (upper and lower case alike but in text) is dropped, be it a
  record or a block of a longer one.
- Of more than ``leaks.MOST`` minimizers a share is compared, which ``compared_share`` says.
- ``max_symbols`` takes the first so many symbols (to the end of a piece), not a sample from all over.

A piece takes 50 bytes until all are assigned, and a minimizer 12 (see there).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gfm_utils.corpora.cleaning import clean_sequence, clean_text
from gfm_utils.corpora.leaks import Groups, Hashes, Integers, content_hash, minimizers
from gfm_utils.corpora.planning import Plan
from gfm_utils.corpora.readers import Chunks
from gfm_utils.corpora.segments import Kind, Segment
from gfm_utils.corpora.sequences import check_letters
from gfm_utils.corpora.splitting import BLOCK, GAP, SHORTEST, Pieces, assigned, with_gaps

#: Version of what streaming gives; part of the key of what is made of it.
STREAMED = 2


@dataclass(frozen=True)
class Block:
    """A stretch of one record, as it stands in the source (not cleaned)."""

    source: str  # the file, or the stream, in words
    number: int  # of the record in its file, from 0
    record: str  # its name
    start: int  # offset of text[0] in the record; white space and digits are not counted but in text
    text: str
    whole: bool  # the record has no other block
    part: int = -1  # of the split, 0 to 2, once that is known


def blocks(plan: Plan, size: int, max_symbols: int | None = None) -> Iterator[Block]:
    """The records of a source in its order, those of more than ``size`` symbols cut into blocks of that many.

    FASTA and plain text are read in chunks, whatever the length of a record or a line; of other formats one record
    (a read, a row, an article) is in memory at a time, and a thousand rows of a table. Text is cut at white space
    where there is some in the last half of a block. No more of a stream is read than ``max_symbols``.

    Raises:
        GfmError: a file is missing, empty, truncated or in another format; says where.
    """
    for file in plan.parts:
        source = str(file[0]) if file else plan.source
        yield from _cut(source, plan.chunks(file, max_symbols), size, words=plan.kind == "text")


def _cut(source: str, chunks: Chunks, size: int, words: bool) -> Iterator[Block]:
    number, name, start, held = -1, "", 0, ""
    for begun, text in chain(chunks, [("", "")]):  # the end of the last record
        if begun is not None:
            if held:
                yield Block(source, number, name, start, held, whole=start == 0)
            number, name, start, held = number + 1, begun, 0, ""
        held += text
        begin = 0
        while len(held) - begin > size:
            places = [held.rfind(mark, begin + size // 2, begin + size) for mark in "\n " if words]
            end = next((place + 1 for place in places if place >= 0), begin + size)
            yield Block(source, number, name, start + begin, held[begin:end], whole=False)
            begin = end
        start, held = start + begin, held[begin:]


def clean(block: Block, kind: Kind, repairs: tuple[str, ...]) -> tuple[list[Segment], Counter[str]]:
    """Segments of at least ``SHORTEST`` symbols, and counts (as of ``clean_sequence``; of text, ``repaired``)."""
    counts = Counter[str]()
    if kind == "text":
        text, counts["repaired"] = clean_text(block.text, repairs)
        segments = [Segment(block.record, 0, text)]
    else:
        segments = clean_sequence(block.record, block.text, counts, kind=kind)
    return [Segment(s.record, block.start + s.start, s.text) for s in segments if len(s) >= SHORTEST], counts


class Summary(NamedTuple):
    """What the survey needs of a block."""

    content: int  # a hash
    symbols: int  # after cleaning
    counts: Counter[str]
    minimizers: Hashes | None  # of a whole record


def summarised(some: Sequence[Block], kind: Kind, repairs: tuple[str, ...]) -> list[Summary]:
    """What the survey needs of some blocks."""
    cleaned = [clean(block, kind, repairs) for block in some]
    whole = [i for i, block in enumerate(some) if block.whole and cleaned[i][0]]
    values, owners = minimizers([cleaned[i][0] for i in whole], kind, lasting=True) if whole else ((), ())
    ends = np.searchsorted(owners, np.arange(len(whole) - 1), side="right")
    of_block = dict(zip(whole, np.split(values, ends), strict=True)) if whole else {}
    contents = [content_hash(block.text if kind == "text" else block.text.upper()) for block in some]
    return [
        Summary(content, sum(map(len, segments)), counts, of_block.get(i))
        for i, (content, (segments, counts)) in enumerate(zip(contents, cleaned, strict=True))
    ]


@dataclass(frozen=True)
class Survey:
    """Which pieces a source has, and which parts of a split they go to; arrays have a value for each block."""

    plan: Plan
    max_symbols: int | None
    parts: Integers  # 0 to 2, or -1 where it is left out
    front: Integers  # symbols that it is drawn back by from the one before, as that is of another part
    back: Integers  # likewise from the one behind
    #: Counts, see ``Corpus.stats``, of ``pieces``; ``compared_share`` of the minimizers; ``block``, ``gap``.
    stats: dict[str, Any]

    def pieces(self) -> Iterator[Block]:
        """Each block that goes to a part, drawn back from others.

        Raises:
            GfmError: the source cannot be read any more.
        """
        found = blocks(self.plan, self.stats["block"], self.max_symbols)
        for part, front, back, block in zip(self.parts, self.front, self.back, found, strict=False):
            if part >= 0:
                text = block.text[front : max(front, len(block.text) - back)]
                yield replace(block, start=block.start + int(front), text=text, part=int(part))


def survey(
    plan: Plan,
    seed: int,
    max_symbols: int | None,
    summarise: Callable[[Iterator[Block]], Iterable[tuple[Block, Summary]]],
) -> Survey:
    """Read a source once, or its first ``max_symbols``, and say where every piece of it goes.

    ``summarise`` gives each block with what :func:`summarised` says of it, in order.

    Raises:
        GfmError: the source cannot be read, or a file looks like another kind; says where.
    """
    groups, rows, symbols, record = Groups(), array("q"), 0, -1
    counts: dict[str, Counter[str]] = {}  # of each file
    last = ("", -1)
    for block, one in summarise(blocks(plan, BLOCK, max_symbols)):
        if block.source not in counts:
            _check_letters(plan, counts)
        counts.setdefault(block.source, Counter()).update(one.counts)
        symbols += one.symbols
        record, last = record + ((block.source, block.number) != last), (block.source, block.number)
        if one.minimizers is not None:
            groups.add(one.minimizers, np.full(len(one.minimizers), len(rows) // 6))
        behind = block.start + len(block.text)
        rows.extend((record, block.start, behind, one.symbols, block.whole, one.content))
        if max_symbols is not None and symbols >= max_symbols:
            break
    _check_letters(plan, counts)
    records, begin, end, sizes, whole, content = np.frombuffer(rows, np.int64).reshape(-1, 6).T
    pieces = Pieces(records, begin, end, sizes, whole.astype(bool))
    first, filled = np.zeros(len(content), bool), sizes > 0
    first[np.unique(content, return_index=True)[1]] = True
    kept, parts = first & filled, np.full(len(content), -1)
    if kept.any():
        counted = pieces._replace(symbols=np.where(kept, sizes, 0))
        parts = np.where(kept, assigned(counted, groups, seed, share=1.0), -1)
    drawn = with_gaps(pieces, parts, GAP)
    total = sum(counts.values(), Counter[str]())
    stats: dict[str, Any] = {
        "pieces": int(kept.sum()), "symbols": int(sizes[kept].sum()),
        "dropped_empty": int((~filled).sum()), "dropped_duplicate": int((filled & ~first).sum()),
        "compared_share": groups.share, "block": BLOCK, "gap": GAP,
    }  # fmt: skip
    if plan.kind == "text":
        stats["repaired_records"] = total["repaired"]
    else:
        stats |= {"cut_symbols": total["cut"], "soft_masked_share": total["soft_masked"] / max(symbols, 1)}
    return Survey(plan, max_symbols, parts, drawn[0] - begin, end - drawn[1], stats)


def _check_letters(plan: Plan, counts: dict[str, Counter[str]]) -> None:
    """Refuse the file that was read last if it looks like another kind."""
    if counts:
        source = next(reversed(counts))
        file = next((file for file in plan.files if str(file[0]) == source), None)
        check_letters(counts[source], plan.kind, source, file)
