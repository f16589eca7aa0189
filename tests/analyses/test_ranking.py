import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.analyses.nucleus import nuclei, shared_ranks
from gfm_utils.analyses.ranking import expected_shared, matched_null, rank_biased_overlap

RANKINGS = st.permutations(range(8))


def plain(first, second, p):
    """Equation 30 of Webber, Moffat and Zobel (2010), word for word, on two equally long lists."""
    shared = [len(set(first[:d]) & set(second[:d])) for d in range(1, len(first) + 1)]
    total = sum(x / d * p**d for d, x in enumerate(shared, 1))
    return shared[-1] / len(first) * p ** len(first) + (1 - p) / p * total


@given(RANKINGS, RANKINGS, st.floats(0.1, 0.99), st.integers(2, 8))
def test_rbo_is_the_papers_formula_and_a_share(first, second, persistence, depth):
    first, second = first[:depth], second[:depth]
    shared = np.array([len(set(first[:d]) & set(second[:d])) for d in range(1, depth + 1)])
    ours = float(rank_biased_overlap(shared, persistence))
    assert ours == pytest.approx(plain(first, second, persistence))
    assert -1e-12 <= ours <= 1 + 1e-12


def test_rbo_of_equal_and_of_disjoint_rankings():
    depth = np.arange(1, 11)
    assert rank_biased_overlap(depth) == pytest.approx(1)
    assert rank_biased_overlap(0 * depth) == 0
    assert rank_biased_overlap(np.stack([depth, 0 * depth])) == pytest.approx([1, 0])


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
