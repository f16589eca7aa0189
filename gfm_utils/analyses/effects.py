"""What the intervention says: the effect of less context, and what is left of DNA's own at equal context gain."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gfm_utils.analyses.claims import NOT_TESTED, UNDECIDED
from gfm_utils.analyses.dose import AXIS, GAIN, LEAST_GAIN, MEASURES
from gfm_utils.analyses.intervals import LEVEL, holm
from gfm_utils.analyses.matching import Effect, Members, Scale, jackknife, matched, outcome
from gfm_utils.analyses.rates import SOURCE
from gfm_utils.errors import GfmError
from gfm_utils.provenance import recorded
from gfm_utils.tokens import Condition, is_control

#: One measure for each claim that can be tested here; their p-values are corrected together. All others are
#: exploratory, and uncorrected.
PRIMARY = ("js_distance", "topk_overlap_corrected", "fisher_share")
#: What follows from the intervention itself: noise takes the gain away, and the output entropy of a calibrated
#: model is that of the token frequencies less the gain.
CHECKS = (GAIN, "output_entropy_share")
#: Measures that are erratic where nothing is learned.
_OF_GAIN = ("mutual_information_per_gain", "top1_agreement")
#: Less and more entropy: a share of the tokens is mixed, in text, in DNA, and in a source with DNA's letters whose
#: context tells much. The counts of tokens stay in all three. All must move a measure for a verdict.
CONTRASTS = {
    "text": ((None, "noise0.3"),),
    "dna": ((None, "noise0.3"), ("markov4t0.33", "markov4t0.33+noise0.3")),
}
#: DNA is called the same as text when it surely has between this share of what text has, and its inverse.
MARGIN = 0.8
HIGHER, LOWER, SAME = "higher", "lower", "same"
#: The recorded runs: what found (older, other rules), what tests it, and that again with longer training.
FIRST, RECORDED = "dose-response", ("dose-response-controlled", "dose-response-longer")
RATIO = ("ratio", "ratio_low", "ratio_high")
Contrasts = Mapping[str, Sequence[tuple[str | None, str | None]]]


def kind_of(table: pd.DataFrame) -> dict[str, str]:
    """Condition -> ``text`` or ``dna``, in the order of a table of ``dose_response``."""
    rows = table[table["metric"] == "entropy_rate"]
    return {row["condition"]: "dna" if row["unit"] == "bits/base" else "text" for _, row in rows.iterrows()}


def settings_of(table: pd.DataFrame) -> list[str]:
    """Budgets and models of a table of ``dose_response``, as its axis has them, by run, model and budget."""
    found = dict.fromkeys(table.loc[(table["axis"] == AXIS).fillna(False), "x"])

    def order(x: str) -> tuple[bool, str, int]:
        steps, preset, *run = x.split("|")
        return not run, preset, int(steps)

    return sorted(found, key=order)


def recorded_doses() -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The recorded runs of the causal test as one table of ``dose_response``, and the provenance of each.

    Settings of the first run end with its name; the entropy of a condition is that of the last run that has it.

    Raises:
        GfmError: none is recorded.
    """
    found = []
    for name in (FIRST, *RECORDED):
        try:
            frame, about = recorded(name)
        except GfmError:
            continue
        if name == FIRST:
            own = (frame["axis"] == AXIS).fillna(False)
            frame["x"] = frame["x"].where(~own, frame["x"] + "|first run")
        found.append((frame, about))
    if not found:
        raise GfmError("the causal test is not recorded; run python benchmarks/dose_response.py")
    table = pd.concat([frame for frame, _ in reversed(found)], ignore_index=True)
    rates = table[(table["axis"] == SOURCE).fillna(False)]
    twice = rates.duplicated(["condition", "metric"])
    return table.drop(twice.index[twice]), [about for _, about in found]


def verdict_setting(table: pd.DataFrame, contrasts: Contrasts = CONTRASTS) -> str:
    """The last setting with most of the contrasts: its verdicts count, the others confirm them or not."""
    settings = settings_of(table)
    counts = [(dose_effects(table, x, contrasts)["metric"] == GAIN).sum() for x in settings]
    return max(zip(counts, range(len(settings)), settings, strict=True))[2]


