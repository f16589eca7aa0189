"""``gfm run``: reports on any number of corpora, one a corpus, and all of them compared on one page."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import Field, TypeAdapter, ValidationError

from gfm_utils import corpora
from gfm_utils.book.comparison import build_comparison
from gfm_utils.book.driver import absolute_corpus
from gfm_utils.book.jobs import TABLES, Job, Outcome, read_outcome, report_name
from gfm_utils.book.site import chapter_paths
from gfm_utils.book.workers import Progress, run_local, run_ray
from gfm_utils.ensembles import device, engine_named
from gfm_utils.ensembles.shrink_profile import fitting_tokenizer
from gfm_utils.errors import GfmError, sentence_of
from gfm_utils.files import atomic, check_writable, locked, reading
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tables import read_tables, write_table
from gfm_utils.tokens import Condition, is_condition, names_tokenizer, resolve_transform
from gfm_utils.tokens.parallel import cores

_LIST = TypeAdapter(Annotated[list[str], Field(min_length=1)])


@dataclass(frozen=True)
class BatchReport:
    """What a batch did."""

    out: Path  # folder of the batch, with results.parquet and results.csv
    outcomes: list[Outcome]  # one a report of this command, in the order of the corpora
    html: Path | None  # page of the comparison; None when no report is done

    @property
    def failed(self) -> list[Outcome]:
        """The reports that failed."""
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    def rows(self) -> list[dict[str, Any]]:
        """One plain mapping a report, ready for JSON."""
        return [
            {
                "report": outcome.name, "state": outcome.state, "conditions": list(outcome.conditions),
                "seconds": outcome.seconds, "executed": outcome.executed,
                "html": str(page) if (page := outcome.page(self.out)) else None,
                "notes": list(outcome.notes), "error": outcome.error, "command": outcome.command,
            }
            for outcome in self.outcomes
        ]  # fmt: skip


def run(
    given: Sequence[str],
    profile: str = "quick",
    out: Path = Path("report"),
    root: Path = Path(),
    runs_dir: Path | None = None,
    seed: int = 42,
    at_once: int | None = None,
    engine: str = "local",
    pages: bool = True,
    progress: bool = True,
) -> BatchReport:
    """Make a report of every corpus, the combined result table, and the page that compares all conditions.

    A corpus that fails does not stop the others. What an earlier run has made and nothing has changed is kept;
    reports of other corpora in ``out`` are compared too.

    Args:
        given: ``corpus@tokenizer`` each, or a corpus alone, whose tokenizer then fits its size; or a YAML file
            with a list of these.
        profile: the named size of everything.
        out: folder for all that is made.
        root: the book's repository.
        runs_dir: folder of the trained ensembles; None: ``root/runs``.
        seed: the seed that every chapter starts from.
        at_once: reports that are made side by side; None: one a core, and one at a time on a GPU.
        engine: where reports are made: ``local`` (processes of this machine) or ``ray`` (nodes of a cluster).
        pages: whether chapters are run and pages built; else only what corpora are compared by is measured.
        progress: report on standard error.

    Raises:
        GfmError: a name is wrong, there is no such cluster, or ``out`` holds reports of another profile or seed.
            What is wrong with a corpus is in its outcome instead.
    """
    profile_named(profile)
    engine_named(engine)
    if engine == "ray" and at_once is not None:
        raise GfmError("a number of reports made side by side is for one machine: with Ray each node makes one")
    root, out = Path(root).resolve(), Path(out).resolve()
    runs_dir = Path(runs_dir).resolve() if runs_dir else root / "runs"
    total = len(chapter_paths(root)) if pages else len(TABLES)
    check_writable(out)
    options = {"profile": profile, "out": out, "runs": runs_dir, "root": root, "seed": seed, "engine": engine}
    jobs = [
        Job(
            report_name(corpus), corpus, tuple(asked), profile, seed, root, out, runs_dir, pages,
            command(tuple(asked.values()), options, pages),
        )
        for corpus, asked in by_corpus(listed(given)).items()
    ]  # fmt: skip
    _refuse_mixture(out, jobs)
    tell = _progress_printer(len(jobs) * total, progress)
    places = min(at_once or (1 if device() == "cuda" else cores()), len(jobs))
    outcomes = run_ray(jobs, tell) if engine == "ray" else run_local(jobs, places, tell)
    try:
        with locked(out / "batch"):
            return BatchReport(out, outcomes, _combine(out))
    except OSError as error:
        raise GfmError(f"the reports in {out} were not combined: {sentence_of(error)}") from error


def _progress_printer(total: int, shown: bool) -> Progress:
    """Prints each chapter once on standard error, if ``shown``, and every failure."""
    began = time.monotonic()
    finished: set[tuple[str, str]] = set()

    def tell(name: str, chapter: str | None, what: str) -> None:
        if chapter is None:
            print(f"{name}: {what}", file=sys.stderr)
        elif what != "running" and (name, chapter) not in finished:  # a report may begin again on a cluster
            finished.add((name, chapter))
            if shown:
                seconds = time.monotonic() - began
                print(f"[{len(finished)}/{total}] {seconds:.0f} s  {name}: {chapter} {what}", file=sys.stderr)

    return tell


def listed(given: Sequence[str]) -> list[str]:
    """What was given, a YAML file replaced by the list of texts in it; a GfmError if it holds something else."""
    every = list[str]()
    for text in given:
        if Path(text).suffix not in (".yaml", ".yml"):
            every.append(text)
            continue
        with reading(Path(text)):
            content = Path(text).read_text(encoding="utf-8")
        try:
            every += _LIST.validate_python(yaml.safe_load(content), strict=True)
        except (yaml.YAMLError, ValidationError):
            raise GfmError(
                f"{text} is no list of corpora in YAML; write one a line, like '- news@bpe256'"
            ) from None
    return every


def by_corpus(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Corpus -> condition -> what was given; files have absolute paths.

    A corpus alone gets a tokenizer that fits its size. Controls are with their corpus.

    Raises:
        GfmError: the name of a tokenizer is unknown, or the number of a transform makes no sense.
    """
    conditions: dict[str, dict[str, str]] = {}
    for text in given:
        if not names_tokenizer(text) or (not is_condition(text) and corpora.user_path(text) is not None):
            corpus, transform = resolve_transform(text)
            condition = Condition(corpus, _tokenizer_of(corpus), transform)
        else:
            condition = Condition.resolve(text, missing_ok=True)
        condition = replace(condition, corpus=absolute_corpus(condition.corpus))
        conditions.setdefault(condition.corpus, {}).setdefault(str(condition), text)
    return conditions


