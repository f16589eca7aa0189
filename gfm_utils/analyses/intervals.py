"""Intervals over the members of an ensemble, for means over members and over pairs of members, and over sequences.

Pairs share members: five members give ten pairs but only five independent things. The jackknife leaves
out one member with all its pairs at a time (Arvesen, 1969), so dependence between pairs is accounted for.
Intervals over members say how other seeds would do on the same test sequences; intervals over sequences say how
the same members would do on other sequences.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 0.95
#: Samples of a bootstrap.
RESAMPLES = 1000
_AT_ONCE = 2**22  # weights held at a time


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval; the ends are NaN where two members or fewer allow none."""

    value: float
    low: float
    high: float


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
    matrix = np.array(values, np.float64)
    count = len(matrix)
    np.fill_diagonal(matrix, 0.0)
    total, own = matrix.sum(), matrix.sum(axis=1)
    mean = float(total / (count * (count - 1)))
    if count < 3:
        return Interval(mean, np.nan, np.nan)
    without = (total - 2 * own) / ((count - 1) * (count - 2))
    spread = np.square(without - without.mean()).sum()
    return _interval(mean, float(np.sqrt((count - 1) / count * spread)), count)


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
