import gzip

import pytest

from gfm_utils.corpora import load, loading, split
from gfm_utils.corpora.hub import read_stats
from gfm_utils.errors import GfmError

PAGE = "<page><title>{title}</title><ns>{ns}</ns>{extra}<revision><text>{text}</text></revision></page>"


def texts(corpus):
    return [(s.record, s.start, s.text) for s in corpus.segments]


def test_fasta(put):
    corpus = load(put("x.fna", ">a first\nACGTNNAC\nGG\n>b\nacgu\n>a\nTTT\n>c\nNNN\n>d\nTTT\n"))
    assert texts(corpus) == [("a", 0, "ACGT"), ("a", 6, "ACGG"), ("b", 0, "ACGT"), ("a#2", 0, "TTT")]
    assert (corpus.kind, corpus.unit, corpus.symbols, corpus.records_read) == ("dna", "base", 15, 5)
    assert corpus.stats == {
        "records": 3, "segments": 4, "symbols": 15, "cut_symbols": 5, "soft_masked_share": 4 / 15,
        "dropped_empty": 1, "dropped_duplicate": 1,
    }  # fmt: skip


def test_many_copies_are_told_once_and_a_corpus_too_small_says_why(put, capsys):
    read = "@r\nACGTTGCA\n+\nIIIIIIII\n"
    path = put("copies.fastq", "@other\nGG\n+\nII\n@none\n\n+\n\n" + 60 * read)
    note = "59 of 62 records are copies of an earlier one and were dropped"
    for _ in range(2):
        corpus = load(path, progress=True)
    assert capsys.readouterr().err.count(f"{path}: {note}") == 1
    with pytest.raises(GfmError, match=rf"has 10 bases \({note}\); at least 5000 are needed"):
        split(corpus)
    few = "".join(f">r{i}\nACGT{'A' * i}\n" for i in range(200))
    load(put("few.fa", few + ">again\nACGT\n"), progress=True)
    assert "copies" not in capsys.readouterr().err


def test_tables(put):
    path = put("x.csv", "id,text\n0,a b\n1,\n2,NA\n3,a b\n")
    corpus = load(path)
    assert texts(corpus) == [("row-1", 0, "a b"), ("row-3", 0, "NA")]
    assert (corpus.stats["dropped_empty"], corpus.stats["dropped_duplicate"]) == (1, 1)
    assert [s.text for s in load(f"{path}:id").segments] == ["0", "1", "2", "3"]


def test_mediawiki_dump(put, cache, monkeypatch):
    article = {"title": "A", "ns": 0, "extra": "", "text": "'''A''' is &lt;b&gt;here&lt;/b&gt; [[x|now]]{{t}}."}
    pages = [article, article | {"ns": 1}, article | {"extra": "<redirect/>"}]
    path = put(
        "x.xml", f'<mediawiki xmlns="http://x/">{"".join(PAGE.format(**page) for page in pages)}</mediawiki>'
    )
    monkeypatch.setattr(loading, "SLOW", -1)
    corpus = load(path)
    assert texts(corpus) == [("A", 0, "A is here now.")]
    assert read_stats(cache / "segments" / f"{corpus.checksum}.parquet") == corpus.stats
    monkeypatch.setattr(loading, "clean_text", lambda *_: pytest.fail("cleaned twice"))
    assert load(path) == corpus


def test_a_directory_is_one_corpus(put, tmp_path):
    for folder in ("b", ".hidden"):
        (tmp_path / folder).mkdir()
    put("b/1.fa.gz", gzip.compress(b">x\nACGTNacg\n>y\nGG\n"))
    put("a.fq", "@x\nTTTT\n+\nIIII\n")
    put("c.fna", ">z\nGG\n")
    put("c.fna.fai", "not sequence")
    put(".hidden/d.fa", ">d\nCCC\n")
    corpus = load(str(tmp_path))
    assert texts(corpus) == [("x", 0, "TTTT"), ("x#2", 0, "ACGT"), ("x#2", 5, "ACG"), ("y", 0, "GG")]
    assert (corpus.stats["records"], corpus.stats["dropped_duplicate"]) == (3, 1)
    assert (corpus.name, corpus.kind) == (tmp_path.name, "dna")
    assert load(str(tmp_path), max_symbols=6).symbols == 6


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
