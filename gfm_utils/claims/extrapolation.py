"""Where a loss goes with more tokens: a power law with a limit, its interval, and no further than the data bear.

``L(t) = limit + a (t / t_last)^-b`` (Hestness et al., 2017; Kaplan et al., 2020; Hoffmann et al., 2022) is fitted
to the mean over members by least squares. Its interval adds the variances of two jackknives, over members and
points.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from gfm_utils import tables
from gfm_utils.claims.along_training import AXIS, VALIDATION, Setting, position
from gfm_utils.measures.intervals import Interval, jackknife_values, mean_variance, t_test
from gfm_utils.measures.rows import Row

Floats = npt.NDArray[np.float64]
#: No further than so many times the tokens that were read.
FURTHEST = 10
#: Points before this share of the tokens are not fitted: token frequencies are learned there.
SINCE = 1 / 64
#: Limit, height and exponent of the law; and the exponents that are looked for.
PARAMETERS, EXPONENTS = 3, (0.01, 3.0)
#: What the points are: checkpoints of one run, of which only the last has a learning rate of zero, or the ends of
#: runs of different lengths, of which all have.
ALONG, ENDS = "along one run", "ends of runs"
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
    left = ([law.at(at[-1] * FURTHEST) for law in laws] for laws in (without_member, without_point))
    variances = [mean_variance(jackknife_values(later, one))[0] for one in left]
    value, low, high, _ = t_test(later, variances, (members - 1, points - PARAMETERS)).single()
    ends = (low, high) if low > 0 and high < mean[-1] else (np.nan, np.nan)
    miss = without_point[-1].at(at[-1]) - float(mean[-1])
    return {LATER: Interval(value, *ends), MISS: Interval(miss, np.nan, np.nan)}


def curves(table: pd.DataFrame) -> Iterator[tuple[str, str, Setting, pd.DataFrame]]:
    """Validation losses to which a law is fitted: every run, and the ends of runs that differ in length alone.

    Args:
        table: of ``along_training``.

    Yields:
        ``ALONG`` or ``ENDS``; condition; setting (of several runs the longest's); and the losses of the members
        that have all points, in bits per token, a row a member and a column a number of tokens, ascending.
    """
    rows = table[(table["metric"] == VALIDATION) & table["member"].notna()]
    places = [position(x) for x in rows["x"]]
    rows = rows.assign(tokens=[tokens for tokens, _ in places], setting=[setting for _, setting in places])
    rows["model"] = [setting[:2] for setting in rows["setting"]]
    ends = rows[rows["tokens"] == [setting.budget for setting in rows["setting"]]]
    for points, of_kind, by in ((ALONG, rows, "setting"), (ENDS, ends, "model")):
        for (condition, _), run in of_kind.groupby(["condition", by], sort=False):
            if points == ALONG or run["tokens"].nunique() > 1:
                longest = max(run["setting"], key=lambda setting: setting.budget)
                losses = run.pivot_table(index="member", columns="tokens", values="value").dropna(axis=0)
                yield points, str(condition), longest, losses


def extrapolations(table: pd.DataFrame) -> pd.DataFrame:
    """Result table of what validation losses say of more tokens, see ``extrapolate``; all in bits per token.

    The state says what the points are, ``ALONG`` or ``ENDS``. Along one run those before the end are at a high
    learning rate, and the law takes in how the rate falls; through the ends of runs it does not. Axis ``AXIS``;
    the tokens of ``x`` are, for ``LATER``, ``FURTHEST`` times those of the longest run, and for ``MISS`` those of
    the last point. The law is fitted to the points from ``SINCE`` of the tokens on.

    Args:
        table: of ``along_training``.
    """
    rows: list[Row] = []
    for points, condition, setting, losses in curves(table):
        last = int(losses.columns[-1])
        late = losses.loc[:, losses.columns >= SINCE * last]
        count = late.shape[1]
        base = {"condition": condition, "state": points, "axis": AXIS, "unit": "bits/token"}
        for metric, number in (extrapolate(late.columns.tolist(), late.to_numpy("float64")) or {}).items():
            x, n = (last, count - 1) if metric == MISS else (FURTHEST * last, count)
            rows.append({**base, "metric": metric, "x": setting.x(x), **number._asdict(), "n": n})
    return tables.table(rows)
