"""What the answers of chapters have in common: a bullet a condition, and what measures say of claims."""

from collections.abc import Callable

import pandas as pd

from gfm_utils.analyses.claims import AGAINST, FOR
from gfm_utils.analyses.measures import LAST
from gfm_utils.analyses.verdicts import check_claims
from gfm_utils.figures.select import conditions_of

Lines = list[str]


def if_any(rows: pd.DataFrame, sentence: Callable[[pd.DataFrame], str]) -> Lines:
    """The sentence of some rows; nothing where there is none."""
    return [sentence(rows)] if len(rows) else []


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


def name_last_layer(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the last layer of each condition under the name that measures know it by."""
    last = table[table["axis"] == "layer"].groupby("condition", sort=False)["x"].last()
    deepest = (table["axis"] == "layer").fillna(False) & (table["x"] == table["condition"].map(last))
    return table.assign(x=table["x"].mask(deepest, LAST))


def note(windows: bool = False) -> str:
    """What the brackets are.

    Args:
        windows: whether means over hidden tokens have intervals over test windows, too.
    """
    also = "; of entropy, loss, accuracy and what is saved over token frequencies, over test windows, too"
    also = also if windows else ""
    return f"\nBrackets are 95 % intervals over the members of each ensemble{also}."
