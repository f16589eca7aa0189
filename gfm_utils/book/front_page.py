"""The front page and the page of evidence: the causal finding, the claims of the paper, and what was trained."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from gfm_utils.claims import recorded_doses
from gfm_utils.claims.claim import Learned, learned, learned_share, tokens_read
from gfm_utils.claims.verdicts import POWER, check_claims, detectable
from gfm_utils.corpora import registry
from gfm_utils.ensembles.presets import parameters_of, preset
from gfm_utils.figures.claims import NOTHING, claims_table, measures_table, verdict_table
from gfm_utils.figures.hero import gap_numbers, hero_figure
from gfm_utils.figures.names import corpus_name, cut_name
from gfm_utils.figures.numbers import interval, listed, million, number, percentage
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.estimates import Estimate, estimate, kinds, null_of
from gfm_utils.measures.registry import Measure, chosen
from gfm_utils.profiles import profile as profile_named
from gfm_utils.provenance import RecordedRun, recorded_runs
from gfm_utils.tables import read_tables
from gfm_utils.tokens import SPECIAL, Condition, corpora_of, is_condition

AT_A_GLANCE = chosen(
    "nll", "output_entropy", "accuracy", "js_distance", "mutual_information", "top1_agreement",
    "topk_overlap_corrected", "fisher_share",
)  # fmt: skip
UNTRAINED = "untrained"
#: Heading of the run whose pages these are.
THIS_RUN = "This run"


def front_page_numbers(results_dir: Path, profiles: Collection[str]) -> dict[str, str]:
    """What stands in the sentences of the front page for ``{{ name }}``: the causal finding and what was trained.

    Args:
        results_dir: folder of the run's result tables.
        profiles: of the run's chapters.

    Raises:
        GfmError: the folder holds no table.
    """
    runs, about = runs_beside(results_dir)
    first, rows = next(iter(runs.items()))
    if first in about:
        size = about[first].about["configuration"]["recipe"]
    else:
        size = profile_named(next(iter(profiles), "quick")).model_dump()
    models = learned(rows)
    shape, window = preset(size["preset"]), size["window"]
    weights = [parameters_of(size["preset"], vocabulary_of(name), window) for name in models]
    return {
        **gap_numbers(recorded_doses()[0]),
        **{f"gain_{kind}": _gains(models, names) for kind, names in kinds(rows).items()},
        "corpora": _corpora(list(models)),
        "members": str(size["members"]),
        "layers": str(shape.layers),
        "width": str(shape.hidden),
        "parameters": f"{max(weights, default=0):,}",
        "hidden": percentage(size["train_mask"], 0),
        "window": str(window),
        "tokens": million(tokens_read(rows)),
    }


def _gains(models: Mapping[str, Learned], names: Sequence[str]) -> str:
    """The context gain of some conditions, with how each is cut where there are several."""
    gains = {name: f"{models[name].gain:.2f}" for name in names if name in models}
    several = [f"{gain} ({cut_name(name)})" if len(gains) > 1 else gain for name, gain in gains.items()]
    return listed(several) or "–"


def _corpora(conditions: Sequence[str]) -> str:
    """A bullet a corpus: its plain name, how it is cut, and what the registry says of it."""
    known, lines = registry(), []
    for corpus in corpora_of(conditions):
        cuts = [cut_name(name) for name in conditions if Condition.parse(name).corpus == corpus]
        said = f": {known[corpus].description}" if corpus in known else ""
        lines.append(f"- **{corpus_name(corpus)}**, cut into {listed(cuts)}{said}.")
    return "\n".join(lines)


def front_page_hero() -> str:
    """The key figure, from the recorded runs of the causal test, as Markdown."""
    figure = hero_figure(recorded_doses()[0])
    return f"```{{raw}} html\n{figure.data}\n```\n" if isinstance(figure, HTML) else str(figure.data)


def front_page_claims(results_dir: Path, profiles: Collection[str] = ()) -> str:
    """The paper's claims in Markdown, a line each: the run that has learned most, this run, and a word of verdict.

    Args:
        results_dir: folder of the run's result tables.
        profiles: of the run's chapters.

    Raises:
        GfmError: the folder holds no table.
    """
    runs, about = runs_beside(results_dir)
    first = next(iter(runs))
    if not check_claims(runs[first]):
        return warning(profiles) + NOTHING
    return "\n".join([
        f"{warning(profiles)}:::{{container}} claims", claims_table(runs, THIS_RUN), ":::", "",
        _beside(about.get(first)), "",
    ])  # fmt: skip


def vocabulary_of(condition: str) -> int:
    """Tokens of a condition's vocabulary, special ones among them."""
    tokenizer = Condition.parse(condition).tokenizer
    size = int(tokenizer.removeprefix("kmer").removeprefix("bpe"))
    return len(SPECIAL) + (4**size if tokenizer.startswith("kmer") else size)


def verdicts_and_measures(results_dir: Path, profiles: Collection[str] = ()) -> str:
    """Verdicts of this run and of recorded ones, and the measures of the first, in Markdown.

    The run whose models have learned most comes first, see ``most_learned``.

    Args:
        results_dir: folder of the run's result tables.
        profiles: of the run's chapters.

    Raises:
        GfmError: the folder holds no table.
    """
    runs, about = runs_beside(results_dir)
    first, numbers = next(iter(runs.items()))
    if not check_claims(numbers):
        return warning(profiles) + NOTHING
    return warning(profiles) + "\n".join([
        _source(first, numbers, about.get(first)),
        "",
        verdict_table(runs),
        _power(numbers),
        "",
        "",
        "(all-measures)=",
        "## All measures",
        "",
        ":::{dropdown} Each measure of each claim, with its null and the difference between DNA and text",
        measures_table(numbers, links=True),
        ":::",
        "",
    ])  # fmt: skip


