"""Do trainings lie on one curve? Measures of two runs at the same context gain, and at the same tokens.

A run is a condition in a setting; its checkpoints are a curve of a measure over the context gain, straight between
them. A member is left out with its whole curve (see :mod:`gfm_utils.claims.matching`).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.claims.along_training import (
    AXIS,
    FOLLOWED,
    LOSS,
    LOSS_SHARE,
    Setting,
    position,
    settings_of,
    tokens_of,
)
from gfm_utils.claims.dose import GAIN, LEAST_GAIN
from gfm_utils.claims.matching import jackknife
from gfm_utils.measures.estimates import kinds
from gfm_utils.measures.intervals import Difference, difference
from gfm_utils.measures.rows import members_of

Floats = npt.NDArray[np.float64]
#: Of ``members_of``, on the axis of ``along_training``.
Numbers = Mapping[tuple[str, str, str], pd.Series]
#: One curve: the members of a condition in one training.
Run = tuple[str, Setting]
#: Measures that are compared at equal gain; the loss is the gain, seen from the other side.
COMPARED = tuple(name for name in FOLLOWED if name not in (GAIN, LOSS, LOSS_SHARE))
#: What two runs differ by: DNA less text, one optimiser less the other, one model less another.
KIND, OPTIMISER, MODEL = "sequence", "optimiser", "model"
#: Early is after this share of the tokens, as near as there is a checkpoint: DNA has learned something by then.
EARLY = 1 / 7


def curve(numbers: Numbers, run: Run, metric: str) -> Floats:
    """Gain and measure of a run's members at the checkpoints that have both, shape (members, 2, checkpoints)."""
    condition, setting = run
    positions = (position(x) for name, x, of in numbers if (name, of) == (condition, GAIN))
    points = []
    for x in (setting.x(tokens) for tokens, trained in sorted(positions) if trained == setting):
        values, gain = numbers.get((condition, x, metric)), numbers[condition, x, GAIN]
        if values is not None and len(values) == len(gain):
            points.append([gain.to_numpy("float64"), values.to_numpy("float64")])
    return np.array(points).transpose(2, 1, 0) if points else np.empty((0, 2, 0))


def at_gain(mean: Floats, gain: float) -> float:
    """The measure of a mean curve, shape (2, checkpoints), by the checkpoints that gain more than all before."""
    before = np.maximum.accumulate(np.concatenate([[-np.inf], mean[0, :-1]]))
    return float(np.interp(gain, *mean[:, mean[0] > before]))


def at_equal_gain(first: Floats, second: Floats, paired: bool = False) -> dict[str, float] | None:
    """A measure of two runs at the largest gain that both have reached.

    Args:
        first: of ``curve``.
        second: of the other run.
        paired: whether the members of both belong together, in their order.

    Returns:
        ``gain`` (bits per token), and first less second, ``value``, with ``low``, ``high`` and ``p``. None where a
        curve has no two members or that gain is below ``LEAST_GAIN``.
    """
    if min(len(first), len(second)) < 2:
        return None

    def shared_gain(*means: Floats) -> float:
        return min(float(mean.reshape(2, -1)[0].max()) for mean in means)

    def apart(*means: Floats) -> float:
        own, other = (at_gain(mean.reshape(2, -1), shared_gain(*means)) for mean in means)
        return own - other

    gain = shared_gain(first.mean(0), second.mean(0))
    if gain < LEAST_GAIN:
        return None
    flat = [one.reshape(len(one), -1) for one in (first, second)]
    groups = [flat] if paired and len(first) == len(second) else [[one] for one in flat]
    return {"gain": gain, **jackknife(apart, *groups)._asdict()}


