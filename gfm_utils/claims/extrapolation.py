"""Where a loss goes with more tokens: a power law with a limit, its interval, and no further than the data bear.

``L(t) = limit + a (t / t_last)^-b`` (Hestness et al., 2017; Kaplan et al., 2020; Hoffmann et al., 2022) is fitted
to the mean over members by least squares. Its interval adds the variances of two jackknives, over members and
points.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from gfm_utils import tables
from gfm_utils.claims.along_training import AXIS, VALIDATION, position
from gfm_utils.claims.matching import tested
from gfm_utils.measures.intervals import Interval
from gfm_utils.measures.rows import Row

Floats = npt.NDArray[np.float64]
#: No further than so many times the tokens that were read.
FURTHEST = 10
#: Points before this share of the tokens are not fitted: token frequencies are learned there.
SINCE = 1 / 64
#: Limit, height and exponent of the law; and the exponents that are looked for.
PARAMETERS, EXPONENTS = 3, (0.01, 3.0)
LATER, MISS = "extrapolated_nll", "extrapolation_miss"


class Law(NamedTuple):
    """A power law: limit, and height above it after ``last`` tokens, in bits per token; and exponent."""

    limit: float
    height: float
    exponent: float
    last: float

    def at(self, tokens: float) -> float:
        """The loss in bits per token after so many tokens."""
        return self.limit + self.height * (tokens / self.last) ** -self.exponent


def fit_law(tokens: Floats, losses: Floats) -> Law:
    """The law with the least sum of squared errors, with a limit and a height that are not negative.

    For a given exponent the best limit and height are those of a straight line, so one number is searched for.

    Args:
        tokens: read by each point, ascending, shape (points,).
        losses: bits per token, shape (points,).
    """
    last = float(tokens[-1])

    def line(log: float) -> tuple[Floats, float]:
        columns = np.stack([np.ones(len(tokens)), (tokens / last) ** -np.exp(log)], axis=1)
        return optimize.nnls(columns, losses)

    # A coarse look first: the error can have two valleys, one of them with a limit of zero.
    grid = np.log(np.geomspace(*EXPONENTS, 60))
    least = int(np.argmin([line(log)[1] for log in grid]))
    bounds = (grid[max(0, least - 1)], grid[min(len(grid) - 1, least + 1)])
    best = optimize.minimize_scalar(
        lambda log: line(log)[1], bounds=bounds, method="bounded", options={"xatol": 1e-10}
    )
    limit, height = line(best.x)[0].tolist()
    return Law(limit, height, float(np.exp(best.x)), last)


def extrapolate(tokens: npt.ArrayLike, losses: npt.ArrayLike) -> dict[str, Interval] | None:
    """What the losses of an ensemble say of more tokens, in bits per token, with 95 % intervals.

    Args:
        tokens: read by each point, ascending.
        losses: of the members in bits per token, shape (members, points).

    Returns:
        ``LATER``, the loss after ``FURTHEST`` times the tokens, without an interval where that does not lie above
        zero and below the loss of today; and ``MISS``, by how much the law of all points but the last is too high
        at the last. None for fewer than five points or three members.
    """
    at, values = np.asarray(tokens, np.float64), np.asarray(losses, np.float64)
    members, points = values.shape
    if points < PARAMETERS + 2 or members < 3:
        return None
    mean = values.mean(0)
    without_member = [fit_law(at, (values.sum(0) - one) / (members - 1)) for one in values]
    without_point = [fit_law(np.delete(at, place), np.delete(mean, place)) for place in range(points)]
    later = fit_law(at, mean).at(at[-1] * FURTHEST)
    left = [np.array([law.at(at[-1] * FURTHEST) for law in laws]) for laws in (without_member, without_point)]
    interval = Interval(*tested(later, left, (members - 1, points - PARAMETERS))[:3])
    if not (interval.low > 0 and interval.high < mean[-1]):
        interval = Interval(later, np.nan, np.nan)
    return {LATER: interval, MISS: Interval(without_point[-1].at(at[-1]) - float(mean[-1]), np.nan, np.nan)}


def extrapolations(table: pd.DataFrame) -> pd.DataFrame:
    """Result table of what the validation losses of ``along_training`` say of more tokens, in bits per token.

    Points before the end are at a high learning rate, and the law takes in how the rate falls. Axis ``AXIS``; the
    tokens of ``x`` are, for ``LATER``, ``FURTHEST`` times those of the run, and for ``MISS`` those of its last
    point. The law is fitted to the points from ``SINCE`` of the tokens on.
    """
    values = table[(table["metric"] == VALIDATION) & table["member"].notna()]
    places = [position(x) for x in values["x"]]
    values = values.assign(tokens=[tokens for tokens, _ in places], setting=[setting for _, setting in places])
    rows: list[Row] = []
    for (condition, setting), run in values.groupby(["condition", "setting"], sort=False):
        losses = run.pivot_table(index="member", columns="tokens", values="value").dropna(axis=0)
        last = int(losses.columns[-1])
        late = losses.loc[:, losses.columns >= SINCE * last]
        base = {"condition": condition, "axis": AXIS, "unit": "bits/token"}
        for metric, number in (extrapolate(late.columns.tolist(), late.to_numpy("float64")) or {}).items():
            x, n = (last, late.shape[1] - 1) if metric == MISS else (FURTHEST * last, late.shape[1])
            rows.append({**base, "metric": metric, "x": setting.x(x), **number._asdict(), "n": n})
    return tables.table(rows)
