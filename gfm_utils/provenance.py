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
from typing import Any

import pandas as pd

import gfm_utils
from gfm_utils.errors import unknown
from gfm_utils.files import write_json
from gfm_utils.tables import write_table

#: Distributions that are named beside a result.
NAMED = ("gfm_utils", "torch", "transformers", "tokenizers", "numpy", "numba")


@cache
def environment_versions() -> dict[str, str]:
    """Version of Python and of every installed distribution, by name.

    What a distribution carries inside itself does not count: Ray puts its own copies on the path as soon as it is
    imported, and a key made before would not equal one made after.
    """
    path = [entry for entry in sys.path if not {"site-packages", "dist-packages"} & set(Path(entry).parts[:-1])]
    found = {str(dist.name): dist.version for dist in importlib.metadata.distributions(path=path)}
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
    frame: pd.DataFrame, folder: Path, command: str, configuration: Mapping[str, Any], seconds: float
) -> None:
    """Write a result table and where it comes from: ``NAME.parquet`` and ``provenance.json`` in a folder NAME.

    Args:
        frame: the result table.
        folder: is made; its last part names the table.
        command: what anyone can type to make it anew.
        configuration: all that the command does not say.
        seconds: that it took.
    """
    record_all({folder.name: frame}, folder, command, configuration, seconds)


def record_all(
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
    command: str,
    configuration: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write result tables, ``NAME.parquet`` each, and where they come from, ``provenance.json``.

    Args:
        frames: the result tables by their names.
        folder: is made.
        command: what anyone can type to make them anew.
        configuration: all that the command does not say.
        seconds: that it took.
    """
    commit = commit_of(Path(gfm_utils.__file__).parents[1])  # before a table may change a tracked file
    for name, frame in frames.items():
        write_table(frame, folder / f"{name}.parquet")
    write_json(
        folder / "provenance.json",
        {
            "command": command,
            "commit": commit,
            "device": f"{processor_name()}; {device_name()}",
            "versions": named_versions(),
            "configuration": dict(configuration),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
        },
    )


def recorded(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A recorded result, ``data/results/NAME``, and its provenance as `record` wrote them.

    Raises:
        GfmError: nothing of that name is recorded.
    """
    folders = [
        Path(gfm_utils.__file__).parents[1] / "data" / "results",
        Path(sysconfig.get_path("data")) / "share" / "gfm_utils" / "results",
    ]
    for folder in folders:
        if (folder / name / f"{name}.parquet").is_file():
            frame = pd.read_parquet(folder / name / f"{name}.parquet")
            return frame, json.loads((folder / name / "provenance.json").read_text())
    raise unknown("recorded result", name, [path.name for folder in folders for path in folder.glob("*")])
