"""``gfm run``: reports on any number of corpora, one a corpus, and all of them compared on one page."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gfm_utils import corpora
from gfm_utils.book.comparison import build_comparison
from gfm_utils.book.driver import absolute_corpus
from gfm_utils.book.jobs import (
    DONE,
    TABLES,
    Job,
    Outcome,
    check_report,
    make_report,
    measure_report,
    read_outcome,
    report_name,
)
from gfm_utils.book.site import chapter_paths
from gfm_utils.book.workers import Make, Tell, run_local, run_ray
from gfm_utils.ensembles import device, engine_named
from gfm_utils.ensembles.shrink_profile import fitting_tokenizer
from gfm_utils.errors import GfmError, sentence_of
from gfm_utils.files import atomic, check_writable, locked, reading
from gfm_utils.profiles import profile as profile_named
from gfm_utils.tables import read_tables, write_table
from gfm_utils.tokens import Condition, is_condition, names_tokenizer, resolve_transform
from gfm_utils.tokens.parallel import cores


@dataclass(frozen=True)
class BatchReport:
    """What a batch did."""

    out: Path  # folder of the batch, with results.parquet and results.csv
    outcomes: list[Outcome]  # one a report of this command, in the order of the corpora
    commands: dict[str, str]  # name of a report -> the command that makes just that
    html: Path | None  # page of the comparison; None when no report stands

    @property
    def comparison(self) -> pd.DataFrame | None:
        """The table of the comparison, of all reports that stand; None without any."""
        return pd.read_parquet(self.out / "comparison.parquet") if self.html else None

    @property
    def failed(self) -> list[Outcome]:
        """The reports that failed."""
        return [outcome for outcome in self.outcomes if outcome.state != DONE]

    def rows(self) -> list[dict[str, Any]]:
        """One plain mapping a report, ready for JSON."""
        return [
            {
                "report": outcome.name, "state": outcome.state, "conditions": list(outcome.conditions),
                "seconds": outcome.seconds, "executed": outcome.executed,
                "html": str(page) if (page := outcome.page(self.out)) else None,
                "notes": list(outcome.notes), "error": outcome.error, "command": self.commands[outcome.name],
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
    progress: bool = True,
    engine: str = "local",
    pages: bool = True,
) -> BatchReport:
    """Make a report of every corpus, the combined result table, and the page that compares all conditions.

    All corpora are read and cut into tokens first, so that one that cannot serve is told of before others train.
    A corpus that fails does not stop the others. What an earlier run has made and nothing has changed is kept;
    reports of other corpora that stand in ``out`` are compared too.

    Args:
        given: ``corpus@tokenizer`` each, or a corpus alone, whose tokenizer then fits its size; or a YAML file
            with a list of these.
        profile: the named size of everything.
        out: folder for all that is made.
        root: the book's repository.
        runs_dir: folder of the trained ensembles; None: ``root/runs``.
        seed: the seed that every chapter starts from.
        at_once: reports that are made side by side; None: one a core, and one at a time on a GPU.
        progress: report on standard error.
        engine: where reports are made: ``local``, in processes of this machine, or ``ray``, on the nodes of a
            cluster.
        pages: whether chapters are run and pages built; else only what corpora are compared by is measured.

    Raises:
        GfmError: a name is wrong, there is no such cluster, ``out`` holds reports of another profile or seed, or
            the pages of the comparison were not built. What is wrong with a corpus is in its outcome instead.
    """
    profile_named(profile)
    engine_named(engine)
    if engine == "ray" and at_once is not None:
        raise GfmError("a number of reports made side by side is for one machine: with Ray each node makes one")
    root, out = Path(root).resolve(), Path(out).resolve()
    runs_dir = Path(runs_dir).resolve() if runs_dir else root / "runs"
    chapters = chapter_paths(root)
    check_writable(out)
    jobs = [
        Job(report_name(corpus), corpus, tuple(asked), profile, seed, root, out, runs_dir, tuple(asked.values()))
        for corpus, asked in by_corpus(listed(given)).items()
    ]
    _refuse_mixture(out, jobs)
    places = at_once or (1 if device() == "cuda" else cores())
    make, parts = (make_report, len(chapters)) if pages else (measure_report, len(TABLES))
    tell = _teller(len(jobs) * parts, progress)

    def outcomes_of(chosen: Sequence[Job], make: Make) -> list[Outcome]:
        if engine == "ray" and chosen:
            return run_ray(chosen, tell, make)
        return run_local(chosen, max(1, min(places, len(chosen))), tell, make)

    outcomes = {one.name: one for one in outcomes_of(jobs, check_report)}
    good = [job for job in jobs if outcomes[job.name].state == DONE]
    outcomes |= {one.name: one for one in outcomes_of(good, make)}
    try:
        with locked(out / "batch"):
            html = _combine(out)
    except OSError as error:
        raise GfmError(f"the reports in {out} were not combined: {sentence_of(error)}") from error
    commands = {job.name: command(job, at_once, engine, pages) for job in jobs}
    return BatchReport(out, list(outcomes.values()), commands, html)


def _teller(total: int, shown: bool) -> Tell:
    """Tells on standard error of each chapter once, if ``shown``, and of every failure."""
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
    """What was given, a YAML file replaced by the list of texts in it.

    Raises:
        GfmError: such a file is none, or holds something else.
    """
    every = list[str]()
    for text in given:
        if Path(text).suffix not in (".yaml", ".yml"):
            every.append(text)
            continue
        with reading(Path(text)):
            content = Path(text).read_text(encoding="utf-8")
        try:
            inside = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise GfmError(f"{text} is not valid YAML ({' '.join(str(error).split())}); mend the file") from None
        if not isinstance(inside, list) or not inside or not all(isinstance(one, str) for one in inside):
            raise GfmError(f"{text} is no list of corpora; write one a line, like '- news@bpe256'")
        every += inside
    return every


def by_corpus(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Conditions by their corpus, files with absolute paths; a corpus alone gets a tokenizer that fits its size.

    Controls are with the corpus that they are made of.

    Returns:
        Corpus -> condition -> what was given, with an absolute path, and without a tokenizer if it had none.

    Raises:
        GfmError: the name of a tokenizer is unknown, or the number of a transform makes no sense.
    """
    conditions: dict[str, dict[str, str]] = {}
    for text in given:
        alone = not names_tokenizer(text) or (not is_condition(text) and corpora.user_path(text) is not None)
        if alone:
            corpus, transform = resolve_transform(text)
            condition = Condition(corpus, _tokenizer_of(corpus), transform)
        else:
            condition = Condition.resolve(text, missing_ok=True)
        condition = replace(condition, corpus=absolute_corpus(condition.corpus))
        asked = condition.beside_tokenizer if alone else str(condition)
        conditions.setdefault(condition.corpus, {}).setdefault(str(condition), asked)
    return conditions


