"""What models of a corpus will show, forecast from counting alone, by a regression over the corpora of the atlas.

One line a measure. Its interval is Student's t times the root mean squared error on families of corpora that the
fit has not seen; what a forecast has to beat is the same of the mean of the other corpora.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from gfm_utils import tables
from gfm_utils.claims.atlas import gain_scale
from gfm_utils.claims.dose import LEAST_GAIN
from gfm_utils.corpora.registry import registry
from gfm_utils.ensembles import plan_ensembles
from gfm_utils.entropy import code_lengths, corpus_entropy
from gfm_utils.errors import GfmError
from gfm_utils.measures.counting import counting_levels
from gfm_utils.measures.estimates import estimate
from gfm_utils.measures.registry import MEASURES
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tokens import Condition, is_condition, load_corpus

Floats = npt.NDArray[np.float64]
#: The models that are forecast: a recorded run of that profile, with this tokenizer.
PROFILE, TOKENIZER = "atlas", "bpe512"
#: What is forecast, and from what: measures of the registry, that any corpus has before anything is trained.
FORECAST = ("context_gain", "accuracy", "js_distance", "topk_overlap_corrected", "fisher_share")
COUNTED = ("counting_gain", "entropy_share")
#: Forecast as logarithms, of so much where there is less: what is ten times as large is known less exactly.
LEAST = {"context_gain": LEAST_GAIN, "accuracy": 1e-3}
#: Share of the corpora that the intervals are to hold.
HELD = 0.9
#: A corpus is outside of the atlas where its nearest neighbour is farther than this share of the range.
NEAR = 0.1
#: What is said of a forecast.
GIVEN, NO_BETTER, OUTSIDE = "forecast", "no better than the mean of the atlas", "outside of the atlas"
COUNTED_FIRST = "counted"


def counted(corpus: str, runs_dir: Path, seed: int = 42) -> tuple[dict[str, float], tuple[str, ...]]:
    """The numbers ``COUNTED`` of a corpus (name, path or address), and how the profile was fitted to it.

    Raises:
        GfmError: the corpus cannot be had, read or split, or is too small.
    """
    profile = profile_named(PROFILE)
    (planned,) = plan_ensembles([f"{corpus}@{TOKENIZER}"], profile, runs_dir, seed)
    levels = tables.table(counting_levels(planned.store, planned.spec.window, profile, seed).rows())
    loaded = load_corpus(corpus, profile)
    codes = code_lengths(loaded, profile.code_symbols)
    coded = corpus_entropy(loaded, 1, profile.entropy_symbols, codes)
    found = [estimate(MEASURES[name], rows) for name, rows in zip(COUNTED, (levels, coded), strict=True)]
    return {name: one.interval.value for name, one in zip(COUNTED, found, strict=True) if one}, planned.notes


def forecasts(
    conditions: Sequence[str], points: pd.DataFrame, runs_dir: Path, seed: int = 42
) -> tuple[pd.DataFrame, list[str]]:
    """What models of some corpora will show, of the size of the atlas's, whatever the conditions' tokenizers are.

    A corpus of the atlas is forecast from the others, without its family.

    Args:
        conditions: ``corpus@tokenizer``, or corpora; of a transformed one the corpus as it is.
        points: of ``atlas_points``.
        runs_dir: where tokens are found or made.
        seed: of splits and masks.

    Returns:
        The rows of ``forecast`` and, with the outcome ``COUNTED_FIRST``, the numbers that they rest on, with the
        ``corpus``; and sentences: why a corpus has none, what was fitted to a small one, and what lies outside of
        the atlas.
    """
    frames, notes = [], []
    named = (Condition.parse(name).corpus if is_condition(name) else name for name in conditions)
    for corpus in dict.fromkeys(named):
        entry = registry().get(corpus)
        others = points[points["family"] != ((entry and entry.relatives) or corpus)]
        try:
            numbers, fitted = counted(corpus, runs_dir, seed)
        except GfmError as error:
            notes.append(f"{corpus}: {error}")
            continue
        notes += [f"{corpus}, the models that are forecast: {note}" for note in fitted]
        notes += [
            f"{corpus}: {numbers[name]:.3f} ({MEASURES[name].text}); no corpus of the atlas is near; nearest are "
            + " and ".join(f"{value:.3f}" for value in nearest)
            for name, nearest in out_of_range(others, numbers)
        ]
        counts = [{"metric": name, "value": value, "outcome": COUNTED_FIRST} for name, value in numbers.items()]
        rows = pd.concat([pd.DataFrame(counts), forecast(others, numbers)], ignore_index=True)
        frames.append(rows.assign(corpus=corpus))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(), notes


def forecast_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Result table of ``forecasts``: what was counted, and what is forecast (``forecast_...``) beside the mean."""
    found = []
    for row in rows.to_dict("records"):
        one = {"condition": row["corpus"], "metric": row["metric"], "unit": MEASURES[row["metric"]].unit}
        if row["outcome"] == COUNTED_FIRST:
            found.append({**one, "value": row["value"]})
            continue
        for state, prefix in (("forecast", ""), ("mean of the atlas", "mean_")):
            ends = {end: row[f"{prefix}{end}"] for end in ("value", "low", "high")}
            found.append({**one, "metric": f"forecast_{row['metric']}", "state": state, **ends})
    table = tables.table(found)
    return table.dropna(subset="value", ignore_index=True)


