"""One report of a batch: its inputs, how it is made, and what became of it."""

import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePath

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from gfm_utils import measures
from gfm_utils.book.chapter import Chapter
from gfm_utils.book.driver import build, check_corpora, inputs_key
from gfm_utils.errors import GfmError, sentence_of
from gfm_utils.files import digest, write_json
from gfm_utils.profiles import profile
from gfm_utils.tables import kept_table, write_table

#: Called with the name of a chapter, and "running" or what became of it.
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
class Outcome:
    """What became of a report, as ``report.json`` says it."""

    name: str
    corpus: str
    conditions: tuple[str, ...]
    profile: str
    seed: int
    error: str | None = None  # why it failed, a sentence
    notes: tuple[str, ...] = ()  # how the profile was fitted to the corpus, a sentence each
    seconds: float = 0.0  # that it took this time
    executed: int = 0  # chapters that were executed this time; the others had nothing changed
    command: str = ""  # that makes just this report again

    @property
    def state(self) -> str:
        """Whether it is ``done`` or has ``failed``."""
        return "done" if self.error is None else "failed"

    def page(self, out: Path) -> Path | None:
        """Its front page in the folder of the batch, if it is done and has pages."""
        page = out / self.name / "html" / "index.html"
        return page if self.error is None and page.is_file() else None


@dataclass(frozen=True)
class Job:
    """The inputs of one report."""

    name: str  # of the report, and of its folder in ``out``
    corpus: str  # registry name, absolute path or address
    conditions: tuple[str, ...]  # corpus@tokenizer each, all of that corpus
    profile: str  # name of the profile
    seed: int  # of splits, order of windows and masks
    root: Path  # the book's repository
    out: Path  # folder of the batch
    runs_dir: Path  # folder of token arrays and ensembles
    pages: bool = True  # all chapters and their pages, or only what corpora are compared by
    command: str = ""  # that makes just this report

    @property
    def folder(self) -> Path:
        """Folder of the report: what ``gfm build --out`` leaves, ``report.json`` and ``log.txt``."""
        return self.out / self.name

    def ended(
        self, error: str | None = None, notes: Sequence[str] = (), seconds: float = 0.0, executed: int = 0
    ) -> Outcome:
        """The outcome, written down; or if that cannot be (the disk is full), the failure that this is."""
        outcome = Outcome(
            self.name, self.corpus, self.conditions, self.profile, self.seed, error, tuple(notes), seconds,
            executed, self.command,
        )  # fmt: skip
        try:
            (self.folder / "report.json").unlink(missing_ok=True)  # an earlier success is void
            write_json(self.folder / "report.json", asdict(outcome))
            return outcome
        except OSError as problem:
            return replace(outcome, error=error or sentence_of(problem))


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
    """Make what is missing of a report; what is wrong with the corpus or the machine is in the outcome."""
    began, executed = time.monotonic(), list[str]()

    def listen(name: str, what: str) -> None:
        if what == "running":  # from here to the end its tables are some old, some new
            (job.folder / "report.json").unlink(missing_ok=True)
        executed.extend([name] if what == "executed" else [])
        on_chapter(name, what)

    notes, error = list[str](), None
    try:
        notes = (_build if job.pages else _measure)(job, listen)
    except (GfmError, OSError) as problem:
        error = sentence_of(problem)
    except Exception as problem:  # a mistake of ours: the other reports go on, and this one says where to look
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem} (more in {job.folder / 'log.txt'})"
    return job.ended(error, notes, round(time.monotonic() - began, 1), len(executed))


def _build(job: Job, on_chapter: OnChapter) -> list[str]:
    """All chapters and their pages; how the profile was fitted."""
    return build(
        job.profile, job.conditions, job.root, job.folder, job.runs_dir, job.seed, on_chapter=on_chapter
    ).notes


def _measure(job: Job, on_chapter: OnChapter) -> list[str]:
    """What corpora are compared by, without chapters or pages; how the profile was fitted."""
    notes = check_corpora(job.profile, job.conditions, job.runs_dir, job.seed)
    key = inputs_key({"profile": job.profile, "conditions": list(job.conditions), "seed": job.seed}, job.root)
    results, size = job.folder / "results", profile(job.profile)
    for name, make in TABLES.items():
        kept = job.folder / "kept" / f"{name}-{key}.parquet"
        state = "cached" if kept.is_file() else "executed"
        on_chapter(name, "running")
        chapter = Chapter(name, size, job.conditions, job.runs_dir, results, job.seed)
        write_table(kept_table(kept, partial(make, chapter)), results / f"{name}.parquet")
        on_chapter(name, state)
    return notes
