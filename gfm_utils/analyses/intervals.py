"""Intervals over the members of an ensemble, for means over members and over pairs of members, and over sequences.

Pairs share members: five members give ten pairs but only five independent things. The jackknife leaves
out one member with all its pairs at a time (Arvesen, 1969), so dependence between pairs is accounted for.
Intervals over members say how other seeds would do on the same test sequences; intervals over sequences say how
the same members would do on other sequences.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 0.95
#: Samples of a bootstrap.
RESAMPLES = 1000
_AT_ONCE = 2**22  # weights held at a time
_MOST_WAYS = 20_000  # of dealing members to two ensembles that are all gone through


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval; the ends are NaN where two members or fewer allow none."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference with the ends of its 95 % interval and the p-value of a permutation test; NaN where none."""

    value: float
    low: float
    high: float
    p: float


def over_members(values: npt.ArrayLike) -> Interval:
    """Mean over members with Student's t interval.

    Args:
        values: one number a member, shape (members,).

    Returns:
        The mean and ``mean ± t(0.975, m - 1) s / sqrt(m)``; no interval for a single member.
    """
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Interval(mean, np.nan, np.nan)
    return _interval(mean, float(sample.std(ddof=1)) / np.sqrt(len(sample)), len(sample))


def over_pairs(values: npt.ArrayLike) -> Interval:
    """Mean over pairs of members with a jackknife interval over the members.

    Args:
        values: symmetric matrix of the pairs' numbers, shape (members, members); the diagonal is not read.

    Returns:
        The mean over pairs ``u`` and ``u ± t(0.975, m - 1) se``, with
        ``se² = (m - 1) / m Σ_i (u_(-i) - mean u_(-i))²`` and ``u_(-i)`` the mean over the pairs without
        member i. No interval for two members: one pair has no spread.
    """
    matrix = np.asarray(values, np.float64)
    if len(matrix) < 3:
        return Interval(float(matrix[0, 1]), np.nan, np.nan)
    return over_members(pseudo_values(matrix))


def pseudo_values(pairs: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """One number a member whose mean is the mean over pairs, and whose standard error is the jackknife's.

    They are ``m u - (m - 1) u_(-i)`` (Tukey, 1958; Arvesen, 1969), and stand in for independent values.

    Args:
        pairs: symmetric matrix, shape (members, members), of three members or more; the diagonal is not read.
    """
    matrix = np.array(pairs, np.float64)
    count = len(matrix)
    np.fill_diagonal(matrix, 0.0)
    total, own = matrix.sum(), matrix.sum(axis=1)
    without = (total - 2 * own) / ((count - 1) * (count - 2))
    return np.asarray(total / (count - 1) - (count - 1) * without)


def over_members_jackknife(value: float, without: npt.ArrayLike) -> Interval:
    """A statistic of the whole ensemble with a jackknife interval over its members.

    Args:
        value: the statistic of all members.
        without: the statistic with one member left out, shape (members,).

    Returns:
        ``value ± t(0.975, m - 1) se`` as in ``over_pairs``; no interval for fewer than three members.
    """
    left = np.asarray(without, np.float64)
    if len(left) < 3:
        return Interval(value, np.nan, np.nan)
    spread = np.square(left - left.mean()).sum()
    return _interval(value, float(np.sqrt((len(left) - 1) / len(left) * spread)), len(left))


def difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Difference:
    """Difference between the means of two ensembles, with an interval and a permutation test over members.

    Args:
        first: one number a member, or ``pseudo_values`` of pairs.
        second: the same of the other ensemble.

    Returns:
        ``mean(first) - mean(second)`` with Welch's (1947) interval, which lets the spreads differ; none for a
        single member. The p-value is two-sided and exact: members are dealt to the two ensembles in every way, and
        Welch's statistic is compared (Janssen, 1997: valid for unequal spreads, too, if only approximately). NaN
        where even complete separation could not give 0.05, as with three members on each side.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    value = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2:
        return Difference(value, np.nan, np.nan, np.nan)
    error_a, error_b = (float(x.var(ddof=1)) / len(x) for x in (a, b))
    reach = 0.0
    if error_a + error_b > 0:
        part = error_a / (error_a + error_b)
        freedom = 1 / (part**2 / (len(a) - 1) + (1 - part) ** 2 / (len(b) - 1))  # Welch's
        reach = float(stats.t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(error_a + error_b))
    ways, p = math.comb(len(a) + len(b), len(a)), np.nan
    if 2 / ways <= 1 - LEVEL:
        samples: Any = (a, b)
        p = float(stats.permutation_test(samples, _welch, vectorized=True, n_resamples=_MOST_WAYS, rng=0).pvalue)
    return Difference(value, value - reach, value + reach, p)


def _welch(first: npt.NDArray, second: npt.NDArray, axis: int = -1) -> npt.NDArray[np.float64]:
    """Difference of the means over its standard error; huge, but a number, where there is no spread."""
    variance = first.var(axis, ddof=1) / first.shape[axis] + second.var(axis, ddof=1) / second.shape[axis]
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    return np.asarray((first.mean(axis) - second.mean(axis)) / error)


def over_sequences(values: npt.ArrayLike, weights: npt.ArrayLike | None = None, seed: int = 0) -> Interval:
    """Mean over test sequences with a percentile bootstrap interval (Efron, 1979).

    All tokens of a sequence are drawn together, since they are not independent.

    Args:
        values: sums or means of each sequence, shape (sequences,).
        weights: what the sum of the values is divided by the sum of, shape (sequences,); None: their number.
        seed: of the samples.

    Returns:
        ``Σ values / Σ weights`` and the 2.5 % and 97.5 % points over ``RESAMPLES`` samples of sequences drawn
        with replacement; no interval for a single sequence.
    """
    sample = np.asarray(values, np.float64)
    weight = np.ones(len(sample)) if weights is None else np.asarray(weights, np.float64)
    mean = float(sample.sum() / weight.sum())
    if len(sample) < 2:
        return Interval(mean, np.nan, np.nan)
    rng, both, means = np.random.default_rng(seed), np.stack([sample, weight], axis=1), []
    size = max(1, _AT_ONCE // len(sample))
    for begin in range(0, RESAMPLES, size):
        draws = min(size, RESAMPLES - begin)
        drawn = rng.multinomial(len(sample), np.full(len(sample), 1 / len(sample)), size=draws) @ both
        means.append(drawn[:, 0] / drawn[:, 1])
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))


def _interval(value: float, error: float, members: int) -> Interval:
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, members - 1)) * error
    return Interval(value, value - reach, value + reach)