def _tokenizer_of(corpus: str) -> str:
    """A tokenizer for a corpus of that kind and size; what is wrong with the corpus its report will say."""
    try:
        plan = corpora.plan(corpus)
    except GfmError:
        return "kmer4"
    return fitting_tokenizer(plan.kind, plan.symbols)


def command(job: Job, at_once: int | None = None, engine: str = "local", pages: bool = True) -> str:
    """The command that makes just this report, and compares it with those that stand."""
    words = ["gfm", "run", *(job.asked or job.conditions), "--profile", job.profile, "--out", str(job.out)]
    words += [] if at_once is None else ["--jobs", str(at_once)]
    words += [] if engine == "local" else ["--engine", engine]
    words += [] if pages else ["--no-pages"]
    if job.runs_dir != Path("runs").resolve():
        words += ["--runs", str(job.runs_dir)]
    if job.root != Path().resolve():
        words += ["--root", str(job.root)]
    return shlex.join(words + (["--seed", str(job.seed)] if job.seed != 42 else []))


def standing(out: Path) -> list[Outcome]:
    """The reports in a batch's folder, done or failed, by name."""
    outcomes = [read_outcome(folder) for folder in sorted(Path(out).glob("*")) if folder.is_dir()]
    return [outcome for outcome in outcomes if outcome is not None]


def _refuse_mixture(out: Path, jobs: Sequence[Job]) -> None:
    """Numbers of two profiles or seeds cannot stand in one comparison."""
    mine = {job.name for job in jobs}
    for other in standing(out):
        if other.name not in mine and (other.profile, other.seed) != (jobs[0].profile, jobs[0].seed):
            raise GfmError(
                f"{out} holds a report of profile {other.profile!r} and seed {other.seed} ({other.name}), which "
                f"cannot be compared with profile {jobs[0].profile!r} and seed {jobs[0].seed}: give another --out"
            )


def _combine(out: Path) -> Path | None:
    """The combined result table and the comparison page, of all reports that stand."""
    outcomes = standing(out)
    done = [outcome.name for outcome in outcomes if outcome.state == DONE]
    if not done:
        return None
    combined = pd.concat(
        [
            table.assign(report=name, chapter=chapter)
            for name in done
            for chapter, table in read_tables(out / name / "results").items()
        ],
        ignore_index=True,
    )
    write_table(combined, out / "results.parquet")
    with atomic(out / "results.csv") as temporary:
        combined.to_csv(temporary, index=False)
    return build_comparison(out, outcomes, combined)