def dose_effects(table: pd.DataFrame, x: str, contrasts: Contrasts = CONTRASTS) -> pd.DataFrame:
    """What more entropy does to each measure, at one budget.

    Args:
        table: of ``dose_response``.
        x: budget and model, as its axis has them.
        contrasts: kind -> pairs of transforms, of less and of more entropy.

    Returns:
        One row a measure and contrast: ``metric``, ``kind``, ``less`` and ``more`` (conditions), ``value`` (the
        difference) with ``low``, ``high``, ``p``; ``p_holm`` of the measure (the largest p-value, of ``PRIMARY``
        corrected), and its ``outcome``: not tested where a contrast is missing that others have, or one kind of
        corpus is all that there is.
    """
    numbers, found = _numbers(table, x), []
    for metric in MEASURES:
        for kind, pairs in contrasts.items():
            names: dict[str | None, str] = {}
            for name, own in kind_of(table).items():
                if own == kind:
                    names.setdefault(Condition.parse(name).transform, name)
            for less, more in pairs:
                keys = [(names.get(dose, ""), metric) for dose in (more, less)]
                if not all(key in numbers for key in keys):
                    continue
                effect = jackknife(lambda a, b: float(a[0] - b[0]), [numbers[key][:, None] for key in keys])
                named = {"metric": metric, "kind": kind, "less": names[less], "more": names[more]}
                found.append({**named, **effect._asdict()})
    frame = pd.DataFrame(found, columns=["metric", "kind", "less", "more", *Effect._fields])
    corrected = _corrected(frame.groupby("metric", sort=False)["p"].agg(lambda p: p.max(skipna=False)))
    said, most = {}, int((frame["metric"] == GAIN).sum())
    for metric, rows in frame.groupby("metric"):
        effects = [Effect(*row) for row in rows[list(Effect._fields)].to_numpy()]
        whole = set(rows["kind"]) == set(contrasts) and len(rows) == most
        above = bool(MEASURES[str(metric)].above)
        said[metric] = outcome(effects, corrected[str(metric)], above) if whole else NOT_TESTED
    return frame.assign(p_holm=frame["metric"].map(corrected), outcome=frame["metric"].map(said))


def _corrected(p: pd.Series) -> dict[str, float]:
    """P-values by measure: those of ``PRIMARY`` corrected for their number."""
    found = {str(metric): 1.0 if pd.isna(value) else float(value) for metric, value in p.items()}
    primary = [metric for metric in PRIMARY if metric in found]
    return found | dict(zip(primary, map(float, holm([found[metric] for metric in primary])), strict=True))


