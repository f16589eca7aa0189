"""``build``: run every chapter that needs it, in order, then make the pages."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, TypeVar
from unittest.mock import patch

import nbformat

import gfm_utils
from gfm_utils import corpora
from gfm_utils.book.kernel import execute, private_jupyter
from gfm_utils.book.site import Record, build_pages, chapter_paths
from gfm_utils.ensembles import device, plan_ensembles
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, locked, sha256_of, sha256_once, write_json
from gfm_utils.profiles import DEFAULT_CONDITIONS
from gfm_utils.profiles import profile as profile_named
from gfm_utils.provenance import commit_of, device_name, environment_versions, named_versions
from gfm_utils.tokens import Condition, corpora_of
from gfm_utils.tokens.parallel import cores

Result = TypeVar("Result")
#: The chapter that trains the ensembles, on all cores; most others read them.
TRAINS = "ensembles"


@dataclass(frozen=True)
class BuildReport:
    """What a build did."""

    profile: str
    conditions: tuple[str, ...]
    chapters: dict[str, str]  # name -> "executed", "cached" or "kept" (not asked for)
    seconds: float
    results: Path  # folder of the result tables, one file a chapter
    html: Path | None  # front page; None when a chapter has never been executed
    pages_built: bool  # False: the pages were up to date
    notes: list[str]  # how the profile was fitted to the corpora

    def rows(self) -> list[dict[str, Any]]:
        """One plain mapping, ready for JSON."""
        return [asdict(self) | {"results": str(self.results), "html": str(self.html) if self.html else None}]


@dataclass(frozen=True)
class _Chapters:
    """The chapters of a build, which are executed where that is asked for and needed."""

    root: Path
    out: Path
    every: list[str]
    parameters: Mapping[str, dict[str, Any]]  # of the chapters that are asked for
    progress: bool
    on_chapter: Callable[[str, str], None]

    def say(self, text: str) -> None:
        """Print a line of progress, if that is wanted."""
        if self.progress:
            print(text, file=sys.stderr, flush=True)

    def tell(self, name: str, what: str) -> None:
        """Say what becomes of a chapter."""
        self.say(f"[{self.every.index(name) + 1}/{len(self.every)}] {name}: {what}")
        self.on_chapter(name, what)

    def ensure(self, name: str, path: Path) -> tuple[str, Record | None]:
        """Execute a chapter if that is asked for and needed; what became of it, and its record."""
        state, record = "kept", Record.read(self.out, name)
        if name in self.parameters:
            state, key = "cached", chapter_key(path, self.parameters[name], self.root)
            if record is None or not record.is_current(key, self.out):
                self.tell(name, "running")
                self.execute(name, path, key)
                state, record = "executed", Record.read(self.out, name)  # as later builds read it
        self.tell(name, state)
        return state, record

    def execute(self, name: str, path: Path, key: str) -> None:
        """Execute a chapter and write its record."""
        mark, notebook, results = Record.files(self.out, name)
        before = results.stat().st_mtime_ns if results.is_file() else None
        mark.unlink(missing_ok=True)
        started = time.monotonic()
        execute(path, notebook, self.parameters[name], self.out / "work", self.progress)
        if not results.is_file() or results.stat().st_mtime_ns == before:
            raise GfmError(f"chapter {name!r} ran but did not write its result table {results}")
        record = Record(
            name=name,
            key=key,
            seconds=round(time.monotonic() - started, 1),
            profile=self.parameters[name]["profile"],
            device=device_name(),
            date=datetime.now(UTC).isoformat(timespec="minutes"),
            commit=commit_of(self.root),
            versions=named_versions(),
            notebook_sha256=sha256_of(notebook),
            results_sha256=sha256_of(results),
        )
        write_json(mark, asdict(record))


def build(
    profile: str = "quick",
    conditions: Sequence[str] | None = None,
    root: Path = Path(),
    out: Path = Path("_build"),
    runs_dir: Path | None = None,
    seed: int = 42,
    chapters: Sequence[str] | None = None,
    progress: bool = True,
    on_chapter: Callable[[str, str], None] = lambda name, what: None,
) -> BuildReport:
    """Run the chapters of the book and build its pages into ``out/html``.

    First the tokens of all conditions are made, so that a corpus that cannot serve is refused at once. A chapter
    is executed only if something that it depends on has changed (see ``chapter_key``) or one of its files is
    missing; the pages are built only if one of their inputs has changed. The chapter that trains what others read
    comes first, by itself; the others go side by side, each with its share of the cores.

    Args:
        profile: the named size of everything.
        conditions: ``corpus@tokenizer`` each, the corpus registered or a file; None: the default ones.
        root: the book's repository.
        out: folder for all that the build makes; a relative one lies in ``root``.
        runs_dir: folder of the trained ensembles; None: ``root/runs``.
        seed: the seed that every chapter starts from.
        chapters: execute only these; the others stay as they were last executed. None: all.
        progress: report on standard error.
        on_chapter: called with the name of each chapter, and "running" or what became of it as in ``BuildReport``.

    Raises:
        GfmError: a parameter is wrong, a corpus cannot be had, read or split, or is too small for a meaningful
            answer; a chapter failed or wrote no results, or the pages have warnings.
    """
    started = time.monotonic()
    profile_named(profile)
    root = Path(root).resolve()
    out, every, wanted = root / out, chapter_paths(root), chapter_paths(root, chapters)
    conditions = tuple(absolute(condition) for condition in conditions or DEFAULT_CONDITIONS)
    folders = {"runs_dir": Path(runs_dir).resolve() if runs_dir else root / "runs", "results_dir": out / "results"}
    notes = check_corpora(profile, conditions, folders["runs_dir"], seed)
    given = {"profile": profile, "conditions": list(conditions), "seed": seed}
    parameters = {
        name: given | {key: os.path.relpath(folder, path.parent) for key, folder in folders.items()}
        for name, path in wanted.items()
    }
    work = _Chapters(root, out, [*every], parameters, progress, on_chapter)
    with locked(out / "build"), private_jupyter(out / "jupyter"):
        (out / "results").mkdir(exist_ok=True)
        _drop_stale(out, set(every))
        ensured = side_by_side(work.ensure, every, 1 if device() == "cuda" else min(2, cores()))
        records = {name: record for name in every if (record := ensured[name][1]) is not None}
        html, pages_built = None, False
        if missing := [name for name in every if name not in records]:
            work.say(f"no pages yet: {', '.join(missing)} not executed so far")
        else:
            work.say("pages ...")
            html, pages_built = build_pages(root, out, every, records, notes, conditions)
            work.say(f"pages: {html}" if pages_built else f"pages: nothing changed ({html})")
    states, seconds = {name: ensured[name][0] for name in every}, round(time.monotonic() - started, 1)
    return BuildReport(profile, conditions, states, seconds, out / "results", html, pages_built, notes)


def side_by_side(
    work: Callable[[str, Path], Result], chapters: Mapping[str, Path], at_once: int
) -> dict[str, Result]:
    """What the work on each chapter gives; the one that trains for others by itself, then from the last backwards.

    Each of several has its share of the cores, unless the user has set a number of threads. After a failure no
    further chapter is begun, and those at work are waited for.
    """
    done = {name: work(name, path) for name, path in chapters.items() if name == TRAINS or at_once == 1}
    threads = {"OMP_NUM_THREADS": str(max(1, cores() // at_once))} | os.environ
    failed = Event()

    def unless_failed(name: str) -> Result | None:
        if failed.is_set():
            return None
        try:
            return work(name, chapters[name])
        except BaseException:
            failed.set()
            raise

    with patch.dict(os.environ, threads), ThreadPoolExecutor(at_once) as pool:
        tasks = {name: pool.submit(unless_failed, name) for name in reversed(list(chapters)) if name not in done}
    results = {name: task.result() for name, task in tasks.items()}
    return done | {name: result for name, result in results.items() if result is not None}


def chapter_key(notebook: Path, parameters: Mapping[str, Any], root: Path) -> str:
    """Hash of all that a chapter's outcome depends on: its cells, and what ``inputs_key`` reads."""
    cells = nbformat.read(notebook, as_version=4).cells
    shown = [(cell.cell_type, cell.source, cell.metadata) for cell in cells]
    return digest({"cells": shown, "inputs": inputs_key(parameters, root)}, length=64)


