"""Run one notebook in a kernel of exactly this environment, with its progress on the terminal."""

import os
import sys
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
    """Environment variables under which Jupyter reads and writes inside ``folder`` only, for the duration.

    Kernels named ``python3`` are then this interpreter's, whatever kernels the user has registered, they
    import this ``gfm_utils``, and IPython is quiet.
    """
    folder = Path(folder).resolve()
    quiet = "--IPKernelApp.log_level=40"  # no notice about TCP at every start
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
    kernel = {"argv": command, "display_name": "Python 3", "language": "python"}
    write_json(folder / "share" / "kernels" / KERNEL / "kernel.json", kernel)
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
        "TQDM_MININTERVAL": "0.1" if sys.stderr.isatty() else "15",  # a log needs no bar that moves
    }
    with patch.dict(os.environ, variables):
        yield


def execute(source: Path, target: Path, parameters: Mapping[str, Any], work: Path, progress: bool = True) -> None:
    """Execute the notebook ``source`` with papermill and write it to ``target``, without its standard error.

    The kernel runs in the notebook's own directory. On a failure ``target`` is left as it was, and the
    notebook up to the failure is kept in ``work``.

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
            stderr_file=sys.stderr if progress else None,
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
