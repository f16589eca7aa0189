"""What a result was made with: versions, device, commit; and recorded results, which carry these with them."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

import gfm_utils
from gfm_utils.errors import unknown
from gfm_utils.files import write_json
from gfm_utils.tables import DEFINITIONS, write_table

#: Distributions that are named beside a result.
NAMED = ("gfm_utils", "torch", "transformers", "tokenizers", "numpy", "numba")


@cache
def environment_versions() -> dict[str, str]:
    """Version of Python and of every installed distribution, by name."""
    return {"python": platform.python_version(), **{dist.name: dist.version for dist in installed()}}


def installed() -> list[importlib.metadata.Distribution]:
    """Every installed distribution, once, by name.

    What a distribution carries inside itself does not count: Ray puts its own copies on the path as soon as it is
    imported, and a key made before would not equal one made after.
    """
    path = [entry for entry in sys.path if not {"site-packages", "dist-packages"} & set(Path(entry).parts[:-1])]
    distributions = {str(dist.name): dist for dist in importlib.metadata.distributions(path=path)}
    return [distributions[name] for name in sorted(distributions)]


@cache
def device_name() -> str:
    """Name of the GPU that PyTorch would use, else ``cpu``."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def named_versions() -> dict[str, str]:
    """Versions for the table of the run: Python and the distributions in ``NAMED`` that are installed."""
    versions = {**environment_versions(), "gfm_utils": gfm_utils.__version__}
    return {name: versions[name] for name in ("python", *NAMED) if name in versions}


@cache
def commit_of(root: Path) -> str:
    """Short hash of the checked-out commit, with ``+`` when tracked files differ, as they were when first asked.

    Without git it is ``$GFM_COMMIT``, which whoever copied the files may set, else ``unknown``.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("GFM_COMMIT", "unknown")


def processor_name() -> str:
    """Name of the CPU, as Linux gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def record(
    results: pd.DataFrame | Mapping[str, pd.DataFrame],
    folder: Path,
    command: str,
    configuration: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write result tables, ``NAME.parquet`` each, and where they come from, ``provenance.json``.

    Args:
        results: by name; a single table has the name of the folder.
        folder: is made.
        command: what anyone can type to reproduce them.
        configuration: all that the command does not say.
        seconds: that it took.
    """
    commit = commit_of(Path(gfm_utils.__file__).parents[1])  # before a table may change a tracked file
    tables = {folder.name: results} if isinstance(results, pd.DataFrame) else results
    for name, frame in tables.items():
        write_table(frame, folder / f"{name}.parquet")
    about = {
        "command": command,
        "commit": commit,
        "device": f"{processor_name()}; {device_name()}",
        "versions": named_versions(),
        "definitions": DEFINITIONS,
        "configuration": dict(configuration),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }
    write_json(folder / "provenance.json", about)


def recorded(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A recorded result, ``data/results/NAME``, and its provenance as ``record`` wrote them.

    Raises:
        GfmError: nothing of that name is recorded.
    """
    folders = _recorded_folders()
    if name not in folders:
        raise unknown("recorded result", name, folders)
    return recorded_in(folders[name])


def those_recorded(*names: str) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """``recorded`` of each name of which there is a result, in their order."""
    folders = _recorded_folders()
    return [recorded_in(folders[name]) for name in names if name in folders]


def recorded_in(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The result and the provenance that ``record`` wrote into a folder, else a FileNotFoundError."""
    return pd.read_parquet(folder / f"{folder.name}.parquet"), _provenance(folder)


class RecordedRun(NamedTuple):
    """A whole run of the book, recorded under ``data/results/NAME``."""

    name: str  # of its folder
    rows: pd.DataFrame  # result tables of all its chapters, one below the other
    about: Mapping[str, Any]  # its provenance, as ``record`` wrote it

    @property
    def title(self) -> str:
        """What to call it: name, profile if that has another, steps and device."""
        configuration, device = self.about["configuration"], self.about["device"].rpartition("; ")[2]
        words = [f"profile {configuration['profile']}"] if configuration["profile"] != self.name else []
        words += [f"{configuration['steps']:,} steps"] if configuration.get("steps") else []
        return f"Recorded run {self.name} ({', '.join([*words, 'CPU' if device == 'cpu' else device])})"


def recorded_runs() -> list[RecordedRun]:
    """Whole runs that are recorded in ``data/results``, by name; see ``is_whole_run``."""
    whole = {name: one for name, one in sorted(_recorded_folders().items()) if is_whole_run(_provenance(one))}
    return [RecordedRun(name, *recorded_in(folder)) for name, folder in whole.items()]


def is_whole_run(about: Mapping[str, Any]) -> bool:
    """Whether a provenance is that of a run of chapters, with its recipe and today's ``tables.DEFINITIONS``."""
    complete = {"profile", "chapters", "recipe"} <= set(about["configuration"])
    return complete and about.get("definitions") == DEFINITIONS


def _provenance(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "provenance.json").read_text(encoding="utf-8")))


def _recorded_folders() -> dict[str, Path]:
    """Folders of recorded results by name: of the installed package, but those of the repository come first."""
    places = [
        Path(sysconfig.get_path("data")) / "share" / "gfm_utils" / "results",
        Path(gfm_utils.__file__).parents[1] / "data" / "results",
    ]
    tables = [path for place in places for path in place.glob("*/*.parquet")]
    return {path.stem: path.parent for path in tables if path.stem == path.parent.name}
