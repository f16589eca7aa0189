"""Tables of the confounds: what each experiment makes of the difference between text and DNA."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.analyses.along_training import LOSS_SHARE
from gfm_utils.analyses.confounds import (
    APPEARS,
    GONE,
    MEASURED,
    NONE,
    STAYS,
    TURNS,
    confound_effects,
)
from gfm_utils.analyses.dose import GAIN
from gfm_utils.analyses.experiments import DNA, EXPERIMENTS, KMERS, ROLES, STANDARD, TEXT, Experiment
from gfm_utils.figures.numbers import difference, interval, number, percentage

#: What a role is called, for people.
ROLE_NAMES = {TEXT: "text", DNA: "DNA as BPE", KMERS: "DNA as 4-mers"}
#: Measures in few words, for cells that name several.
SHORT = {
    GAIN: "context gain",
    LOSS_SHARE: "loss",
    "output_entropy_share": "output entropy",
    "js_distance": "disagreement",
    "topk_overlap_corrected": "shared neighbours",
    "fisher_share": "encoder's share",
}
#: Those that do not follow from the gain itself.
SEPARATE = {name: SHORT[name] for name in ("js_distance", "topk_overlap_corrected", "fisher_share")}
#: What becomes of a difference that does not stay.
OUTCOMES = {TURNS: "turned", GONE: "not told", APPEARS: "new", NONE: "none"}
NOTHING = "No experiment on a confound is recorded yet; `python benchmarks/confounds.py` makes them."
#: Below this gain (bits per token) no share of it is written.
_LEAST = 0.05


def confounds_table(table: pd.DataFrame, predictability: bool = False) -> Markdown:
    """A row an experiment: what is left of the difference between text and each DNA, in a word or as a share.

    Beside it stands the context gain of text and of each DNA, with a star where DNA gains less than half of what
    it gains in the run that the experiment is compared with: what stays may be that it has not learned. Loss and
    output entropy go with the gain, and are not in the table.

    Args:
        table: of ``confound_table``, of several experiments one below the other.
        predictability: of the experiments that change how much there is to learn, and not of confounds.
    """
    effects = _of_kind(confound_effects(table), predictability)
    if effects.empty:
        return Markdown(NOTHING)
    heads = ["Experiment" if predictability else "Confound: experiment", "context gain", *SEPARATE.values()]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for name, rows in effects.groupby("experiment", sort=False):
        by = {(row["metric"], row["role"]): _becomes(row) for _, row in rows.iterrows()}
        cells = ["\u00a0/ ".join(by.get((metric, role), "–") for role in (DNA, KMERS)) for metric in SEPARATE]
        cells = ["–" if set(cell) <= set("–\u00a0/ ") else cell for cell in cells]
        one = EXPERIMENTS[str(name)]
        lines.append(f"| **{one.confound}**: {one.change} | {_gains(table, one)} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def _of_kind(effects: pd.DataFrame, predictability: bool) -> pd.DataFrame:
    """The effects of the experiments that change how much there is to learn, or of the others."""
    chosen = [EXPERIMENTS[str(name)].predictability == predictability for name in effects["experiment"]]
    return effects[np.array(chosen, bool)]


def _gains(table: pd.DataFrame, experiment: Experiment) -> str:
    """Context gain of text, of DNA as BPE and as k-mers, and a star where DNA's is less than half of before."""
    cells = []
    for role in ROLES:
        now, before = (_mean(table, name, role, GAIN) for name in (experiment.name, experiment.beside))
        if now is None:  # not changed
            cells.append("–" if before is None else f"{before['value']:.2f}")
            continue
        little = role != TEXT and before is not None and 2 * now["value"] < before["value"]
        cells.append(f"{now['value']:.2f}{'*' if little else ''}")
    return "\u00a0/ ".join(cells)


def _becomes(row: pd.Series) -> str:
    """What is left of a difference, in a word or as a share."""
    return percentage(row["left"], 0) if row["outcome"] == STAYS else f"*{OUTCOMES[row['outcome']]}*"


