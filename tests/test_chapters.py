"""The real chapters at the smoke profile, on two small corpora: one alone, and all as a book."""

import re
import subprocess
import sys
from pathlib import Path

import browser
import papermill
import pytest

from gfm_utils.book import BuildReport, build
from gfm_utils.book.kernel import private_jupyter
from gfm_utils.ensembles import Ensemble
from gfm_utils.tables import COLUMNS, read_tables
from gfm_utils.tokens import Condition

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def book(trained: list[Ensemble], shared: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """The whole book at the smoke profile, of the ensembles that all tests read."""
    conditions, out = [ensemble.condition for ensemble in trained], tmp_path_factory.mktemp("book") / "_build"
    return build("smoke", conditions, root=ROOT, out=out, runs_dir=shared / "runs", progress=False)


def test_a_chapter_runs_by_itself(trained: list[Ensemble], shared: Path, tmp_path: Path) -> None:
    """A copy with its parameters set runs through nbmake, as a reader's own would, on ensembles that are there."""
    folders = {"runs_dir": str(shared / "runs"), "results_dir": str(tmp_path / "results")}
    given = {"profile": "smoke", "conditions": [ensemble.condition for ensemble in trained], **folders}
    target = tmp_path / "chapters" / "embeddings.ipynb"  # all run in ``book``, each in a kernel of its own
    target.parent.mkdir()
    source = str(ROOT / "chapters" / target.name)
    papermill.execute_notebook(source, str(target), given, prepare_only=True, progress_bar=False)
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=300", "-q", "-p", "no:xdist"]
    options = ["-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path / "chapters")]
    with private_jupyter(tmp_path / "jupyter"):
        done = subprocess.run(command + options, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert set(read_tables(tmp_path / "results")) == {"embeddings"}


@pytest.mark.slow
def test_every_chapter_leaves_a_table_in_the_contract(book: BuildReport, trained: list[Ensemble]) -> None:
    assert set(book.chapters.values()) == {"executed"}
    paths = [Condition.parse(ensemble.condition).corpus for ensemble in trained]
    names = {*paths, *(Path(path).name for path in paths)}  # rows of a condition, and of a corpus
    for name, table in read_tables(book.results).items():
        assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS), name
        assert table["value"].notna().all(), f"{name}: a value is missing"
        assert table["metric"].str.fullmatch(r"[a-z][a-z0-9_]*").all(), name
        given = {Condition.parse(text).corpus if "@" in text else text for text in table["condition"].unique()}
        assert given <= names, f"{name}: conditions that were not asked for: {given - names}"


@pytest.mark.slow
def test_every_page_has_a_figure_and_no_unfilled_number(book: BuildReport) -> None:
    assert book.html is not None
    for name in book.chapters:
        page = (book.html.parent / "chapters" / f"{name}.html").read_text(encoding="utf-8")
        assert re.search(r"Fig\. \d+\.\d+", page), f"{name} has no numbered figure"
        assert "altair-viz-" in page, f"{name} has no interactive chart"
        visible = re.sub(r"<(script|style|pre).*?</\1>", "", page, flags=re.DOTALL)
        assert not re.search(r">\s*(nan|None|NaN)\s*<", visible), f"{name} shows a missing number"


@pytest.mark.slow
@pytest.mark.browser
def test_the_pages_are_right_in_a_browser(book: BuildReport) -> None:
    assert book.html is not None
    problems = browser.check(book.html.parent)
    assert not problems, "\n".join(map(str, problems))
