"""The front page: the run at a glance, what it and recorded runs say of the claims, and the causal finding."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from gfm_utils.book.answers import causal_verdicts, optimiser_sentence
from gfm_utils.claims import recorded_doses
from gfm_utils.claims.along_training import RECORDED as RECORDED_TRAINING
from gfm_utils.claims.claim import learned, learned_share, tokens_read
from gfm_utils.claims.verdicts import POWER, check_claims, detectable
from gfm_utils.errors import GfmError
from gfm_utils.figures.claims import NOTHING, measures_table, verdict_table
from gfm_utils.figures.numbers import interval, million, number, percentage
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.estimates import Estimate, estimate, null_of
from gfm_utils.measures.registry import Measure, chosen
from gfm_utils.provenance import RecordedRun, recorded, recorded_runs
from gfm_utils.tables import read_tables
from gfm_utils.tokens import is_condition

AT_A_GLANCE = chosen(
    "nll", "output_entropy", "accuracy", "js_distance", "mutual_information", "top1_agreement",
    "topk_overlap_corrected", "fisher_share",
)  # fmt: skip
UNTRAINED = "untrained"
#: Heading of the run whose pages these are.
THIS_RUN = "This run"


def front_page_claims(results_dir: Path, profiles: Collection[str] = ()) -> str:
    """The paper's claims in Markdown: verdicts of this run and of recorded ones, and the measures of the first.

    The run whose models have learned most comes first, see ``most_learned``; a recorded run counts if it has all
    conditions of this one.

    Args:
        results_dir: folder of the run's result tables.
        profiles: of the run's chapters.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    if not check_claims(rows):
        return warning(profiles) + NOTHING
    conditions = set(learned(rows))
    runs_there = {run.title: run for run in recorded_runs() if conditions and conditions <= set(learned(run.rows))}
    runs = most_learned({**{title: run.rows for title, run in runs_there.items()}, THIS_RUN: rows})
    first, numbers = next(iter(runs.items()))
    return warning(profiles) + "\n".join([
        _source(first, numbers, runs_there.get(first)),
        "",
        verdict_table(runs),
        _power(numbers),
        "",
        _other_optimiser(conditions),
        "",
        ":::{dropdown} The measures behind these verdicts",
        measures_table(numbers, link="chapters"),
        ":::",
        "",
    ])  # fmt: skip


def most_learned(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Runs in the order of what their models have learned: ``learned_share``, and of two equal ones tokens read.

    Args:
        runs: heading -> result tables of a run, one below the other.
    """

    def learning(title: str) -> tuple[float, int]:
        return float(np.nan_to_num(learned_share(runs[title]), nan=-1)), tokens_read(runs[title])

    return {title: runs[title] for title in sorted(runs, key=learning, reverse=True)}


def _source(title: str, rows: pd.DataFrame, run: RecordedRun | None) -> str:
    """A sentence: whose verdicts these are, what its models have learned, and how it is made anew."""
    share, tokens = learned_share(rows), tokens_read(rows)
    saved = f"have learned {percentage(share, 0)} of what counting saves (mean of conditions, each at most all)"
    learning = [] if np.isnan(share) else [saved]
    learning += [f"read {million(tokens)} tokens each"] if tokens else []
    models = f": its models {' and '.join(learning)}" if learning else ""
    if run is None:
        return f"The verdicts are those of this run{models}."
    recorded_on = f"on {run.about['date'][:10]} by `{run.about['command']}`"
    return f"The verdicts are those of the first column{models}; recorded {recorded_on}."


def _power(rows: pd.DataFrame) -> str:
    """A sentence: the difference that the members of a run can be expected to show; nothing without members."""
    tested = [one for every in check_claims(rows).values() for one in every if one.side is not None]
    counts = [len(each.members) for one in tested for each in (*one.text.values(), *one.dna.values())]
    counts = [count for count in counts if count > 1]
    if not counts:
        return ""
    dna = max(len(one.dna) for one in tested)
    text = max(len(one.text) for one in tested)
    least = detectable(min(counts), dna=dna, text=text)
    return (
        f"With {min(counts)} members of a condition, a difference of {least:.1f} standard deviations between "
        f"members is decided in at least {percentage(POWER, 0)} of cases, after the correction for all claims."
    )


def _other_optimiser(conditions: Collection[str]) -> str:
    """A sentence: what another optimiser makes of these conditions, from its recorded run; nothing without one."""
    with suppress(GfmError):
        table = recorded(RECORDED_TRAINING)[0]
        return optimiser_sentence(table[table["condition"].isin(conditions)])
    return ""


def warning(profiles: Collection[str]) -> str:
    """That models of the profile ``smoke`` have learned nothing, as a note in Markdown; else nothing."""
    if "smoke" not in profiles:
        return ""
    return (
        ":::{warning}\nThis run has the profile `smoke`: its models have read next to nothing. It shows that "
        "everything runs, and its numbers say nothing about a corpus or a claim; `--profile quick` does.\n:::\n\n"
    )


def front_page_verdicts() -> str:
    """The causal finding as a sentence and a Markdown table, from its recorded runs, if there are any."""
    return causal_verdicts(recorded_doses()[0])


def at_a_glance(results_dir: Path) -> str:
    """Markdown table of the headline numbers, with 95 % intervals, the untrained control and the null.

    Args:
        results_dir: folder of the result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    columns: dict[str, list[str]] = {}
    for condition in filter(is_condition, dict.fromkeys(rows["condition"].dropna())):
        condition_rows = rows[rows["condition"] == condition]
        cells = [_cell(measure, condition_rows) for measure in AT_A_GLANCE.values()]
        if any(cells):  # doses of the causal test have none
            columns[condition] = cells
    if not columns:
        return "This run has no numbers for the table at a glance.\n"
    lines = [
        [measure.text, *(cell or "–" for cell in cells)]
        for measure, *cells in zip(AT_A_GLANCE.values(), *columns.values(), strict=True)
        if any(cells)
    ]
    return markdown_table(["", *(f"`{name}`" for name in columns)], lines) + "\n"


def _cell(measure: Measure, rows: pd.DataFrame) -> str:
    """Value, interval and controls of one condition, each on a line of its own; empty if there is no value."""
    trained = estimate(measure, rows)
    if trained is None:
        return ""
    value, _, span = interval(*trained.interval, measure.percent).partition(" [")
    lines = [f"**{value}**", *([f"[{span}"] if span else [])]
    for name, control in ((UNTRAINED, estimate(measure, rows, UNTRAINED)), _null(measure, rows)):
        if control is not None:
            lines.append(f"{name} {number(control.interval.value, measure.percent)}")
    return "<br>".join(lines)


def _null(measure: Measure, rows: pd.DataFrame) -> tuple[str, Estimate | None]:
    """Name and value of the null, where that is not the untrained members."""
    if measure.null is None or measure.null[0] == UNTRAINED:
        return "", None
    return measure.null[0], null_of(measure, rows)
