"""The claims as tables: the verdicts of runs beside each other, and the measures behind those of one run."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.claims.claim import AGAINST, FOR, UNDECIDED, Claim, Learned, learned
from gfm_utils.claims.verdicts import NOT_SUPPORTED, SUPPORTED, TOO_LITTLE, Tested, Verdict, check_claims, verdicts
from gfm_utils.figures.comparison import short_names
from gfm_utils.figures.names import corpus_name, cut_name
from gfm_utils.figures.numbers import difference, listed, number
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.estimates import Estimate, kinds
from gfm_utils.measures.intervals import LEVEL
from gfm_utils.measures.registry import Measure
from gfm_utils.tokens import Condition, is_condition

#: How the label of a trace (``why-NAME``) ends that is of the run which made the pages, beside a recorded one.
HERE = "-here"
#: What stands beside a measure of robustness.
MARKS = {FOR: "for", AGAINST: "**against**", None: "–"}
NOTHING = "This run has no text, or no DNA, to compare the paper's claims on.\n"


def claims_overview(table: pd.DataFrame) -> Markdown:
    """The measures that a chapter's result table can speak of; the verdicts rest on all chapters."""
    return Markdown(measures_table(table))


def claims_table(runs: Mapping[str, pd.DataFrame], this: str) -> str:
    """Markdown table for readers in a hurry: a row a claim, with its primary measure and a word of verdict.

    Args:
        runs: heading -> result tables of a run, one below the other; numbers and verdicts are those of the first.
        this: heading of the run whose conditions are shown; it has a column of its own where it is not the first.
    """
    first = next(iter(runs))
    names = list(filter(is_condition, learned(runs[this])))
    tested = {title: check_claims(runs[title]) for title in dict.fromkeys((first, this))}
    words = {title: verdicts(runs[title]) for title in tested}
    of_kind = [[name for name in names if name in set(kinds(runs[first])[kind])] for kind in ("text", "dna")]
    heads = [
        "The paper says",
        *map(_kind_heading, of_kind),
        *([f"{this}:<br>text / DNA"] if first != this else []),
        "Is it so?",
    ]
    lines = []
    for claim, verdict in words[first].items():
        cells = {
            title: _primary_cells(claim, of_run, of_kind, HERE if title == this != first else "")
            for title, of_run in tested.items()
        }
        column = []
        if first != this:
            own = words[this].get(claim)
            other = f"<br>*{_word(own)}*" if own is not None and _word(own) != _word(verdict) else ""
            column = [" / ".join(cells[this]) + other]
        lines.append([f"{claim.text}<br>{_linked(claim.primary)}", *cells[first], *column, _told(verdict, claim)])
    return markdown_table(heads, lines, names=1) + "\n"


def _linked(measure: Measure) -> str:
    """What is measured, with a link to the figure that shows it."""
    return f"{{ref}}`{measure.text} <{measure.figure}>`" if measure.figure else measure.text


def _kind_heading(names: Sequence[str]) -> str:
    """The corpora of one kind, and how each is cut where there are several conditions."""
    corpora = listed(list(dict.fromkeys(corpus_name(Condition.parse(name).corpus) for name in names)))
    return corpora + (f":<br>{' · '.join(map(cut_name, names))}" if len(names) > 1 else "")


def _primary_cells(
    claim: Claim, tested: Mapping[Claim, Sequence[Tested]], of_kind: Sequence[Sequence[str]], here: str
) -> list[str]:
    """The primary measure in the conditions of each kind, linked to its trace; a dash where there is none."""
    one = next((one for one in tested.get(claim, ()) if one.measure == claim.primary), None)
    if one is None:
        return ["–" for _ in of_kind]
    percent = one.measure.percent
    write = partial(number, percent=percent, digits=0 if percent else 2)
    values = {name: write(value.interval.value) for name, value in {**one.text, **one.dna}.items()}
    cells = [" · ".join(values.get(name, "–") for name in names) for names in of_kind]
    return [f"{{ref}}`{cell} <why-{claim.name}{here}>`" for cell in cells]


#: Verdict -> the word for readers in a hurry.
_WORDS = {SUPPORTED: "yes", NOT_SUPPORTED: "no"}


def _word(verdict: Verdict) -> str:
    """Yes, no, depends (some pairs of conditions differ, others not, or the other way), or why there is none."""
    pairs = verdict.primary.pairs.values() if verdict.primary is not None else ()
    if verdict.word == UNDECIDED and any(pair.p <= 1 - LEVEL for pair in pairs):
        return "depends"
    return _WORDS.get(verdict.word, verdict.word)


def _told(verdict: Verdict, claim: Claim) -> str:
    """The word, and how many of the other measures say the opposite."""
    others = len(claim.measures) - 1
    few = f"<br>{len(verdict.dissent)} of {others} other measures say the opposite"
    few = "<br>the other measure says the opposite" if others == 1 else few
    return f"**{_word(verdict)}**" + (few if verdict.dissent else "")


