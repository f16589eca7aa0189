"""What the intervention says: the effect of less context, and what of the gap between text and DNA it explains."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.claims.claim import NOT_TESTED, UNDECIDED
from gfm_utils.claims.dose import AXIS, DOSE_MEASURES, GAIN, LEAST_GAIN
from gfm_utils.claims.matching import Members, Scale, gap_at_equal_gain, jackknife, outcome
from gfm_utils.measures.entropy import SOURCE
from gfm_utils.measures.estimates import kinds
from gfm_utils.measures.intervals import LEVEL, Difference, holm
from gfm_utils.measures.rows import members_of
from gfm_utils.provenance import those_recorded
from gfm_utils.tokens import Condition, is_control

#: One measure for each claim that can be tested here; their p-values are corrected together. All others are
#: exploratory, and uncorrected.
PRIMARY = ("js_distance", "topk_overlap_corrected", "fisher_share")
#: What follows from the intervention itself: the output entropy of a calibrated model is that of the token
#: frequencies less the gain.
CHECKS = (GAIN, "output_entropy_share")
#: Measures that are erratic where nothing is learned.
_OF_GAIN = ("mutual_information_per_gain", "top1_agreement")
#: Kind -> transforms of less and of more entropy; token counts stay. All must move a measure for a verdict.
CONTRASTS = {
    "text": ((None, "noise0.3"),),
    "dna": ((None, "noise0.3"), ("markov4t0.33", "markov4t0.33+noise0.3")),
}
#: What is said of a gap: that more or less than a half of it is gone at equal context gain, or that there is none.
MORE, LESS, NO_GAP = "more than half", "less than half", "no gap to explain"
#: The recorded runs.
RECORDED = ("dose-response", "dose-response-smaller", "dose-response-longer", "dose-response-longest")
#: To match text and DNA on what a code saves, instead of on what the members gain.
CODE = "code"
#: Columns of ``gap_parts`` with numbers of a ``Gap``: each part with each end.
_PARTS, _ENDS = ("gap", "gone", "floors", "left"), ("", "_low", "_high", "_p")


def kind_of(table: pd.DataFrame) -> dict[str, str]:
    """Condition -> its kind, in the order of a table of ``dose_response``."""
    rows = table[table["metric"] == "entropy_rate"]
    of_condition = {name: kind for kind, names in kinds(rows).items() for name in names}
    return {name: of_condition[name] for name in rows["condition"]}


def settings_of(table: pd.DataFrame) -> list[str]:
    """Budgets and models of a table of ``dose_response``, as its axis has them, by model and budget."""
    settings = [x.split("|") for x in dict.fromkeys(table.loc[(table["axis"] == AXIS).fillna(False), "x"])]
    return ["|".join(x) for x in sorted(settings, key=lambda x: (x[1], int(x[0])))]


def recorded_doses() -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The recorded runs of the causal test as one table of ``dose_response``, and the provenance of each.

    The entropy of a condition is that of the last run that has it. Without any run the table is empty.
    """
    runs = those_recorded(*RECORDED)
    frames = [frame for frame, _ in reversed(runs)]
    table = pd.concat(frames, ignore_index=True) if frames else tables.table([])
    rates = table[(table["axis"] == SOURCE).fillna(False)]
    twice = rates.duplicated(["condition", "metric"])
    return table.drop(twice.index[twice]), [provenance for _, provenance in runs]


def verdict_setting(table: pd.DataFrame) -> str:
    """The last setting with most of the contrasts, whose verdicts count; the empty text if nothing is trained."""
    counts = {x: (dose_effects(table, x)["metric"] == GAIN).sum() for x in reversed(settings_of(table))}
    return max(counts, key=lambda x: counts[x], default="")