def confounds_sentence(table: pd.DataFrame, predictability: bool = False) -> Markdown:
    """How many of the differences in ``SEPARATE`` are left under how many experiments, and under which not.

    Args:
        table: as of ``confounds_table``.
        predictability: likewise.
    """
    effects = _of_kind(confound_effects(table), predictability)
    there = effects[effects["outcome"].isin([STAYS, GONE, TURNS]) & effects["metric"].isin(list(SEPARATE))]
    if there.empty:
        return Markdown(NOTHING)
    lost = there[there["outcome"] != STAYS]
    names = [
        f"{EXPERIMENTS[str(name)].change} ({', '.join(dict.fromkeys(rows['metric'].map(SEPARATE)))})"
        for name, rows in lost.groupby("experiment", sort=False)
    ]
    said = (
        f"In {there['experiment'].nunique()} experiments **{len(there) - len(lost)} of {len(there)}** differences "
        "between text and DNA keep their sign"
    )
    return Markdown(said + (f"; not under: {'; '.join(names)}." if names else "."))


def confounds_numbers(table: pd.DataFrame) -> Markdown:
    """Every measure of every condition under every experiment, with intervals, and the differences.

    Args:
        table: as of ``confounds_table``.
    """
    effects = confound_effects(table).set_index(["experiment", "role", "metric"])
    heads = [
        "Experiment",
        "Measure",
        *ROLE_NAMES.values(),
        *(f"text − {ROLE_NAMES[role]}" for role in (DNA, KMERS)),
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    for experiment in EXPERIMENTS.values():
        for metric, measure in MEASURED.items():
            rows = [_mean(table, experiment.name, role, metric) for role in ROLES]
            if all(row is None for row in rows):
                continue
            cells = ["–" if row is None else _with_ends(row, measure.percent) for row in rows]
            for key in ((experiment.name, role, metric) for role in (DNA, KMERS)):
                found = effects.loc[key] if key in effects.index else None
                cells.append("–" if found is None else _difference(found, measure.percent))
            name = "standard run" if experiment.name == STANDARD else experiment.change
            lines.append(f"| {name} | {measure.text} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines) if len(lines) > 2 else NOTHING)


def sources_table(table: pd.DataFrame) -> Markdown:
    """Sources of known entropy rate, by the share that their models gain of what there is to gain.

    Beside them stand text and DNA as they are, of which nobody knows what there is to gain.

    Args:
        table: as of ``confounds_table``.
    """
    lines = [
        "| Read | context gain, bits per token | attainable | attained | disagreement | shared neighbours | "
        "encoder's share |",
        "| --- |" + " ---: |" * 6,
        *_source_lines(table),
    ]
    return Markdown("\n".join(lines) if len(lines) > 2 else NOTHING)


def _source_lines(table: pd.DataFrame) -> Iterator[str]:
    found = []
    for experiment, role in (
        *((one.name, KMERS) for one in EXPERIMENTS.values() if one.name != STANDARD),
        *((STANDARD, role) for role in ROLES),
    ):
        gain = _mean(table, experiment, role, GAIN)
        most = _mean(table, experiment, role, "attainable_gain")
        if gain is None or (most is None and experiment != STANDARD):
            continue
        share = float(gain["value"] / most["value"]) if most is not None and most["value"] > _LEAST else None
        cells = [
            "unknown" if most is None else f"{most['value']:.3f}",
            "–" if share is None else percentage(share),
        ]
        for metric in ("js_distance", "topk_overlap_corrected", "fisher_share"):
            row = _mean(table, experiment, role, metric)
            cells.append("–" if row is None else number(row["value"], MEASURED[metric].percent))
        name = ROLE_NAMES[role] if experiment == STANDARD else EXPERIMENTS[experiment].change
        found.append((-1.0 if share is None else share, f"| {name} | {gain['value']:.3f} | {' | '.join(cells)} |"))
    return (line for _, line in sorted(found, key=lambda one: -one[0]))


def _mean(table: pd.DataFrame, experiment: str, role: str, metric: str) -> pd.Series | None:
    """The row over all members."""
    here = (table["x"] == f"{experiment}|{role}") & (table["metric"] == metric) & table["member"].isna()
    rows = table[here.fillna(False)]
    return None if rows.empty else rows.iloc[0]


def _with_ends(row: pd.Series, percent: bool) -> str:
    scale, digits = (100, 1) if percent else (1, 3)
    text = interval(scale * row["value"], scale * row["low"], scale * row["high"], digits=digits)
    return text + ("\u00a0%" if percent else "")


def _difference(row: pd.Series, percent: bool) -> str:
    return difference(row["value"], row["low"], row["high"], percent)