def matched_rests(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """What is left of DNA's own, at one budget: each measure against text that gains as much from its context.

    The rest is taken on every ``Scale`` of the gain, as it is and above floors: what models have that were trained
    on the same tokens in random order, from which no context can be learned. It counts if all of these agree.

    Args:
        table: of ``dose_response``.
        x: budget and model, as its axis has them.

    Returns:
        One row a measure (but ``CHECKS``) and condition of DNA whose gain some text has: ``metric``,
        ``condition``, ``setting`` (``x``), ``gain``, ``own`` (its measure) and ``beside`` (text's at that gain);
        ``value`` (the rest, above floors where there are any, matched per token) with ``low``, ``high``, ``p``;
        ``ratio`` with ``ratio_low`` and ``ratio_high``, of what DNA and text have above their floors;
        ``ways``, in how many the rest was taken, and ``agree``, in how many it is told from 0 with that sign;
        ``p_holm``, their largest p-value (of ``PRIMARY`` corrected, of each condition by itself); and ``outcome``:
        ``HIGHER`` or ``LOWER`` where all ways agree, ``SAME`` where the ratio lies within ``MARGIN`` of 1 on every
        scale, else undecided.
    """
    numbers, kinds = _numbers(table, x), kind_of(table)
    found = []
    for metric in (name for name in MEASURES if name not in CHECKS):
        points = {name: _points(numbers, table, name, metric) for name in kinds if (name, metric) in numbers}
        text = {name: points[name] for name in points if kinds[name] == "text" and keeps_counts(name)}
        if len(text) < 2:
            continue
        floor = next((own for name, own in text.items() if Condition.parse(name).transform == "shuffle"), None)
        for name in (name for name in points if kinds[name] == "dna"):
            own_floor = (
                points.get(str(Condition.parse(name).transformed("shuffle"))) if _above_floor(name) else None
            )
            pairs = [None] if floor is None or own_floor is None else [(own_floor, floor), None]
            ways = [matched(points[name], list(text.values()), scale, pair) for pair in pairs for scale in Scale]
            if all(ways):
                found.append({"metric": metric, "condition": name, "setting": x, **_row(points[name], ways)})
    columns = [
        "metric", "condition", "setting", "gain", "own", "beside", *Effect._fields, *RATIO, "ways", "agree",
        "p_worst", "signs", "same",
    ]  # fmt: skip
    frame = pd.DataFrame(found, columns=columns)
    frame["p_holm"] = 1.0
    for _, rows in frame.groupby("condition"):
        corrected = _corrected(rows.set_index("metric")["p_worst"])
        frame.loc[rows.index, "p_holm"] = rows["metric"].map(corrected)
    frame["outcome"] = [_left(row) for _, row in frame.iterrows()]
    return frame.drop(columns=["p_worst", "signs", "same"])


def keeps_counts(condition: str) -> bool:
    """Whether a condition has the token counts of its corpus: as it is, with noise, or in random order."""
    transforms = Condition.parse(condition).transforms
    return not transforms or transforms == ("shuffle",) or (len(transforms) == 1 and "noise" in transforms[0])


def _above_floor(condition: str) -> bool:
    """Whether a condition has the tokens of its corpus in an order that is not wholly random."""
    return keeps_counts(condition) and Condition.parse(condition).transform != "shuffle"


def plain_rests(table: pd.DataFrame) -> pd.DataFrame:
    """``matched_rests`` of DNA as it is, at every budget and model of the table, one below the other."""
    found = [plain_only(matched_rests(table, x)) for x in settings_of(table)]
    return pd.concat(found, ignore_index=True)


def plain_only(rests: pd.DataFrame) -> pd.DataFrame:
    """The rows of conditions without a transform."""
    return rests[~rests["condition"].map(is_control).astype(bool)]


def _row(own: Members, ways: Sequence[Any]) -> dict[str, Any]:
    """The numbers of a rest, from its matches: above floors first, per token first."""
    main, mean = ways[0], own.mean(0)
    rests = [way.rest for way in ways]
    ratios = [way.ratio for way in ways if way.ratio is not None]
    sign = np.sign(main.rest.value)
    return {
        "gain": float(mean[0]), "own": float(mean[1]), "beside": main.beside, **main.rest._asdict(),
        **dict(zip(RATIO, main.ratio[:3] if main.ratio else (np.nan,) * 3, strict=True)),
        "ways": len(ways),
        "agree": sum(np.sign(rest.value) == sign and rest.p <= 1 - LEVEL for rest in rests),
        "p_worst": max((rest.p for rest in rests), key=lambda p: np.inf if np.isnan(p) else p),
        "signs": len({np.sign(rest.value) for rest in rests}),
        "same": bool(ratios) and all(one.low > MARGIN and one.high < 1 / MARGIN for one in ratios),
    }  # fmt: skip


def _left(row: pd.Series) -> str:
    """What a rest says: that it is there in all ways, that the two are the same on every scale, or neither."""
    if row["p_holm"] <= 1 - LEVEL and row["signs"] == 1:
        return HIGHER if row["value"] > 0 else LOWER
    return SAME if row["same"] else UNDECIDED


def _points(
    numbers: Mapping[tuple[str, str], NDArray[np.float64]], table: pd.DataFrame, name: str, metric: str
) -> Members:
    """Gain, measure and symbols a token of the members, shape (members, 3)."""
    rates = table[(table["condition"] == name) & table["metric"].isin(["entropy_rate", "entropy_per_token"])]
    values = rates.drop_duplicates("metric").set_index("metric")["value"]
    symbols = float(values["entropy_per_token"] / values["entropy_rate"])
    gains = numbers[name, GAIN]
    return np.stack([gains, numbers[name, metric], np.full(len(gains), symbols)], axis=1)


def _numbers(table: pd.DataFrame, x: str) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(condition, measure) -> one number a trained member, where there are two or more."""
    rows = table[(table["axis"] == AXIS).fillna(False) & (table["x"] == x).fillna(False)]
    rows = rows[(rows["state"] == "trained").fillna(False) & rows["member"].notna()]
    found = {
        (str(name), str(metric)): own.sort_values("member")["value"].to_numpy("float64")
        for (name, metric), own in rows.groupby(["condition", "metric"], sort=False)
    }
    found = {key: values for key, values in found.items() if len(values) > 1 and (key[0], GAIN) in found}
    return {
        key: values
        for key, values in found.items()
        if key[1] not in _OF_GAIN or found[key[0], GAIN].mean() > LEAST_GAIN
    }
