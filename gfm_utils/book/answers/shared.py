"""What the answers of chapters have in common: bullets, what measures say of claims, and recorded runs."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.claim import AGAINST, FOR, Claim
from gfm_utils.claims.verdicts import check_claims
from gfm_utils.errors import GfmError
from gfm_utils.figures.claims import pair_differences
from gfm_utils.figures.select import conditions_of
from gfm_utils.measures.estimates import name_last
from gfm_utils.measures.registry import chosen
from gfm_utils.provenance import recorded_runs

Lines = list[str]


def bullets(table: pd.DataFrame, line: Callable[[str], str]) -> Lines:
    """A bullet a condition."""
    return [f"- **{condition}**: {line(condition)}" for condition in conditions_of(table)]


def claims_lines(table: pd.DataFrame) -> Lines:
    """What a chapter's measures say of each claim, each by itself; none without text or without DNA."""
    lines = []
    for claim, tested in check_claims(table).items():
        clauses = [
            f"{one.measure.text}: {one.outcome or 'no test'}" for one in tested if one.measure == claim.primary
        ]
        others = [one.outcome for one in tested if one.measure != claim.primary]
        if others:
            counts = [f"{others.count(word)} {word}" for word in (FOR, AGAINST)]
            rest = len(others) - others.count(FOR) - others.count(AGAINST)
            of = f"{len(others)} measures" if len(others) > 1 else "1 measure"
            clauses.append(f"of {of} of robustness {counts[0]}, {counts[1]}, {rest} undecided")
        lines.append(f"*{claim.text}*: {'; '.join(clauses)}.\n")
    return lines


def note() -> str:
    """What the brackets are."""
    return "\nBrackets are 95 % intervals over the members of each ensemble."


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
        for tested in check_claims(name_last(run.rows), [claim]).get(claim, []):
            lines.append(f"- {run.title}: {tested.measure.text}, {'; '.join(pair_differences(tested))}.")
    if not lines:
        return Markdown("No run is recorded that could say it.")
    heading = "What recorded runs say to that, DNA less text with 95 % intervals over members and test windows:"
    return Markdown("\n".join([heading, "", *lines]))
