"""Do trainings lie on one curve? Measures of two runs at the same context gain, and at the same tokens.

A run is a condition in a setting; its checkpoints are a curve of a measure over the context gain, straight between
them. Two runs are compared at the largest gain that both have reached. What is compared is a function of the means
over members, so that the jackknife for two samples gives its error (see :mod:`gfm_utils.analyses.matching`): a
member is left out with its whole curve.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.analyses.along_training import (
    FOLLOWED,
    LOSS,
    LOSS_SHARE,
    Setting,
    members_of,
    position,
    settings_of,
    tokens_of,
)
from gfm_utils.analyses.dose import GAIN, LEAST_GAIN
from gfm_utils.analyses.estimates import kinds
from gfm_utils.analyses.intervals import Difference, difference
from gfm_utils.analyses.matching import jackknife

Floats = npt.NDArray[np.float64]
#: Of ``members_of``.
Numbers = Mapping[tuple[str, str, str], pd.Series]
#: Measures that are compared at equal gain; the loss is the gain, seen from the other side.
COMPARED = tuple(name for name in FOLLOWED if name not in (GAIN, LOSS, LOSS_SHARE))
#: What two runs differ by: DNA less text, one optimiser less the other, one model less another.
KIND, OPTIMISER, MODEL = "sequence", "optimiser", "model"


class Run(NamedTuple):
    """One curve: the members of a condition in one training."""

    condition: str
    setting: Setting


def curve(numbers: Numbers, run: Run, metric: str) -> Floats:
    """Gain and measure of the members at the checkpoints that have both, shape (members, 2, checkpoints).

    Args:
        numbers: of ``members_of``.
        run: which.
        metric: of ``FOLLOWED``.
    """
    positions = {x: position(x) for condition, x, name in numbers if (condition, name) == (run.condition, GAIN)}
    found = []
    for x in sorted(positions, key=lambda x: positions[x]):
        own, gain = numbers.get((run.condition, x, metric)), numbers[run.condition, x, GAIN]
        if positions[x][1] == run.setting and own is not None and len(own) == len(gain):
            found.append([gain.to_numpy("float64"), own.to_numpy("float64")])
    return np.moveaxis(np.array(found), 0, -1).swapaxes(0, 1) if found else np.empty((0, 2, 0))


def at_gain(mean: Floats, gain: float) -> float:
    """The measure of a mean curve at a gain, by the checkpoints that gain more than all before them.

    Args:
        mean: gain and measure, shape (2, checkpoints).
        gain: bits per token.
    """
    gains, values = _rising(mean)
    return float(np.interp(gain, gains, values))


def around(mean: Floats, gain: float) -> tuple[float, float]:
    """The gains of the two checkpoints of a mean curve between which a gain lies."""
    gains, _ = _rising(mean)
    above = int(np.clip(np.searchsorted(gains, gain), min(1, len(gains) - 1), len(gains) - 1))
    return float(gains[max(0, above - 1)]), float(gains[above])


def _rising(mean: Floats) -> Floats:
    before = np.maximum.accumulate(np.concatenate([[-np.inf], mean[0, :-1]]))
    return mean[:, mean[0] > before]


class Equal(NamedTuple):
    """A measure of two runs at the largest gain that both have reached.

    Attributes:
        gain: bits per token.
        own: the measure of the first run there.
        other: that of the second.
        below: gain of the checkpoint before, in the run that goes on: what is between is a straight line.
        above: of the one after.
        effect: first less second.
    """

    gain: float
    own: float
    other: float
    below: float
    above: float
    effect: Difference


def at_equal_gain(first: Floats, second: Floats, paired: bool = False) -> Equal | None:
    """A measure of two runs at the largest gain that both have reached.

    Args:
        first: of ``curve``.
        second: of the other run.
        paired: whether the members of both belong together, in their order.

    Returns:
        None where a curve has no two members or that gain is below ``LEAST_GAIN``.
    """
    if min(len(first), len(second)) < 2:
        return None

    def both(*means: Floats) -> tuple[float, float, float]:
        own, other = (mean.reshape(2, -1) for mean in means)
        gain = float(min(own[0].max(), other[0].max()))
        return gain, at_gain(own, gain), at_gain(other, gain)

    flat = [one.reshape(len(one), -1) for one in (first, second)]
    means = [one.mean(0) for one in (first, second)]
    gain, own, other = both(*means)
    if gain < LEAST_GAIN:
        return None

    def apart(*means: Floats) -> float:
        _, left, right = both(*means)
        return left - right

    further = max(means, key=lambda mean: float(mean[0].max()))
    groups = [flat] if paired and len(first) == len(second) else [[one] for one in flat]
    return Equal(gain, own, other, *around(further, gain), jackknife(apart, *groups))


def pairs_of(table: pd.DataFrame) -> Iterator[tuple[str, Run, Run]]:
    """The pairs of runs that differ in one thing: by what, and the two.

    DNA and text in one setting. Of one condition: the same model by another optimiser, and another model by the
    same optimiser. Of runs that differ in nothing but their length the longest is taken.

    Args:
        table: of ``along_training``.
    """
    text, dna = kinds(table)
    longest: dict[tuple[str, str, str], Run] = {}
    for run in sorted((Run(*found) for found in settings_of(table)), key=lambda run: -run.setting.budget):
        longest.setdefault((run.condition, run.setting.preset, run.setting.optimiser), run)
    runs = list(longest.values())
    for first, second in product(runs, runs):
        if first.condition in dna and second.condition in text and first.setting == second.setting:
            yield KIND, first, second
    for first, second in combinations(runs, 2):
        same = [a == b for a, b in zip(first.setting[:2], second.setting[:2], strict=True)]
        if first.condition == second.condition and sum(same) == 1:
            yield (OPTIMISER if same[0] else MODEL), first, second


def equal_gains(table: pd.DataFrame, metrics: Sequence[str] = COMPARED) -> pd.DataFrame:
    """Each measure of two runs at the largest context gain that both have reached.

    Args:
        table: of ``along_training``.
        metrics: of ``FOLLOWED``.

    Returns:
        One row a pair of ``pairs_of`` and measure: ``by``, ``metric``, ``condition`` and ``setting`` of the first,
        ``other_condition`` and ``other_setting`` of the second, the numbers of ``Equal``, and ``value`` (first
        less second) with ``low``, ``high`` and ``p``.
    """
    found, numbers = [], members_of(table)
    for by, first, second in pairs_of(table):
        for metric in metrics:
            own, other = (curve(numbers, run, metric) for run in (first, second))
            compared = at_equal_gain(own, other, paired=by == OPTIMISER)
            if compared is not None:
                named = {"by": by, "metric": metric, "condition": first.condition, "setting": first.setting}
                beside = {"other_condition": second.condition, "other_setting": second.setting}
                found.append({**named, **beside, **compared._asdict(), **compared.effect._asdict()})
    columns = [
        "by", "metric", "condition", "setting", "other_condition", "other_setting", "gain", "own", "other",
        "below", "above", *Difference._fields,
    ]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def equal_tokens(table: pd.DataFrame, metrics: Sequence[str] = (GAIN, LOSS_SHARE, *COMPARED)) -> pd.DataFrame:
    """DNA less text in each measure, at every checkpoint that both have in one setting.

    Args:
        table: of ``along_training``.
        metrics: of ``FOLLOWED``.

    Returns:
        One row a pair, measure and checkpoint: ``metric``, ``condition``, ``other_condition``, ``setting``,
        ``tokens``, and ``value`` with ``low``, ``high`` (Welch's) and ``p``.
    """
    found, numbers = [], members_of(table)
    for by, first, second in pairs_of(table):
        if by != KIND:
            continue
        shared = set(tokens_of(table, *first)) & set(tokens_of(table, *second))
        for metric, tokens in product(metrics, sorted(shared)):
            own, other = (numbers.get((run.condition, run.setting.x(tokens), metric)) for run in (first, second))
            if own is not None and other is not None and min(len(own), len(other)) > 1:
                named = {"metric": metric, "condition": first.condition, "other_condition": second.condition}
                apart = difference(own.to_numpy("float64"), other.to_numpy("float64"))
                found.append({**named, "setting": first.setting, "tokens": tokens, **apart._asdict()})
    columns = ["metric", "condition", "other_condition", "setting", "tokens", "value", "low", "high", "p"]
    return pd.DataFrame(found, columns=columns)
