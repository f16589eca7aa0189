"""What the benchmarks share: a peer installed for the moment, and figures printed or recorded one way."""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gfm_utils import provenance
from gfm_utils.errors import GfmError, first_line

COLUMNS = ("task", "case", "peer", "ours", "theirs", "unit", "ratio", "device")
Row = dict[str, Any]


@contextmanager
def peer(name: str, *options: str, packages: Sequence[str] = ()) -> Iterator[Any]:
    """A module that is no dependency: as it is installed, else by pip in a folder that is deleted afterwards.

    Args:
        name: what is imported.
        options: for pip.
        packages: what pip calls it and what it needs, if that is not its name alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            module = importlib.import_module(name)
        except ImportError:
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                *options,
                "--target",
                folder,
                *(packages or [name]),
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            sys.path.insert(0, folder)
            module = importlib.import_module(name)
        try:
            yield module
        finally:
            if folder in sys.path:
                sys.path.remove(folder)


def row(task: str, case: str, peer: str, ours: float, theirs: float, unit: str, more_is_better: bool) -> Row:
    """One comparison; a ratio above 1 is in our favour."""
    ratio = ours / theirs if more_is_better else theirs / ours
    named = {"task": task, "case": case, "peer": peer}
    return {**named, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ratio, "device": device()}


def peak_growth(run: Callable[[], object]) -> int:
    """Bytes by which this process grows at most while something runs: on the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # the largest resident size counts from now on (Linux)
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """Bytes of an entry of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def device() -> str:
    """The processor and, where there is one, the GPU."""
    gpu = provenance.device_name()
    return provenance.processor_name() + ("" if gpu == "cpu" else f"; {gpu}")


def parser(description: str | None, tasks: Sequence[str]) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("tasks", nargs="*", metavar="TASK", help=f"{', '.join(tasks)} (default: all)")
    made.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    made.add_argument("--out", type=Path, metavar="DIR", help="record rows and provenance there, too")
    return made


def chosen(made: argparse.ArgumentParser, options: argparse.Namespace, tasks: Sequence[str]) -> list[str]:
    """The tasks that were asked for; a wrong name ends the program."""
    if unknown := set(options.tasks) - set(tasks):
        made.error(f"no such task: {', '.join(sorted(unknown))}; there are {', '.join(tasks)}")
    return options.tasks or list(tasks)


def if_it_fits(what: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as they are made; where memory lacks for the next, that is said, and no more of them come."""
    try:
        yield from rows
    except (torch.OutOfMemoryError, GfmError) as error:
        reason = first_line(error)
    except subprocess.CalledProcessError as error:  # a process that only measured memory
        lines = (error.stderr or "").splitlines()
        if not any("OutOfMemoryError" in line for line in lines):
            raise
        reason = lines[-1]
    else:
        return
    print(f"  {what}: not measured: {reason}", file=sys.stderr, flush=True)


def report(
    rows: Iterable[Row], options: argparse.Namespace, configuration: Mapping[str, Any], began: float
) -> None:
    """Print rows as a table or as JSON; where that was asked for, record them with their provenance.

    What is recorded is written anew after each row: rows that are made one by one are kept, whatever comes then.
    """
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    made: list[Row] = []
    try:
        for row in rows:
            made.append(row)
            if options.out is not None:
                seconds = time.perf_counter() - began
                provenance.record(_frame(made), options.out, command, configuration, seconds)
    finally:
        _print(_frame(made), options.json)


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _print(frame: pd.DataFrame, as_json: bool) -> None:
    if as_json:
        json.dump(frame.to_dict("records"), sys.stdout, indent=1)
        print()
    else:
        print(frame.drop(columns="device").to_string(index=False, float_format="{:.4g}".format))
        print(f"on {device()}")
