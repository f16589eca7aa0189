"""The headline numbers of a chapter: what stands in the sentences of its answer, and the same with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.claim import Claim, tokens_read
from gfm_utils.claims.verdicts import check_claims
from gfm_utils.corpora import KINDS
from gfm_utils.figures.names import chart_names
from gfm_utils.figures.numbers import brief, difference, interval, number, spanned
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.estimates import Estimate, estimate, kinds, name_last, null_of
from gfm_utils.measures.registry import MEASURES, chosen
from gfm_utils.provenance import recorded_runs
from gfm_utils.tokens import is_condition

THIS_RUN = "This run"
#: State in a slot that stands for the measure's null.
_NULL = "null"


def headline_runs(table: pd.DataFrame, measures: Sequence[str], tokens: int) -> dict[str, pd.DataFrame]:
    """This run, and each recorded one that has the same measures of all its conditions; longest training first.

    Args:
        table: result table of this run.
        measures: names of the measures in question.
        tokens: that a member of this run has read.

    Returns:
        Heading -> rows of the run.
    """
    conditions = set(filter(is_condition, table["condition"]))
    runs = {THIS_RUN: (tokens, table)}
    for run in recorded_runs():
        rows = name_last(run.rows[run.rows["condition"].isin(conditions)])
        there = {name: rows[rows["condition"] == name] for name in conditions}
        if conditions and all(
            estimate(MEASURES[measure], own) is not None for measure in measures for own in there.values()
        ):
            runs[run.title] = tokens_read(run.rows), rows
    return {title: rows for title, (_, rows) in sorted(runs.items(), key=lambda one: -one[1][0])}


def headline_numbers(rows: pd.DataFrame, slots: Mapping[str, str]) -> dict[str, str]:
    """What stands in the sentences of an answer, for each kind of corpus.

    Args:
        rows: of the run that answers.
        slots: name -> name of a measure, or ``measure:state`` for members in another state, or ``measure:null``.

    Returns:
        ``NAME_text``, ``NAME_dna``, ``NAME_protein`` -> the number, the least and the greatest of several, or a
        dash.
    """
    said = {}
    for name, slot in slots.items():
        measure, of_kind = MEASURES[slot.partition(":")[0]], kinds(rows)
        for kind in KINDS:
            values = [_value(rows[rows["condition"] == each], slot) for each in of_kind.get(kind, ())]
            known = (one.interval.value for one in values if one is not None)
            said[f"{name}_{kind}"] = spanned(known, partial(brief, percent=measure.percent))
    return said


def _value(rows: pd.DataFrame, slot: str) -> Estimate | None:
    name, _, state = slot.partition(":")
    return null_of(MEASURES[name], rows) if state == _NULL else estimate(MEASURES[name], rows, state or "trained")


def headline_table(runs: Mapping[str, pd.DataFrame], measures: Sequence[str]) -> str:
    """Markdown of a folded table: each measure of each condition with its 95 % interval and controls, by run.

    Args:
        runs: of ``headline_runs``.
        measures: names of the measures.
    """
    names = list(dict.fromkeys(filter(is_condition, next(iter(runs.values()))["condition"])))
    lines = [
        [
            _capital(MEASURES[measure].text),
            short,
            *(_cell(rows[rows["condition"] == name], measure) for rows in runs.values()),
        ]
        for measure in measures
        for name, short in chart_names(names).items()
    ]
    return "\n".join([
        ":::{dropdown} These numbers with 95 % intervals, beside controls",
        markdown_table(["Measure", "Corpus", *runs], lines, names=2),
        "", "Intervals are over the members of each ensemble and, of means over test windows, over these.",
        ":::",
    ])  # fmt: skip


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(rows: pd.DataFrame, name: str) -> str:
    measure = MEASURES[name]
    whole = estimate(measure, rows)
    if whole is None:
        return "–"
    controls = {}
    if measure.null is not None:  # what needs no network has no untrained one
        controls = {"untrained": estimate(measure, rows, "untrained"), measure.null[0]: null_of(measure, rows)}
    beside = [
        f"{what} {number(one.interval.value, measure.percent)}"
        for what, one in controls.items()
        if one is not None
    ]
    return "<br>".join([interval(*whole.over_both, percent=measure.percent), *beside])


def recorded_differences(*names: str) -> Markdown:
    """How far recorded runs have DNA from text in some measures, to be held against what would change our mind.

    Args:
        names: of the measures.
    """
    claim = Claim("", tuple(replace(one, above=bool(one.above)) for one in chosen(*names).values()))
    lines = []
    for run in recorded_runs():
        tested = check_claims(name_last(run.rows), [claim]).get(claim, [])
        if tested:
            lines += ["", f"*{run.title}*, DNA minus text, with 95 % intervals over members and test windows:", ""]
        for one in tested:
            of_dna = chart_names(list(dict.fromkeys(dna for dna, _ in one.pairs)))
            pairs = [
                f"{of_dna[dna]} {difference(*pair[:3], one.measure.percent)}"
                for (dna, _), pair in one.pairs.items()
            ]
            lines.append(f"- {one.measure.text}: {'; '.join(pairs)}")
    return Markdown("\n".join(lines) or "No run with these measures is recorded.")
