"""One report of a batch: the chapters and pages for the conditions of one corpus, and what became of them."""

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from gfm_utils import measures
from gfm_utils.book.chapter import Chapter
from gfm_utils.book.driver import build, check_corpora, inputs_key
from gfm_utils.errors import GfmError, sentence_of
from gfm_utils.files import digest, write_json
from gfm_utils.profiles import profile
from gfm_utils.tables import kept_table, write_table

DONE, FAILED = "done", "failed"
#: Is told the name of a chapter, and "running" or what became of it.
OnChapter = Callable[[str, str], None]
#: The result tables that corpora are compared by, each as the chapter of that name makes it.
TABLES: dict[str, Callable[[Chapter], pd.DataFrame]] = {
    "corpora": lambda one: measures.corpus_table(one.corpora, one.profile, one.seed),
    "entropy": lambda one: measures.corpus_entropies(one.corpora, one.stores, one.profile, progress=False)[0],
    "predictions": lambda one: measures.output_distributions(one.ensembles, one.profile, one.seed),
    "disagreement": lambda one: measures.disagreement(one.ensembles, one.profile, one.seed),
    "embeddings": lambda one: measures.static_embeddings(one.ensembles),
    "fisher": lambda one: measures.fisher_information(one.ensembles, one.profile, one.seed),
}


@dataclass(frozen=True)
class Job:
    """What one report is made of."""

    name: str  # of the report, and of its folder in ``out``
    corpus: str  # registry name, absolute path or address
    conditions: tuple[str, ...]  # corpus@tokenizer each, all of that corpus
    profile: str  # name of the profile
    seed: int  # of splits, order of windows and masks
    root: Path  # the book's repository
    out: Path  # folder of the batch
    runs_dir: Path  # folder of token arrays and ensembles
    asked: tuple[str, ...] = ()  # the conditions as they were asked for, some perhaps without a tokenizer

    @property
    def folder(self) -> Path:
        """Folder of the report: what ``gfm build --out`` leaves, ``report.json`` and ``log.txt``."""
        return self.out / self.name


@dataclass(frozen=True)
class Outcome:
    """What became of a report, as ``report.json`` says it."""

    name: str
    corpus: str
    conditions: tuple[str, ...]
    profile: str
    seed: int
    state: str  # DONE or FAILED
    error: str | None = None  # why it failed, a sentence
    notes: tuple[str, ...] = ()  # how the profile was fitted to the corpus, a sentence each
    seconds: float = 0.0  # that it took this time
    executed: int = 0  # chapters that were executed this time; the others had nothing changed

    @classmethod
    def of(cls, job: Job, state: str, **more: Any) -> "Outcome":
        """The outcome of a job."""
        return cls(job.name, job.corpus, job.conditions, job.profile, job.seed, state, **more)

    def page(self, out: Path) -> Path | None:
        """Its front page in the folder of the batch, if it is done and has pages."""
        page = out / self.name / "html" / "index.html"
        return page if self.state == DONE and page.is_file() else None

    def kept(self, folder: Path) -> "Outcome":
        """This outcome, written down; or if that cannot be (the disk is full), the failure that this is."""
        try:
            (folder / "report.json").unlink(missing_ok=True)  # an earlier success does not stand
            write_json(folder / "report.json", asdict(self))
            return self
        except OSError as error:
            return replace(self, state=FAILED, error=self.error or sentence_of(error))


def read_outcome(folder: Path) -> Outcome | None:
    """What ``report.json`` in a report's folder says, or None without one (or with one of another format)."""
    try:
        return TypeAdapter(Outcome).validate_json((folder / "report.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def report_name(corpus: str) -> str:
    """Name of the report of a corpus: that of the registry, or a file's with a hash of its path or address."""
    address = "://" in corpus
    path = PurePath(re.split("[?#]", corpus)[0] if address else corpus)
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", path.name).strip("-.")[-40:] or "corpus"
    return f"{plain}-{digest(corpus, 6)}" if address or path.is_absolute() else plain


def make_report(job: Job, on_chapter: OnChapter) -> Outcome:
    """Run all chapters of a report that need it, build its pages, and write down what became of it.

    Never raises for what is wrong with the corpus or the machine: the outcome says it.
    """
    executed = []

    def listen(name: str, what: str) -> None:
        executed.extend([name] if what == "executed" else [])
        if what == "running":  # from here to the end its tables are some old, some new
            (job.folder / "report.json").unlink(missing_ok=True)
        on_chapter(name, what)

    def work() -> list[str]:
        notes = _check(job)
        build(
            job.profile, job.conditions, job.root, job.folder, job.runs_dir, job.seed,
            notes=notes, on_chapter=listen,
        )  # fmt: skip
        return notes

    return replace(_outcome(job, work), executed=len(executed)).kept(job.folder)


def measure_report(job: Job, on_chapter: OnChapter) -> Outcome:
    """Train and measure what corpora are compared by, without chapters or pages; as ``make_report`` else."""

    def work() -> list[str]:
        notes = _check(job)
        parameters = {"profile": job.profile, "conditions": list(job.conditions), "seed": job.seed}
        key = inputs_key(parameters, job.root)
        (job.folder / "report.json").unlink(missing_ok=True)
        for name, make in TABLES.items():
            on_chapter(name, "running")
            one = Chapter(
                name, profile(job.profile), job.conditions, job.runs_dir, job.folder / "results", job.seed
            )
            kept = job.folder / "kept" / f"{name}-{key}.parquet"
            on_chapter(name, "cached" if kept.is_file() else "executed")
            write_table(kept_table(kept, partial(make, one)), one.results_dir / f"{name}.parquet")
        return notes

    return _outcome(job, work).kept(job.folder)


def check_report(job: Job, _: OnChapter) -> Outcome:
    """Make the tokens of a report's conditions, so that a corpus that cannot serve is refused before any trains.

    Only a failure is written down.
    """
    outcome = _outcome(job, lambda: _check(job))
    return outcome if outcome.state == DONE else outcome.kept(job.folder)


def _check(job: Job) -> list[str]:
    return check_corpora(job.profile, job.conditions, job.root, job.runs_dir, job.seed)


def _outcome(job: Job, work: Callable[[], list[str]]) -> Outcome:
    """What became of work, which gives notes. Never raises for corpus or machine."""
    began = time.monotonic()
    notes, error = list[str](), None
    try:
        notes = work()
    except (GfmError, OSError) as problem:
        error = sentence_of(problem)
    except Exception as problem:  # a mistake of ours: the other reports go on, and this one says where to look
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem} (more in {job.folder / 'log.txt'})"
    seconds = round(time.monotonic() - began, 1)
    return Outcome.of(job, FAILED if error else DONE, error=error, notes=tuple(notes), seconds=seconds)
