"""Effects and rests against closed forms, against sources whose answer is known, and by their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.analyses.claims import AGAINST, FOR, UNDECIDED, Estimate
from gfm_utils.analyses.intervals import holm, over_members
from gfm_utils.analyses.matching import LEAST_GAP, Effect, Scale, jackknife, matched, outcome, ratio


def subtract(a, b):
    return float(a[0] - b[0])


def test_jackknife_of_a_difference_is_welch():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 5), rng.normal(0, 3, 7)
    found = jackknife(subtract, [a[:, None], b[:, None]])
    known = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(found[1:3], known.confidence_interval(), rtol=1e-12)
    assert found.p == pytest.approx(known.pvalue)


def test_jackknife_without_spread():
    one = np.ones((3, 1))
    assert jackknife(subtract, [one, one]) == Effect(0, 0, 0, 1)
    assert jackknife(subtract, [2 * one, one]) == Effect(1, 1, 1, 0)


def test_what_is_undefined_has_no_p_value_and_counts_as_no_test():
    found = jackknife(subtract, [np.array([[np.nan], [1.0]]), np.ones((3, 1))])
    assert np.isnan([found.value, found.low, found.high, found.p]).all()
    assert holm([0.01, np.nan, 0.02]) == pytest.approx([0.03, 1, 0.04])
    assert outcome([found], float(holm([found.p])[0]), True) == UNDECIDED
    assert outcome([Effect(1, 0, 2, np.nan)], np.nan, True) == UNDECIDED


def test_ratio_against_the_delta_method():
    rng = np.random.default_rng(1)
    below = rng.normal(2, 0.01, 400)
    above = 0.5 * below + rng.normal(0, 0.01, 400)
    found = ratio(*(Estimate(over_members(values), values) for values in (above, below)))
    assert found.interval.value == pytest.approx(above.mean() / below.mean(), abs=1e-12)
    error = np.std(above - found.interval.value * below, ddof=1) / np.sqrt(400) / below.mean()
    assert found.interval.high - found.interval.value == pytest.approx(stats.t.ppf(0.975, 399) * error, rel=0.01)


def test_holm_against_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


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


def test_nothing_is_left_on_the_line_and_an_offset_is_found():
    rng = np.random.default_rng(2)
    ladder = [cloud(rng, gain, 0.1 + 0.3 * gain) for gain in (2.0, 1.0, 0.4, 0.0)]  # in any order
    found = matched(cloud(rng, 0.6, 0.1 + 0.3 * 0.6), ladder)
    assert found.rest.value == pytest.approx(0, abs=5e-3) and found.rest.p > 0.001
    assert found.beside == pytest.approx(0.28, abs=5e-3) and found.ratio is None
    rest = matched(cloud(rng, 0.6, 0.1 + 0.3 * 0.6 + 0.2), ladder).rest
    assert rest.low < 0.2 < rest.high and rest.p < 1e-6


def test_each_scale_draws_a_straight_line_of_its_own():
    """The other kind's measure is that function of its gain in which the line is straight."""
    rng = np.random.default_rng(8)
    ways = {
        Scale.TOKEN: lambda gain, symbols: gain,
        Scale.SYMBOL: lambda gain, symbols: gain / symbols,
        Scale.LOG: lambda gain, symbols: np.log(gain),
    }
    for scale, way in ways.items():
        ladder = [cloud(rng, gain, way(gain, 2.0), spread=1e-6) for gain in (0.1, 2.0)]
        at = cloud(rng, 0.5, way(0.5, 4.0), spread=1e-6, symbols=4.0)
        assert matched(at, ladder, scale).rest.value == pytest.approx(0, abs=1e-4), scale
        others = [matched(at, ladder, other).rest.value for other in ways if other is not scale]
        assert min(map(abs, others)) > 0.05


