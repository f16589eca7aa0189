import bz2
import gzip

import pandas as pd
import pytest

from gfm_utils.corpora import load, loading, split
from gfm_utils.errors import GfmError

FASTA = ">a first\nACGTNNAC\nGG\n>b\nacgu\n>a\nTTT\n>c\nNNN\n>d\nTTT\n"
PAGE = "<page><title>{title}</title><ns>{ns}</ns>{extra}<revision><text>{text}</text></revision></page>"


@pytest.fixture
def put(tmp_path):
    """Call with a name and content (text or bytes) to get the path of that file."""

    def make(name, content):
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        if name.endswith(".gz"):
            data = gzip.compress(data)
        elif name.endswith(".bz2"):
            data = bz2.compress(data)
        path.write_bytes(data)
        return str(path)

    return make


def texts(corpus):
    return [(s.record, s.start, s.text) for s in corpus.segments]


@pytest.mark.parametrize("name", ["x.fa", "x.fasta", "x.fna", "x.fa.gz", "x.fna.bz2"])
def test_fasta(put, name):
    corpus = load(put(name, FASTA))
    assert texts(corpus) == [("a", 0, "ACGT"), ("a", 6, "ACGG"), ("b", 0, "ACGT"), ("a#2", 0, "TTT")]
    assert (corpus.kind, corpus.unit, corpus.symbols) == ("dna", "base", 15)
    assert corpus.stats == {
        "records": 3, "segments": 4, "symbols": 15, "cut_symbols": 5, "soft_masked_share": 4 / 15,
        "dropped_empty": 1, "dropped_duplicate": 1,
    }  # fmt: skip


def test_many_copies_are_told_once_and_a_corpus_too_small_says_why(put, capsys):
    read = "@r\nACGTTGCA\n+\nIIIIIIII\n"
    path = put("copies.fastq", "@other\nGG\n+\nII\n@none\n\n+\n\n" + 60 * read)
    told = "59 of 62 records are copies of an earlier one and were dropped"
    for _ in range(2):
        corpus = load(path, progress=True)
    assert capsys.readouterr().err.count(f"{path}: {told}") == 1
    with pytest.raises(GfmError, match=rf"has 10 bases \({told}\); at least 5000 are needed"):
        split(corpus)
    few = "".join(f">r{i}\nACGT{'A' * i}\n" for i in range(200))
    load(put("few.fa", few + ">again\nACGT\n"), progress=True)
    assert "copies" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_text_is_one_record(put, name):
    corpus = load(put(name, "\ufeffOne  line.\n\nTwo.\n"))
    assert texts(corpus) == [(name, 0, "One line.\nTwo.")]
    assert (corpus.kind, corpus.unit, corpus.licence) == ("text", "character", "unknown")


@pytest.mark.parametrize(("name", "mark"), [("x.csv", ","), ("x.csv.gz", ","), ("x.tsv", "\t")])
def test_tables(put, name, mark):
    path = put(
        name,
        mark.join(["id", "text"])
        + "\n"
        + "\n".join(f"{i}{mark}{t}" for i, t in enumerate(["a b", "", "NA", "a b"])),
    )
    corpus = load(path)
    assert texts(corpus) == [("row-1", 0, "a b"), ("row-3", 0, "NA")]
    assert (corpus.stats["dropped_empty"], corpus.stats["dropped_duplicate"]) == (1, 1)
    assert [s.text for s in load(f"{path}:id").segments] == ["0", "1", "2", "3"]


def test_parquet_of_sequences(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"sequence": ["ACGTNA", None, "ac gt"]}).to_parquet(path)
    corpus = load(f"{path}?kind=dna")
    assert texts(corpus) == [("row-1", 0, "ACGT"), ("row-1", 5, "A"), ("row-3", 0, "ACGT")]


def dump(*pages):
    return '<mediawiki xmlns="http://x/">' + "".join(PAGE.format(**page) for page in pages) + "</mediawiki>"


def test_mediawiki_dump(put, monkeypatch):
    article = {"title": "A", "ns": 0, "extra": "", "text": "'''A''' is &lt;b&gt;here&lt;/b&gt; [[x|now]]{{t}}."}
    path = put("x.xml.bz2", dump(article, article | {"ns": 1}, article | {"extra": "<redirect/>"}))
    monkeypatch.setattr(loading, "SLOW", -1)
    corpus = load(path)
    assert texts(corpus) == [("A", 0, "A is here now.")]
    monkeypatch.setattr(loading, "clean_text", lambda *_: pytest.fail("cleaned twice"))
    assert load(path) == corpus


def test_max_symbols_stops(put):
    assert load(put("x.fa", ">a\nACNGTACGT\n>b\nTTTT\n"), max_symbols=4).symbols == 4
    assert load(put("x.txt", "abcdef"), max_symbols=4).symbols == 4
    assert load(put("x.csv", "text\nabc\ndef\nghi\n"), max_symbols=4).symbols == 4


def test_the_checksum_follows_bytes_and_options(put):
    path = put("x.csv", "text,b\nACGT,b\n")
    sums = [load(path), load(f"{path}:b"), load(f"{path}?kind=dna"), load(path, max_symbols=2)]
    sums.append(load(put("y.csv", "text,b\nACGT,c\n")))
    assert len({corpus.checksum for corpus in sums}) == len(sums)
    assert load(put("z.csv", "text,b\nACGT,b\n")).checksum == sums[0].checksum
    assert len(sums[0].checksum) == 64


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.fa.gz", "", "x.fa.gz holds no FASTA records"),
        ("x.csv", b"text\n\xff\n", r"x.csv is not UTF-8 text \(byte 0xff at offset 5, line 2\)"),
        ("x.csv", "\n", "x.csv is empty: it has no header line"),
        ("x.xml", "<a/>", r"is XML but no MediaWiki dump \(its root is <a>"),
        ("x.xml", "<mediawiki><page>", "is broken XML at line 1, column 17; it may be truncated"),
    ],
)
def test_bad_input_is_one_sentence(put, name, content, message):
    """Beside what tests/test_malformed.py has."""
    with pytest.raises(GfmError, match=message) as caught:
        load(put(name, content))
    assert "\n" not in str(caught.value)


def test_a_few_letters_that_are_no_code_only_cut(put):
    corpus = load(put("x.fa", ">a\n" + "ACGT" * 10 + "E" + "ACGT" * 10 + "\n"))
    assert (len(corpus.segments), corpus.stats["cut_symbols"]) == (2, 1)
