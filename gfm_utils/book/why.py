"""Where a number of the front page comes from: the rows of which table, what made them, when and on what."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

import gfm_utils
from gfm_utils import claims
from gfm_utils.book.front_page import THIS_RUN, Evidence, most_learned
from gfm_utils.claims.claim import CLAIMS, learned
from gfm_utils.claims.dose import AXIS, DOSE_MEASURES, GAIN
from gfm_utils.claims.effects import PRIMARY, RECORDED, gap_parts, keeps_counts, kind_of, verdict_setting
from gfm_utils.claims.verdicts import check_claims, verdicts
from gfm_utils.ensembles import train_ensembles
from gfm_utils.figures.claims import HERE, p_value
from gfm_utils.figures.dose import setting_name, share_text
from gfm_utils.figures.hero import split_dna
from gfm_utils.figures.numbers import number
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.registry import Measure, Term
from gfm_utils.provenance import RecordedRun, recorded_runs, those_recorded
from gfm_utils.tables import read_tables, to_rows

#: Columns of the rows that are shown.
TRACED = ("condition", "state", "metric", "axis", "x", "value", "low", "high", "unit", "n")
#: The names of what the front page says beside claims: gaps that are gone at equal context gain, and the run.
GONE, RUN = "gone_", "run"
NAMES = (*(claim.name for claim in CLAIMS), *(f"{GONE}{name}" for name in PRIMARY), RUN)
#: Chapter -> file of its result table, the table, and its provenance.
Source = Callable[[str], tuple[str, pd.DataFrame, Mapping[str, Any]]]


class Trace(NamedTuple):
    """Where a number, or a few of one kind, come from."""

    name: str  # what ``gfm why`` calls it
    text: str  # what the numbers say
    facts: Mapping[str, str]  # heading -> text: how they follow from the rows, the table's file, its provenance
    function: Callable[..., Any]  # of the package, which made the numbers
    figure: str  # name of the figure that shows them; empty without one
    rows: pd.DataFrame  # of the table, under their numbers in its file

    @property
    def function_name(self) -> str:
        """As a chapter would call it: ``gfm_utils.measures.disagreement``."""
        return f"{'.'.join(self.function.__module__.split('.')[:2])}.{self.function.__name__}"

    @property
    def place(self) -> str:
        """File and line of the function."""
        path = Path(inspect.getfile(self.function)).relative_to(Path(gfm_utils.__file__).parents[1])
        return f"{path}:{inspect.getsourcelines(self.function)[1]}"


def recorded_traces() -> dict[str, Trace]:
    """Of every number of the front page that rests on recorded runs, by the name of the trace."""
    runs = {run.name: run for run in recorded_runs()}
    first = next(iter(most_learned({name: run.rows for name, run in runs.items()})), None)
    of_run = () if first is None else _of_recorded(runs[first])
    return {trace.name: trace for trace in (*of_run, *_gone())}


def traces_page(evidence: Evidence, results_dir: Path, about: Mapping[str, Mapping[str, Any]]) -> str:
    """All traces of the front page in Markdown, with a label each: ``why-NAME``, of this run ``why-NAME-here``.

    ``about``: chapter -> where its table in ``results_dir`` comes from, as ``provenance.record`` writes it.
    """
    tables, (_, _, recorded) = read_tables(results_dir), evidence.first

    def source(chapter: str) -> tuple[str, pd.DataFrame, Mapping[str, Any]]:
        return f"{results_dir.parent.name}/results/{chapter}.parquet", tables[chapter], about[chapter]

    own = [*_of_run(evidence.runs[THIS_RUN], source)]
    shown = [*(_of_recorded(recorded) if recorded is not None else own), *_gone()]
    lines = ["## The front page", *(line for trace in shown for line in _section(trace, trace.name))]
    if recorded is not None:
        lines += ["", "## The run that made these pages"]
        lines += [line for trace in own for line in _section(trace, f"{trace.name}{HERE}")]
    if absent := [f"(why-{name})=" for name in NAMES if name not in {trace.name for trace in shown}]:
        lines += ["", *absent, "## What is not there", ""]
        lines += ["This run has corpora of one kind, or nothing is recorded."]
    return "\n".join(lines) + "\n"


def _section(trace: Trace, label: str) -> Iterator[str]:
    yield from ("", f":::{{dropdown}} {trace.text}", f":name: why-{label}", "")
    yield f"- **Function**: {{py:func}}`{trace.function_name}`, `{trace.place}`"
    if trace.figure:
        yield f"- **Figure**: {{numref}}`{trace.figure}`"
    yield from (f"- **{head}**: {text}" for head, text in trace.facts.items())
    numbered = zip(trace.rows.index, to_rows(trace.rows[list(TRACED)]), strict=True)
    rows = [[f"{index}", *map(_cell, row.values())] for index, row in numbered]
    yield from ("", markdown_table(["row", *TRACED], rows, names=6), ":::")


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _file(name: str) -> str:
    return f"data/results/{name}/{name}.parquet"


def _of_recorded(run: RecordedRun) -> Iterator[Trace]:
    return _of_run(run.rows, lambda _: (_file(run.name), run.rows, run.about))


def _of_run(rows: pd.DataFrame, source: Source) -> Iterator[Trace]:
    """Of each claim, and of the sizes of what was trained; ``rows`` are all result tables of the run."""
    checked = check_claims(rows)
    for claim, verdict in verdicts(rows).items():
        measure = claim.primary
        tested = next((one for one in checked.get(claim, ()) if one.measure == measure), None)
        if tested is None:
            continue
        file, table, about = source(measure.chapter)
        values = {name: one.interval.value for name, one in {**tested.text, **tested.dna}.items()}
        written = (f"{name} {number(value, measure.percent)}" for name, value in values.items())
        facts = {
            "Verdict": verdict.word + (f", {p_value(verdict.p)}" if verdict.primary is not None else ""),
            "Measure": f"{measure.text} [{measure.unit}]: {'; '.join(written)}",
            "Computed": _computed(measure),
            "Table": f"`{file}`",
            **_origin(about),
        }
        null = measure.null or ("", ())
        meant = _summaries(table, [*measure.terms, *null[1]], [*values], ["trained", null[0]])
        package, _, name = measure.made_by.partition(".")
        function = getattr(importlib.import_module(f"gfm_utils.{package}"), name)
        yield Trace(claim.name, claim.text, facts, function, measure.figure or "", meant)
    file, table, about = source("ensembles")
    read = _summaries(table, [Term("validation_nll", "tokens")], list(learned(rows)), ["trained"])
    last = read[read["x"].astype("float64") == read["x"].astype("float64").max()]
    recipe = about["configuration"].get("recipe", {})
    sizes = ", ".join(f"{name} {value}" for name, value in recipe.items() if value is not None)
    facts = {"Table": f"`{file}`", **_origin(about), **({"Recipe": sizes} if sizes else {})}
    yield Trace(RUN, "What was trained, and how many tokens it read", facts, train_ensembles, "", last)


def _computed(measure: Measure) -> str:
    names = ", ".join(" ".join(filter(None, (term.metric, term.axis, term.x))) for term in measure.terms)
    null = f"; compared with: {measure.null[0]}" if measure.null else ""
    if len(measure.terms) == 1:
        return f"{names}, the mean over members{null}"
    said = (measure.combine.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return f"{measure.combine.__name__}({names}), the mean over members: {said}{null}"


def _origin(about: Mapping[str, Any]) -> dict[str, str]:
    """Command, commit, date, device, versions and seconds, as far as they are known."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    plain = {**about, "command": f"`{about['command']}`", "commit": f"`{about['commit']}`", "versions": versions}
    said = ("command", "commit", "date", "device", "versions", "seconds")
    return {name.capitalize(): str(plain[name]) for name in said if name in plain}


