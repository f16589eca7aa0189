"""Blocks: the records of a source in stretches of bounded length, so that no record need fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gfm_utils.corpora.planning import Plan
from gfm_utils.corpora.readers import Stretches


@dataclass(frozen=True)
class Block:
    """A stretch of one record, as it stands in the source (not cleaned).

    Attributes:
        source: the file, or the stream, in words.
        number: of the record in its file, from 0.
        record: its name.
        start: offset of ``text[0]`` in the record, white space and digits not counted in DNA.
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
        with plan.naming_address():
            source = str(file[0]) if file else plan.source
            yield from _cut(source, plan.stretches(file, max_symbols), size, words=plan.kind == "text")


def _cut(source: str, stretches: Stretches, size: int, words: bool) -> Iterator[Block]:
    number, name, start, held = -1, "", 0, ""
    for begun, text in stretches:
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
    if held:
        yield Block(source, number, name, start, held, whole=start == 0)


def _word_end(text: str, begin: int, size: int) -> int:
    """Where a block of at most ``size`` characters ends: behind white space, if some is in its last half."""
    for mark in ("\n", " "):
        place = text.rfind(mark, begin + size // 2, begin + size)
        if place >= 0:
            return place + 1
    return begin + size
