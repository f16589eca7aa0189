"""Is it the entropy? Contrasts of doses, and what is left between DNA and text that gains as much from context.

Ensembles of two conditions have the same seeds of initial weights, but what their members learn has hardly
anything in common for that: they are taken for independent. Every number is a function of means over members, so
that the jackknife for several samples gives its error: leave out one member of one ensemble at a time, square the
differences, and add the ensembles' variances (Arvesen, 1969); degrees of freedom are Welch's (1947) and
Satterthwaite's (1946). Where several tests must all speak, the largest of their p-values is that of the whole
(Berger, 1982); over the measures of one question they are Holm's (1979), whatever their dependence.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from gfm_utils.analyses.claims import AGAINST, FOR, UNDECIDED, Estimate, of_whole
from gfm_utils.analyses.intervals import LEVEL

Members = npt.NDArray[np.float64]  # (members, quantities)
#: Context gains, in bits per token, that are closer than this are taken for the same.
LEAST_GAP = 0.02
#: A function of each ensemble's means, (quantities,) each.
Statistic = Callable[..., float]


class Scale(StrEnum):
    """On what scale context gains are equal."""

    #: Bits per token.
    TOKEN = "per token"
    #: Bits per base or character.
    SYMBOL = "per symbol"
    #: Logarithm of the bits per token, of ``LEAST_GAP`` where there is less.
    LOG = "logarithm"

    def of(self, mean: Members) -> float:
        """The gain on this scale; of (gain, measure, symbols a token), shape (3,)."""
        if self is Scale.SYMBOL:
            return float(mean[0] / mean[2])
        return float(mean[0]) if self is Scale.TOKEN else float(np.log(max(mean[0], LEAST_GAP)))


class Effect(NamedTuple):
    """A statistic with its 95 % interval and the two-sided p-value of zero (Student's t)."""

    value: float
    low: float
    high: float
    p: float


class Match(NamedTuple):
    """A measure beside what another kind of corpus has at equal gain.

    Attributes:
        rest: what is left, above the floors if there are any.
        beside: the other kind's measure at that gain.
        ratio: of what both have above their floors, or None without floors; NaN where what the other has is not
            told from nothing.
    """

    rest: Effect
    beside: float
    ratio: Effect | None = None


def jackknife(statistic: Statistic, samples: Sequence[Members]) -> Effect:
    """A function of the means of independent ensembles; without interval and p-value (NaN) where it is undefined.

    Args:
        statistic: takes the means of each ensemble, shape (quantities,) each.
        samples: numbers of the members, shape (members, quantities) each; two members at least.
    """
    means = [sample.mean(0) for sample in samples]
    value, variances, freedoms = statistic(*means), [], []
    for place, sample in enumerate(samples):
        count = len(sample)
        left = (sample.sum(0) - sample) / (count - 1)
        others = np.array([statistic(*means[:place], one, *means[place + 1 :]) for one in left])
        variances.append((count - 1) / count * float(np.square(others - others.mean()).sum()))
        freedoms.append(count - 1)
    total = sum(variances)
    if not np.isfinite(total):
        return Effect(value, np.nan, np.nan, np.nan)
    if not total > 0:
        return Effect(value, value, value, float(value == 0))
    freedom = total**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    error = float(np.sqrt(total))
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * error
    return Effect(value, value - reach, value + reach, float(2 * stats.t.sf(abs(value) / error, freedom)))


def ratio(part: Estimate, whole: Estimate) -> Estimate:
    """The ratio of two means of one ensemble, with the jackknife's numbers for its members."""
    above, below = part.members, whole.members
    return of_whole(float(above.mean() / below.mean()), (above.sum() - above) / (below.sum() - below))


def matched(
    at: Members,
    ladder: Sequence[Members],
    scale: Scale = Scale.TOKEN,
    floors: tuple[Members, Members] | None = None,
) -> Match | None:
    """How much a measure differs from what another kind of corpus has at the same context gain.

    The other kind's measure at that gain lies on the line between the two doses around it; between doses that
    gain the same, within ``LEAST_GAP`` bits per token, it is their mean, and below the least by no more than that
    it is the least's.

    Args:
        at: gain (bits per token), measure, and symbols a token of the members, shape (members, 3).
        ladder: the same of each dose of the other kind.
        scale: of the gain, on which the two are matched and the line is straight.
        floors: the same of both kinds where nothing is to be learned from context; the difference of their
            measures is then no part of the rest, and ``Match.ratio`` is of what lies above them.

    Returns:
        The match; None where the gain is outside of the ladder's.
    """
    steps = sorted(ladder, key=lambda one: float(one[:, 0].mean()))
    means = np.array([one.mean(0) for one in steps])
    gains, here = np.array([scale.of(mean) for mean in means]), scale.of(at.mean(0))
    least = scale.of(np.array([means[0][0] - LEAST_GAP, 0.0, means[0][2]]))
    if not least <= here <= gains[-1]:
        return None
    upper = min(max(1, int(np.searchsorted(gains, here))), len(gains) - 1)
    close = means[upper][0] - means[upper - 1][0] < LEAST_GAP
    fixed = 0.0 if here < gains[0] else 0.5 if close else None

    def beside(own: Members, below: Members, above: Members) -> float:
        ends = scale.of(below), scale.of(above)
        if fixed is not None or ends[0] == ends[1]:  # without some member both may be at the least of the scale
            share = 0.5 if fixed is None else fixed
        else:
            share = (scale.of(own) - ends[0]) / (ends[1] - ends[0])
        return float(below[1] + share * (above[1] - below[1]))

    around = [at, steps[upper - 1], steps[upper]]
    if floors is None:
        return Match(
            jackknife(lambda own, *two: float(own[1]) - beside(own, *two), around), beside(*_means(around))
        )
    # A floor may be one of the ensembles around, and then varies with it.
    places = [next((i for i, one in enumerate(around) if one is floor), None) for floor in floors]
    further = [floor for floor, place in zip(floors, places, strict=True) if place is None]

    def above_floors(*parts: Members) -> tuple[float, float]:
        others = iter(parts[3:])
        own_floor, floor = (next(others) if place is None else parts[place] for place in places)
        return float(parts[0][1] - own_floor[1]), beside(*parts[:3]) - float(floor[1])

    def rest(*parts: Members) -> float:
        own, other = above_floors(*parts)
        return own - other

    def ratio_of(*parts: Members) -> float:
        own, other = above_floors(*parts)
        return own / other if other else np.nan

    every = [*around, *further]
    whole = jackknife(lambda *parts: above_floors(*parts)[1], every)
    told = whole.p <= 1 - LEVEL  # a share of what may be nothing has no interval
    share = jackknife(ratio_of, every) if told else Effect(*[np.nan] * 4)
    return Match(jackknife(rest, every), beside(*_means(around)), share)


def _means(samples: Sequence[Members]) -> list[Members]:
    return [sample.mean(0) for sample in samples]


def outcome(effects: Sequence[Effect], corrected: float, above: bool) -> str:
    """For a claim if all effects have its sign, against it if all have the other, and undecided else.

    Args:
        effects: of more entropy on a measure.
        corrected: their largest p-value, corrected for the number of measures.
        above: whether the claim says that the measure rises.
    """
    if not corrected <= 1 - LEVEL:
        return UNDECIDED
    signs = {effect.value > 0 for effect in effects}
    return UNDECIDED if len(signs) > 1 else FOR if signs == {above} else AGAINST
