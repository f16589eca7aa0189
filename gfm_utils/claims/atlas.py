"""Across corpora: does what models gain from context explain their measures, or is a residual a kind's own?

The unit is the corpus. Each measure is a line in the logarithm of the context gain, of one slope, with an
intercept of each kind. Corpora that are not independent (one organism and its kin, translations of one text) are a
*family*, and every error is the jackknife's that leaves out a family at a time (Cameron and Miller, 2015; the
cluster-robust CR3).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from gfm_utils.claims.dose import GAIN, LEAST_GAIN
from gfm_utils.claims.effects import PRIMARY
from gfm_utils.claims.matching import tested
from gfm_utils.corpora.registry import find
from gfm_utils.measures.intervals import LEVEL, Difference, holm
from gfm_utils.tokens import Condition

Floats = npt.NDArray[np.float64]
#: So many families of either kind must lie in the range of gains that both have, or kinds are not separable.
FEWEST = 3
#: What is said of two kinds at equal gain.
DIFFERS, UNDECIDED, NOT_SEPARABLE = "differ", "undecided", "not separable"
#: One genome, and what is read from it, in this order.
CENTRAL_DOGMA = {
    "tair10-chr1": "genome", "tair10-chr1-rna": "mRNA", "tair10-chr1-cds": "coding sequence",
    "tair10-chr1-protein": "protein",
}  # fmt: skip


def atlas_points(table: pd.DataFrame) -> pd.DataFrame:
    """One row a corpus: ``condition``, ``corpus``, ``label``, ``group``, ``kind``, ``family``, and every measure.

    The table is that of :func:`gfm_utils.measures.estimates.compared`.

    Raises:
        GfmError: a corpus is not in the registry.
    """
    trained = table[(table["state"] == "trained").fillna(False)]
    values = trained.astype({"value": "float64"}).pivot_table(
        index=["condition", "x"], columns="metric", values="value", sort=False
    )
    points = values.rename_axis(columns=None).reset_index().rename(columns={"x": "kind"})
    names = [Condition.parse(name).corpus for name in points["condition"]]
    entries = [find(name) for name in names]
    about = pd.DataFrame({
        "condition": points.pop("condition"),
        "corpus": names,
        "label": [entry.label or name for name, entry in zip(names, entries, strict=True)],
        "group": [entry.group or entry.kind for entry in entries],
        "family": [entry.relatives or name for name, entry in zip(names, entries, strict=True)],
    })  # fmt: skip
    return pd.concat([about, points], axis="columns")


def gain_scale(gain: npt.ArrayLike) -> Floats:
    """Binary logarithm of a gain in bits per token, of ``LEAST_GAIN`` where there is less."""
    return np.log2(np.maximum(np.asarray(gain, np.float64), LEAST_GAIN))


def without_each(
    points: pd.DataFrame, statistic: Callable[[pd.DataFrame], npt.ArrayLike]
) -> tuple[Floats, Floats]:
    """A statistic of all corpora, and of those without each family, shape (families, ...)."""
    families = points["family"].to_numpy()
    left = [statistic(points[families != family]) for family in dict.fromkeys(families)]
    return np.asarray(statistic(points), np.float64), np.array(left, np.float64)


def over_families(value: float, left: Floats, columns: int) -> Difference:
    """A number of all corpora with its interval and p-value over families.

    ``left`` is the same without each family, shape (families,): NaN where it is then undefined, which leaves no
    interval; ``columns`` the number of parameters that were fitted.
    """
    freedom = len(left) - columns
    if freedom < 1 or np.isnan(left).any():
        return Difference(value, np.nan, np.nan, np.nan)
    return tested(value, [left], [freedom])


def line(points: pd.DataFrame, metric: str, kinds: Sequence[str], degree: int = 1) -> Floats:
    """Least squares: the coefficients of the powers of the gain, the highest first, then an intercept a kind.

    Args:
        points: of ``atlas_points``.
        metric: a column.
        kinds: in the order of the intercepts; of one without a corpus it is NaN.
        degree: 1 for a line, 2 for a parabola, of the same shape in each kind.
    """
    powers = gain_scale(points[GAIN])[:, None] ** np.arange(degree, 0, -1)
    of_kind = np.stack([points["kind"] == name for name in kinds], axis=1)
    there = of_kind.any(axis=0)
    columns = np.hstack([powers, of_kind[:, there]])
    coefficients = np.full(degree + len(kinds), np.nan)
    known = np.concatenate([np.ones(degree, np.bool_), there])
    coefficients[known] = np.linalg.lstsq(columns, points[metric].to_numpy(np.float64))[0]
    return coefficients


def random_intercepts(points: pd.DataFrame, metric: str, kinds: Sequence[str]) -> Floats:
    """Slope, intercept, and how far each kind is predicted to lie from the line, as a random effect.

    ``y = a + b x + u + e`` with u of variance t² a kind and e of variance s² a corpus; t² / s² has the greatest
    restricted likelihood (Patterson and Thompson, 1971), and u is the best linear unbiased prediction (Henderson,
    1975). Arguments as of ``line``.
    """
    x, y = gain_scale(points[GAIN]), points[metric].to_numpy(np.float64)
    of_kind = np.stack([points["kind"] == name for name in kinds], axis=1).astype(np.float64)
    fixed = np.stack([x, np.ones(len(x))], axis=1)

    def solved(ratio: float) -> tuple[float, Floats]:
        """Minus twice the restricted log likelihood (but for a constant); coefficients and effects."""
        covariance = np.eye(len(x)) + ratio * of_kind @ of_kind.T
        weighted = np.linalg.solve(covariance, fixed)
        information = fixed.T @ weighted
        coefficients = np.linalg.solve(information, weighted.T @ y)
        residual = y - fixed @ coefficients
        scaled = np.linalg.solve(covariance, residual)
        logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
        likelihood = float((len(x) - 2) * np.log(residual @ scaled) + logs)
        return likelihood, np.concatenate([coefficients, ratio * of_kind.T @ scaled])

    best = optimize.minimize_scalar(lambda log: solved(np.exp(log))[0], bounds=(-12, 8), method="bounded")
    return min(solved(0.0), solved(float(np.exp(best.x))), key=lambda one: one[0])[1]


def _known(points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each primary measure that corpora have, with those that have it."""
    for metric in (name for name in PRIMARY if name in points):
        yield metric, points.dropna(subset=[metric, GAIN])