def test_floors_are_no_part_of_the_rest_and_the_ratio_is_above_them():
    rng = np.random.default_rng(9)
    ladder = [cloud(rng, gain, 0.1 + 0.3 * gain) for gain in (0.0, 1.0)]
    at, own_floor = cloud(rng, 0.5, 0.6 + 0.5 * 0.15), cloud(rng, 0.0, 0.6)
    assert matched(at, ladder).rest.value == pytest.approx(0.425, abs=5e-3)
    found = matched(at, ladder, floors=(own_floor, ladder[0]))
    assert found.rest.value == pytest.approx(-0.075, abs=5e-3)
    assert found.ratio.low < 0.5 < found.ratio.high and found.ratio.high - found.ratio.low < 0.1


def test_a_floor_that_is_a_rung_varies_with_it():
    """The same ensemble twice is not two: at the rung itself, what lies above its own floor is exactly nothing."""
    rng = np.random.default_rng(10)
    ladder = [cloud(rng, 0.0, 0.1, spread=0.05), cloud(rng, 1.0, 0.4, spread=0.05)]
    at, own_floor = cloud(rng, 0.5, 0.3, spread=1e-9), cloud(rng, 0.0, 0.1, spread=1e-9)
    shared = matched(at, ladder, floors=(own_floor, ladder[0])).rest
    copied = matched(at, ladder, floors=(own_floor, ladder[0].copy())).rest
    assert shared.value == pytest.approx(copied.value)
    assert shared.high - shared.low < copied.high - copied.low


def test_interval_covers_as_often_as_it_says():
    """Also where the gain of the members varies, which moves the place on the line, and with floors."""
    rng, inside, ratios, runs = np.random.default_rng(3), 0, 0, 400
    for _ in range(runs):
        ladder = [cloud(rng, gain, gain, spread=0.03) for gain in (0.0, 1.0)]
        floors = cloud(rng, 0.0, 0.1, spread=0.03), ladder[0]
        found = matched(cloud(rng, 0.5, 0.7, spread=0.03), ladder, floors=floors)
        inside += found.rest.low < 0.1 < found.rest.high
        ratios += found.ratio.low < 0.6 / 0.5 < found.ratio.high
    assert stats.binomtest(inside, runs, 0.95).pvalue > 0.001
    assert stats.binomtest(ratios, runs, 0.95).pvalue > 0.001


def test_outside_of_the_ladder_there_is_no_match():
    rng = np.random.default_rng(4)
    ladder = [cloud(rng, 0.0, 0.1), cloud(rng, 1.0, 0.2)]
    for scale in Scale:
        assert matched(cloud(rng, 1.5, 0.2), ladder, scale) is None
    assert matched(cloud(rng, -2 * LEAST_GAP, 0.2), ladder) is None
    found = matched(cloud(rng, -LEAST_GAP / 2, 0.4), ladder)
    assert found.rest.value == pytest.approx(0.3, abs=0.01)


def test_doses_that_gain_the_same_are_averaged_not_divided_by():
    rng = np.random.default_rng(5)
    ladder = [cloud(rng, 0.0, 0.1, spread=1e-6), cloud(rng, 1e-5, 0.3, spread=1e-6)]
    found = matched(cloud(rng, 0.5e-5, 0.2, spread=1e-7), ladder)
    assert found.rest.value == pytest.approx(0, abs=1e-5)


def test_doses_at_the_least_of_the_logarithm():
    """Without one member both ends may be there, where a line between them has no slope."""

    def members(*gains):
        return np.array([[gain, 0.1 + 0.01 * place, 2.0] for place, gain in enumerate(gains)])

    ladder = [members(0.0, 0.001, -0.001), members(0.015, 0.021, 0.03), members(1.0, 1.1, 1.2)]
    for scale in Scale:
        found = matched(members(0.0, 0.001, 0.002), ladder, scale)
        assert found is not None and np.isfinite(found.rest.value)


def test_a_share_of_what_may_be_nothing_is_no_number():
    rng = np.random.default_rng(11)
    ladder = [cloud(rng, gain, 0.1, spread=0.01) for gain in (0.0, 1.0)]
    found = matched(cloud(rng, 0.5, 0.5), ladder, floors=(cloud(rng, 0.0, 0.1), ladder[0]))
    assert found.rest.p < 0.001 and np.isnan(found.ratio).all()


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
    assert outcome([Effect(value, 0, 0, 0) for value in values], p, above) == said
