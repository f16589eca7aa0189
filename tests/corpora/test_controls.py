"""Surrogates and shuffles: what is to stay stays exactly, and what is said of the chain is true of it."""

from collections import Counter
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import Segment
from gfm_utils.corpora.controls import (
    MarkovChain,
    shuffle_pairs,
    shuffle_sentences,
    shuffle_symbols,
    shuffle_words,
)
from gfm_utils.errors import GfmError


def pairs(text):
    return Counter(pairwise(text))


def one(text):
    return [Segment("r", 5, text)]


def rng():
    return np.random.default_rng(1)


@given(st.text("abC é", min_size=1, max_size=60), st.integers(0, 9))
def test_pairs_stay_to_the_last_count(text, seed):
    (got,) = shuffle_pairs(one(text), np.random.default_rng(seed))
    assert pairs(got.text) == pairs(text)
    (symbols,) = shuffle_symbols(one(text), np.random.default_rng(seed))
    assert Counter(symbols.text) == Counter(text)
    assert (got.text[0], got.text[-1], got.start, got.record) == (text[0], text[-1], 5, "r")


def test_every_order_with_the_same_pairs_is_equally_likely():
    text = "AACACAGCA"
    ways = {"".join(way) for way in permutations(text)}
    ways = {way for way in ways if pairs(way) == pairs(text) and (way[0], way[-1]) == (text[0], text[-1])}
    drawn, n, random = Counter(), 20_000, rng()
    for got in shuffle_pairs(one(text) * n, random):
        drawn[got.text] += 1
    assert set(drawn) == ways and len(ways) > 5
    expected = n / len(ways)
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < len(ways) + 5 * len(ways) ** 0.5


def test_words_and_sentences_move_and_white_space_stays():
    text = "One two  three four.\nFive six? Seven\teight 3.14 nine. Ten"
    (words,) = shuffle_words(one(text), rng())
    assert Counter(words.text.split()) == Counter(text.split()) and words.text != text
    assert [c for c in words.text if c.isspace()] == [c for c in text if c.isspace()]
    (sentences,) = shuffle_sentences(one(text), np.random.default_rng(3))
    whole = ("One two  three four.", "Five six?", "Seven\teight 3.14 nine.", "Ten")
    assert all(sentence in sentences.text for sentence in whole)
    assert sentences.text != text and len(sentences.text) == len(text)


@pytest.mark.parametrize("temperature", [1.0, 0.4, 2.0])
def test_rate_is_that_of_the_dense_chain(temperature):
    """Rows counted one by one, the stationary distribution by linear algebra."""
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 2000, p=[0.4, 0.3, 0.2, 0.1]))
    circle = text + text[:2]
    counts = Counter(circle[i : i + 3] for i in range(len(text)))
    contexts = ["".join(c) for c in product("ACGT", repeat=2)]
    step, rows = np.zeros((16, 16)), []
    for i, context in enumerate(contexts):
        row = np.array([counts[context + x] for x in "ACGT"], float) ** (1 / temperature)
        rows.append(row / row.sum())
        for x, p in zip("ACGT", rows[-1], strict=True):
            step[i, contexts.index(context[1] + x)] += p
    values, vectors = np.linalg.eig(step.T)
    pi = np.real(vectors[:, np.argmax(np.real(values))])
    pi /= pi.sum()
    rate = -sum(w * (p[p > 0] * np.log2(p[p > 0])).sum() for w, p in zip(pi, rows, strict=True))
    chain = MarkovChain.fit(one(text), 2, temperature)
    assert chain.rate == pytest.approx(rate, abs=1e-9)
    assert chain.stationary == pytest.approx(pi, abs=1e-9)


def test_sample_follows_the_chain():
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 5000, p=[0.4, 0.3, 0.2, 0.1]))
    chain = MarkovChain.fit(one(text), 1, 0.5)
    got = chain.sample(200_000, rng())
    assert set(pairwise(got)) <= set(pairwise(text + text[0]))  # none that was not seen
    again = MarkovChain.fit(one(got), 1)
    assert again.rate == pytest.approx(chain.rate, abs=0.01)
    assert again.stationary == pytest.approx(chain.stationary, abs=0.01)


def test_the_longest_order_works_where_ids_would_overflow():
    text = "".join(chr(200 + i % 97) for i in range(500))
    chain = MarkovChain.fit(one(text), 12)
    assert chain.rate == pytest.approx(0.0, abs=0.1)
    assert chain.sample(300, rng())[0] in text


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(GfmError, match="a chain of order 8 cannot be fitted to 7 symbols"):
        MarkovChain.fit(one("ACGTACG"), 8)
