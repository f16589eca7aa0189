"""Conditions whose corpus is an address: what of ``+``, ``:`` and ``@`` belongs to which part."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import user_path
from gfm_utils.corpora.addresses import parse_address
from gfm_utils.errors import GfmError
from gfm_utils.tokens import Condition, is_condition, is_control

PIN = f"#sha256={'0a' * 32}"


@pytest.mark.parametrize(
    ("corpus", "transform"),
    [
        ("https://user@host/x.fa", "noise0.25"),
        ("http://127.0.0.1:8000/a+b@c/x.csv:words", "shuffle"),
        (f"https://host/x.csv{PIN}:body", "words"),
        ("https://host/x.fa?mail=a@b.org&name=a+b", None),
        ("hf://datasets/owner/name/data/*.jsonl?field=seq&kind=dna", "dinucleotide"),
        ("hf://datasets/owner/name?config=a+b", "reverse"),
    ],
)
def test_parts(corpus, transform):
    text = f"{corpus}+{transform}@kmer4" if transform else f"{corpus}@kmer4"
    found = Condition.parse(text)
    assert (found.corpus, found.transform, found.tokenizer, str(found)) == (corpus, transform, "kmer4", text)
    assert re.fullmatch(r"[A-Za-z0-9.@_-]{1,60}", found.slug) and found.slug.endswith("@kmer4")
    assert user_path(corpus) is None
    parse_address(corpus)


@pytest.mark.parametrize(
    "text", ["https://user@host/x.fa", "my@file.fa", "/data/a@b/x.csv:body", "me@x.fa+shuffle"]
)
def test_a_tokenizer_is_missed_where_the_last_at_belongs_to_the_name(text):
    told = rf"condition '{re.escape(text)}' names no tokenizer, .*; write {re.escape(text)}@kmer4 for DNA or "
    for read in (Condition.parse, Condition.resolve):
        with pytest.raises(GfmError, match=told):
            read(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("my@file.fa@kmer4", ("my@file.fa", None)),
        ("x+shuffle.fa@kmer4", ("x+shuffle.fa", None)),
        ("x+shuffle@kmer4", ("x", "shuffle")),
        ("a@kmer4@kmer4", ("a@kmer4", None)),
    ],
)
def test_what_belongs_to_the_name_of_a_file(text, parts):
    found = Condition.parse(text)
    assert ((found.corpus, found.transform), found.tokenizer, str(found)) == (parts, "kmer4", text)
    assert is_condition(text) and is_control(text) == (parts[1] is not None)


#: What names of corpora are made of, with all that a condition gives a meaning to.
BITS = st.sampled_from(
    ["a", "tair10", ".fa", "+", "+shuffle", "+noise0.3", "+markov2", "@", "@kmer4", "/", ":b", "+noise7"]
)
CORPORA = st.lists(BITS, min_size=1, max_size=6).map("".join)
CHAINS = st.sampled_from([None, "shuffle", "markov2", "markov2t0.5+noise0.3", "reverse+uniform"])


@given(CORPORA | st.text(min_size=1), st.sampled_from(["kmer4", "bpe256"]), CHAINS)
def test_every_condition_is_read_back_from_its_text(corpus, tokenizer, transform):
    """A corpus with the name of a control is none (``a+shuffle``), and no user's text is read as one."""
    condition = Condition(corpus, tokenizer, transform)
    text = f"{corpus}{f'+{transform}' if transform else ''}@{tokenizer}"
    assert str(condition) == text == f"{condition.beside_tokenizer}@{tokenizer}"
    assert text == f"{corpus}{condition.beside_corpus}"
    assert re.fullmatch(r"[A-Za-z0-9.@_-]{1,60}", condition.slug)
    if is_condition(f"{corpus}@{tokenizer}") and not is_control(f"{corpus}@{tokenizer}"):
        assert Condition.parse(text) == condition


def test_a_directory_with_the_name_of_a_control_is_refused(tmp_path):
    (tmp_path / "a+reverse").mkdir()
    for text in ("a+reverse@kmer4", "a+reverse+shuffle@kmer4"):
        with pytest.raises(GfmError, match=r"'.*/a\+reverse' would be read as a control of '.*/a'; rename it"):
            Condition.resolve(f"{tmp_path}/{text}")


def test_a_file_with_the_name_of_a_control_is_no_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tair10-chr1+shuffle").touch()
    assert Condition.resolve("tair10-chr1+shuffle@kmer4") == Condition("tair10-chr1", "kmer4", "shuffle")
    (tmp_path / "x.csv").write_text("body,title\nwords,one\n")
    assert Condition.resolve("x.csv:body+shuffle@bpe64") == Condition("x.csv:body", "bpe64", "shuffle")


def test_a_corpus_must_be_there(tmp_path):
    with pytest.raises(GfmError, match="unknown corpus 'nwes'; did you mean 'news'"):
        Condition.resolve("nwes+shuffle@bpe64")
    with pytest.raises(GfmError, match=r"no file .*/none\.fa; give the path of a file"):
        Condition.resolve(f"{tmp_path}/none.fa@kmer4")
    assert Condition.resolve("nwes@bpe64", missing_ok=True).corpus == "nwes"
    with pytest.raises(GfmError, match=r"ftp://h/x\.fa begins with ftp://"):
        Condition.resolve("ftp://h/x.fa@kmer4")
    (tmp_path / "x@kmer4").mkdir()
    with pytest.raises(GfmError, match=r"no file .*/x; give"):
        Condition.resolve(f"{tmp_path}/x@kmer4")
    assert Condition.resolve(f"{tmp_path}/x@kmer4@kmer2").corpus == f"{tmp_path}/x@kmer4"


def test_a_misspelt_control_of_a_corpus_that_is_there(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    for corpus in (tmp_path / "a.fa", "news"):
        with pytest.raises(GfmError, match="unknown transform 'markof4'; there are noise, "):
            Condition.resolve(f"{corpus}+markof4@kmer2")
    (tmp_path / "a.fa+b.fa").write_text(">a\nACGT\n")
    assert Condition.resolve(f"{tmp_path}/a.fa+b.fa@kmer2").transform is None
    with pytest.raises(GfmError, match=r"no file .*/none\+b\.fa"):
        Condition.resolve(f"{tmp_path}/none+b.fa@kmer2")