def inputs_key(parameters: Mapping[str, Any], root: Path) -> str:
    """Hash of all that measures of some conditions depend on.

    These are the parameters (``profile``, ``conditions`` and others), the package, the versions of everything that
    is installed, the device, the corpus registry, the recorded results, and the bytes of every corpus that is a
    file or is at an address.

    Raises:
        GfmError: a condition is none, or its corpus cannot be had.
    """
    data = Path(root) / "data"
    read = [*Path(gfm_utils.__file__).parent.rglob("*.py"), data / "corpora.yaml", *data.glob("results/*/*")]
    size = profile_named(parameters["profile"]).max_symbols
    given = [name for name in corpora_of(parameters["conditions"]) if name not in corpora.registry()]
    plans = {name: corpora.plan(name) for name in given}
    return digest(
        {
            "parameters": dict(parameters),
            "files": sorted((path.name, sha256_once(path)) for path in read if path.is_file()),
            "environment": environment_versions(),
            "device": device_name(),
            "corpora": {name: plan.key(plan.limit(size)) for name, plan in plans.items()},
        },
        length=64,
    )


def check_corpora(profile: str, conditions: Sequence[str], runs_dir: Path, seed: int) -> list[str]:
    """Make the tokens of some conditions; how the profile was fitted to the corpora, a sentence a change.

    Raises:
        GfmError: a corpus cannot be had, read or split, or is too small for a meaningful answer.
    """
    planned = plan_ensembles(conditions, profile, runs_dir, seed)
    return [f"`{ensemble.condition}`: {note}" for ensemble in planned for note in ensemble.notes]


def absolute(condition: str) -> str:
    """A condition whose corpus is a file or directory, with its absolute path; any other as it is.

    Raises:
        GfmError: it is no condition, or there is no such corpus.
    """
    parsed = Condition.resolve(condition)
    return str(replace(parsed, corpus=absolute_corpus(parsed.corpus)))


def absolute_corpus(corpus: str) -> str:
    """The absolute path of a corpus that is a file or directory, with its column and kind; any other as it is."""
    of_user = corpora.user_path(corpus)
    return corpus if of_user is None else f"{of_user[0].resolve()}{of_user[1]}"


def _drop_stale(out: Path, names: set[str]) -> None:
    """Remove the result tables and records of chapters that the book no longer has."""
    for pattern in ("results/*.parquet", "done/*.json", "executed/*.ipynb"):
        for path in out.glob(pattern):
            if path.stem not in names:
                path.unlink()
