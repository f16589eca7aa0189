"""Sequences out of FASTA and FASTQ files, as they stand there.

Libraries looked at: dnaio refuses headers that are not ASCII, a byte order mark, and another name behind the ``+``
of FASTQ, and keeps blanks and digits inside a sequence, of which cleaning would make hundreds of cuts and wrong
coordinates; no library gives a chromosome in pieces. The formats are so simple that one reader of either serves
short and long files alike.
"""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from gfm_utils.corpora.cleaning import DnaCounts
from gfm_utils.corpora.opening import READ, lines
from gfm_utils.corpora.registry import Format
from gfm_utils.errors import GfmError

#: Above this share of letters that are no IUPAC nucleotide code, sequences are taken for protein.
PROTEIN_SHARE = 0.1
_HEADER, _COMMENT, _LINE = ord(">"), ord("#"), ord("\n")
_NEXT = re.compile(rb"\n[>#]")
#: What may stand between the letters of a sequence without being one: white space, and the numbers of positions.
_BETWEEN = b" \t\r\n\v\f0123456789"
_DIGITS = dict.fromkeys(map(ord, "0123456789"))
_QUOTED = 40  # characters of a wrong line in a message


def without_spaces(stretches: Iterable[tuple[str | None, str]]) -> Iterator[tuple[str | None, str]]:
    """Sequences in a text, a table or a stream without what may stand between their letters."""
    return ((name, "".join(text.split()).translate(_DIGITS)) for name, text in stretches)


def check_nucleotides(counts: DnaCounts, source: str, file: tuple[Path, Format] | None) -> None:
    """Refuse sequences of whose letters more than ``PROTEIN_SHARE`` are no nucleotide code; gaps do not count.

    Args:
        counts: what cleaning them met.
        source: what was read.
        file: in which the letter is looked for, if it is FASTA.

    Raises:
        GfmError: the sequences look like protein.
    """
    if counts.culprit is not None and counts.foreign > PROTEIN_SHARE * counts.letters:
        number, name, letter = counts.culprit
        place = ""
        if file and file[1] == "fasta":
            place = f", line {_line(file[0], lambda line: letter in line, number + 1)[0]},"
        raise GfmError(
            f"{source} looks like protein, not DNA (letter {letter!r} in record {name!r}{place} is no nucleotide "
            "code); give a nucleotide file"
        )


def fasta_stretches(path: Path, handle: BinaryIO) -> Iterator[tuple[str | None, str]]:
    """The names of a FASTA file's records, and stretches of their sequences behind them, without names.

    White space and digits inside a sequence are left out, so that positions count letters. A byte order mark and
    comments (lines that begin with ``#``) are passed over, and headers may be in any encoding; the name of a
    record is the first word of its header.

    Args:
        path: named in messages.
        handle: the file's bytes, decompressed, of which ``READ`` are in memory at a time.

    Raises:
        GfmError: no FASTA, a header inside a line, or a sequence that is not ASCII; says where.
    """
    rest, in_line, count = b"", False, 0  # of a header; whether a line of sequence goes on; records so far
    begin = handle.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    for read in chain([begin], iter(lambda: handle.read(READ), b"")):
        data, at, rest = rest + read.replace(b"\r", b"\n"), 0, b""
        while at < len(data):
            if not in_line and data[at] in (_HEADER, _COMMENT):
                end = data.find(b"\n", at)
                if end < 0:
                    rest = data[at:]
                    break
                if data[at] == _HEADER:
                    count += 1
                    yield _name(data[at + 1 : end], count), ""
                at = end + 1
                continue
            header = _NEXT.search(data, at)
            end = header.start() + 1 if header else len(data)
            sequence = data[at:end].translate(None, _BETWEEN)
            if sequence:
                _check_sequence(path, sequence, count)
                yield None, sequence.decode("ascii")
            in_line, at = data[end - 1] != _LINE, end
    if rest[:1] == b">":
        count += 1
        yield _name(rest[1:], count), ""
    if not count:
        raise GfmError(f"{path} holds no FASTA records; give a FASTA file")


def fastq_records(path: Path, handle: BinaryIO) -> Iterator[tuple[str, str]]:
    """Name and sequence of each record of a FASTQ file, of four lines each.

    What stands behind the ``+`` of the third line is not looked at; blank lines between records are passed over.

    Raises:
        GfmError: no FASTQ, no records, or a damaged one; says where.
    """
    count = 0
    rows = enumerate(handle, start=1)
    for number, head in rows:
        if number == 1:
            head = head.removeprefix(codecs.BOM_UTF8)
        if not head.strip():
            continue
        count += 1
        name = _name(head[1:], count)
        sequence, plus, qualities, *_ = [*(row.strip() for _, row in islice(rows, 3)), None, None, None]
        if not head.startswith(b"@"):
            wrong = number, f"expected '@' at the beginning of a record, but got {_quoted(head)}"
        elif plus is not None and not plus.startswith(b"+"):
            wrong = number + 2, f"expected '+' in the third line of record {name!r}, but got {_quoted(plus)}"
        elif sequence is None or qualities is None:
            wrong = number, f"the file ends within record {name!r}"
        elif len(sequence) != len(qualities):
            wrong = number + 3, f"record {name!r} has {len(sequence)} letters, but {len(qualities)} qualities"
        elif not sequence.isascii():
            wrong = number + 1, f"the sequence of record {name!r} holds bytes that are not ASCII"
        else:
            yield name, sequence.decode("ascii")
            continue
        raise GfmError(f"{path} is not FASTQ at line {wrong[0]}: {wrong[1]}; mend it or give a FASTQ file")
    if not count:
        raise GfmError(f"{path} holds no FASTQ records; give a FASTQ file")


def _name(header: bytes, count: int) -> str:
    """The first word of a header without its sign; of one without words, the number of the record."""
    return (header.decode("utf-8", errors="replace").split() or [f"record-{count}"])[0]


def _quoted(row: bytes) -> str:
    text = row.decode("utf-8", errors="replace").strip()
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")


def _check_sequence(path: Path, sequence: bytes, count: int) -> None:
    """Refuse what is no sequence."""
    if not count:
        number, _, text = _line(path, lambda line: line.strip() != "")
        raise GfmError(
            f"{path} is not FASTA at line {number}: expected '>' at the beginning of a record, but got "
            f"{_quoted(text.encode())}; give a FASTA file"
        )
    if b">" in sequence:
        number, name, _ = _line(path, lambda line: ">" in line)
        raise GfmError(
            f"{path} is not FASTA at line {number}: '>' stands inside the sequence of record {name!r}; begin a "
            "new line before each header"
        )
    if not sequence.isascii():
        number, name, _ = _line(path, lambda line: not line.isascii())
        raise GfmError(
            f"{path} is not FASTA at line {number}: the sequence of record {name!r} holds bytes that are not "
            "ASCII; mend it or give a FASTA file"
        )


def _line(path: Path, wrong: Callable[[str], bool], record: int | None = None) -> tuple[int, str, str]:
    """Number of the first line of sequence that is wrong, the name of its record, and the line itself.

    Args:
        path: of a FASTA file.
        wrong: says it of a line.
        record: number of the record, from 1, that is looked into; None: all.
    """
    name, count = "", 0
    for number, line in enumerate(lines(path), start=1):
        if line.startswith(">"):
            count += 1
            name = _name(line[1:].encode(), count)
        elif record in (None, count) and not line.startswith("#") and wrong(line):
            return number, name, line
    raise GfmError(f"{path} has changed while it was read; give it again when nothing writes to it any more")
