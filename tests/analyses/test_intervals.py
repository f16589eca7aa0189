import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.analyses.intervals import over_members, over_members_jackknife, over_pairs, over_sequences


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=8))
def test_members_interval_is_students(values):
    value, low, high = over_members(values)
    if np.std(values) < 1e-9:
        assert low == pytest.approx(high)
        return
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected) and value == pytest.approx(np.mean(values))


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=8))
def test_jackknife_of_a_mean_over_members_is_students_interval(values):
    sample = np.array(values)
    without = (sample.sum() - sample) / (len(sample) - 1)
    assert over_members_jackknife(sample.mean(), without) == pytest.approx(over_members(values), abs=1e-9)


def test_pairs_against_leaving_out_each_member_in_turn():
    rng = np.random.default_rng(0)
    matrix = rng.random((5, 5))
    matrix = matrix + matrix.T
    upper = np.triu_indices(5, 1)
    without = []
    for i in range(5):
        rest = np.delete(np.delete(matrix, i, 0), i, 1)
        without.append(rest[np.triu_indices(4, 1)].mean())
    expected = over_members_jackknife(matrix[upper].mean(), without)
    assert over_pairs(matrix) == pytest.approx(expected)


def test_pairs_interval_covers_where_the_interval_over_pairs_does_not():
    """Pair values a_i + a_j: members are independent, pairs are not."""
    rng = np.random.default_rng(1)
    covered = naive = 0
    for _ in range(600):
        effect = rng.normal(size=5)
        matrix = effect[:, None] + effect[None]
        _, low, high = over_pairs(matrix)
        covered += low <= 0 <= high
        pairs = matrix[np.triu_indices(5, 1)]
        low, high = stats.t.interval(0.95, 9, pairs.mean(), stats.sem(pairs))
        naive += low <= 0 <= high
    assert covered / 600 == pytest.approx(0.95, abs=0.03)
    assert naive / 600 < 0.85


def test_too_few_members_give_no_interval():
    assert np.isnan(over_pairs([[0, 1], [1, 0]]).low)
    assert np.isnan(over_members([1.0]).high)
    assert np.isnan(over_members_jackknife(1.0, [1, 1]).high)


def test_sequences_interval_is_scipys_bootstrap():
    sample = np.random.default_rng(0).gamma(2.0, size=60)
    value, low, high = over_sequences(sample)
    theirs = stats.bootstrap((sample,), np.mean, method="percentile", n_resamples=5000, rng=0).confidence_interval
    assert value == pytest.approx(sample.mean())
    assert (low, high) == pytest.approx(tuple(theirs), abs=0.06)


def test_sequences_interval_of_a_ratio_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        weights = rng.integers(1, 9, 80)
        values = weights * 2.0 + np.sqrt(weights) * rng.standard_normal(80)
        value, low, high = over_sequences(values, weights, seed=trial)
        assert value == pytest.approx(values.sum() / weights.sum())
        covered += low <= 2.0 <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
    assert np.isnan(over_sequences([1.0]).low)