def predictors(points: pd.DataFrame) -> Floats:
    """Logarithm of what counting on both sides saves, and shortest code as a share, shape (corpora, 2)."""
    return np.stack([gain_scale(points[COUNTED[0]]), points[COUNTED[1]].to_numpy(np.float64)], axis=1)


def _predicted(design: Floats, y: Floats, families: npt.NDArray, new: Floats) -> tuple[Floats, float]:
    """Forecasts of new corpora, and half of the width of their interval.

    The errors on a family that was left out are (I - H)^-1 r, of its part of the hat matrix and of the residuals
    of the fit of all (Cook and Weisberg, 1982).
    """
    columns = np.hstack([np.ones((len(y), 1)), design])
    coefficients = np.linalg.lstsq(columns, y)[0]
    residuals, basis = y - columns @ coefficients, np.linalg.qr(columns)[0]
    squares = []
    for name in (names := list(dict.fromkeys(families))):
        out = families == name
        hat = basis[out] @ basis[out].T
        squares.append(float(np.mean(np.linalg.solve(np.eye(len(hat)) - hat, residuals[out]) ** 2)))
    freedom = len(names) - columns.shape[1]
    reach = float(special.stdtrit(freedom, 0.5 + HELD / 2)) if freedom > 0 else np.inf
    return coefficients[0] + new @ coefficients[1:], reach * float(np.sqrt(np.mean(squares)))


def predicted(known: pd.DataFrame, new: pd.DataFrame, metric: str) -> pd.DataFrame:
    """``value``, ``low``, ``high`` of a measure for new corpora by known ones; ``mean_...`` of their mean."""
    design, at = predictors(known), predictors(new)
    y, families = known[metric].to_numpy(np.float64), known["family"].to_numpy()
    if metric in LEAST:
        y = np.log2(np.maximum(y, LEAST[metric]))
    ends: dict[str, Floats] = {}
    for prefix, columns in (("", design.shape[1]), ("mean_", 0)):
        values, reach = _predicted(design[:, :columns], y, families, at[:, :columns])
        ends |= {f"{prefix}value": values, f"{prefix}low": values - reach, f"{prefix}high": values + reach}
    frame = pd.DataFrame(ends, index=new.index)
    return np.exp2(frame) if metric in LEAST else frame


def interval_score(y: pd.Series, low: pd.Series, high: pd.Series) -> pd.Series:
    """Width of intervals and, for values outside, 2 / (1 - ``HELD``) of how far (Gneiting and Raftery, 2007)."""
    return high - low + 2 / (1 - HELD) * ((low - y).clip(lower=0) + (y - high).clip(lower=0))


