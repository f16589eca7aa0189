"""Effects of less context, and what of the gap between text and DNA is gone at equal context gain.

Members of doses of one condition share their seeds and are *paired*; text and DNA share none. Errors are the
jackknife's for several samples (Arvesen, 1969): for a difference of two doses the paired t-test, for one of text
and DNA Welch's (1947). Shares of a gap have Fieller's interval (1954).
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize

from gfm_utils.claims.claim import AGAINST, FOR, UNDECIDED
from gfm_utils.measures.intervals import LEVEL, Difference, jackknife_values, mean_variance, t_test

Members = npt.NDArray[np.float64]  # (members, quantities)
#: Context gains, in bits per token, that are closer than this are taken for the same.
LEAST_GAP = 0.02
#: A function of each ensemble's means, (quantities,) each: a number, or some.
Statistic = Callable[..., Any]
#: Ensembles whose members belong together, the first of one to the first of the others.
Paired = Sequence[Members]


class Scale(StrEnum):
    """Context gains are equal in bits per token, in bits per symbol, or in the logarithm of bits per token."""

    TOKEN = "per token"
    SYMBOL = "per symbol"
    LOG = "logarithm"

    def of(self, mean: Members) -> float:
        """The gain on this scale of (gain, measure, symbols a token); ``LEAST_GAP`` at least in the logarithm."""
        if self is Scale.SYMBOL:
            return float(mean[0] / mean[2])
        return float(mean[0]) if self is Scale.TOKEN else float(np.log(max(mean[0], LEAST_GAP)))


class Gap(NamedTuple):
    """The gap between two kinds of corpus in a measure, and what becomes of it.

    Attributes:
        gap: the measure of the first kind less that of the second.
        beside: the measure of the first kind where it gains as little from its context as the second.
        gone: share of the gap that is gone there; NaN, with its ends, where the gap's interval includes zero.
        half: the share that is gone less one half, in the measure's units, with its p-value.
        floors: share of the gap that is there between both kinds in random order; NaN without these.
        left: share that neither explains; NaN likewise.
    """

    gap: Difference
    beside: float
    gone: Difference
    half: Difference
    floors: Difference
    left: Difference


def jackknife(statistic: Statistic, *groups: Paired) -> Difference:
    """A function of the means of ensembles; without interval and p-value (NaN) where it is undefined.

    Args:
        statistic: takes the means of each ensemble, shape (quantities,) each, in the order of the groups.
        groups: ensembles of two members or more, shape (members, quantities) each; those of one group are paired.
    """
    value, left = left_out(statistic, *groups)
    return tested(float(value), left)


def share_of_gap(value: Members, left: Sequence[Members]) -> Difference:
    """A part over the whole, with Fieller's interval; NaN where that of the whole includes zero.

    Args:
        value: the part and the whole, shape (2,).
        left: both without each member of each group, shape (members, 2) each; see ``left_out``.

    Returns:
        The ratio, the ends of the interval of all r for which *part - r whole* does not differ from zero by the
        jackknife, and the p-value of no part (r = 0).
    """

    def beyond(share: float) -> float:
        """How far the test of that share is from its limit, below zero inside of the interval."""
        test = _combined(np.array([1, -share]), value, left)
        return abs(test.value) - (test.high - test.value)

    part, whole = (_combined(weights, value, left) for weights in np.eye(2))
    if not whole.p <= 1 - LEVEL or np.isnan(part.p):
        return Difference(*[np.nan] * 4)
    ratio, ends = float(value[0] / value[1]), []
    for side in (-1, 1):
        step = max((part.high - part.value) / abs(whole.value), 1e-9)
        while beyond(ratio + side * step) <= 0:  # ends, as the whole's interval excludes zero
            step *= 2
        ends.append(float(optimize.brentq(beyond, ratio, ratio + side * step)) if beyond(ratio) < 0 else ratio)
    low, high = ends
    return Difference(ratio, low, high, part.p)


def left_out(statistic: Statistic, *groups: Paired) -> tuple[Any, list[Members]]:
    """The statistic of ``jackknife``, and what it is without each member of each group, (members, ...) each."""
    means = [sample.mean(0) for group in groups for sample in group]
    left, place = [], 0
    for group in groups:
        without = [(sample.sum(0) - sample) / (len(sample) - 1) for sample in group]
        after = means[place + len(group) :]
        left.append(np.array([statistic(*means[:place], *one, *after) for one in zip(*without, strict=True)]))
        place += len(group)
    return statistic(*means), left


def _combined(weights: Members, value: Members, left: Sequence[Members]) -> Difference:
    """A sum of numbers, some times each, with interval and p-value; a number that weighs nothing may be NaN."""
    used = weights != 0
    return tested(float(value[used] @ weights[used]), [one[:, used] @ weights[used] for one in left])


def tested(value: float, left: Sequence[Members], freedoms: Sequence[float] = ()) -> Difference:
    """A number with interval and p-value, from what it is without each unit of each group, shape (units,) each.

    Degrees of freedom are those that are given, or one less than the units of each group.
    """
    variances, counted = zip(*(mean_variance(jackknife_values(value, one)) for one in left), strict=True)
    return t_test(value, variances, freedoms or counted).single()


def gap_at_equal_gain(
    plain: Members,
    ladder: Sequence[Members],
    other: Members,
    scale: Scale = Scale.TOKEN,
    floors: tuple[Members, Members] | None = None,
) -> Gap | None:
    """What of the gap between two kinds of corpus is gone where the first gains as little as the other.

    The first kind's measure there lies on the line between the two doses around the other's gain; between doses
    that gain the same, within ``LEAST_GAP`` bits per token, it is their mean, and below the least by no more than
    that it is the least's. Samples are gain (bits per token), measure, and symbols a token, shape (members, 3).

    Args:
        plain: members of the first kind's corpus as it is.
        ladder: of its doses, ``plain`` among them, paired with it.
        other: of the other kind, which is not paired with it.
        scale: of the gain, on which the line is straight.
        floors: of both kinds in random order, each paired with its own.

    Returns:
        None where the other's gain is outside of the ladder's.
    """
    around = _around(ladder, other, scale)
    if around is None:
        return None
    below, above, fixed = around
    first, second = [below, above, plain], [other]
    if floors is not None:
        first, second = [*first, floors[0]], [*second, floors[1]]

    def parts(*means: Members) -> Members:
        """The gap; what is gone of it; what is there without context; the residual."""
        low, high, as_it_is, *shuffled = means[: len(first)]
        of_other, *other_shuffled = means[len(first) :]
        matched = low[1] + _share(scale, of_other, low, high, fixed) * (high[1] - low[1])
        whole, gone = as_it_is[1] - of_other[1], as_it_is[1] - matched
        without = shuffled[0][1] - other_shuffled[0][1] if shuffled else np.nan
        return np.array([whole, gone, without, whole - gone - without])

    value, left = left_out(parts, first, second)
    whole, half = (_combined(np.array([*weights, 0, 0]), value, left) for weights in ([1, 0], [-0.5, 1]))
    if whole.value <= 0:  # above zero: more than a half, whichever kind has more
        half = Difference(-half.value, -half.high, -half.low, half.p)
    gone, without, residual = (share_of_gap(value[[k, 0]], [one[:, [k, 0]] for one in left]) for k in (1, 2, 3))
    beside = float(plain.mean(0)[1] - value[1])
    return Gap(whole, beside, gone, half, without, residual)


def _around(
    ladder: Sequence[Members], other: Members, scale: Scale
) -> tuple[Members, Members, float | None] | None:
    """The doses around a gain, and where between them it is if that does not depend on the members."""
    steps = sorted(ladder, key=lambda one: float(one[:, 0].mean()))
    means = np.array([one.mean(0) for one in steps])
    gains, gain = np.array([scale.of(mean) for mean in means]), scale.of(other.mean(0))
    least = scale.of(np.array([means[0][0] - LEAST_GAP, 0.0, means[0][2]]))
    if len(steps) < 2 or not least <= gain <= gains[-1]:
        return None
    upper = min(max(1, int(np.searchsorted(gains, gain))), len(gains) - 1)
    close = means[upper][0] - means[upper - 1][0] < LEAST_GAP
    return steps[upper - 1], steps[upper], 0.0 if gain < gains[0] else 0.5 if close else None


def _share(scale: Scale, gain: Members, below: Members, above: Members, fixed: float | None) -> float:
    """Where between two doses a gain is; without some member both may be at the least of the scale."""
    ends = scale.of(below), scale.of(above)
    if fixed is not None or ends[0] == ends[1]:
        return 0.5 if fixed is None else fixed
    return (scale.of(gain) - ends[0]) / (ends[1] - ends[0])


def outcome(effects: npt.ArrayLike, corrected: float, above: bool) -> str:
    """For a claim if all effects have its sign, against it if all have the other, and undecided else.

    ``corrected`` is their largest p-value, corrected for the number of measures; ``above``: that the claim says
    that the measure rises.
    """
    signs = set((np.asarray(effects) > 0).tolist())
    if not corrected <= 1 - LEVEL or len(signs) > 1:
        return UNDECIDED
    return FOR if signs == {above} else AGAINST
