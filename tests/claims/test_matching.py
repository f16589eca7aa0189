"""Effects and parts of a gap against closed forms, sources whose answer is known, and by their properties."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.claims.claim import AGAINST, FOR, UNDECIDED
from gfm_utils.claims.matching import (
    LEAST_GAP,
    Scale,
    gap_at_equal_gain,
    jackknife,
    left_out,
    outcome,
    share_of_gap,
)
from gfm_utils.measures.estimates import Estimate, estimate
from gfm_utils.measures.intervals import holm, over_members
from gfm_utils.measures.registry import MEASURES
from gfm_utils.measures.rows import WITHOUT
from gfm_utils.tables import table


def subtract(a, b):
    return float(a[0] - b[0])


def test_jackknife_of_a_difference_is_welch():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 5), rng.normal(0, 3, 7)
    found = jackknife(subtract, [a[:, None]], [b[:, None]])
    known = stats.ttest_ind(a, b, equal_var=False)
    freedom = np.floor(known.df)  # rounded down, as everywhere
    reach = stats.t.ppf(0.975, freedom) * (a.mean() - b.mean()) / known.statistic
    np.testing.assert_allclose(found[:3], a.mean() - b.mean() + np.array([0, -reach, reach]), rtol=1e-12)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(known.statistic), freedom))


def test_jackknife_of_paired_members_is_the_paired_test():
    rng = np.random.default_rng(6)
    common = rng.normal(0, 3, 5)
    a, b = common + rng.normal(1, 1, 5), common + rng.normal(0, 1, 5)
    found = jackknife(subtract, [a[:, None], b[:, None]])
    np.testing.assert_allclose(found[:3], over_members(a - b), rtol=1e-12)
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_what_is_undefined_has_no_p_value_and_counts_as_no_test():
    found = jackknife(subtract, [np.array([[np.nan], [1.0]])], [np.ones((3, 1))])
    assert np.isnan([found.value, found.low, found.high, found.p]).all()
    assert holm([0.01, np.nan, 0.02]) == pytest.approx([0.03, 1, 0.04])
    assert outcome([found.value], float(holm([found.p])[0]), True) == UNDECIDED
    assert outcome([1], np.nan, True) == UNDECIDED


def test_a_share_of_a_member_s_number_against_the_delta_method():
    """Mutual information is a number of all members: what it is without each of them stands in for theirs."""
    rng, seeds = np.random.default_rng(1), range(400)
    below = rng.normal(2, 0.01, 400)
    above = 0.5 * below + rng.normal(0, 0.01, 400)
    base = {"condition": "a@kmer1", "state": "trained", "unit": "bits/token"}
    whole = {**base, "metric": "mutual_information"}
    rows = [{**base, "metric": "context_gain", "member": seed, "value": below[seed]} for seed in seeds]
    rows += [{**whole, "axis": WITHOUT, "x": seed, "value": np.delete(above, seed).mean()} for seed in seeds]
    found = estimate(MEASURES["mutual_information_per_gain"], table([*rows, {**whole, "value": above.mean()}]))
    assert found.interval.value == pytest.approx(above.mean() / below.mean(), abs=1e-12)
    error = np.std(above - found.interval.value * below, ddof=1) / np.sqrt(400) / below.mean()
    assert found.interval.high - found.interval.value == pytest.approx(stats.t.ppf(0.975, 399) * error, rel=0.01)


def test_an_interval_over_members_and_windows_adds_both_variances():
    values = np.array([1.0, 2.0, 4.0])
    over = Estimate(over_members(values), values)
    assert over.over_both == over.interval
    both = replace(over, windows=0.5).over_both
    error = np.sqrt(values.var(ddof=1) / 3 + 0.5)
    freedom = np.floor(error**4 / ((values.var(ddof=1) / 3) ** 2 / 2))
    assert both.value == pytest.approx(7 / 3)
    assert both.high - both.value == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    pair = Estimate(over_members(values[:2]), values[:2], windows=0.5)
    assert pair.over_both.high != pair.interval.high


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_no_correction_and_bonferroni(p):
    found = holm(p)
    assert (found >= np.array(p)).all()
    assert (found <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def cloud(rng, gain, value, members=5, spread=1e-3, symbols=2.0):
    """Gain, measure and symbols a token of some members."""
    drawn = rng.normal([gain, value], spread, (members, 2))
    return np.column_stack([drawn, np.full(members, symbols)])


def share_of(first, second):
    return np.array([first[0], second[0]])


def test_share_against_the_closed_form_of_fieller():
    """With all members in one group the limits are the roots of a quadratic (Fieller, 1954)."""
    rng = np.random.default_rng(12)
    part, whole = rng.normal(1, 0.3, 6), rng.normal(2, 0.5, 6)
    found = share_of_gap(*left_out(share_of, [part[:, None], whole[:, None]]))
    (xx, xy), (_, yy) = np.cov(part, whole) / 6 * stats.t.ppf(0.975, 5) ** 2
    x, y = part.mean(), whole.mean()
    limits = np.sort(np.roots([y**2 - yy, -2 * (x * y - xy), x**2 - xx]))
    np.testing.assert_allclose([found.value, found.low, found.high], [x / y, *limits], rtol=1e-9)
    assert found.p == pytest.approx(stats.ttest_1samp(part, 0).pvalue)


def test_a_share_of_a_gap_that_may_be_nothing_is_no_number():
    rng = np.random.default_rng(11)
    found = share_of_gap(*left_out(share_of, [rng.normal(1, 0.1, (5, 1))], [rng.normal(0, 1, (5, 1))]))
    assert np.isnan(found).all()


def world(rng, gains, of_gain, spread=1e-3, common=0.0):
    """Doses of one corpus whose members share their seeds: part of the spread is the same in all of them."""
    shared = rng.normal(0, spread * np.sqrt(common), (5, 2))
    found = [cloud(rng, gain, of_gain(gain), spread=spread * np.sqrt(1 - common)) for gain in gains]
    return [one + np.pad(shared, ((0, 0), (0, 1))) for one in found]


def test_the_parts_of_a_gap_add_up():
    """Token frequencies make a difference in random order, too, and that is no part of what is left."""
    rng = np.random.default_rng(9)
    ladder = world(rng, (2.0, 1.0, 0.0), lambda gain: 0.5 + 0.2 * gain)
    other, floor = world(rng, (0.5, 0.0), lambda gain: 0.2 + (0.2 if gain == 0.5 else 0))
    found = gap_at_equal_gain(ladder[0], ladder, other, floors=(ladder[2], floor))
    assert found.gone.value + found.floors.value + found.left.value == pytest.approx(1)
    assert found.gone.value == pytest.approx(0.3 / 0.5, abs=0.02)
    assert found.floors.value == pytest.approx(0.3 / 0.5, abs=0.02)
    assert found.left.low < -0.1 / 0.5 < found.left.high < 0


def test_each_scale_draws_a_straight_line_of_its_own():
    """The first kind's measure is that function of its gain in which the line is straight."""
    rng = np.random.default_rng(8)
    ways = {
        Scale.TOKEN: lambda gain, symbols: gain,
        Scale.SYMBOL: lambda gain, symbols: gain / symbols,
        Scale.LOG: lambda gain, symbols: np.log(gain),
    }
    for scale, way in ways.items():
        ladder = [cloud(rng, gain, way(gain, 2.0), spread=1e-6) for gain in (2.0, 0.1)]
        at = cloud(rng, 0.5, way(0.5, 4.0), spread=1e-6, symbols=4.0)

        def left(which, ladder=ladder, at=at):
            return gap_at_equal_gain(ladder[0], ladder, at, which).beside - at[:, 1].mean()

        assert left(scale) == pytest.approx(0, abs=1e-4), scale
        assert min(abs(left(other)) for other in ways if other is not scale) > 0.05


