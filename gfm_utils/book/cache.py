"""What a chapter's outcome depends on, and the record of the last outcome."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

import gfm_utils
from gfm_utils import corpora
from gfm_utils.files import digest, sha256_of, sha256_once, write_json
from gfm_utils.profiles import profile
from gfm_utils.provenance import device_name, environment_versions
from gfm_utils.tokens import corpora_of


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

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """The record of a chapter's last execution, or None without one (or with one of another format)."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        write_json(path, asdict(self))

    def stands(self, key: str, notebook: Path, results: Path) -> bool:
        """Whether nothing that it depends on has changed and both of its files are as they were written."""
        files = ((notebook, self.notebook_sha256), (results, self.results_sha256))
        return self.key == key and all(path.is_file() and sha256_of(path) == sha for path, sha in files)


def chapter_key(notebook: Path, parameters: Mapping[str, Any], root: Path) -> str:
    """Hash of all that a chapter's outcome depends on: its cells, and what ``inputs_key`` reads.

    Args:
        notebook: of the chapter.
        parameters: that it is executed with.
        root: the book's repository.

    Raises:
        GfmError: a condition is none, or its corpus cannot be had.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    shown = [(cell.cell_type, cell.source, cell.metadata) for cell in cells]
    return digest({"cells": shown, "inputs": inputs_key(parameters, root)}, length=64)


def inputs_key(parameters: Mapping[str, Any], root: Path) -> str:
    """Hash of all that measures of some conditions depend on.

    These are the parameters, the package, the versions of everything that is installed, the device, the corpus
    registry, the recorded results, and the bytes of every corpus that is a file or is at an address.

    Args:
        parameters: ``profile``, ``conditions`` and others.
        root: the book's repository.

    Raises:
        GfmError: a condition is none, or its corpus cannot be had.
    """
    data = Path(root) / "data"
    read = [*Path(gfm_utils.__file__).parent.rglob("*.py"), data / "corpora.yaml", *data.glob("results/*/*")]
    size = profile(parameters["profile"]).max_symbols
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
