"""The front page and the page of evidence: the causal finding, the claims of the paper, and what was trained."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from gfm_utils.figures.numbers import listed, million, percentage
from gfm_utils.measures.estimates import kinds
from gfm_utils.profiles import profile as profile_named
from gfm_utils.provenance import RecordedRun, recorded_runs
from gfm_utils.tables import read_tables
from gfm_utils.tokens import SPECIAL, Condition, corpora_of

#: Heading of the run whose pages these are.
THIS_RUN = "This run"


class Evidence(NamedTuple):
    """This run, and the recorded ones that have all of its conditions."""

    runs: dict[str, pd.DataFrame]  # heading -> result tables; the run whose models have learned most comes first
    recorded: dict[str, RecordedRun]  # by heading
    profiles: Collection[str]  # of this run's chapters
    judged: bool  # whether there is text and DNA to compare the claims on

    @classmethod
    def read(cls, results_dir: Path, profiles: Collection[str] = ()) -> "Evidence":
        """Of a folder of result tables; a GfmError if it holds none."""
        rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
        judged, conditions = bool(check_claims(rows)), set(learned(rows))
        runs = recorded_runs() if judged and conditions else []
        there = {run.title: run for run in runs if conditions <= set(learned(run.rows))}
        every = {**{title: run.rows for title, run in there.items()}, THIS_RUN: rows}
        return cls(most_learned(every), there, profiles, judged)

    @property
    def first(self) -> tuple[str, pd.DataFrame, RecordedRun | None]:
        """Heading, result tables and record, if it is no other than this run, of the run that has learned most."""
        title, rows = next(iter(self.runs.items()))
        return title, rows, self.recorded.get(title)


def most_learned(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Runs in the order of what their models have learned: ``learned_share``, of equal ones tokens read."""

    def learning(title: str) -> tuple[float, int]:
        return float(np.nan_to_num(learned_share(runs[title]), nan=-1)), tokens_read(runs[title])

    return {title: runs[title] for title in sorted(runs, key=learning, reverse=True)}


def front_page_numbers(evidence: Evidence) -> dict[str, str]:
    """What the front page says for ``{{ name }}``: the causal finding and what was trained."""
    _, rows, run = evidence.first
    if run is not None:
        size = run.about["configuration"]["recipe"]
    else:
        size = profile_named(next(iter(evidence.profiles), "quick")).model_dump()
    models, shape, window = learned(rows), preset(size["preset"]), size["window"]
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


def vocabulary_of(condition: str) -> int:
    """Tokens of a condition's vocabulary, special ones among them."""
    tokenizer = Condition.parse(condition).tokenizer
    size = int(tokenizer.removeprefix("kmer").removeprefix("bpe"))
    return len(SPECIAL) + (4**size if tokenizer.startswith("kmer") else size)


def front_page_hero() -> str:
    """The key figure, from the recorded runs of the causal test, as Markdown."""
    figure = hero_figure(recorded_doses()[0])
    return f"```{{raw}} html\n{figure.data}\n```\n" if isinstance(figure, HTML) else str(figure.data)


def front_page_claims(evidence: Evidence) -> str:
    """The paper's claims in Markdown: the run that has learned most, this run, and a word of verdict."""
    _, _, run = evidence.first
    source = "Numbers and verdicts are those of this run."
    if run is not None:
        source = (
            f"Numbers and verdicts are those of a recorded run of {run.about['date'][:10]}; *{THIS_RUN}* is the "
            "one that made these pages (text / DNA)."
        )
    if not evidence.judged:
        return warning(evidence.profiles) + NOTHING
    table = claims_table(evidence.runs, THIS_RUN)
    return f"{warning(evidence.profiles)}:::{{container}} claims\n{table}\n:::\n\n{source}\n"


def verdicts_and_measures(evidence: Evidence) -> str:
    """Verdicts of all runs, and the measures of the run that has learned most, in Markdown."""
    if not evidence.judged:
        return warning(evidence.profiles) + NOTHING
    _, rows, run = evidence.first
    return warning(evidence.profiles) + "\n".join([
        _source(rows, run),
        "",
        verdict_table(evidence.runs),
        _power(rows),
        "",
        "",
        "(all-measures)=",
        "## All measures",
        "",
        ":::{dropdown} Each measure of each claim, with its null and the difference between DNA and text",
        measures_table(rows, links=True),
        ":::",
        "",
    ])  # fmt: skip


def _source(rows: pd.DataFrame, run: RecordedRun | None) -> str:
    """A sentence: whose verdicts these are, what its models have learned, and how it is repeated."""
    share, tokens = learned_share(rows), tokens_read(rows)
    learning = [] if np.isnan(share) else [f"have learned {percentage(share, 0)} of what counting saves"]
    learning += [f"read {million(tokens)} tokens each"] if tokens else []
    models = f", whose models {' and '.join(learning)}" if learning else ""
    whose = "this run"
    if run is not None:
        whose = f"the recorded run of {run.about['date'][:10]} (`{run.about['command']}`)"
    return f"The verdicts are those of {whose}{models}."


def _power(rows: pd.DataFrame) -> str:
    """A sentence: the difference that the members of a run can be expected to show; nothing without members."""
    tested = [one for every in check_claims(rows).values() for one in every if one.side is not None]
    counts = [len(each.members) for one in tested for each in (*one.text.values(), *one.dna.values())]
    counts = [count for count in counts if count > 1]
    if not counts:
        return ""
    dna, text = max(len(one.dna) for one in tested), max(len(one.text) for one in tested)
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
