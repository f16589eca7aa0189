"""The answer of the chapter on tasks: what the best layer's probe gains over counting, task by task."""

import pandas as pd

from gfm_utils.book.answers.shared import bullets, claims_lines
from gfm_utils.claims.tasks import gain_over_counting, task_points
from gfm_utils.corpora import KINDS
from gfm_utils.figures.numbers import difference, number
from gfm_utils.figures.select import rows_of, summaries
from gfm_utils.measures.tasks import TASK

_BRACKETS = "Brackets are 95 % intervals over members and blocks of sequence together."


def task_answer(table: pd.DataFrame) -> str:
    """The area under the curve of each task, of trained members, counting and untrained members."""
    if table.empty:
        return "No corpus of this run has an annotation and enough sequence, hence no task was measured."
    area = summaries(rows_of(table, "probe_auc", axis=TASK, numeric=False))
    level = area.set_index(["condition", "x", "state"])["value"]

    def line(condition: str) -> str:
        rows, tasks = table[table["condition"] == condition], area.loc[area["condition"] == condition, "x"]
        return "; ".join(_clause(condition, task, rows, level) for task in dict.fromkeys(tasks)) + "."

    heading = "Area under the curve (chance 0.5) on stretches that no model has read, of the best layer's probe:"
    return "\n".join([_count(table), "", *claims_lines(table), heading, "", *bullets(table, line), "", _BRACKETS])


def _count(table: pd.DataFrame) -> str:
    """A sentence: in how many tasks of each kind models are surely worth more than counting, and less."""
    points = task_points({"": table})
    kinds = []
    for kind, of_kind in points.groupby("kind", sort=False):
        more, less = (of_kind["low"] > 0).sum(), (of_kind["high"] < 0).sum()
        kinds.append(
            f"of {KINDS[kind].label} in {more} of {len(of_kind)} tasks surely more, in {less} surely less"
        )
    return f"What models have learned is worth, beside counting: {'; '.join(kinds)} (95 % intervals, uncorrected)."


def _clause(condition: str, task: str, rows: pd.DataFrame, level: pd.Series) -> str:
    trained, counting, untrained = (
        number(level[condition, task, state], digits=2) for state in ("trained", "counting", "untrained")
    )
    gain = gain_over_counting(rows, task)
    more = "" if gain is None else f", {difference(*gain.over_both, False)} above counting"
    return f"*{task}* {trained} (counting {counting}, untrained {untrained}{more})"