def pairs_of(table: pd.DataFrame) -> Iterator[tuple[str, Run, Run]]:
    """The pairs of runs of a table of ``along_training`` that differ in one thing: by what, and the two.

    DNA and text in one setting. Of one condition: the same model by another optimiser, and another model by the
    same optimiser. Of runs that differ in nothing but their length the longest is taken.
    """
    of_kind = kinds(table)
    longest: dict[tuple[str, str, str], Run] = {}
    for condition, setting in sorted(settings_of(table), key=lambda run: -run[1].budget):
        longest.setdefault((condition, setting.preset, setting.optimiser), (condition, setting))
    runs = list(longest.values())
    for first, second in product(runs, runs):
        if first[0] in of_kind["dna"] and second[0] in of_kind["text"] and first[1] == second[1]:
            yield KIND, first, second
    for first, second in combinations(runs, 2):
        same = [a == b for a, b in zip(first[1][:2], second[1][:2], strict=True)]
        if first[0] == second[0] and sum(same) == 1:
            yield (OPTIMISER if same[0] else MODEL), first, second


def equal_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Each measure of two runs of ``along_training`` at the largest context gain that both have reached.

    Returns:
        One row a pair of ``pairs_of`` and measure of ``COMPARED``: ``by``, ``metric``, ``condition`` and
        ``setting`` of the first, ``other_condition`` and ``other_setting`` of the second, and the numbers of
        ``at_equal_gain``.
    """
    rows, numbers = [], members_of(table, AXIS)
    names = ["condition", "setting", "other_condition", "other_setting"]
    for (by, first, second), metric in product(pairs_of(table), COMPARED):
        own, other = (curve(numbers, run, metric) for run in (first, second))
        compared = at_equal_gain(own, other, by == OPTIMISER)
        if compared is not None:
            rows.append({"by": by, "metric": metric, **dict(zip(names, first + second, strict=True)), **compared})
    return pd.DataFrame(rows, columns=["by", "metric", *names, "gain", *Difference._fields])


def equal_tokens(table: pd.DataFrame) -> pd.DataFrame:
    """DNA less text in each measure, at every checkpoint of ``along_training`` that both have in one setting.

    Returns:
        One row a pair, measure and checkpoint: ``metric``, ``condition``, ``other_condition``, ``setting``,
        ``tokens``, and ``value`` with ``low``, ``high`` (Welch's) and ``p``.
    """
    rows, numbers = [], members_of(table, AXIS)
    for first, second in (runs for by, *runs in pairs_of(table) if by == KIND):
        (condition, setting), (other, _) = first, second
        shared = set(tokens_of(table, *first)) & set(tokens_of(table, *second))
        for metric, tokens in product((GAIN, LOSS_SHARE, *COMPARED), sorted(shared)):
            both = [numbers.get((name, setting.x(tokens), metric), ()) for name in (condition, other)]
            if min(map(len, both)) > 1:
                named = {"metric": metric, "condition": condition, "other_condition": other, "setting": setting}
                rows.append({**named, "tokens": tokens, **difference(*both)._asdict()})
    columns = ["metric", "condition", "other_condition", "setting", "tokens", *Difference._fields]
    return pd.DataFrame(rows, columns=columns)


def changes(along: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """What becomes of each difference of ``equal_tokens`` in a setting, from early in training to its end.

    Returns:
        ``condition``, ``other_condition``, ``metric``; ``before`` and ``after``, 1 or -1 where the interval of the
        difference excludes zero, else 0; and ``size``, the late difference as a share of the early one.
    """
    rows = along[(along["setting"] == setting) & along["metric"].isin(COMPARED)]
    changed = []
    for key, points in rows.groupby(["condition", "other_condition", "metric"], sort=False):
        at = points.set_index("tokens")
        early, last = at.loc[nearest(at.index, EARLY * max(at.index))], at.loc[max(at.index)]
        if early.name != last.name:
            changed.append((*key, clear_sign(early), clear_sign(last), abs(last["value"] / early["value"])))
    return pd.DataFrame(changed, columns=["condition", "other_condition", "metric", "before", "after", "size"])


def nearest(tokens: Iterable[int], wanted: float) -> int:
    """The number of tokens nearest to a wanted one."""
    return min(tokens, key=lambda one: abs(one - wanted))


def clear_sign(row: pd.Series) -> int:
    """1 or -1 where the interval of a difference excludes zero, else 0."""
    return int(row["low"] > 0) - int(row["high"] < 0)
