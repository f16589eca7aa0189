"""Run one notebook in a kernel of exactly this environment, with its progress on the terminal."""

import io
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gfm_utils
from gfm_utils import errors
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, write_json

#: The name under which notebooks ask for their kernel.
KERNEL = "python3"


@contextmanager
def private_jupyter(folder: Path) -> Iterator[None]:
    """Environment variables under which Jupyter reads and writes inside ``folder`` only.

    Kernels named ``python3`` are then this interpreter's, whatever kernels the user has registered, they
    import this ``gfm_utils``, and IPython is quiet. The variables are set in ``os.environ`` for the duration.

    Args:
        folder: where the kernel's specification, IPython's profile and the connection files go.
    """
    folder = Path(folder).resolve()
    write_json(
        folder / "share" / "kernels" / KERNEL / "kernel.json",
        {
            # its level of logging: no notice about TCP at every start
            "argv": [
                sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--IPKernelApp.log_level=40"
            ],
            "display_name": "Python 3",
            "language": "python",
        },
    )  # fmt: skip
    (folder / "runtime").mkdir(exist_ok=True)
    package = str(Path(gfm_utils.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    variables = {
        "JUPYTER_PATH": str(folder / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": os.pathsep.join([package, inherited] if inherited else [package]),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONWARNINGS": "ignore:IProgress not found",  # our bars are plain text
    }
    with patch.dict(os.environ, variables):
        yield


class Relay(io.TextIOBase):
    """Passes on what a kernel writes to its standard error, which is where progress bars are drawn.

    A terminal gets every character, so that bars move. A log gets the latest state of a bar at most every
    ``every`` seconds, and each other line once.
    """

    def __init__(self, every: float = 15.0) -> None:
        self.every = every
        self._last = time.monotonic()

    def write(self, text: str) -> int:
        """Pass ``text`` on, or drop it when it is a bar that was drawn a moment ago."""
        is_bar, now = "\r" in text, time.monotonic()
        if sys.stderr.isatty():
            sys.stderr.write(text)
            sys.stderr.flush()
        elif text.strip() and (not is_bar or now - self._last >= self.every):
            self._last = now if is_bar else self._last
            print(text.strip().rpartition("\r")[2], file=sys.stderr, flush=True)
        return len(text)


def execute(source: Path, target: Path, parameters: Mapping[str, Any], work: Path, progress: bool = True) -> None:
    """Execute a notebook with papermill and write the executed one, without its standard error.

    The kernel runs in the notebook's own directory. On a failure ``target`` is left as it was, and the
    notebook up to the failure is kept in ``work``.

    Args:
        source: the notebook.
        target: the executed notebook.
        parameters: values to put in place of the defaults; none of them: no cell is added.
        work: folder for the notebook while it runs.
        progress: show what the kernel writes to its standard error.

    Raises:
        GfmError: a cell failed (which cell, and the last line of the exception), or the kernel died.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    work.mkdir(parents=True, exist_ok=True)
    running = work / target.name
    try:
        papermill.execute_notebook(
            str(source),
            str(running),
            dict(parameters),
            kernel_name=KERNEL,
            resources={"metadata": {"path": str(source.parent)}},  # `cwd` would move every thread of this process
            progress_bar=False,
            stderr_file=Relay() if progress else None,
            start_timeout=120,
        )
    except PapermillExecutionError as error:
        reason = (str(error.evalue).strip().splitlines() or [""])[-1]
        first = (error.source.strip().splitlines() or [""])[0]
        kind = "" if hasattr(errors, error.ename) else f"{error.ename}: "
        raise GfmError(
            f"chapter {source.stem!r} failed in cell [{error.exec_count}] ({first}): {kind}{reason} "
            f"(the notebook up to there: {running})"
        ) from None
    except (DeadKernelError, CellTimeoutError) as error:
        raise GfmError(f"chapter {source.stem!r}: the kernel died ({error}); is there enough memory?") from None
    notebook = nbformat.read(running, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    with atomic(target) as temporary:
        nbformat.write(notebook, temporary)
    running.unlink()
