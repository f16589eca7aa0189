"""What the answers of chapters have in common: numbers with intervals, and what measures say of claims."""

from collections.abc import Callable

import pandas as pd

from gfm_utils.analyses.claims import AGAINST, FOR, check_claims
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
    """How many of a chapter's measures speak for each claim of the paper; none without text or without DNA."""
    lines = []
    for claim, tested in check_claims(table).items():
        outcomes = [one.outcome for one in tested]
        counts = {word: outcomes.count(word) for word in (FOR, AGAINST)}
        said = [f"{count} {'speaks' if count == 1 else 'speak'} {word} it" for word, count in counts.items()]
        of = f"{len(outcomes)} measures" if len(outcomes) > 1 else "1 measure"
        undecided = len(outcomes) - sum(counts.values())
        lines.append(f"*{claim.text}*: of {of} here {said[0]}, {said[1]}, {undecided} undecided.\n")
    return lines


def note() -> str:
    """What the brackets are."""
    return "\nBrackets are 95 % intervals over the members of each ensemble."