def _tokenizer_of(corpus: str) -> str:
    """A tokenizer for a corpus of that kind and size; what is wrong with the corpus its report will say."""
    try:
        plan = corpora.plan(corpus)
    except GfmError:
        return "kmer4"
    return fitting_tokenizer(plan.kind, plan.symbols)


def command(asked: Sequence[str], options: Mapping[str, Any], pages: bool = True) -> str:
    """The command that makes a report of what was asked for, with the options that differ from their defaults."""
    defaults = {"runs": Path("runs").resolve(), "root": Path().resolve(), "seed": 42, "engine": "local"}
    given = {name: value for name, value in options.items() if defaults.get(name) != value}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return shlex.join(["gfm", "run", *asked, *words, *([] if pages else ["--no-pages"])])


def reports_in(out: Path) -> list[Outcome]:
    """The reports in a batch's folder, done or failed, by name."""
    outcomes = [read_outcome(folder) for folder in sorted(Path(out).glob("*")) if folder.is_dir()]
    return [outcome for outcome in outcomes if outcome is not None]


def _refuse_mixture(out: Path, jobs: Sequence[Job]) -> None:
    """Numbers of two profiles or seeds cannot stand in one comparison."""
    mine = {job.name for job in jobs}
    for other in reports_in(out):
        if other.name not in mine and (other.profile, other.seed) != (jobs[0].profile, jobs[0].seed):
            raise GfmError(
                f"{out} holds a report of profile {other.profile!r} and seed {other.seed} ({other.name}), which "
                f"cannot be compared with profile {jobs[0].profile!r} and seed {jobs[0].seed}: give another --out"
            )


def _combine(out: Path) -> Path | None:
    """The combined result table and the comparison page, of all reports that are done."""
    outcomes = reports_in(out)
    done = [outcome.name for outcome in outcomes if outcome.error is None]
    if not done:
        return None
    tables = [
        table.assign(report=name, chapter=chapter)
        for name in done
        for chapter, table in read_tables(out / name / "results").items()
    ]
    combined = pd.concat(tables, ignore_index=True)
    write_table(combined, out / "results.parquet")
    with atomic(out / "results.csv") as temporary:
        combined.to_csv(temporary, index=False)
    return build_comparison(out, outcomes, combined)
