"""Sequences out of FASTA and FASTQ files, as they stand there.

dnaio refuses headers that are not ASCII, a byte order mark, and another name behind the ``+`` of FASTQ, and keeps
blanks and digits inside a sequence; no library gives a chromosome in pieces.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, product
from pathlib import Path
from typing import BinaryIO

from gfm_utils.corpora.cleaning import FOREIGN
from gfm_utils.corpora.opening import READ, lines
from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.segments import Kind
from gfm_utils.errors import GfmError

#: Above this share of letters that are no IUPAC nucleotide code, sequences are taken for protein.
PROTEIN_SHARE = 0.1
#: Up to this share of them, where there are so many letters, they are taken for DNA: of proteins a third are such.
DNA_SHARE, _FEWEST = 0.01, 200
_NEXT = re.compile(rb"\n[>#]")
#: What may stand between the letters of a sequence without being one: white space, and the numbers of positions.
_BETWEEN = b" \t\r\n\v\f0123456789"
#: The standard genetic code, the first base of a codon changing slowest.
_RESIDUES = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODONS = dict(zip(map("".join, product("TCAG", repeat=3)), _RESIDUES, strict=True))
_GENE = re.compile(r"\[locus_tag=[^\]]+\]|\[gene=[^\]]+\]")
_PARTIAL = re.compile(r"\[(partial|pseudo)=|\[location=[^\]]*[<>]")
#: Behind the name of a record that is a part of a coding sequence only.
PARTIAL = " [partial]"
#: The begin of a line that holds something, and of one that is not sequence from some place on.
_ANY, _NO_SEQUENCE = re.compile(r"\S.{,39}"), re.compile(r".{,40}[^\x00-=?-\x7f].{,9}")


def translated(records: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Names and residues of coding sequences, by the standard genetic code, from the first base on.

    A codon with another letter than A, C, G, T and U becomes X, a stop ``*``, both of which cleaning cuts at. Of a
    record that is marked as partial, or whose length is no multiple of three, the reading frame is not sure: it
    is left empty.
    """
    for name, bases in records:
        bases = bases.upper().replace("U", "T")
        sure = len(bases) % 3 == 0 and not name.endswith(PARTIAL)
        codons = (bases[begin : begin + 3] for begin in range(0, len(bases), 3)) if sure else ()
        yield name, "".join(_CODONS.get(codon, "X") for codon in codons)


def check_letters(counts: Counter[str], kind: Kind, source: str, file: tuple[Path, Format] | None) -> None:
    """Refuse protein that is given as DNA, and DNA that is given as protein; gaps do not count.

    If ``file`` is FASTA, the first letter that is no nucleotide code is looked for in it.

    Raises:
        GfmError: the sequences look like another kind.
    """
    letters, foreign = counts["letters"], counts["foreign"]
    if kind == "protein" and letters >= _FEWEST and foreign <= DNA_SHARE * letters:
        raise GfmError(
            f"{source} looks like DNA, not protein (nearly all of its letters are nucleotide codes); give a file "
            "of amino acids, or leave out that its kind is protein"
        )
    if kind == "dna" and foreign > PROTEIN_SHARE * letters:
        what = f"{foreign / letters:.0%} of its letters are no nucleotide codes"
        if file and file[1] == "fasta":
            number, name, letter = _line(file[0], FOREIGN)
            what = f"letter {letter!r} in record {name!r}, line {number}, is no nucleotide code"
        mend = "give a nucleotide file, or leave out that its kind is DNA"
        raise GfmError(f"{source} looks like protein, not DNA ({what}); {mend}")


