"""A chapter by itself under papermill: its parameters are checked by the chapter, which names those that exist."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toybook
import yaml

from gfm_utils.book.chapter import PARAMETERS, listed, open_chapter
from gfm_utils.book.kernel import private_jupyter
from gfm_utils.errors import GfmError

ROOT = Path(__file__).parents[2]
OPEN = """from gfm_utils.book import open_chapter
chapter = open_chapter("toy", profile, conditions, runs_dir, results_dir, seed)
print(chapter.profile.name, *chapter.conditions, chapter.seed)"""

GOOD: dict[str, Any] = {"conditions": ["news@bpe64"], "runs_dir": "r", "results_dir": "o", "seed": 1}


@pytest.mark.slow
def test_papermill_fails_with_the_names_that_exist(tmp_path: Path) -> None:
    cells = [toybook.code(toybook.PARAMETERS, ("parameters",)), toybook.code(OPEN)]
    notebook = toybook.write_notebook(tmp_path / "toy.ipynb", cells)
    words = [str(notebook), str(tmp_path / "done.ipynb"), "-p", "profil", "smoke", "--log-output"]
    with private_jupyter(tmp_path / "jupyter"):
        command = [sys.executable, "-m", "papermill", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    sentence = "unknown parameter of the chapter 'profil'; did you mean 'profile'?"
    assert done.returncode != 0 and sentence in done.stderr
    assert all(name in done.stderr.rpartition(sentence)[2] for name in PARAMETERS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"profile_name": 3}, "parameter 'profile' of the chapter is 3"),
        ({"profile_name": "quikc"}, "unknown profile 'quikc'; did you mean 'quick'"),
        ({"conditions": 5}, "parameter 'conditions' of the chapter is"),
        ({"conditions": ["news@bpe64", 5]}, "parameter 'conditions' of the chapter is"),
        ({"conditions": "[news@bpe64"}, "which is no list"),
        ({"conditions": "news"}, "not of the form corpus@tokenizer"),
        ({"conditions": "[news@bpe64, news@kmr2]"}, "unknown tokenizer 'kmr2'"),
        ({"seed": 1.5}, "parameter 'seed' of the chapter is 1.5"),
        ({"runs_dir": None}, "parameter 'runs_dir' of the chapter is None"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, Any], sentence: str) -> None:
    assert open_chapter("toy", "smoke", **GOOD).conditions == ("news@bpe64",)
    with pytest.raises(GfmError, match=sentence):
        open_chapter("toy", **{"profile_name": "smoke"} | GOOD | change)


@pytest.mark.parametrize(("found", "chosen"), [("cuda", "colab"), ("cpu", "quick")])
def test_the_profile_fits_the_machine(found: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gfm_utils.book.chapter.device", lambda: found)
    assert open_chapter("toy", "auto", **GOOD).profile.name == chosen
    assert open_chapter("toy", "smoke", **GOOD).profile.name == "smoke"


def test_conditions_as_a_text() -> None:
    assert listed("news@bpe64") == ["news@bpe64"]
    assert listed('["a@kmer2", "/b c/d.fa@kmer3"]') == listed("[a@kmer2, /b c/d.fa@kmer3]")
    assert listed(("a@kmer2",)) == ["a@kmer2"]


def test_the_file_of_parameters_holds_every_default() -> None:
    assert yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) == PARAMETERS
