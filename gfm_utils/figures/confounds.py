"""Tables of the confounds: what each experiment makes of the difference between text and DNA."""

from collections.abc import Iterator

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
from gfm_utils.analyses.experiments import DNA, EXPERIMENTS, KMERS, ROLES, STANDARD, TEXT
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
#: What becomes of a difference that does not stay.
OUTCOMES = {TURNS: "turned", GONE: "gone", APPEARS: "new", NONE: "none"}
NOTHING = "No experiment on a confound is recorded yet; `python benchmarks/confounds.py` makes them."
#: Below this gain (bits per token) no share of it is written.
_LEAST = 0.05


def confounds_table(table: pd.DataFrame) -> Markdown:
    """A row an experiment: what is left of the difference between text and each DNA, in words or as a share.

    Loss and output entropy go with the context gain, and are not in it.

    Args:
        table: of ``confound_table``, of several experiments one below the other.
    """
    effects = confound_effects(table)
    if effects.empty:
        return Markdown(NOTHING)
    columns = {name: text for name, text in SHORT.items() if name not in (LOSS_SHARE, "output_entropy_share")}
    lines = [f"| Confound: experiment | {' | '.join(columns.values())} |", "| --- |" + " ---: |" * len(columns)]
    for name, rows in effects.groupby("experiment", sort=False):
        by = {(row["metric"], row["role"]): _becomes(row) for _, row in rows.iterrows()}
        cells = ["\u00a0/ ".join(by.get((metric, role), "–") for role in (DNA, KMERS)) for metric in columns]
        cells = ["–" if set(cell) <= set("–\u00a0/ ") else cell for cell in cells]
        one = EXPERIMENTS[str(name)]
        lines.append(f"| **{one.confound}**: {one.change} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def _becomes(row: pd.Series) -> str:
    """What is left of a difference, in a word or as a share."""
    return percentage(row["left"], 0) if row["outcome"] == STAYS else f"*{OUTCOMES[row['outcome']]}*"


def confounds_sentence(table: pd.DataFrame) -> Markdown:
    """How many differences stay in how many experiments, and under which they do not.

    Args:
        table: as of ``confounds_table``.
    """
    effects = confound_effects(table)
    there = effects[effects["outcome"].isin([STAYS, GONE, TURNS])]
    if there.empty:
        return Markdown(NOTHING)
    counts = there["outcome"].value_counts()
    told = (
        f"Of {len(there)} differences between text and DNA in {there['experiment'].nunique()} experiments, "
        f"**{counts.get(STAYS, 0)} stay**, {counts.get(GONE, 0)} are not told from zero any more, and "
        f"{counts.get(TURNS, 0)} turn round"
    )
    lost = there.loc[there["outcome"] != STAYS, "experiment"].value_counts(sort=False)
    names = [f"{EXPERIMENTS[str(name)].change} ({count})" for name, count in lost.items()]
    return Markdown(told + (f". Those that do not stay are under: {'; '.join(names)}." if names else "."))


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
