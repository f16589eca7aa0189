"""The headline numbers of a chapter: those in the sentences of its answer, and the same with intervals."""

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
from gfm_utils.measures.registry import MEASURES, Measure, chosen
from gfm_utils.provenance import recorded_runs
from gfm_utils.tokens import is_condition

THIS_RUN = "This run"


def headline_runs(table: pd.DataFrame, measures: Sequence[str], tokens: int) -> dict[str, pd.DataFrame]:
    """Heading -> rows of this run, and of each recorded one that has the same measures of all its conditions.

    The longest training comes first; a member of this run has read so many ``tokens``.
    """
    conditions = set(filter(is_condition, table["condition"]))
    runs = {THIS_RUN: (tokens, table)}
    for run in recorded_runs():
        rows = name_last(run.rows[run.rows["condition"].isin(conditions)])
        there = [rows[rows["condition"] == name] for name in conditions]
        if there and all(estimate(MEASURES[measure], own) for measure in measures for own in there):
            runs[run.title] = tokens_read(run.rows), rows
    return {title: rows for title, (_, rows) in sorted(runs.items(), key=lambda one: -one[1][0])}


def headline_numbers(rows: pd.DataFrame, slots: Mapping[str, str]) -> dict[str, str]:
    """The numbers in the sentences of an answer, from the rows of the run that answers.

    Args:
        rows: result table, as of ``name_last``.
        slots: name -> name of a measure, or ``measure:state`` for members in another state, or ``measure:null``.

    Returns:
        ``NAME_text``, ``NAME_dna``, ``NAME_protein`` -> the number, the least and the greatest of several, or a
        dash.
    """
    said, of_kind = {}, kinds(rows)
    for name, slot in slots.items():
        write = partial(brief, percent=MEASURES[slot.partition(":")[0]].percent)
        for kind in KINDS:
            values = [_value(rows[rows["condition"] == each], slot) for each in of_kind.get(kind, ())]
            said[f"{name}_{kind}"] = spanned((one.interval.value for one in values if one), write)
    return said


def _value(rows: pd.DataFrame, slot: str) -> Estimate | None:
    name, _, state = slot.partition(":")
    return null_of(MEASURES[name], rows) if state == "null" else estimate(MEASURES[name], rows, state or "trained")


def headline_table(runs: Mapping[str, pd.DataFrame], measures: Sequence[str]) -> str:
    """Markdown of a folded table: each measure of each condition with its 95 % interval and controls, by run."""
    names = list(dict.fromkeys(filter(is_condition, next(iter(runs.values()))["condition"])))
    lines = []
    for measure in (MEASURES[measure] for measure in measures):
        text = measure.text[:1].upper() + measure.text[1:]
        for name, short in chart_names(names).items():
            cells = [_cell(rows[rows["condition"] == name], measure) for rows in runs.values()]
            lines.append([text, short, *cells])
    return "\n".join([
        ":::{dropdown} These numbers with 95 % intervals, beside controls",
        markdown_table(["Measure", "Corpus", *runs], lines, names=2),
        "", "Intervals are over the members of each ensemble and, of means over test windows, over these.",
        ":::",
    ])  # fmt: skip


def _cell(rows: pd.DataFrame, measure: Measure) -> str:
    whole = estimate(measure, rows)
    if whole is None:
        return "–"
    controls = {}
    if measure.null is not None:  # what needs no network has no untrained one
        controls = {"untrained": estimate(measure, rows, "untrained"), measure.null[0]: null_of(measure, rows)}
    beside = [f"{what} {number(one.interval.value, measure.percent)}" for what, one in controls.items() if one]
    return "<br>".join([interval(*whole.over_both, percent=measure.percent), *beside])


def recorded_differences(*names: str) -> Markdown:
    """How far recorded runs have DNA from text in some measures, to be held against what would change our mind."""
    claim = Claim("", tuple(replace(one, above=bool(one.above)) for one in chosen(*names).values()))
    lines = []
    for run in recorded_runs():
        tested = check_claims(name_last(run.rows), [claim]).get(claim, [])
        if tested:
            lines += ["", f"*{run.title}*, DNA minus text, with 95 % intervals over members and test windows:", ""]
        for one in tested:
            of_dna = chart_names(list(dict.fromkeys(dna for dna, _ in one.pairs)))
            percent = one.measure.percent
            pairs = [f"{of_dna[dna]} {difference(*pair[:3], percent)}" for (dna, _), pair in one.pairs.items()]
            lines.append(f"- {one.measure.text}: {'; '.join(pairs)}")
    return Markdown("\n".join(lines) or "No run with these measures is recorded.")
