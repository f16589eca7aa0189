"""Every notebook by itself, as Colab opens it: an environment that has only Jupyter and torch, and no checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = "https://github.com/gfm-book/gfm-book"  # where the first cells install the package from
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
KEPT = "2.13.0"


@pytest.mark.colab
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_alone_installs_the_package_and_runs_to_its_end(notebook: Path, tmp_path: Path) -> None:
    """The source is redirected to what is committed here; torch stays as the platform has it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GFM_", "PYTHON"))}
    environment |= {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{ROOT}.insteadOf", "GIT_CONFIG_VALUE_0": SOURCE,
        "VIRTUAL_ENV": str(tmp_path / "venv"), "PATH": f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}",
    }  # fmt: skip
    python = tmp_path / "venv" / "bin" / "python"

    def done(*words: str) -> str:
        found = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr[-3000:]
        return found.stdout

    done(sys.executable, "-m", "venv", "venv")
    done(str(python), "-m", "pip", "install", "-q", f"torch=={KEPT}", "ipykernel", "papermill")
    without = subprocess.run([python, "-c", "import gfm_utils"], cwd=tmp_path, capture_output=True, check=False)
    assert without.returncode != 0
    done(str(python), "-m", "ipykernel", "install", "--sys-prefix", "--name", "python3")
    (tmp_path / "content").mkdir()
    shutil.copy(notebook, tmp_path / "content")
    words = [f"content/{notebook.name}", "content/executed.ipynb", "--cwd", "content", "-p", "profile", "smoke"]
    done(str(python), "-m", "papermill", *words)
    assert done(str(python), "-c", "import torch; print(torch.__version__)").startswith(KEPT)
    assert list(tmp_path.glob(f"**/results/{notebook.stem}.parquet"))