@pytest.mark.parametrize("common", [0.0, 0.8])
def test_interval_of_what_is_gone_covers_as_often_as_it_says(common):
    """Also where the gain of the members varies, which moves the place on the line, and with common seeds."""
    rng, inside, runs = np.random.default_rng(3), np.zeros(3), 300
    for _ in range(runs):
        ladder = world(rng, (2.0, 1.0, 0.0), lambda gain: gain, spread=0.05, common=common)
        other, floor = world(rng, (0.5, 0.0), lambda gain: 0.3 * (gain > 0) - 0.1, spread=0.05, common=common)
        found = gap_at_equal_gain(ladder[0], ladder, other, floors=(ladder[2], floor))
        true = 1.5 / 1.8, 0.1 / 1.8, 0.2 / 1.8
        ways = found.gone, found.floors, found.left
        inside += [way.low < one < way.high for way, one in zip(ways, true, strict=True)]
    assert all(stats.binomtest(int(count), runs, 0.95).pvalue > 0.001 for count in inside)


def test_outside_of_the_ladder_there_is_no_match():
    rng = np.random.default_rng(4)
    ladder = [cloud(rng, 1.0, 0.2), cloud(rng, 0.0, 0.1)]
    for scale in Scale:
        assert gap_at_equal_gain(ladder[0], ladder, cloud(rng, 1.5, 0.2), scale) is None
    assert gap_at_equal_gain(ladder[0], ladder, cloud(rng, -2 * LEAST_GAP, 0.2)) is None
    assert gap_at_equal_gain(ladder[0], ladder[:1], cloud(rng, 0.5, 0.2)) is None
    found = gap_at_equal_gain(ladder[0], ladder, cloud(rng, -LEAST_GAP / 2, 0.4))
    assert found.beside == pytest.approx(0.1, abs=0.01)


def test_doses_that_gain_the_same_are_averaged_not_divided_by():
    rng = np.random.default_rng(5)
    ladder = [cloud(rng, 1e-5, 0.3, spread=1e-6), cloud(rng, 0.0, 0.1, spread=1e-6)]
    found = gap_at_equal_gain(ladder[0], ladder, cloud(rng, 0.5e-5, 0.2, spread=1e-7))
    assert found.beside == pytest.approx(0.2, abs=1e-5)


def test_doses_at_the_least_of_the_logarithm():
    """Without one member both ends may be there, where a line between them has no slope."""

    def members(*gains):
        return np.array([[gain, 0.1 + 0.01 * place, 2.0] for place, gain in enumerate(gains)])

    ladder = [members(1.0, 1.1, 1.2), members(0.0, 0.001, -0.001), members(0.015, 0.021, 0.03)]
    for scale in Scale:
        found = gap_at_equal_gain(ladder[0], ladder, members(0.0, 0.001, 0.002), scale)
        assert found is not None and np.isfinite(found.beside)


@pytest.mark.parametrize(
    ("values", "p", "above", "said"),
    [
        ((1, 2), 0.01, True, FOR),
        ((1, 2), 0.01, False, AGAINST),
        ((-1, -2), 0.01, False, FOR),
        ((1, -2), 0.01, True, UNDECIDED),
        ((1, 2), 0.2, True, UNDECIDED),
    ],
)
def test_outcome_needs_all(values, p, above, said):
    assert outcome(values, p, above) == said
