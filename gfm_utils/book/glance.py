"""The run at a glance: one row a measure, one column a condition, made from the result tables."""

from pathlib import Path

import pandas as pd

from gfm_utils.analyses.estimates import Estimate, estimate, null_of
from gfm_utils.analyses.measures import Measure, chosen
from gfm_utils.figures.numbers import interval, number
from gfm_utils.tables import read_tables
from gfm_utils.tokens import is_condition

AT_A_GLANCE = chosen(
    "nll", "output_entropy", "accuracy", "js_distance", "mutual_information", "top1_agreement",
    "topk_overlap_corrected", "fisher_share",
)  # fmt: skip
UNTRAINED = "untrained"


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
    lines = [f"| | {' | '.join(f'`{name}`' for name in columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for measure, *cells in zip(AT_A_GLANCE.values(), *columns.values(), strict=True):
        if any(cells):
            lines.append(f"| {measure.text} | {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join(lines) + "\n"


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
