"""Conditions whose corpus is an address: what of ``+``, ``:`` and ``@`` belongs to which part."""

import re

import pytest

from gfm_utils.corpora import user_path
from gfm_utils.corpora.addresses import parse_address
from gfm_utils.errors import GfmError
from gfm_utils.tokens import Condition

PIN = f"#sha256={'0a' * 32}"


@pytest.mark.parametrize(
    ("corpus", "transform"),
    [
        ("https://host/genome.fa.gz", None),
        ("https://host/genome.fa.gz", "markov4"),
        ("https://user@host/x.fa", "noise0.25"),
        ("http://127.0.0.1:8000/a+b@c/x.fa", None),
        ("http://127.0.0.1:8000/a+b@c/x.csv:words", "shuffle"),
        (f"https://host/x.csv{PIN}:body", "words"),
        (f"https://host/x.fa{PIN}", "markov4t0.5"),
        ("https://host/x.fa?mail=a@b.org&name=a+b", None),
        ("hf://datasets/owner/name", None),
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


def test_a_tokenizer_is_missed_in_an_address_with_a_user():
    with pytest.raises(GfmError, match=r"unknown tokenizer 'host/x\.fa'"):
        Condition.parse("https://user@host/x.fa")


def test_a_misspelt_control_of_a_corpus_that_is_there(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    for corpus in (tmp_path / "a.fa", "news"):
        with pytest.raises(GfmError, match="unknown transform 'markof4'; there are noise, "):
            Condition.parse(f"{corpus}+markof4@kmer2")
    (tmp_path / "a.fa+b.fa").write_text(">a\nACGT\n")
    assert Condition.parse(f"{tmp_path}/a.fa+b.fa@kmer2").transform is None
    assert Condition.parse(f"{tmp_path}/none+b.fa@kmer2").transform is None
