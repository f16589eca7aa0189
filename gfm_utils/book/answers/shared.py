"""What the answers of chapters have in common: numbers with intervals, and what measures say of claims."""

from collections.abc import Callable

import pandas as pd

from gfm_utils.analyses.claims import AGAINST, FOR
from gfm_utils.analyses.verdicts import check_claims
from gfm_utils.figures.numbers import percentage
from gfm_utils.figures.select import conditions_of

Lines = list[str]


def number(row: pd.Series, digits: int = 2, percent: bool = False) -> str:
    """Value with its interval, as ``1.23 [1.20, 1.26]`` or ``12 % [10 %, 14 %]``."""

    def write(value: float) -> str:
        return percentage(value, digits) if percent else f"{value:.{digits}f}"

    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return write(row["value"])
    return f"{write(row['value'])} [{write(row['low'])}, {write(row['high'])}]"


def bullets(table: pd.DataFrame, line: Callable[[str], str]) -> Lines:
    """A bullet a condition."""
    return [f"- **{condition}**: {line(condition)}" for condition in conditions_of(table)]


def claims_lines(table: pd.DataFrame) -> Lines:
    """What a chapter's measures say of each claim, each by itself; none without text or without DNA."""
    lines = []
    for claim, tested in check_claims(table).items():
        said = [
            f"{one.measure.text}: {one.outcome or 'no test'}" for one in tested if one.measure == claim.primary
        ]
        others = [one.outcome for one in tested if one.measure != claim.primary]
        if others:
            told = [f"{others.count(word)} {word}" for word in (FOR, AGAINST)]
            rest = len(others) - others.count(FOR) - others.count(AGAINST)
            of = f"{len(others)} measures" if len(others) > 1 else "1 measure"
            said.append(f"of {of} of robustness {told[0]}, {told[1]}, {rest} undecided")
        lines.append(f"*{claim.text}*: {'; '.join(said)}.\n")
    return lines


def note() -> str:
    """What the brackets are."""
    return "\nBrackets are 95 % intervals over the members of each ensemble."