def verdict_table(runs: Mapping[str, pd.DataFrame]) -> str:
    """Markdown table: a row a claim, a column a run, and below a row a condition with what its models save.

    Of the first run verdicts have their reasons, and what speaks against them.
    """
    words = {title: verdicts(rows) for title, rows in runs.items()}
    first = next(iter(words))
    if not words[first]:
        return NOTHING
    lines = [
        [claim.text, *(_verdict(run[claim], title == first) if run else "–" for title, run in words.items())]
        for claim in words[first]
    ]
    models = {title: learned(rows) for title, rows in runs.items()}
    lines += [
        [
            f"*{short}: bits saved, beside counting or a code*",
            *(_saved(run[name]) if name in run else "–" for run in models.values()),
        ]
        for name, short in short_names(list(filter(is_condition, models[first]))).items()
    ]
    return markdown_table(["Claim", *words], lines, names=1 + len(words)) + "\n"


def measures_table(rows: pd.DataFrame, links: bool = False) -> str:
    """Markdown table of the measures of each claim: values of text and DNA with their nulls, and the difference.

    With ``links`` each measure links to the figure that shows it.
    """
    claims = check_claims(rows)
    if not claims:
        return NOTHING
    there = {kind: _conditions(claims, dna) for kind, dna in (("Text", False), ("DNA", True))}
    kinds = [f"{kind}<br>{', '.join(short_names(names).values())}" for kind, names in there.items()]
    lines = []
    for claim, tested in claims.items():
        lines.append([f"**{claim.text}**", "", "", "", ""])
        lines += [
            [
                _linked(one.measure) if links else one.measure.text,
                "*primary*" if one.measure == claim.primary else MARKS.get(one.outcome, str(one.outcome)),
                _values(one, one.text, there["Text"]),
                _values(one, one.dna, there["DNA"]),
                _difference(one),
            ]
            for one in tested
        ]
    return markdown_table(["Claim, and what measures it", "Speaks", *kinds, "DNA − text"], lines, names=2) + "\n"


def _verdict(verdict: Verdict, full: bool) -> str:
    """The word, its p-value, and in full why there is none or which measures say the opposite."""
    lines = [f"**{verdict.word}**"]
    if verdict.word == TOO_LITTLE and full:
        names = short_names([name for name, _ in verdict.lacking])
        lines += [f"{names[name]}: {_saved(one)}" for name, one in verdict.lacking]
    elif verdict.reason and full:
        lines.append(verdict.reason)
    elif not np.isnan(verdict.p) and not verdict.reason and not verdict.lacking:
        lines.append(p_value(verdict.p))
    if verdict.dissent and full:
        opposite = "; ".join(one.measure.text.removeprefix("… ") for one in verdict.dissent)
        lines.append(f"but {verdict.dissent[0].outcome} it: {opposite}")
    return "<br>".join(lines)


def _saved(one: Learned) -> str:
    """What members save over token frequencies, and what counting or a code saves, bits per token."""
    return f"{one.gain:.2f}" if np.isnan(one.saving) else f"{one.gain:.2f} beside {one.saving:.2f}"


def p_value(p: float) -> str:
    """``p = 0.012``, or that it is below 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _conditions(claims: Mapping[Claim, Sequence[Tested]], dna: bool) -> list[str]:
    """All conditions of one kind that some measure has a value of; not the corpora, which some are of."""
    every = (name for tested in claims.values() for one in tested for name in (one.dna if dna else one.text))
    return [name for name in dict.fromkeys(every) if is_condition(name)]


def _values(tested: Tested, values: Mapping[str, Estimate], names: Sequence[str]) -> str:
    """The values of one kind of corpus in the order of the heading, and below them those of the null."""
    write = partial(number, percent=tested.measure.percent)
    order = list(values) if not set(values) <= set(names) else list(names)  # a value a corpus, or a condition
    text = ", ".join(write(values[name].interval.value) if name in values else "–" for name in order)
    nulls = [write(tested.nulls[name]) if name in tested.nulls else "–" for name in order]
    if set(nulls) <= {"–"} or tested.measure.null is None:
        return text
    return f"{text}<br>({tested.measure.null[0]} {', '.join(nulls)})"


def _difference(tested: Tested) -> str:
    """That of the pair that decides, with its interval and p-value; percentages are points."""
    one = tested.decides
    if np.isnan(one.value):
        return "–"
    alone = tested.measure.above is None
    lines = [difference(*one[:3], tested.measure.percent)]
    if alone and tested.measure.null is not None:
        lines[0] += f" beside {tested.measure.null[0]}"
    if tested.side is not None:
        lines.append("pairs differ in sign" if tested.side.p == 1 and not alone else p_value(one.p))
    return "<br>".join(lines)
