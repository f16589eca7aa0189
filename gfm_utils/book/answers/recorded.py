"""What recorded runs say to the question of a chapter, below the answer of this run."""

from collections.abc import Callable
from contextlib import suppress

import pandas as pd

from gfm_utils.errors import GfmError
from gfm_utils.provenance import recorded_runs


def with_recorded_runs(answer: Callable[[pd.DataFrame], str], table: pd.DataFrame) -> str:
    """The answer of this run, and below it those of recorded runs, by name, to the same question.

    Of a recorded run the conditions and the metrics of this run are taken; one that has not all that the answer
    tells (it may have ended before this chapter) is left out.

    Args:
        answer: of the chapter.
        table: result table of this run.
    """
    parts = [answer(table)]
    for run in recorded_runs():
        same = run.rows["condition"].isin(table["condition"]) & run.rows["metric"].isin(table["metric"])
        if same.any():
            with suppress(GfmError):
                parts.append(f"*{run.title}:*\n\n{answer(run.rows[same].reset_index(drop=True))}")
    return "\n\n".join(parts)