def kind_effects(points: pd.DataFrame) -> pd.DataFrame:
    """How far each kind lies from the line of all corpora in each primary measure, as a random effect.

    Returns:
        ``metric``, ``kind``; ``value`` (in the measure's units) with ``low``, ``high`` and ``p``.
    """
    kinds, rows = list(dict.fromkeys(points["kind"])), []
    for metric, known in _known(points):
        value, left = without_each(known, partial(random_intercepts, metric=metric, kinds=kinds))
        for place, kind in enumerate(kinds, 2):
            effect = over_families(float(value[place]), left[:, place], 2)
            rows.append({"metric": metric, "kind": kind, **effect._asdict()})
    return pd.DataFrame(rows)


def slopes(points: pd.DataFrame) -> pd.DataFrame:
    """What twice the gain does to each primary measure, and how much of the spread of corpora that explains.

    Returns:
        ``metric``; ``value`` (a doubling of the gain, in the measure's units) with ``low``, ``high`` and ``p``;
        ``gain_alone``, ``kind_alone`` and ``both``, the shares of the variance between corpora that one line for
        all, a mean a kind, and a line with an intercept a kind explain.
    """
    kinds, rows = list(dict.fromkeys(points["kind"])), []
    for metric, known in _known(points):
        value, left = without_each(known, partial(line, metric=metric, kinds=kinds))
        slope = over_families(float(value[0]), left[:, 0], 1 + len(kinds))
        of_one = known.assign(kind="")
        residual = {
            "gain_alone": residuals(of_one, metric, line(of_one, metric, [""]), [""]),
            "kind_alone": known[metric] - known.groupby("kind")[metric].transform("mean"),
            "both": residuals(known, metric, value, kinds),
        }
        shares = {name: 1 - float(np.var(left) / np.var(known[metric])) for name, left in residual.items()}
        rows.append({"metric": metric, **slope._asdict(), **shares})
    return pd.DataFrame(rows)


def residuals(points: pd.DataFrame, metric: str, coefficients: Floats, kinds: Sequence[str]) -> pd.Series:
    """How far each corpus lies from the line of its kind, of ``line``."""
    intercepts = dict(zip(kinds, coefficients[1:], strict=True))
    at_line = coefficients[0] * gain_scale(points[GAIN]) + points["kind"].map(intercepts).to_numpy(np.float64)
    return points[metric] - at_line


def kind_contrasts(points: pd.DataFrame) -> pd.DataFrame:
    """Two kinds at equal gain: the residual difference between them in each primary measure.

    Two kinds *differ* if line and parabola say so with one sign, after Holm's correction for all rows; they are
    *not separable* where less than ``FEWEST`` families of either kind lie in the range of gains that both have.

    Returns:
        One row a measure and pair of kinds: ``metric``, ``kind``, ``other``; ``apart``, the difference of their
        means whatever the gain; ``value``, that at equal gain, with ``low``, ``high`` and ``p``; ``least`` and
        ``most`` of it without one family; ``shared``, the families of the kind with fewer in the common range;
        ``p_holm`` and ``outcome``.
    """
    kinds, rows = sorted(set(points["kind"])), []
    for metric, known in _known(points):
        intercepts = []
        for degree in (1, 2):
            value, left = without_each(known, partial(line, metric=metric, kinds=kinds, degree=degree))
            intercepts.append((value[degree:], left[:, degree:], degree + len(kinds)))
        means = known.groupby("kind")[metric].mean()
        for first, second in combinations(range(len(kinds)), 2):
            straight, curved = (
                over_families(float(value[first] - value[second]), left[:, first] - left[:, second], columns)
                for value, left, columns in intercepts
            )
            without_family = intercepts[0][1][:, first] - intercepts[0][1][:, second]
            rows.append({
                "metric": metric, "kind": kinds[first], "other": kinds[second],
                "apart": float(means[kinds[first]] - means[kinds[second]]), **straight._asdict(),
                "least": float(without_family.min()), "most": float(without_family.max()),
                "shared": shared_families(known, kinds[first], kinds[second]),
                "agree": curved.p <= 1 - LEVEL and curved.value * straight.value > 0,
            })  # fmt: skip
    names = ["metric", "kind", "other", "apart", *Difference._fields, "least", "most", "shared", "agree"]
    frame = pd.DataFrame(rows, columns=names)
    frame["p_holm"] = holm(frame["p"])
    differ = (frame["p_holm"] <= 1 - LEVEL) & frame["agree"].astype(bool)
    outcomes = np.where(frame["shared"] < FEWEST, NOT_SEPARABLE, np.where(differ, DIFFERS, UNDECIDED))
    return frame.assign(outcome=outcomes).drop(columns="agree")


def shared_families(points: pd.DataFrame, first: str, second: str) -> int:
    """Families of the kind that has fewer of them in the range of gains that both kinds have."""
    both = [points[points["kind"] == kind] for kind in (first, second)]
    low, high = max(one[GAIN].min() for one in both), min(one[GAIN].max() for one in both)
    return min(one.loc[one[GAIN].between(low, high), "family"].nunique() for one in both)
