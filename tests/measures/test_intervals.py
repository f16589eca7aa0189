import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.measures.intervals import (
    difference,
    jackknife_values,
    over_members,
    over_pairs,
    over_sequences,
    pseudo_values,
    welch,
)


@given(st.lists(st.integers(-100, 100), min_size=3, max_size=8))
def test_members_interval_is_students(values):
    value, low, high = over_members(values)
    if np.std(values) < 1e-9:
        assert low == pytest.approx(high)
        return
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected) and value == pytest.approx(np.mean(values))


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=8))
def test_jackknife_values_of_a_mean_are_the_members_own(values):
    sample = np.array(values)
    without = (sample.sum() - sample) / (len(sample) - 1)
    assert jackknife_values(sample.mean(), without) == pytest.approx(sample, abs=1e-9)


def test_pairs_against_leaving_out_each_member_in_turn():
    rng = np.random.default_rng(0)
    matrix = rng.random((5, 5))
    matrix = matrix + matrix.T
    upper = np.triu_indices(5, 1)
    without = []
    for i in range(5):
        rest = np.delete(np.delete(matrix, i, 0), i, 1)
        without.append(rest[np.triu_indices(4, 1)].mean())
    mean, spread = matrix[upper].mean(), np.square(np.array(without) - np.mean(without)).sum()
    reach = stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * spread)
    assert over_pairs(matrix) == pytest.approx((mean, mean - reach, mean + reach))


def test_pairs_of_members_keep_their_level_where_pairs_as_independent_do_not():
    """Pairs a_i + a_j + noise of members with effects, of two ensembles that do not differ: intervals, tests."""
    rng, upper = np.random.default_rng(0), np.triu_indices(5, 1)
    covered, naive_covered, rejected, naive_rejected = np.zeros(4)
    for _ in range(400):
        first, second = (
            effect[:, None] + effect[None] + (noise + noise.T) / 2
            for effect, noise in ((rng.normal(size=5), rng.normal(size=(5, 5))) for _ in range(2))
        )
        covered += np.prod(over_pairs(first)[1:]) <= 0
        pairs = first[upper]
        naive_covered += np.prod(stats.t.interval(0.95, 9, pairs.mean(), stats.sem(pairs))) <= 0
        rejected += difference(pseudo_values(first), pseudo_values(second)).p <= 0.05
        naive_rejected += stats.ttest_ind(pairs, second[upper]).pvalue <= 0.05
    assert covered / 400 > 0.92 and rejected / 400 < 0.08
    assert naive_covered / 400 < 0.85 and naive_rejected / 400 > 0.12


def test_sequences_interval_of_a_ratio_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        weights = rng.integers(1, 9, 80)
        values = weights * 2.0 + np.sqrt(weights) * rng.standard_normal(80)
        value, low, high = over_sequences(values, weights)
        assert value == pytest.approx(values.sum() / weights.sum())
        covered += low <= 2.0 <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
    assert np.isnan(over_sequences([1.0]).low)


samples = st.lists(st.integers(-100, 100), min_size=4, max_size=5)


@settings(max_examples=25, deadline=None)
@given(samples, samples)
def test_difference_is_welchs_with_whole_degrees_of_freedom_and_turns_its_sign_with_the_order(first, second):
    value, low, high, p = difference(first, second)
    assert difference(second, first) == pytest.approx((-value, -high, -low, p))
    assert 0 <= p <= 1
    if min(np.std(first), np.std(second)) > 0:
        plain = stats.ttest_ind(first, second, equal_var=False)
        freedom = np.floor(plain.df + 1e-9)
        reach = stats.t.ppf(0.975, freedom) * abs(value / plain.statistic) if value else (high - low) / 2
        assert (low, high) == pytest.approx((value - reach, value + reach))
        assert p == pytest.approx(2 * stats.t.sf(abs(plain.statistic), freedom))


def test_too_few_members_give_no_interval_and_no_spread_a_sure_one():
    assert np.isnan(over_pairs([[0, 1], [1, 0]]).low) and np.isnan(over_members([1.0]).high)
    assert difference([1, 1, 1], [2, 2, 2]) == (-1, -1, -1, 0)
    assert difference([1, 1, 1], [1, 1, 1]) == (0, 0, 0, 1)
    assert np.isnan(difference([1], [11, 12, 13])[1:]).all()


def test_members_and_windows_together_cover_where_members_alone_do_not():
    """Numbers of 5 members on 40 windows: effects of members, of windows, and of both."""
    rng, shape, hits = np.random.default_rng(0), (2000, 2, 5, 40), {}
    numbers = 0.3 * rng.normal(size=(*shape[:3], 1)) + 2 * rng.normal(size=(*shape[:2], 1, 40))
    numbers += rng.normal(size=shape)
    windows = (numbers.mean(2).var(-1, ddof=1) / 40).sum(1)
    for name, further in (("members", 0.0), ("both", windows)):
        found = welch(*np.moveaxis(numbers.mean(-1), 1, 0), further)
        hits[name] = (found.p > 0.05).mean()  # there is no difference
    assert 0.94 < hits["both"] < 0.97
    assert hits["members"] < 0.7