def left_out(points: pd.DataFrame) -> pd.DataFrame:
    """Forecasts of corpora that were left out, with their whole family (``by``: ``family``) or kind (``kind``).

    Returns:
        One row a corpus, measure and ``by``: ``condition``, ``label``, ``kind``, ``family``, ``metric``, ``by``;
        ``true``; ``value``, ``low`` and ``high`` of the forecast; and ``mean_value``, ``mean_low``, ``mean_high``
        of the mean of those that were not left out.
    """
    frames = []
    for metric, by in product(FORECAST, ("family", "kind")):
        for name in dict.fromkeys(points[by]) if points[by].nunique() > 1 else ():
            out = points[by] == name
            about = points.loc[out, ["condition", "label", "kind", "family"]]
            about = about.assign(metric=metric, by=by, true=points.loc[out, metric])
            frames.append(about.join(predicted(points[~out], points[out], metric)))
    return pd.concat(frames, ignore_index=True)


def judged(forecasts: pd.DataFrame) -> pd.DataFrame:
    """How good forecasts of corpora that were left out (of ``left_out``) are; each family counts once.

    Returns:
        One row a measure and ``by``: ``held``, the share of the true values inside the intervals; ``error``, the
        mean absolute error, and ``score``, the mean interval score, each with that of the mean of the others
        (``mean_error``, ``mean_score``).
    """
    y = forecasts["true"].astype("float64")
    numbers: dict[str, pd.Series] = {}
    for prefix in ("", "mean_"):
        value, low, high = (forecasts[f"{prefix}{end}"].astype("float64") for end in ("value", "low", "high"))
        numbers |= {
            f"{prefix}held": y.between(low, high).astype("float64"),
            f"{prefix}error": (y - value).abs(),
            f"{prefix}score": interval_score(y, low, high),
        }
    # The mean over the corpora of a family, and then over families.
    keys = ["metric", "by"]
    of_family = forecasts[[*keys, "family"]].assign(**numbers).groupby([*keys, "family"], sort=False).mean()
    return of_family.groupby(keys, sort=False).mean().reset_index()


def forecast(points: pd.DataFrame, numbers: Mapping[str, float]) -> pd.DataFrame:
    """What models of a corpus with these numbers (of ``counted``) will show, from ``atlas_points``.

    Returns:
        One row a measure of ``FORECAST``: ``metric``; ``value``, ``low`` and ``high`` (``HELD`` interval), NaN
        where none is given; ``mean_value``, ``mean_low`` and ``mean_high`` of the corpora of the atlas;
        ``outcome``.
    """
    new = pd.DataFrame([dict(numbers)])
    scores = judged(left_out(points)).set_index(["by", "metric"]).loc["family"]
    better, outside = scores["score"] < scores["mean_score"], any(out_of_range(points, numbers))
    rows = []
    for metric in FORECAST:
        outcome = OUTSIDE if outside else GIVEN if better[metric] else NO_BETTER
        rows.append({"metric": metric, **predicted(points, new, metric).iloc[0], "outcome": outcome})
    table = pd.DataFrame(rows)
    table.loc[table["outcome"] != GIVEN, ["value", "low", "high"]] = np.nan
    return table


def out_of_range(points: pd.DataFrame, numbers: Mapping[str, float]) -> Iterator[tuple[str, list[float]]]:
    """The numbers of a corpus that no corpus of the atlas is near (``NEAR``): name, and the nearest values."""
    known, at = predictors(points), predictors(pd.DataFrame([dict(numbers)]))[0]
    for name, column, value in zip(COUNTED, known.T, at, strict=True):
        far = np.abs(column - value).min() > NEAR * np.ptp(column)
        if far or not column.min() <= value <= column.max():
            sides = (column[column < value], column[column > value])
            nearest = [side[np.abs(side - value).argmin()] for side in sides if len(side)]
            values = points[name].to_numpy(np.float64)
            yield name, [float(values[np.argmin(np.abs(column - one))]) for one in nearest]
