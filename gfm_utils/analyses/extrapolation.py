"""Where a loss goes with more tokens: a power law above a floor, with an interval, and no further than that bears.

The law is ``L(t) = floor + a (t / t_last)^-b`` (Hestness et al., 2017; Kaplan et al., 2020; Hoffmann et al.,
2022), fitted to the mean over members by least squares. Its interval is a jackknife over members (another start
would have given other losses) and one over points (another form of curve would pass them elsewhere), whose
variances are added; what only the form can know, as a second phase of learning, no interval has.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from gfm_utils import tables
from gfm_utils.analyses.along_training import AXIS, VALIDATION, Setting, position
from gfm_utils.analyses.intervals import Interval, jackknife_values, mean_variance, t_test
from gfm_utils.analyses.rows import Row

Floats = npt.NDArray[np.float64]
#: No further than so many times the tokens that were read.
FURTHEST = 10
#: Points before this share of the tokens are not fitted: what is learned there, token frequencies, is another
#: thing.
SINCE = 1 / 64
#: Floor, height and exponent of the law.
PARAMETERS = 3
#: Exponents that are looked for.
EXPONENTS = (0.01, 3.0)
#: What the points are: checkpoints of one run, of which only the last has a learning rate of zero, or the ends of
#: runs of different lengths, of which all have.
ALONG, ENDS = "along one run", "ends of runs"
LATER, FLOOR, MISS = "extrapolated_nll", "extrapolated_floor", "extrapolation_miss"


@dataclass(frozen=True)
class Law:
    """A power law above a floor.

    Attributes:
        floor: bits per token that are left after any number of tokens.
        height: bits above it at ``last``.
        exponent: how fast they go.
        last: tokens read by then.
    """

    floor: float
    height: float
    exponent: float
    last: float

    def at(self, tokens: npt.ArrayLike) -> Floats:
        """The loss in bits per token after so many tokens."""
        return np.asarray(
            self.floor + self.height * (np.asarray(tokens, np.float64) / self.last) ** -self.exponent
        )


@dataclass(frozen=True)
class Extrapolation:
    """What the losses of an ensemble say of more tokens, in bits per token.

    Attributes:
        law: fitted to the mean over members.
        later: loss after ``FURTHEST`` times the tokens.
        floor: loss after any number.
        miss: by how much the law of all points but the last is too high at the last.
        last: mean loss at the last point.
    """

    law: Law
    later: Interval
    floor: Interval
    miss: float
    last: float

    def told(self, of: Interval) -> bool:
        """Whether the fit bounds a number: its interval lies above zero and below the loss of today."""
        return bool(of.low > 0 and of.high < self.last)


def fit_law(tokens: Floats, losses: Floats) -> Law:
    """The law with the least sum of squared errors, with a floor and a height that are not negative.

    For a given exponent the best floor and height are those of a straight line, so one number is searched for.

    Args:
        tokens: read by each point, ascending, shape (points,).
        losses: bits per token, shape (points,).
    """
    last = float(tokens[-1])

    def line(exponent: float) -> tuple[Floats, float]:
        columns = np.stack([np.ones(len(tokens)), (tokens / last) ** -exponent], axis=1)
        found, error = optimize.nnls(columns, losses)
        return found, float(error)

    # A coarse look first: the error can have two valleys, one of them with a floor of zero.
    grid = np.geomspace(*EXPONENTS, 60)
    errors = [line(exponent)[1] for exponent in grid]
    least = int(np.argmin(errors))
    low, high = np.log(grid[[max(0, least - 1), min(len(grid) - 1, least + 1)]]).tolist()
    best = optimize.minimize_scalar(
        lambda log: line(float(np.exp(log)))[1], bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    exponent = float(np.exp(best.x))
    (floor, height), _ = line(exponent)
    return Law(float(floor), float(height), exponent, last)


def extrapolate(tokens: Sequence[float], losses: npt.ArrayLike) -> Extrapolation | None:
    """The loss after ``FURTHEST`` times the tokens, and the floor, with 95 % intervals.

    Args:
        tokens: read by each point, ascending.
        losses: of the members in bits per token, shape (members, points).

    Returns:
        None where there are too few points for the law and an error (fewer than five), or two members or fewer.
    """
    at, values = np.asarray(tokens, np.float64), np.asarray(losses, np.float64)
    members, points = values.shape
    if points < PARAMETERS + 2 or members < 3:
        return None
    mean = values.mean(0)
    law = fit_law(at, mean)
    without_member = [fit_law(at, (values.sum(0) - one) / (members - 1)) for one in values]
    without_point = [fit_law(np.delete(at, place), np.delete(mean, place)) for place in range(points)]
    groups = ((without_member, members - 1), (without_point, points - PARAMETERS))
    later = at[-1] * FURTHEST
    return Extrapolation(
        law,
        _interval(lambda one: float(one.at(later)), law, groups),
        _interval(lambda one: one.floor, law, groups),
        float(without_point[-1].at(at[-1])) - float(mean[-1]),
        float(mean[-1]),
    )


def _interval(of: Callable[[Law], float], law: Law, groups: Sequence[tuple[Sequence[Law], int]]) -> Interval:
    """A number of the law with the interval of two jackknives, of which each has its degrees of freedom."""
    value = of(law)
    variances = [mean_variance(jackknife_values(value, [of(one) for one in laws]))[0] for laws, _ in groups]
    return Interval(*t_test(value, variances, [freedom for _, freedom in groups]).single()[:3])


class Curve(NamedTuple):
    """Validation losses to which a law is fitted.

    Attributes:
        points: ``ALONG`` or ``ENDS``.
        condition: whose.
        setting: of the run; of several the longest.
        tokens: read by each point, ascending.
        losses: bits per token, shape (members, points).
    """

    points: str
    condition: str
    setting: Setting
    tokens: list[int]
    losses: Floats


def curves(table: pd.DataFrame) -> Iterator[Curve]:
    """Every run by itself, and the ends of runs that differ in nothing but their length.

    Args:
        table: of ``along_training``.
    """
    rows = table[(table["metric"] == VALIDATION) & table["member"].notna()]
    places = [position(x) for x in rows["x"]]
    rows = rows.assign(tokens=[tokens for tokens, _ in places], setting=[setting for _, setting in places])
    rows["model"] = [setting[:2] for setting in rows["setting"]]
    for (condition, setting), own in rows.groupby(["condition", "setting"], sort=False):
        yield Curve(ALONG, str(condition), setting, *_points(own))
    ends = rows[rows["tokens"] == [setting.budget for setting in rows["setting"]]]
    for (condition, _), own in ends.groupby(["condition", "model"], sort=False):
        if own["tokens"].nunique() > 1:
            longest = max(own["setting"], key=lambda setting: setting.budget)
            yield Curve(ENDS, str(condition), longest, *_points(own))


def _points(rows: pd.DataFrame) -> tuple[list[int], Floats]:
    """Tokens, and losses of the members that have all points."""
    wide = rows.pivot_table(index="member", columns="tokens", values="value").dropna(axis=0)
    return [int(tokens) for tokens in wide.columns], wide.to_numpy("float64")


def extrapolations(table: pd.DataFrame) -> pd.DataFrame:
    """Result table of what validation losses say of more tokens.

    The state says what the points are, ``ALONG`` or ``ENDS``. Along one run those before the end are at a high
    learning rate, the first even at a rising one, and the law takes in how the rate falls; through the ends of
    runs it does not. Axis ``AXIS`` (of ``x`` the tokens are those it is about): ``extrapolated_nll`` after
    ``FURTHEST`` times the tokens of the longest run, ``extrapolated_floor`` after any number (``x`` as before),
    and ``extrapolation_miss``, by how much the law of all points but the last is too high at the last; all in bits
    per token. The law is fitted to the points from ``SINCE`` of the tokens on. A number that the fit does not
    bound (see ``Extrapolation.told``) has no ends.

    Args:
        table: of ``along_training``.
    """
    rows: list[Row] = []
    for points, condition, setting, tokens, losses in curves(table):
        late = np.array(tokens) >= SINCE * tokens[-1]
        found = extrapolate(np.array(tokens)[late].tolist(), losses[:, late])
        if found is None:
            continue
        base = {"condition": condition, "state": points, "axis": AXIS, "unit": "bits/token"}
        for metric, number in ((LATER, found.later), (FLOOR, found.floor)):
            ends = number if found.told(number) else Interval(number.value, np.nan, np.nan)
            x = setting.x(FURTHEST * tokens[-1])
            rows.append({**base, "metric": metric, "x": x, **ends._asdict(), "n": int(late.sum())})
        miss = {"metric": MISS, "x": setting.x(tokens[-1]), "value": found.miss, "n": int(late.sum()) - 1}
        rows.append({**base, **miss})
    return tables.table(rows)