def dose_effects(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """What more entropy does to each measure of ``dose_response``, at one budget and model as on its axis.

    Returns:
        One row a measure and contrast of ``CONTRASTS`` (protein has those of text): ``metric``, ``kind``, ``less``
        and ``more`` (conditions), ``value`` (the difference) with ``low``, ``high``, ``p``; ``p_holm`` of the
        measure (the largest p-value, of ``PRIMARY`` corrected), and its ``outcome``: not tested where a contrast
        is missing that others have, or one kind of corpus is all that there is.
    """
    numbers, contrasted = _numbers(table, x), []
    plain = {Condition.parse(name).transformed(None): kind for name, kind in kind_of(table).items()}
    for metric, (condition, kind) in product(DOSE_MEASURES, plain.items()):
        for doses in CONTRASTS.get("text" if kind == "protein" else kind, ()):
            less, more = (str(condition.transformed(dose)) for dose in doses)
            if (less, metric) in numbers and (more, metric) in numbers:
                pair = [values[:, None] for values in _paired(numbers[more, metric], numbers[less, metric])]
                if len(pair[0]) > 1:
                    effect = jackknife(lambda a, b: float(a[0] - b[0]), pair)._asdict()
                    contrasted.append({"metric": metric, "kind": kind, "less": less, "more": more, **effect})
    frame = pd.DataFrame(contrasted, columns=["metric", "kind", "less", "more", *Difference._fields])
    corrected = _corrected(frame.groupby("metric", sort=False)["p"].agg(lambda p: p.max(skipna=False)))
    outcomes, most = {}, int((frame["metric"] == GAIN).sum())
    for metric, rows in frame.groupby("metric"):
        whole = set(rows["kind"]) >= set(CONTRASTS) and len(rows) == most
        above = bool(DOSE_MEASURES[str(metric)].above)
        outcomes[metric] = outcome(rows["value"], corrected[metric], above) if whole else NOT_TESTED
    return frame.assign(p_holm=frame["metric"].map(corrected), outcome=frame["metric"].map(outcomes))


def _corrected(p: pd.Series) -> pd.Series:
    """P-values by measure, 1 where there is none: those of ``PRIMARY`` corrected for their number."""
    corrected = p.astype("float64").fillna(1.0)
    primary = corrected.index.isin(PRIMARY)
    corrected[primary] = holm(corrected[primary])
    return corrected


def gap_parts(
    table: pd.DataFrame, x: str, match: str = GAIN, metrics: Sequence[str] = tuple(DOSE_MEASURES)
) -> pd.DataFrame:
    """What of the gap between text and DNA is gone when text is scrambled to DNA's context gain, at one budget.

    Args:
        table: of ``dose_response``.
        x: budget and model, as its axis has them.
        match: what text and DNA are made equal in: the context gain, which members have achieved, or ``CODE``, the
            bits per token that a code saves over the entropy of tokens in random order.
        metrics: of ``DOSE_MEASURES``, all of ``PRIMARY`` among them.

    Returns:
        One row a measure (but the context gain) and condition of DNA without a transform whose gain some text has:
        ``metric``, ``condition``, ``setting`` (``x``), ``gain`` (DNA's, or what the code saves on it); the measure
        of ``text``, of text at that gain (``beside``), of text in random order (``shuffled``) and of ``dna``; the
        ``gap`` and, as shares of it, what is ``gone`` at equal gain, what is there in random order (``floors``)
        and what is ``left``, with ``_low``, ``_high`` and ``_p`` each, matched per token; ``least`` and ``most``,
        between which the share that is gone lies on every ``Scale``; ``p_holm`` of that being a half, the largest
        over the scales (of ``PRIMARY`` corrected, for each condition by itself); and ``outcome``: ``MORE`` or
        ``LESS`` than a half where all scales agree, ``NO_GAP`` where the gap's interval includes zero, else
        undecided.
    """
    numbers, kinds, gaps = _numbers(table, x), kind_of(table), []
    rates = table.drop_duplicates(["condition", "metric"]).set_index(["metric", "condition"])["value"]
    saved = saved_by_code(table)
    text = [name for name in kinds if kinds[name] == "text" and keeps_counts(name)]
    plain = next((name for name in text if not is_control(name)), None)
    for metric in (name for name in metrics if name != GAIN and (plain, name) in numbers):
        points = {}
        for name in (name for name in kinds if (name, metric) in numbers and (match != CODE or name in saved)):
            columns = {"gain": numbers[name, GAIN], "measure": numbers[name, metric]}
            members = pd.concat(columns, axis=1, join="inner")
            symbols = rates["entropy_per_token", name] / rates["entropy_rate", name]
            points[name] = members.assign(symbols=symbols, **({"gain": saved[name]} if match == CODE else {}))
        ladder = [name for name in text if name in points]
        for name in (name for name in points if kinds[name] == "dna" and not is_control(name)):
            floors = [str(Condition.parse(one).transformed("shuffle")) for one in (ladder[0], name)]
            row = _gap(points, str(plain), ladder, name, floors if all(one in points for one in floors) else None)
            if row is not None:
                gaps.append({"metric": metric, "condition": name, "setting": x, **row})
    names = [
        "metric", "condition", "setting", "gain", "text", "beside", "shuffled", "dna",
        *(f"{part}{end}" for part in _PARTS for end in _ENDS), "least", "most", "p_worst", "signs",
    ]  # fmt: skip
    frame = pd.DataFrame(gaps, columns=names)
    frame["p_holm"] = 1.0
    for _, rows in frame.groupby("condition"):
        corrected = _corrected(rows.set_index("metric")["p_worst"])
        frame.loc[rows.index, "p_holm"] = rows["metric"].map(corrected)
    frame["outcome"] = [_outcome(row) for _, row in frame.iterrows()]
    return frame.drop(columns=["p_worst", "signs"])


def all_gap_parts(table: pd.DataFrame, match: str = GAIN) -> pd.DataFrame:
    """``gap_parts`` at every budget and model of the table, one below the other."""
    parts = [gap_parts(table, x, match) for x in settings_of(table)]
    return pd.concat(parts, ignore_index=True) if parts else gap_parts(table, "")


def saved_by_code(table: pd.DataFrame) -> dict[str, float]:
    """Condition -> bits per token that its entropy lies below that of its tokens in random order, if known."""
    rates = table[table["metric"] == "entropy_per_token"].drop_duplicates("condition")
    entropy = dict(zip(rates["condition"], rates["value"], strict=True))
    floors = {name: str(Condition.parse(name).transformed(None).transformed("shuffle")) for name in entropy}
    return {name: float(entropy[floor] - entropy[name]) for name, floor in floors.items() if floor in entropy}


def keeps_counts(condition: str) -> bool:
    """Whether a condition has the token counts of its corpus: as it is, with noise, or in random order."""
    transforms = Condition.parse(condition).transforms
    return not transforms or transforms == ("shuffle",) or (len(transforms) == 1 and "noise" in transforms[0])


def _gap(
    points: Mapping[str, pd.DataFrame], plain: str, ladder: Sequence[str], dna: str, floors: Sequence[str] | None
) -> dict[str, Any] | None:
    """The numbers of a gap, on every scale; None where no text gains what DNA does."""
    text = dict(zip(ladder, _paired(*(points[name] for name in ladder)), strict=True))
    others = _paired(*(points[name] for name in (dna, *(floors or ())[1:])))
    pair = (text[floors[0]], others[1]) if floors else None
    if min(map(len, (text[plain], others[0]))) < 2:
        return None
    ways = [gap_at_equal_gain(text[plain], list(text.values()), others[0], scale, pair) for scale in Scale]
    known = [way for way in ways if way is not None]
    if len(known) < len(ways):
        return None
    main, mean, shares = known[0], others[0].mean(0), [way.gone.value for way in known]
    parts = {part: zip(_ENDS, getattr(main, part), strict=True) for part in _PARTS}
    columns = {f"{part}{end}": value for part, ends in parts.items() for end, value in ends}
    return {
        "gain": float(mean[0]), "text": float(text[plain].mean(0)[1]), "beside": main.beside,
        "shuffled": float(pair[0].mean(0)[1]) if pair else np.nan, "dna": float(mean[1]), **columns,
        "least": min(shares), "most": max(shares),
        "p_worst": max((way.half.p for way in known), key=lambda p: np.inf if np.isnan(p) else p),
        "signs": len({np.sign(way.half.value) for way in known}),
    }  # fmt: skip


def _outcome(row: pd.Series) -> str:
    if not row["gap_p"] <= 1 - LEVEL:
        return NO_GAP
    if row["p_holm"] <= 1 - LEVEL and row["signs"] == 1:
        return MORE if row["gone"] > 0.5 else LESS
    return UNDECIDED


def _paired(*samples: Any) -> list[Members]:
    """Numbers of the members that all have, side by side: rows by member, (members, ...) each."""
    both = sorted(set.intersection(*(set(sample.index) for sample in samples)))
    return [sample.loc[both].to_numpy("float64") for sample in samples]


def _numbers(table: pd.DataFrame, x: str) -> dict[tuple[str, str], pd.Series]:
    """(condition, measure) -> one number a trained member, by member, where there are two or more."""
    every = {(name, metric): values for (name, at, metric), values in members_of(table, AXIS).items() if at == x}
    gains = {name: values.mean() for (name, metric), values in every.items() if metric == GAIN}
    return {
        (name, metric): values
        for (name, metric), values in every.items()
        if len(values) > 1 and name in gains and (metric not in _OF_GAIN or gains[name] > LEAST_GAIN)
    }
