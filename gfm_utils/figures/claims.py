"""The claims table: each claim with its verdict, and below it the measures that decide."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.analyses.claims import AGAINST, FOR, Claim, Estimate, Tested, check_claims, verdict
from gfm_utils.figures.comparison import short_names
from gfm_utils.figures.numbers import difference, percentage
from gfm_utils.tokens import is_condition

#: What stands in the last column beside a measure.
MARKS = {FOR: "for", AGAINST: "**against**", None: "–"}
NOTHING = "This run has no text, or no DNA, to compare the paper's claims on.\n"


def claims_overview(table: pd.DataFrame) -> Markdown:
    """The measures that a chapter's result table can speak of; the verdict rests on all chapters."""
    return Markdown(claims_table(table, verdicts=False))


def claims_table(
    rows: pd.DataFrame,
    recorded: Mapping[str, pd.DataFrame] | None = None,
    link: str | None = None,
    verdicts: bool = True,
) -> str:
    """Markdown table of claims: values of text and DNA with their nulls, the difference, and what follows.

    Args:
        rows: result tables of a run, one below the other.
        recorded: heading -> result tables of another run whose verdicts stand beside this one's.
        link: where the pages of chapters lie; None: no links.
        verdicts: write them beside the claims.
    """
    found = check_claims(rows)
    if not found:
        return NOTHING
    others = {title: check_claims(other) for title, other in (recorded or {}).items()}
    there = {kind: _conditions(found, dna) for kind, dna in (("Text", False), ("DNA", True))}
    own = [f"{kind}<br>{', '.join(short_names(names).values())}" for kind, names in there.items()]
    heads = ["Claim, and what measures it", "This run", *others, *own, "DNA − text (weakest pair)"]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' --- |' * (1 + len(others))}{' ---: |' * 3}"]
    for claim, tested in found.items():
        runs = [tested, *(other.get(claim, []) for other in others.values())]
        words = [f"**{verdict(one)}**" if verdicts else "" for one in runs]
        lines.append(f"| **{claim.text}** | {' | '.join(words)} | | | |")
        for one in tested:
            name = f"[{one.measure.text}]({link}/{one.measure.chapter})" if link else one.measure.text
            marks = [_mark(one)]
            for other in others.values():
                same = [twin for twin in other.get(claim, []) if twin.measure == one.measure]
                marks.append(f"{_mark(same[0])}<br>{_difference(same[0])}" if same else "–")
            cells = [*marks, _values(one, one.text, there["Text"]), _values(one, one.dna, there["DNA"])]
            cells.append(_difference(one))
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mark(tested: Tested) -> str:
    return MARKS.get(tested.outcome, str(tested.outcome))


def _writer(tested: Tested) -> Callable[[float], str]:
    """Percentages with one digit, other numbers with three significant ones at least two after the point."""
    if tested.measure.percent:
        return percentage
    return lambda value: f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _conditions(found: Mapping[Claim, Sequence[Tested]], dna: bool) -> list[str]:
    """All conditions of one kind that some measure has a value of; not the corpora, which some are of."""
    every = (name for tested in found.values() for one in tested for name in (one.dna if dna else one.text))
    return [name for name in dict.fromkeys(every) if is_condition(name)]


def _values(tested: Tested, own: Mapping[str, Estimate], names: Sequence[str]) -> str:
    """The values of one kind of corpus in the order of the heading, and below them those of the null."""
    write = _writer(tested)
    order = list(own) if not set(own) <= set(names) else list(names)  # a value a corpus, or a condition
    text = ", ".join(write(own[name].interval.value) if name in own else "–" for name in order)
    nulls = [write(tested.nulls[name]) if name in tested.nulls else "–" for name in order]
    if set(nulls) <= {"–"} or tested.measure.null is None:
        return text
    return f"{text}<br>({tested.measure.null[0]} {', '.join(nulls)})"


def _difference(tested: Tested) -> str:
    """The weakest difference with its interval and p-value; percentages are points."""
    one = tested.weakest
    text = difference(*one[:3], tested.measure.percent)
    return text if np.isnan(one.p) else f"{text}<br>p = {one.p:.3f}"
