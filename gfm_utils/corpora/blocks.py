"""Blocks: the records of a source in stretches of bounded length, so that no record need fit in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gfm_utils.corpora.opening import decoded, lines, opened
from gfm_utils.corpora.planning import Plan
from gfm_utils.corpora.readers import Records, records
from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.sequences import bare, fasta_pieces


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

    def cut(source: str, pairs: Records) -> Iterator[Block]:
        text = plan.kind == "text"
        return _cut(source, pairs if text else without_spaces(pairs), size, words=text)

    if plan.stream is not None:
        yield from cut(plan.source, iter(plan.streamed(max_symbols)))
    for path, form in plan.files:
        with plan.told():
            if form == "fasta":
                with opened(path, form) as handle:
                    yield from _whole_or_not(str(path), _fasta(fasta_pieces(path, handle), size))
            elif form == "text" and plan.kind == "text":
                with opened(path, form) as handle:
                    stretches = _words(decoded(path, handle, plan.encoding), size)
                    yield from _whole_or_not(str(path), ((0, path.name, text) for text in stretches))
            else:
                yield from cut(str(path), records(path, form, plan.column, plan.encoding))


def place_of(path: Path, form: Format, number: int, letter: str) -> str:
    """Line of a FASTA file where a letter first stands in a record; only looked for to word an error."""
    if form != "fasta":
        return ""
    record = -1
    for count, line in enumerate(lines(path), start=1):
        if line.startswith(">"):
            record += 1
        elif record == number and letter in line:
            return f", line {count},"
    return ""


def without_spaces(pairs: Iterable[tuple[str, str]]) -> Records:
    """Records of sequences in a text, a table or a stream without what may stand between their letters."""
    return ((name, bare(text)) for name, text in pairs)


def _cut(source: str, pairs: Records, size: int, words: bool) -> Iterator[Block]:
    def cut() -> Iterator[tuple[int, str, str]]:
        for number, (name, text) in enumerate(pairs):
            if words:
                parts = _words(iter((text,)), size)
            else:
                parts = (text[begin : begin + size] for begin in range(0, len(text), size))
            for part in parts:
                yield number, name, part

    return _whole_or_not(source, cut())


def _whole_or_not(source: str, parts: Iterator[tuple[int, str, str]]) -> Iterator[Block]:
    """Blocks from numbers, names and texts of parts of records, by looking one part ahead."""
    held: Block | None = None
    for number, name, text in parts:
        if held is not None and held.number == number:
            yield replace(held, whole=False)
            held = Block(source, number, name, held.start + len(held.text), text, whole=False)
        else:
            if held is not None:
                yield held
            held = Block(source, number, name, 0, text, whole=True)
    if held is not None:
        yield held


def _words(stretches: Iterator[str], size: int) -> Iterator[str]:
    """Text of any length in parts of at most ``size`` characters that end, if they can, after white space."""
    held = ""
    for text in stretches:
        held += text
        begin = 0
        while len(held) - begin > size:
            end = begin + size
            for mark in ("\n", " "):
                found = held.rfind(mark, begin + size // 2, end)
                if found >= 0:
                    end = found + 1
                    break
            yield held[begin:end]
            begin = end
        held = held[begin:]
    if held:
        yield held


def _fasta(pieces: Iterator[tuple[str | None, bytes]], size: int) -> Iterator[tuple[int, str, str]]:
    """Record number, name and sequence of each part of a FASTA file's records, at most ``size`` bases each."""
    number, name = -1, ""
    held = bytearray()  # of the record, not given yet
    for begun, sequence in pieces:
        if begun is not None:
            if held:
                yield number, name, held.decode("ascii")
            number, name, held = number + 1, begun, bytearray()
            continue
        held += sequence
        while len(held) > size:
            yield number, name, held[:size].decode("ascii")
            del held[:size]
    if held:
        yield number, name, held.decode("ascii")
