"""What a chapter's outcome depends on, and the record of the last outcome."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

import gfm_utils
from gfm_utils import corpora
from gfm_utils.book.dependencies import Source, reached
from gfm_utils.book.notebooks import python_of
from gfm_utils.files import digest, sha256_of, sha256_once, write_json
from gfm_utils.profiles import profile
from gfm_utils.provenance import device_name, is_whole_run
from gfm_utils.tokens import corpora_of

#: What runs the cells, which they do not import.
KERNEL_CODE = "gfm_utils.book.kernel.execute"
#: What reads recorded results.
RECORDED, WHOLE_RUNS = "gfm_utils.provenance.recorded", "gfm_utils.provenance.recorded_runs"


@dataclass(frozen=True)
class Record:
    """The outcome of one execution of a chapter."""

    name: str
    key: str  # hash of all that it depends on
    seconds: float
    profile: str
    device: str  # "cpu" or the name of the GPU
    date: str  # UTC, ISO 8601 to the minute
    commit: str  # of the book's repository, "+" when files differed from it
    versions: dict[str, str]
    notebook_sha256: str
    results_sha256: str

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        write_json(path, asdict(self))

    def stands(self, key: str, notebook: Path, results: Path) -> bool:
        """Whether nothing that it depends on has changed and both of its files are as they were written."""
        files = ((notebook, self.notebook_sha256), (results, self.results_sha256))
        return self.key == key and all(path.is_file() and sha256_of(path) == sha for path, sha in files)


def chapter_key(notebook: Path, parameters: Mapping[str, Any], root: Path) -> str:
    """Hash of all that a chapter's outcome depends on.

    These are its cells, its parameters, the code of the package that it can reach (no comments, no docstrings; see
    :mod:`gfm_utils.book.dependencies`) and the versions of what that imports, the corpus registry, the recorded
    results that it reads, the device, and the bytes of every corpus given as a file or by an address.

    Raises:
        GfmError: a condition is none, or what is at an address cannot be had.
    """
    cells = [(cell.cell_type, cell.source, cell.metadata) for cell in nbformat.read(notebook, as_version=4).cells]
    code = [python_of(source) for cell_type, source, _ in cells if cell_type == "code"]
    found = reached(code, Path(gfm_utils.__file__).parent, [KERNEL_CODE])
    data = Path(root) / "data"
    shown = [data / "corpora.yaml", *_results_read(found.sources, data / "results")]
    return digest(
        {
            "cells": cells,
            "parameters": dict(parameters),
            "package": found.code,
            "data": {str(path.relative_to(data)): sha256_of(path) for path in shown if path.is_file()},
            "environment": {"python": platform.python_version(), **found.distributions},
            "device": device_name(),
            "corpora": {str(path): sha256_once(path) for path in corpus_files(parameters.get("conditions", ()))},
            "addresses": _addresses(parameters),
        },
        length=64,
    )


def _addresses(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Address of a corpus -> key over the bytes that are kept of it."""
    given = [name for name in corpora_of(parameters.get("conditions", ())) if corpora.is_address(name)]
    size = profile(parameters["profile"]).max_symbols if given else None
    return {name: str(corpora.address_key(name, size)) for name in given}


def corpus_files(conditions: Sequence[str]) -> list[Path]:
    """The files of those corpora that are files or directories of the user; those of controls too.

    Raises:
        GfmError: one is no condition.
    """
    given = map(corpora.user_path, corpora_of(conditions))
    paths = [found[0] for found in given if found is not None]
    return [file for path in paths for file in _files(path)]


def _files(path: Path) -> list[Path]:
    return [file for file, _ in corpora.files_below(path)] if path.is_dir() else [path]


def _results_read(sources: Iterable[Source], results: Path) -> list[Path]:
    """Files of the recorded results that are named where such are read, and of whole runs where those are."""
    words: set[str] = set()
    runs = False
    for source in sources:
        words |= source.words if RECORDED in source.uses else set()
        runs |= WHOLE_RUNS in source.uses
    folders = (path for path in results.glob("*") if path.name in words or (runs and _holds_run(path)))
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def _holds_run(folder: Path) -> bool:
    about = folder / "provenance.json"
    return about.is_file() and is_whole_run(json.loads(about.read_text(encoding="utf-8")))
