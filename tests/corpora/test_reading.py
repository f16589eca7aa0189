"""Files that are not quite what their format says, and are read right all the same, whole and in blocks."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gfm_utils.corpora import Segment, load, plan, read_annotation, sequences
from gfm_utils.corpora.cleaning import clean_sequence, clean_text, looks_like_dna
from gfm_utils.corpora.opening import zstd
from gfm_utils.corpora.streaming import blocks

from .conftest import random_dna, random_text

DNA = random_dna(400)
OTHER = random_dna(60, 1)


def segments(source):
    """Record, start and text of each segment, the same whether the file is read whole or in blocks."""
    whole = [(s.record, s.start, s.text) for s in load(source).segments]
    read, records = plan(source), {}
    for block in blocks(read, 97):
        assert block.start == len(records.get(block.record, ""))
        records[block.record] = records.get(block.record, "") + block.text
    joined = []
    for name, text in records.items():
        cleaned = [Segment(name, 0, clean_text(text)[0])]
        kept = clean_sequence(name, text, Counter()) if read.kind == "dna" else cleaned
        joined += [(s.record, s.start, s.text) for s in kept if s.text]
    assert joined == whole
    return whole


def blocked(sequence, of=10, line=60):
    """Lines of a sequence in blocks between blanks."""
    rows = [sequence[at : at + line] for at in range(0, len(sequence), line)]
    return [" ".join(row[at : at + of] for at in range(0, len(row), of)) for row in rows]


@pytest.mark.parametrize(("end", "read"), [("\n", 1 << 20), ("\n", 64), ("\r\n", 1), ("\r", 64)])
def test_what_stands_between_bases_is_no_sequence(put, monkeypatch, end, read):
    monkeypatch.setattr(sequences, "READ", read)
    rows = end.join(f"{60 * number + 1:>9}\t{row}" for number, row in enumerate(blocked(DNA)))
    path = put("x.fa", f">one here{end}{rows}{end}>two{end}{OTHER}NN{OTHER}{end}")
    assert segments(path) == [("one", 0, DNA), ("two", 0, OTHER), ("two", 62, OTHER)]
    assert load(path).stats["cut_symbols"] == 2


def test_a_byte_order_mark_is_no_part_of_the_first_header(put):
    mark = b"\xef\xbb\xbf"
    assert segments(put("x.fa", mark + b">a\n" + DNA.encode())) == [("a", 0, DNA)]
    assert segments(put("x.fq", mark + b"@a\nACGT\n+\nIIII\n")) == [("a", 0, "ACGT")]
    gff = put("x.gff3", mark + b"##gff-version 3\na\t.\tgene\t1\t9\t.\t+\t.\tID=g\n")
    assert read_annotation(Path(gff)).intervals["end"].tolist() == [9]


def test_headers_may_hold_any_letters(put):
    header = "Mentha×piperita naïve"
    assert segments(put("x.fa", f">{header}\n{DNA}\n")) == [("Mentha×piperita", 0, DNA)]
    assert segments(put("y.fa", f">a {header}\n{DNA}\n".encode("latin-1"))) == [("a", 0, DNA)]
    assert segments(put("x.fq", f"@{header}\nACGT\n+{header}\nIIII\n")) == [("Mentha×piperita", 0, "ACGT")]


def test_masked_bases_and_gaps_only_cut(put):
    masked = f"{'-' * 50}{DNA[:100]}{'X' * 150}{DNA[250:300]}{'x' * 50}{DNA[350:]}R{OTHER}"
    path = put("x.fa", f">a\n{masked}\n")
    assert segments(path) == [
        ("a", 50, DNA[:100]),
        ("a", 300, DNA[250:300]),
        ("a", 400, DNA[350:]),
        ("a", 451, OTHER),
    ]
    assert load(path).stats["cut_symbols"] == 251


@pytest.mark.parametrize("end", ["", "\n\n \r\n"])
def test_what_stands_behind_the_plus_of_fastq_does_not_matter(put, end):
    rows = f"@x.0 one\n{DNA[:30]}\n+SRR0.0 other length=30\n{'@' * 30}\n\n@x.1\n{OTHER}\n+\n{'+' * 60}"
    assert segments(put("x.fastq", rows + end)) == [("x.0", 0, DNA[:30]), ("x.1", 0, OTHER)]


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


WORDS = random_text(60)
MEMBERS = {
    "a.fa": f">one\n{DNA}\n", "a.fastq": f"@one\n{DNA}\n+\n{'I' * 400}\n", "a.txt": WORDS,
    "a.csv": f"id,text\n1,{WORDS}\n", "a.tsv": f"id\ttext\n1\t{WORDS}\n", "a.parquet": parquet(text=[WORDS]),
    "a.csv.gz": gzip.compress(f"id,text\n1,{WORDS}\n".encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_a_zip_archive_is_read_as_what_is_inside(put, tmp_path, name):
    for archive in ("x.zip", "other.fa.zip", "x.bin"):
        with zipfile.ZipFile(put(archive, ""), "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"folder/{name}", MEMBERS[name])
            for other in ("__MACOSX/", f"__MACOSX/._{name}", ".DS_Store", "folder/.DS_Store", "folder/"):
                packed.writestr(other, b"\x00\x05\x16\x07 no corpus")
        (segment,) = segments(str(tmp_path / archive))
        assert segment[2] == (DNA if name in ("a.fa", "a.fastq") else WORDS)


@pytest.mark.parametrize(
    ("name", "ending", "pack"),
    [
        ("a.fa", ".gz", gzip.compress), ("a.fastq", ".bz2", bz2.compress), ("a.csv", ".xz", lzma.compress),
        ("a.parquet", ".gz", gzip.compress), ("a.txt", ".zst", zstd.compress), ("a.txt", ".gz", bytes),
    ],
)  # fmt: skip
def test_compressed_files(put, name, ending, pack):
    content = MEMBERS[name] if isinstance(MEMBERS[name], bytes) else MEMBERS[name].encode()
    plain = [text for *_, text in segments(put(name, content))]
    parts = pack(content[:40]) + pack(content[40:])  # as bgzip and pzstd write them
    for data in (pack(content), parts):
        assert [text for *_, text in segments(put(name + ending, data))] == plain != []


@pytest.mark.parametrize(
    "text",
    [
        "It was a dark and stormy night.\n> and so on <\n",
        "<p>is a tag of HTML, and <html> another</p>\n",
        "> he wrote this\n> and this\nNo, he did not.\n",
        ">be me\n>read a FASTA\nit was a cat",
        "@someone said\nyes\n+ 1\nfine\n",
    ],
)
def test_a_text_may_look_a_little_like_something_else(put, text):
    assert [content for *_, content in segments(put("x.txt", text))] == [text.strip()]


def test_dna_in_a_table_is_known_by_its_letters_or_said(put):
    rows = [random_dna(300, seed) for seed in range(60)]
    path = put("x.csv", "gene,note\n" + "\n".join(f"{row},some words" for row in rows) + "\n")
    assert plan(f"{path}:gene").kind == "dna" and plan(f"{path}:note").kind == "text"
    assert segments(f"{path}:gene") == segments(f"{path}:gene?kind=dna")
    assert plan(f"{path}:gene?kind=text").kind == "text"
    keys = {plan(f"{path}:gene{behind}").key(None) for behind in ("", "?kind=dna", "?kind=text")}
    assert len(keys) == 2
    short = put("y.csv", "sequence\nACGT\nGGCC\n")
    assert plan(short).kind == "text" and load(f"{short}?kind=dna").kind == "dna"


def test_what_looks_like_dna():
    for text in (DNA, DNA.lower(), "\n".join(blocked(DNA)), "N" * 100 + DNA[:100], DNA + "R" * 19):
        assert looks_like_dna(text)
    for text in (DNA[:190], DNA + "R" * 22, WORDS * 5, "a cat sat " * 100):
        assert not looks_like_dna(text)
