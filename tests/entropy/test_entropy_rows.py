"""The tables: columns, units, bounds."""

import numpy as np
import pytest

from gfm_utils.corpora import Corpus, Segment
from gfm_utils.entropy.codelength import DNA_CODERS, TEXT_CODERS, code_lengths
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.rows import EXTRA, corpus_entropy, token_entropy
from gfm_utils.entropy.symbols import encode_characters, encode_letters
from gfm_utils.errors import GfmError
from gfm_utils.tables import COLUMNS, to_rows


def corpus(name, kind, *texts):
    return Corpus(name, kind, [Segment("", 0, text) for text in texts], "0" * 64, "", "", "")


BASES = "".join(np.random.default_rng(0).choice(list("ACGT"), 20_000))
DNA = corpus("noise", "dna", BASES[:7_000], "", BASES[7_000:])
PROSE = corpus("prose", "text", "the cat sat on the mät 🙂. " * 40, "a dog. " * 30)


def test_rows_of_dna_keep_the_contract():
    table = corpus_entropy(DNA, 5, codes=code_lengths(DNA), match_symbols=None)
    assert list(table.columns) == [*COLUMNS, *EXTRA]
    assert set(table["condition"]) == {"noise"}
    assert set(table["kind"]) == {"estimate", "upper bound"}
    curve = table[(table["metric"] == "conditional_entropy") & (table["estimator"] == "grassberger")]
    assert curve["order"].tolist() == [1, 2, 3, 4, 5]
    assert curve["x"].tolist() == list("12345")
    assert curve["n"].tolist() == [20_000 - 2 * (k - 1) for k in range(1, 6)]
    np.testing.assert_allclose(curve["value"], 2.0, atol=0.02)
    assert set(curve["unit"]) == {"bits/base"}
    known = curve[curve["se"].notna()]
    np.testing.assert_allclose(known["high"] - known["low"], 2 * 1.96 * known["se"])
    assert set(table.loc[table["metric"] == "code_length", "estimator"]) == {c.value for c in DNA_CODERS}
    assert (table.loc[table["metric"] == "code_length", "value"] > 1.99).all()
    assert table.loc[table["metric"] == "uniform_entropy", "value"].tolist() == [2.0]
    assert (table["metric"] == "unigram_entropy").sum() == len(Estimator)
    assert to_rows(table)[-1]["order"] is None
    rates = table[table["metric"] == "entropy_rate"]
    assert rates["estimator"].tolist() == ["match_length_harmonic", "match_length_arithmetic"]
    assert not rates["trusted"].any() and (rates["low"] < rates["value"]).all()
    assert 0 < table.loc[table["metric"] == "longest_matches_share", "value"].item() < 0.05


def test_rows_of_text():
    codes = code_lengths(PROSE)
    assert [code.coder for code in codes] == list(TEXT_CODERS)
    assert all(code.per_symbol < 2 for code in codes)
    table = corpus_entropy(PROSE, 8, codes=codes)
    assert set(table["unit"]) == {"bits/character", "bits/block"}
    characters = set("".join(s.text for s in PROSE.segments))
    uniform = table.loc[table["metric"] == "uniform_entropy", "value"].item()
    assert uniform == pytest.approx(np.log2(len(characters)))


def test_only_the_first_symbols_are_read():
    codes = code_lengths(DNA, limit=1_000)
    table = corpus_entropy(DNA, 1, max_symbols=9_000, codes=codes, match_symbols=2_000)
    by = table.groupby("metric")["n"].unique().map(list)
    assert by["conditional_entropy"] == [9_000]
    assert by["code_length"] == [1_000]
    assert by["entropy_rate"] == by["longest_matches_share"] == [1_999]


def test_rows_of_tokens_come_in_both_units():
    tokens = [np.random.default_rng(i).integers(0, 256, 20_000).astype(np.uint16) for i in range(2)]
    table = token_entropy("noise@kmer4", tokens, 256, 4.0, "base")
    assert list(table.columns) == [*COLUMNS, *EXTRA]
    unigram = table[(table["metric"] == "unigram_entropy") & (table["estimator"] == "grassberger")]
    assert unigram["unit"].tolist() == ["bits/token", "bits/base"]
    np.testing.assert_allclose(unigram["value"], [8.0, 2.0], atol=0.01)
    assert unigram["se"].iloc[0] == pytest.approx(4 * unigram["se"].iloc[1])
    assert table.loc[table["metric"] == "uniform_entropy", "value"].tolist() == [8.0, 2.0]
    assert set(table.loc[table["metric"] == "block_entropy", "unit"]) == {"bits/block"}
    trusted = table[table["metric"] == "block_entropy"].groupby("order")["trusted"].any()
    assert trusted.loc[1] and not trusted.iloc[-1]


def test_encoding():
    codes, alphabet = encode_letters(["ACGT", "TT"])
    assert alphabet == 4 and [c.tolist() for c in codes] == [[0, 1, 2, 3], [3, 3]]
    ids, alphabet = encode_characters(["abß", "🙂a"])
    assert alphabet == 4 and [i.tolist() for i in ids] == [[0, 1, 2], [3, 0]]


def test_bad_input_is_one_clear_sentence():
    with pytest.raises(GfmError, match="'empty' holds nothing"):
        corpus_entropy(corpus("empty", "text"), 2)
    with pytest.raises(GfmError, match="found 'N'"):
        corpus_entropy(corpus("x", "dna", "ACGNT"), 2)
    with pytest.raises(GfmError, match="no tokens"):
        token_entropy("x@kmer2", [], 16, 2.0, "base")
