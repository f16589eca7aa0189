"""What recorded runs say to the question of a chapter, below the answer of this run."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pandas as pd
from IPython.display import Markdown

from gfm_utils.analyses.claims import Claim
from gfm_utils.analyses.measures import chosen
from gfm_utils.analyses.verdicts import check_claims
from gfm_utils.book.answers.shared import name_last_layer
from gfm_utils.errors import GfmError
from gfm_utils.figures.claims import pair_differences
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


def recorded_differences(*names: str) -> Markdown:
    """How far recorded runs have DNA from text in some measures, to be held against what would change our mind.

    Args:
        names: of the measures.
    """
    claim = Claim("", tuple(replace(one, above=bool(one.above)) for one in chosen(*names).values()))
    lines = []
    for run in recorded_runs():
        for tested in check_claims(name_last_layer(run.rows), [claim]).get(claim, []):
            lines.append(f"- {run.title}: {tested.measure.text}, {'; '.join(pair_differences(tested))}.")
    if not lines:
        return Markdown("No run is recorded that could say it.")
    heading = "What recorded runs say to that, DNA less text with 95 % intervals over members and test windows:"
    return Markdown("\n".join([heading, "", *lines]))
