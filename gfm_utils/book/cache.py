"""What a chapter's outcome depends on, and the record of the last outcome."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

import gfm_utils
from gfm_utils import corpora
from gfm_utils.files import digest, sha256_of, write_json

#: Distributions named in the table of the run.
NAMED = ("gfm_utils", "torch", "transformers", "tokenizers", "numpy")


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

    These are its cells, its parameters, the package's source, the corpus registry, the installed versions,
    the device, and the bytes of every corpus given as a file.
    """
    cells = [(cell.cell_type, cell.source, cell.metadata) for cell in nbformat.read(notebook, as_version=4).cells]
    registry = Path(root) / "data" / "corpora.yaml"
    return digest(
        {
            "cells": cells,
            "parameters": dict(parameters),
            "package": _package_hash(),
            "registry": sha256_of(registry) if registry.is_file() else None,
            "environment": environment_versions(),
            "device": device_name(),
            "corpora": {str(path): sha256_of(path) for path in corpus_files(parameters.get("conditions", ()))},
        },
        length=64,
    )


def corpus_files(conditions: Sequence[str]) -> list[Path]:
    """The corpora among the conditions that are files of the user."""
    files = (corpora.source_file(condition.rpartition("@")[0]) for condition in conditions)
    return [found[0] for found in files if found is not None]


@cache
def _package_hash() -> str:
    folder = Path(gfm_utils.__file__).parent
    return digest({str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*.py"))})


@cache
def environment_versions() -> dict[str, str]:
    """Version of Python and of every installed distribution, by name."""
    found = {str(dist.name): dist.version for dist in importlib.metadata.distributions()}
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


@cache
def device_name() -> str:
    """Name of the GPU that PyTorch would use, else ``cpu``."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def named_versions() -> dict[str, str]:
    """Versions for the table of the run: Python and the distributions in ``NAMED`` that are installed."""
    versions = {**environment_versions(), "gfm_utils": gfm_utils.__version__}
    return {name: versions[name] for name in ("python", *NAMED) if name in versions}


def commit_of(root: Path) -> str:
    """Short hash of the checked-out commit, with ``+`` when tracked files differ; ``unknown`` without git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