def runs_beside(results_dir: Path) -> tuple[dict[str, pd.DataFrame], dict[str, RecordedRun]]:
    """This run and the recorded ones that have all of its conditions, by what they have learned.

    Returns:
        Heading -> result tables of each run; and of each recorded run where it comes from.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    conditions = set(learned(rows)) if check_claims(rows) else set[str]()
    there = {run.title: run for run in recorded_runs() if conditions and conditions <= set(learned(run.rows))}
    return most_learned({**{title: run.rows for title, run in there.items()}, THIS_RUN: rows}), there


def most_learned(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Runs in the order of what their models have learned: ``learned_share``, and of two equal ones tokens read.

    Args:
        runs: heading -> result tables of a run, one below the other.
    """

    def learning(title: str) -> tuple[float, int]:
        return float(np.nan_to_num(learned_share(runs[title]), nan=-1)), tokens_read(runs[title])

    return {title: runs[title] for title in sorted(runs, key=learning, reverse=True)}


def _beside(run: RecordedRun | None) -> str:
    """Whose numbers stand in the table of the claims."""
    if run is None:
        return "Numbers and verdicts are those of this run."
    return (
        f"Numbers and verdicts are those of a recorded run of {run.about['date'][:10]}; *{THIS_RUN}* is the one "
        "that made these pages (text / DNA)."
    )


def _source(title: str, rows: pd.DataFrame, run: RecordedRun | None) -> str:
    """A sentence: whose verdicts these are, what its models have learned, and how it is repeated."""
    share, tokens = learned_share(rows), tokens_read(rows)
    learning = [] if np.isnan(share) else [f"have learned {percentage(share, 0)} of what counting saves"]
    learning += [f"read {million(tokens)} tokens each"] if tokens else []
    models = f", whose models {' and '.join(learning)}" if learning else ""
    if run is None:
        return f"The verdicts are those of this run{models}."
    date, command = run.about["date"][:10], run.about["command"]
    return f"The verdicts are those of the recorded run of {date} (`{command}`){models}."


def _power(rows: pd.DataFrame) -> str:
    """A sentence: the difference that the members of a run can be expected to show; nothing without members."""
    tested = [one for every in check_claims(rows).values() for one in every if one.side is not None]
    counts = [len(each.members) for one in tested for each in (*one.text.values(), *one.dna.values())]
    counts = [count for count in counts if count > 1]
    if not counts:
        return ""
    dna = max(len(one.dna) for one in tested)
    text = max(len(one.text) for one in tested)
    least = detectable(min(counts), dna=dna, text=text)
    return (
        f"With {min(counts)} members of a condition, a difference of {least:.1f} standard deviations between "
        f"members is decided in at least {percentage(POWER, 0)} of cases, after the correction for all claims."
    )


def warning(profiles: Collection[str]) -> str:
    """That models of the profile ``smoke`` have learned nothing, as a note in Markdown; else nothing."""
    if "smoke" not in profiles:
        return ""
    return (
        ":::{warning}\nThis run has the profile `smoke`: its models have read next to nothing. It shows that "
        "everything runs, and its numbers say nothing about a corpus or a claim; `--profile quick` does.\n:::\n\n"
    )


def at_a_glance(results_dir: Path) -> str:
    """Markdown table of the headline numbers, with 95 % intervals, the untrained control and the null.

    Args:
        results_dir: folder of the result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    columns: dict[str, list[str]] = {}
    for condition in filter(is_condition, dict.fromkeys(rows["condition"].dropna())):
        condition_rows = rows[rows["condition"] == condition]
        cells = [_cell(measure, condition_rows) for measure in AT_A_GLANCE.values()]
        if any(cells):  # doses of the causal test have none
            columns[condition] = cells
    if not columns:
        return "This run has no numbers for the table at a glance.\n"
    lines = [
        [measure.text, *(cell or "–" for cell in cells)]
        for measure, *cells in zip(AT_A_GLANCE.values(), *columns.values(), strict=True)
        if any(cells)
    ]
    return markdown_table(["", *(f"`{name}`" for name in columns)], lines) + "\n"


def _cell(measure: Measure, rows: pd.DataFrame) -> str:
    """Value, interval and controls of one condition, each on a line of its own; empty if there is no value."""
    trained = estimate(measure, rows)
    if trained is None:
        return ""
    value, _, span = interval(*trained.interval, measure.percent).partition(" [")
    lines = [f"**{value}**", *([f"[{span}"] if span else [])]
    for name, control in ((UNTRAINED, estimate(measure, rows, UNTRAINED)), _null(measure, rows)):
        if control is not None:
            lines.append(f"{name} {number(control.interval.value, measure.percent)}")
    return "<br>".join(lines)


def _null(measure: Measure, rows: pd.DataFrame) -> tuple[str, Estimate | None]:
    """Name and value of the null, where that is not the untrained members."""
    if measure.null is None or measure.null[0] == UNTRAINED:
        return "", None
    return measure.null[0], null_of(measure, rows)
