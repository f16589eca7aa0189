"""Corpora given by addresses: what is read in them, and files on a loopback server that errs."""

import gzip
import hashlib
import re

import pytest

from gfm_utils.corpora import fetch, load, user_path
from gfm_utils.corpora.addresses import parse_address
from gfm_utils.corpora.planning import plan
from gfm_utils.corpora.readers import format_named
from gfm_utils.corpora.streaming import blocks
from gfm_utils.errors import GfmError

from .conftest import DATA, random_dna

SHA = hashlib.sha256(DATA).hexdigest()
TABLE = b"id,body\n1,some words\n2,and more\n"


@pytest.mark.parametrize(
    ("source", "file", "form", "column"),
    [
        ("https://h/a:b/x.fa.gz?download=1", "x.fa.gz", "fasta", None),
        ("http://127.0.0.1:80/x.csv:body", "x.csv", "csv", "body"),
        ("HTTPS://u@h/x.TSV:a b", "x.TSV", "tsv", "a b"),
        ("https://h/x.fa/a:b.csv", "a-b.csv", "csv", None),
        ("https://h/x.csv?loc=chr1:1-20", "x.csv", "csv", None),
        ("https://h/..%2f..%2fx.fa", "x.fa", "fasta", None),
        ("https://h/-my%20own+%C3%A4.fq", "my-own-.fq", "fastq", None),
    ],
)
def test_a_file_on_the_web(source, file, form, column):
    address, url = parse_address(source), source.removesuffix(f":{column}")
    assert (str(address.source.sources[0]), address.name, address.source.file) == (url, file, file)
    assert (format_named(file), address.column, address.source.sha256) == (form, column, None)
    assert user_path(source) is None
    pinned = parse_address(f"{url}#sha256={SHA}" + (f":{column}" if column else ""))
    assert (str(pinned.source.sources[0]), pinned.source.sha256, pinned.column) == (url, SHA, column)


def test_a_data_set_of_the_hub():
    address = parse_address("hf://datasets/own-er/na.me/data/*.jsonl?config=a%26b&split=test&field=x+y&kind=dna")
    assert address.kind == "dna"
    assert address.source.model_dump() == {
        "type": "hub", "dataset": "own-er/na.me", "data_files": "data/*.jsonl", "config": "a&b", "split": "test",
        "field": "x+y", "revision": None,
    }  # fmt: skip
    plain = plan("hf://datasets/a/b?revision=v1")
    assert (plain.name, plain.kind, plain.source) == ("a/b?revision=v1", "text", "hf://datasets/a/b?revision=v1")
    assert (plain.stream.split, plain.stream.field, plain.stream.revision) == ("train", "text", "v1")
    assert user_path("hf://datasets/a/b") is None


def test_a_file_is_fetched_once_and_its_checksum_recorded(faulty, cache):
    url = f"{faulty.url}/chr1.fa"
    corpus = load(url)
    assert corpus.segments[0].text == DATA.split()[1].decode()
    assert (corpus.name, corpus.kind, corpus.licence, corpus.source) == ("chr1.fa", "dna", "unknown", url)
    path = fetch(url)
    assert path.read_bytes() == DATA and path.is_relative_to(cache) and faulty.paths == ["/chr1.fa"]
    assert path.with_name("chr1.fa.sha256").read_text() == SHA + "\n"
    assert load(url).checksum == corpus.checksum == plan(url).key(None)
    other = fetch(f"{faulty.url}/other/chr1.fa")
    assert other != path and other.name == path.name
    path.unlink()
    path.with_name("chr1.fa.sha256").unlink()
    faulty.data = DATA.replace(b"A", b"C", 1)
    assert load(url).checksum != corpus.checksum


def test_a_checksum_behind_the_address_is_verified(faulty):
    url = f"{faulty.url}/chr1.fa#sha256="
    assert load(url + SHA).checksum == load(f"{faulty.url}/chr1.fa").checksum
    with pytest.raises(
        GfmError, match=rf"wrong checksum \(expected SHA-256 0+, found {SHA} of .* bytes\).*it where it is given"
    ):
        load(url + "0" * 64)


def test_a_table_names_its_column(faulty):
    faulty.data = TABLE
    assert [s.text for s in load(f"{faulty.url}/x.csv:body").segments] == ["some words", "and more"]
    address, path = f"{faulty.url}/x.csv", fetch(f"{faulty.url}/x.csv")
    message = (
        f"{address} has no column 'words'; it has id, body: name one as {address}:COLUMN (it is kept as {path}: "
    )
    with pytest.raises(GfmError, match=re.escape(message)):
        load(f"{address}:words")


@pytest.mark.parametrize("read", [load, lambda source: list(blocks(plan(source), 100))])
def test_a_bad_file_is_told_by_its_address(faulty, read):
    faulty.data = gzip.compress(b">a\n" + random_dna(9000).encode())[:-500]
    with pytest.raises(GfmError, match=rf"^{faulty.url}/x.fa.gz is truncated: .* \(it is kept as .*/x.fa.gz: del"):
        read(f"{faulty.url}/x.fa.gz")
