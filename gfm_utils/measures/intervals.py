"""Intervals over the members of an ensemble (other seeds, the same test sequences), and over test sequences.

Pairs share members: five members give ten pairs but only five independent numbers. The jackknife leaves out one
member with all its pairs at a time (Arvesen, 1969).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

LEVEL = 0.95
#: Samples of a bootstrap.
RESAMPLES = 1000
_AT_ONCE = 2**22  # weights held at a time


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval; the ends are NaN where two members or fewer allow none."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference with the ends of its 95 % interval and its two-sided p-value; NaN where there is none."""

    value: float
    low: float
    high: float
    p: float


def over_members(values: npt.ArrayLike) -> Interval:
    """Mean of m members' numbers and ``mean ± t(0.975, m - 1) s / sqrt(m)``; no interval for a single member."""
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Interval(mean, np.nan, np.nan)
    variance, freedom = mean_variance(sample)
    return Interval(*t_test(mean, [variance], [freedom]).single()[:3])


def over_pairs(values: npt.ArrayLike) -> Interval:
    """Mean over pairs of members, (members, members), with a jackknife interval over the members.

    No interval for two members: one pair has no spread.
    """
    matrix = np.asarray(values, np.float64)
    if len(matrix) < 3:
        return Interval(float(matrix[0, 1]), np.nan, np.nan)
    return over_members(pseudo_values(matrix))


def pseudo_values(pairs: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """``jackknife_values`` of the mean over pairs, (..., members), of three members or more.

    Given are symmetric matrices, (..., members, members), whose diagonals are not read.
    """
    matrix = np.array(pairs, np.float64)
    count = matrix.shape[-1]
    matrix[..., range(count), range(count)] = 0.0
    of_member = matrix.sum(axis=-1)
    total = of_member.sum(axis=-1, keepdims=True)
    without = (total - 2 * of_member) / ((count - 1) * (count - 2))
    return jackknife_values(total / (count * (count - 1)), without)


def jackknife_values(value: npt.ArrayLike, without: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """One number a member whose mean is a statistic, and whose standard error is the jackknife's.

    Tukey's (1958) pseudo-values ``m v - (m - 1) v_(-i)``, moved so that their mean is ``v``, with
    ``se² = (m - 1) / m Σ_i (v_(-i) - mean v_(-i))²`` (Arvesen, 1969). ``value`` is the statistic of all members,
    (..., 1) or a number, ``without`` that without each of them, (..., members).
    """
    left = np.asarray(without, np.float64)
    return np.asarray(value - (left.shape[-1] - 1) * (left - left.mean(-1, keepdims=True)))


class TTest(NamedTuple):
    """Numbers with their standard errors and degrees of freedom, an array each."""

    value: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    freedom: npt.NDArray[np.float64]

    @property
    def p(self) -> npt.NDArray[np.float64]:
        """Two-sided p-values of zero by Student's t; without any spread 0 for a number and 1 for zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * special.stdtr(self.freedom, -np.abs(self.value) / self.error)
        return np.where(self.error == 0, (self.value == 0).astype(np.float64), p)

    @property
    def reach(self) -> npt.NDArray[np.float64]:
        """Half of the width of the 95 % interval."""
        return np.asarray(special.stdtrit(self.freedom, 0.5 + LEVEL / 2) * self.error)

    def single(self) -> Difference:
        """The number, where there is one."""
        value, reach = float(self.value), float(self.reach)
        return Difference(value, value - reach, value + reach, float(self.p))


def t_test(
    value: npt.ArrayLike, variances: Sequence[npt.ArrayLike], freedoms: Sequence[float], known: npt.ArrayLike = 0.0
) -> TTest:
    """Numbers whose variance is a sum of estimates, by Student's t (Welch, 1947; Satterthwaite, 1946).

    The degrees of freedom are rounded down: with five members and spreads as 1 to 5 the p-values are else too
    small by two fifths in the tail that Holm's correction reads. ``known`` is a variance that is known exactly.
    """
    parts = [np.asarray(variance, np.float64) for variance in variances]
    total = sum(parts) + np.asarray(known, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = total**2 / sum(part**2 / count for part, count in zip(parts, freedoms, strict=True))
    freedom = np.where(np.isfinite(freedom), np.floor(freedom + 1e-9), np.inf)
    return TTest(np.asarray(value, np.float64), np.sqrt(total), freedom)


def welch(first: npt.ArrayLike, second: npt.ArrayLike, further: npt.ArrayLike = 0.0) -> TTest:
    """Welch's (1947) comparison of the means of two ensembles, (..., members), of two members or more each.

    ``further`` are variances of the differences, (...), that are added as if known exactly.
    """
    samples = [np.asarray(values, np.float64) for values in (first, second)]
    variances, freedoms = zip(*(mean_variance(sample) for sample in samples), strict=True)
    return t_test(samples[0].mean(-1) - samples[1].mean(-1), variances, freedoms, further)


def mean_variance(sample: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], int]:
    """Of means over the last axis the variance, and its degrees of freedom."""
    count = sample.shape[-1]
    return sample.var(-1, ddof=1) / count, count - 1


def difference(first: npt.ArrayLike, second: npt.ArrayLike, *, further: float = 0.0) -> Difference:
    """Difference between the means of two ensembles as ``welch`` has it; NaN for a single member.

    Args:
        first: one number a member, or ``pseudo_values`` of pairs.
        second: the same of the other ensemble.
        further: variance of the difference over test windows, added to that over members. What depends on a member
            and a window is counted twice, so the sum is a little too large (Owen, 2007).
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(a) < 2 or len(b) < 2:
        return Difference(float(a.mean() - b.mean()), np.nan, np.nan, np.nan)
    return welch(a, b, further).single()


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """P-values, (..., tests), corrected for their number (Holm, 1979), however dependent; NaN counts as 1."""
    raw = np.nan_to_num(np.asarray(p, np.float64), nan=1.0)
    order = np.argsort(raw, axis=-1, kind="stable")
    steps = np.take_along_axis(raw, order, -1) * np.arange(raw.shape[-1], 0, -1)
    corrected = np.empty_like(raw)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1), -1)
    return corrected


def over_sequences(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Interval:
    """``Σ values / Σ weights`` over test sequences with a percentile bootstrap interval (Efron, 1979).

    The weights, (sequences,), are 1 where there are none. All tokens of a sequence are drawn together, since they
    are not independent; no interval for a single sequence.
    """
    sample = np.asarray(values, np.float64)
    weight = np.ones(len(sample)) if weights is None else np.asarray(weights, np.float64)
    mean = float(sample.sum() / weight.sum())
    if len(sample) < 2:
        return Interval(mean, np.nan, np.nan)
    rng, both, means = np.random.default_rng(0), np.stack([sample, weight], axis=1), []
    size = max(1, _AT_ONCE // len(sample))
    for begin in range(0, RESAMPLES, size):
        draws = min(size, RESAMPLES - begin)
        drawn = rng.multinomial(len(sample), np.full(len(sample), 1 / len(sample)), size=draws) @ both
        means.append(drawn[:, 0] / drawn[:, 1])
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))
