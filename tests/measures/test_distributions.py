"""Entropy, divergences and agreement of rankings, against SciPy, formulas written down, and simulation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from truncation import top_p, top_p_authors

from gfm_utils.measures.distributions import (
    entropy,
    expected_shared,
    js_divergence,
    kl_uniform_authors,
    matched_null,
    rank_biased_overlap,
)
from gfm_utils.measures.nucleus import nuclei, shared_ranks

# Without subnormal numbers: halving the smallest of them gives 0, and SciPy's distance then is infinite.
SHARES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=6, max_size=6).filter(lambda x: sum(x) > 1e-3)


def distribution(weights):
    p = np.array(weights)
    return torch.from_numpy(p / p.sum())


@given(SHARES, SHARES)
def test_js_is_scipys_symmetric_and_bounded(a, b):
    p, q = distribution(a), distribution(b)
    ours = float(js_divergence(p, q))
    assert ours == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert ours == pytest.approx(float(js_divergence(q, p)), abs=1e-15)
    assert 0 <= ours <= 1


def test_js_of_close_distributions_is_neither_nan_nor_negative():
    """Rounding alone makes the plain difference negative for some: the authors' NaN after the root."""
    p = torch.full((4096,), 1 / 4096, dtype=torch.float64)
    wave = torch.cos(torch.arange(4096, dtype=torch.float64)) * 1e-4
    q = p * (1 + wave - wave.mean())
    # second order: JS = chi² / 8 in nats
    assert float(js_divergence(p, q)) == pytest.approx(float(((p - q) ** 2 / p).sum() / 8 / np.log(2)), rel=1e-3)
    same = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(257), 500))
    nudged = same * (1 + 1e-16)
    assert (js_divergence(same, nudged) >= 0).all()


@given(SHARES)
def test_the_two_divergences_from_uniform_are_scipys(weights):
    p = distribution([weight + 1e-6 for weight in weights])
    uniform = np.full(6, 1 / 6)
    assert float(np.log2(6) - entropy(p)) == pytest.approx(stats.entropy(p, uniform, base=2), abs=1e-9)
    assert float(kl_uniform_authors(p.log())) == pytest.approx(stats.entropy(uniform, p, base=2), abs=1e-9)


def test_top_p_keeps_the_token_that_crosses_and_the_authors_drop_it_unless_it_is_the_first():
    p = torch.tensor([0.125, 0.5, 0.125, 0.25], dtype=torch.float64)
    assert top_p(p, 0.5).tolist() == [0, 1, 0, 0] == top_p_authors(p, 0.5).tolist()
    assert top_p(p, 0.51).tolist() == pytest.approx([0, 0.5 / 0.75, 0, 0.25 / 0.75])
    assert top_p_authors(p, 0.51).tolist() == [0, 1, 0, 0]
    assert top_p(p, 0.05).tolist() == [0, 1, 0, 0]
    assert top_p_authors(p, 0.05).tolist() == [0, 1, 0, 0]
    assert top_p(p, 0.8).tolist() == pytest.approx([1 / 7, 4 / 7, 0, 2 / 7])  # of equals the lower id
    assert top_p(p, 1.0) is p and top_p_authors(p, 1.0) is p


RANKINGS = st.permutations(range(8))


def plain(first, second, p):
    """Equation 30 of Webber, Moffat and Zobel (2010), word for word, on two equally long lists."""
    shared = [len(set(first[:d]) & set(second[:d])) for d in range(1, len(first) + 1)]
    total = sum(x / d * p**d for d, x in enumerate(shared, 1))
    return shared[-1] / len(first) * p ** len(first) + (1 - p) / p * total


@given(RANKINGS, RANKINGS, st.integers(2, 8))
def test_rbo_is_the_papers_formula_and_a_share(first, second, depth):
    first, second = first[:depth], second[:depth]
    shared = np.array([len(set(first[:d]) & set(second[:d])) for d in range(1, depth + 1)])
    ours = float(rank_biased_overlap(shared))
    assert ours == pytest.approx(plain(first, second, 0.9))
    assert -1e-12 <= ours <= 1 + 1e-12


def test_expected_level_by_simulation():
    """Two members with tastes of their own, that choose independently for each place."""
    rng = np.random.default_rng(0)
    taste = rng.dirichlet(np.full(12, 1.0), 2)
    p = np.stack([rng.dirichlet(8 * taste[m] + 1e-3, 20_000) for m in range(2)])
    first = nuclei(p).first
    counts = np.stack([[np.bincount(first[m, :, d], minlength=12) for d in range(12)] for m in range(2)])
    expected = expected_shared(counts)[0, 1]
    found = shared_ranks(first, 12).mean(0)[:, 0]
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert expected[-1] == pytest.approx(12)


def test_matched_null_keeps_the_probabilities_and_no_ranking():
    p = np.random.default_rng(1).dirichlet(np.full(30, 0.2), (2, 4000))
    null = matched_null(p, np.arange(4000))
    np.testing.assert_array_equal(matched_null(p[:, 7:9], np.array([7, 8])), null[:, 7:9])
    np.testing.assert_array_equal(np.sort(null), np.sort(p))
    first = null.argmax(-1)
    assert (first[0] == first[1]).mean() == pytest.approx(1 / 30, abs=0.01)
    assert (first[0] == p[0].argmax(-1)).mean() == pytest.approx(1 / 30, abs=0.01)
