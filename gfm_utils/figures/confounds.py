"""Tables of the confounds: what each experiment makes of the difference between text and DNA."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.confounds import (
    APPEARS,
    DNA,
    EXPERIMENTS,
    GONE,
    KMERS,
    MEASURED,
    NONE,
    ROLES,
    STANDARD,
    STAYS,
    TEXT,
    TURNS,
    Experiment,
    confound_effects,
)
from gfm_utils.claims.dose import GAIN
from gfm_utils.figures.numbers import number, percentage
from gfm_utils.figures.summary_table import cells, markdown_table

#: What a role is called, for people.
ROLE_NAMES = {TEXT: "text", DNA: "DNA as BPE", KMERS: "DNA as 4-mers"}
#: The measures that do not follow from the gain itself, in few words.
SEPARATE = {
    "js_distance": "disagreement",
    "topk_overlap_corrected": "shared neighbours",
    "fisher_share": "encoder's share",
}  # fmt: skip
#: What becomes of a difference that does not stay.
OUTCOMES = {TURNS: "turned", GONE: "undecided", APPEARS: "new", NONE: "none"}
NOTHING = "No experiment on a confound is recorded yet; `python benchmarks/confounds.py` makes them."
#: Below this gain (bits per token) no share of it is written.
_LEAST = 0.05
#: Between numbers of one cell.
_BESIDE = "\u00a0/ "


def confounds_table(table: pd.DataFrame, predictability: bool = False) -> Markdown:
    """A row an experiment: what remains of the difference between text and each DNA, in a word or as a share.

    The experiments change a confound, or how much there is to learn (``predictability``). A star marks a gain of
    DNA of less than half of that in the run that the experiment is compared with: what stays may be that it has
    not learned. Loss and output entropy go with the gain, and are not in the table.
    """
    effects = _of_kind(confound_effects(table), predictability)
    if effects.empty:
        return Markdown(NOTHING)
    heads = ["Experiment" if predictability else "Confound: experiment", "context gain", *SEPARATE.values()]
    rows = []
    for name, differences in effects.groupby("experiment", sort=False):
        one = EXPERIMENTS[str(name)]
        remains = (_left(differences, metric) for metric in SEPARATE)
        rows.append([f"**{one.confound}**: {one.change}", _gains(table, one), *remains])
    return Markdown(markdown_table(heads, rows))


def _left(rows: pd.DataFrame, metric: str) -> str:
    """What remains of a difference in each DNA, of one experiment."""
    both = cells(rows[rows["metric"] == metric], "role", (DNA, KMERS), _becomes)
    return "–" if set(both) == {"–"} else _BESIDE.join(both)


def _becomes(row: pd.Series) -> str:
    """What remains of a difference, in a word or as a share."""
    return percentage(row["left"], 0) if row["outcome"] == STAYS else f"*{OUTCOMES[row['outcome']]}*"


def _of_kind(effects: pd.DataFrame, predictability: bool) -> pd.DataFrame:
    """The effects of the experiments that change how much there is to learn, or of the others."""
    chosen = [EXPERIMENTS[str(name)].predictability == predictability for name in effects["experiment"]]
    return effects[np.array(chosen, bool)]


def _gains(table: pd.DataFrame, experiment: Experiment) -> str:
    """Context gain of text, of DNA as BPE and as k-mers, and a star where DNA's is less than half of before."""
    gains = []
    for role in ROLES:
        now, before = (_mean(table, name, role, GAIN) for name in (experiment.name, experiment.beside))
        shown = before if pd.isna(now) else now  # what is not changed is not trained again
        star = "*" if role != TEXT and 2 * now < before else ""
        gains.append("–" if pd.isna(shown) else f"{shown:.2f}{star}")
    return _BESIDE.join(gains)


def differences_kept(table: pd.DataFrame, predictability: bool = False) -> str:
    """How many of the differences in ``SEPARATE`` keep their sign over all experiments, as ``3 of 4``."""
    effects = _of_kind(confound_effects(table), predictability)
    there = effects[effects["outcome"].isin([STAYS, GONE, TURNS]) & effects["metric"].isin(list(SEPARATE))]
    return f"{(there['outcome'] == STAYS).sum()} of {len(there)}"


def sources_table(table: pd.DataFrame) -> Markdown:
    """Sources of known entropy rate, by the share that their models gain of what there is to gain.

    Beside them stand text and DNA as they are, of which nobody knows what there is to gain.
    """
    models = [(one.name, KMERS) for one in EXPERIMENTS.values() if one.name != STANDARD]
    rows = [row for one in (*models, *((STANDARD, role) for role in ROLES)) if (row := _source(table, *one))]
    heads = ["Read", "context gain, bits per token", "attainable", "attained", *SEPARATE.values()]
    ordered = [row for _, row in sorted(rows, key=lambda one: -one[0])]
    return Markdown(markdown_table(heads, ordered) if rows else NOTHING)


def _source(table: pd.DataFrame, experiment: str, role: str) -> tuple[float, list[str]] | None:
    """The attained share (-1: unknown) and the row of a model; nothing where it has no place in the table."""
    gain, most = (_mean(table, experiment, role, metric) for metric in (GAIN, "attainable_gain"))
    if pd.isna(gain) or (pd.isna(most) and experiment != STANDARD):
        return None
    share = gain / most if most > _LEAST else None
    values = ((_mean(table, experiment, role, metric), MEASURED[metric].percent) for metric in SEPARATE)
    return (-1.0 if share is None else share), [
        ROLE_NAMES[role] if experiment == STANDARD else EXPERIMENTS[experiment].change,
        f"{gain:.3f}",
        "unknown" if pd.isna(most) else f"{most:.3f}",
        "–" if share is None else percentage(share),
        *("–" if pd.isna(value) else number(value, percent) for value, percent in values),
    ]


def _mean(table: pd.DataFrame, experiment: str, role: str, metric: str) -> float:
    """The value over all members, NaN where there is none."""
    chosen = (table["x"] == f"{experiment}|{role}") & (table["metric"] == metric) & table["member"].isna()
    return float(next(iter(table.loc[chosen.fillna(False), "value"]), np.nan))