def fasta_chunks(path: Path, handle: BinaryIO, genes: bool = False) -> Iterator[tuple[str | None, str]]:
    """The names of a FASTA file's records, and stretches of their sequences behind them, without names.

    White space and digits inside a sequence are left out, so that positions count letters. A byte order mark and
    comments (lines that begin with ``#``) are passed over, and headers may be in any encoding; the name of a
    record is the first word of its header. With ``genes`` the gene stands behind it as NCBI writes it,
    ``[locus_tag=AT1G01010]`` or else ``[gene=…]``, and behind that of an incomplete coding sequence ``[partial]``.
    ``READ`` bytes are in memory at a time.

    Raises:
        GfmError: no FASTA, a header inside a line, or a sequence that is not ASCII; says where.
    """
    rest, in_line, count = b"", False, 0  # of a header; whether a line of sequence goes on; records so far
    begin = handle.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    for read in chain([begin], iter(lambda: handle.read(READ), b""), [None]):
        data, at, rest = rest + (b"\n" if read is None else read.replace(b"\r", b"\n")), 0, b""
        while at < len(data):
            if not in_line and data[at] in b">#":
                end = data.find(b"\n", at)
                if end < 0:
                    rest = data[at:]
                    break
                if data[at] == ord(">"):
                    count += 1
                    yield _name(data[at + 1 : end], count, genes), ""
                at = end + 1
                continue
            header = _NEXT.search(data, at)
            end = header.start() + 1 if header else len(data)
            if sequence := data[at:end].translate(None, _BETWEEN):
                if not count or b">" in sequence or not sequence.isascii():
                    number, name, wrong = _line(path, _NO_SEQUENCE if count else _ANY)
                    where = f" of record {name!r}" if count else ""
                    raise GfmError(
                        f"{path} is not FASTA at line {number}{where}: expected a header that begins with '>' or "
                        f"a sequence of ASCII letters, but got {wrong!r}; mend it or give a FASTA file"
                    )
                yield None, sequence.decode("ascii")
            in_line, at = data[end - 1 : end] != b"\n", end
    if not count:
        raise GfmError(f"{path} holds no FASTA records; give a FASTA file")


def fastq_records(path: Path, handle: BinaryIO) -> Iterator[tuple[str, str]]:
    """Name and sequence of each record of a FASTQ file, of four lines each.

    What stands behind the ``+`` of the third line is not looked at; blank lines between records are passed over.

    Raises:
        GfmError: no FASTQ, no records, or a damaged one; says where.
    """
    count, rows = 0, enumerate(handle, start=1)
    for number, head in rows:
        head = head.removeprefix(codecs.BOM_UTF8) if number == 1 else head
        if not head.strip():
            continue
        count += 1
        name = _name(head[1:], count)
        sequence, plus, qualities = [*(row.strip() for _, row in islice(rows, 3)), b"", b"", b""][:3]
        marked = head.startswith(b"@") and plus.startswith(b"+")
        if not (marked and len(sequence) == len(qualities) and sequence.isascii()):
            raise GfmError(
                f"{path} is not FASTQ in the record {name!r} at line {number}: expected four lines, '@' and its "
                "name, a sequence in ASCII, '+', and as many qualities as letters; mend it or give a FASTQ file"
            )
        yield name, sequence.decode("ascii")
    if not count:
        raise GfmError(f"{path} holds no FASTQ records; give a FASTQ file")


def _name(header: bytes, count: int, genes: bool = False) -> str:
    """The first word of a header without its sign; of one without words, the number of the record."""
    text = header.decode("utf-8", errors="replace")
    name = (text.split() or [f"record-{count}"])[0]
    if genes:
        name += "".join(f" {gene}" for gene in sorted(_GENE.findall(text), reverse=True)[:1])
        name += PARTIAL if _PARTIAL.search(text) else ""
    return name


def _line(path: Path, wrong: re.Pattern[str]) -> tuple[int, str, str]:
    """Number of the first line of sequence with something wrong, the name of its record, and what is wrong."""
    name, count = "", 0
    for number, line in enumerate(lines(path), start=1):
        if line.startswith(">"):
            count += 1
            name = _name(line[1:].encode(), count)
        elif not line.startswith("#") and (match := wrong.search(line)):
            return number, name, match[0]
    raise GfmError(f"{path} has changed while it was read; give it again when nothing writes to it any more")