def _summaries(
    rows: pd.DataFrame, terms: Iterable[Term], conditions: Sequence[str], states: Sequence[str]
) -> pd.DataFrame:
    """The rows of some terms that sum members up."""

    def of_term(term: Term) -> npt.NDArray[np.bool_]:
        meant = {"metric": term.metric, "axis": term.axis or "", "x": term.x, "unit": term.unit}
        every = [rows[column].fillna("").eq(value) for column, value in meant.items() if value is not None]
        return np.logical_and.reduce([same.to_numpy(bool) for same in every])

    of_states = rows["state"].isna() | rows["state"].isin(states)
    kept = np.logical_or.reduce([of_term(term) for term in terms]) & rows["condition"].isin(conditions)
    return rows[kept & of_states & rows["member"].isna()]


def _gone() -> Iterator[Trace]:
    """Of what is gone of each gap between text and DNA when text is scrambled to DNA's context gain."""
    recorded = {name: run for name in RECORDED for run in those_recorded(name)}
    table = claims.recorded_doses()[0]
    x = verdict_setting(table)
    parts = gap_parts(table, x, metrics=PRIMARY)
    parts = parts[parts["condition"] == split_dna(table, parts)].dropna(subset="gone")
    name = next((name for name, (frame, _) in recorded.items() if frame["x"].eq(x).any()), "")
    for _, part in parts.iterrows():
        frame, about = recorded[name]
        measure = DOSE_MEASURES[part["metric"]]
        text, beside, dna = (number(part[of], measure.percent) for of in ("text", "beside", "dna"))
        facts = {
            "Measure": f"{measure.text} [{measure.unit}]: text {text}, scrambled text {beside}, "
            f"{part['condition']} {dna}",
            "Computed": "(text - scrambled text) / (text - DNA), where scrambled text gains "
            f"{part['gain']:.2f} bits per token from context, as DNA does ({setting_name(x)}); intervals are a "
            "jackknife over members",
            "Table": f"`{_file(name)}`",
            **_origin(about),
        }
        ladder = [one for one, kind in kind_of(table).items() if kind == "text" and keeps_counts(one)]
        terms = [Term(metric, AXIS, x) for metric in (part["metric"], GAIN)]
        rows = _summaries(frame, terms, [*ladder, part["condition"]], ["trained"])
        said = f"Gone at equal context gain: {share_text(part, 'gone')} of the gap in {measure.text}"
        yield Trace(f"{GONE}{part['metric']}", said, facts, gap_parts, "fig-dose-main", rows)
