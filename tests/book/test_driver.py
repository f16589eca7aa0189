"""The book is built when it must be, and only then; a failure leaves what was there."""

import json
import os
import sys
import time
from contextlib import chdir
from pathlib import Path
from threading import Barrier

import nbformat
import pytest
import toybook

from gfm_utils.book import BuildReport, build, driver
from gfm_utils.book.driver import side_by_side
from gfm_utils.book.kernel import execute, private_jupyter
from gfm_utils.book.site import shortened
from gfm_utils.corpora import planning
from gfm_utils.errors import GfmError
from gfm_utils.tables import read_tables


def test_a_build_leaves_pages_tables_and_records(toy_root: Path, toy_build: BuildReport) -> None:
    """Pages hold numbers, captions and glued text; progress is not in the executed notebook."""
    assert toy_build.chapters == {"one": "executed", "two": "executed"} and json.dumps(toy_build.rows())
    assert toy_build.html == toy_root / "_build" / "html" / "index.html" and toy_build.html.is_file()
    assert set(read_tables(toy_build.results)) == {"one", "two"}
    source, pages = toy_root / "_build" / "src", toy_build.html.parent
    assert "| one |" in (source / "_run_table.md").read_text()
    one, intro = ((pages / name).read_text() for name in ("chapters/one.html", "intro.html"))
    for held in (
        'Fig. 1.1 </span><span class="caption-text">A line, with', "vega-bundle.js",
        'Fig. 1.2 </span><span class="caption-text">A static figure.', "The answer is <strong>1.23</strong> bits",
    ):  # fmt: skip
        assert held in one
    assert "thebe.js" not in one and "vega-bundle.js" not in intro
    assert "The number is" in intro and ">1.23<" in intro
    notebook = nbformat.read(source / "chapters" / "one.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and all(output.get("name") != "stderr" for output in outputs)


def test_a_second_build_does_nothing(toy_root: Path, toy_build: BuildReport) -> None:
    assert toy_build.html is not None
    before = toy_build.html.stat().st_mtime_ns
    again = build("smoke", root=toy_root, progress=False)
    assert again.chapters == {"one": "cached", "two": "cached"}
    assert not again.pages_built
    assert toy_build.html.stat().st_mtime_ns == before


def test_chapters_go_side_by_side_after_the_one_that_trains() -> None:
    chapters = dict.fromkeys(["a", "ensembles", "b", "c"], Path())
    began, both = [], Barrier(2, timeout=60)

    def work(name: str, _path: Path) -> str:
        began.append(name)
        if name in "bc":  # each waits for the other
            both.wait()
        return name * 2

    assert side_by_side(work, chapters, 2) == {name: name * 2 for name in chapters}
    assert began[0] == "ensembles" and set(began[1:3]) == {"b", "c"}


def test_after_a_failure_no_chapter_is_begun_and_those_at_work_end() -> None:
    chapters = dict.fromkeys(["a", "b", "c"], Path())
    ended, both = [], Barrier(2, timeout=60)

    def work(name: str, _path: Path) -> None:
        both.wait()
        if name == "c":
            raise GfmError("c failed")
        time.sleep(0.5)
        ended.append(name)

    with pytest.raises(GfmError, match="c failed"):
        side_by_side(work, chapters, 2)
    assert ended == ["b"]


def test_pages_name_files_without_their_folders() -> None:
    conditions = ["/data/my/a.fa@kmer2", "/data/my/a.fa+shuffle@kmer2", "/data/your/a.fa@kmer2", "news@bpe64"]
    text = "`/data/my/a.fa+shuffle@kmer2`, /data/your/a.fa and news@bpe64"
    assert shortened(text, conditions) == "`my/a.fa+shuffle@kmer2`, your/a.fa and news@bpe64"
    assert shortened(text, conditions[:2]) == "`a.fa+shuffle@kmer2`, /data/your/a.fa and news@bpe64"


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A book whose one chapter runs fast."""
    cells = toybook.text("# Two"), toybook.results_cell("nll", "two")
    return toybook.write_small_book(tmp_path / "book", "two", cells)


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Cells run in this process, which need not be started, until the fixture is told to ``undo``."""

    def execute(source: Path, target: Path, parameters: dict[str, object], _work: Path, _progress: bool) -> None:
        notebook, names = nbformat.read(source, as_version=4), {}
        with chdir(source.parent):
            for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
                exec(cell.source, names)
                names |= parameters if "parameters" in cell.metadata.get("tags", []) else {}
        target.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, target)

    monkeypatch.setattr(driver, "execute", execute)
    monkeypatch.setattr(driver, "cores", lambda: 1)  # one folder a process
    return monkeypatch


def test_what_changes_is_run_again_and_a_failure_names_its_cell(
    small_book: Path, no_kernel: pytest.MonkeyPatch
) -> None:
    """What there is to change is in the chapter's key."""
    options = {"profile": "smoke", "conditions": ["news@bpe64"], "root": small_book, "progress": False}
    first = build(**options)
    assert first.chapters == {"two": "executed"}
    first.results.joinpath("two.parquet").unlink()
    assert build(**options).chapters == {"two": "executed"}
    page = (small_book / "_build" / "html" / "chapters" / "two.html").read_text()

    no_kernel.undo()
    path = small_book / "chapters" / "two.ipynb"
    failing = toybook.code("import math\nraise ValueError('first line\\nlast line')")
    toybook.write_notebook(path, [*nbformat.read(path, as_version=4).cells, failing])
    with pytest.raises(GfmError, match=r"chapter 'two' failed in cell \[\d\] \(import math\): ValueError: last"):
        build(**options)
    assert (small_book / "_build" / "html" / "chapters" / "two.html").read_text() == page
    assert read_tables(first.results)


@pytest.mark.parametrize(
    "change",
    ["cells", "parameters", "package", "versions", "device", "registry", "recorded results", "corpus", "address"],
)
def test_every_input_of_a_chapter_is_in_its_key(
    small_book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The same inputs give the same key; each of them gives another when it changes."""
    package, corpus = tmp_path / "package", tmp_path / "toy.fa"
    written = {
        "package": package / "deep" / "code.py",
        "registry": small_book / "data" / "corpora.yaml",
        "recorded results": small_book / "data" / "results" / "long" / "long.parquet",
        "corpus": corpus,
    }
    for path in written.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(">r\nACGT\n")
    state = {"versions": "1", "device": "cpu", "address": tmp_path / "toy.txt"}
    state["address"].write_text("some words")
    monkeypatch.setattr(driver.gfm_utils, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(driver, "environment_versions", lambda: {"numpy": state["versions"]})
    monkeypatch.setattr(driver, "device_name", lambda: state["device"])
    monkeypatch.setattr(planning, "fetch", lambda source, progress: state["address"])
    parameters = {"profile": "smoke", "seed": 1}
    parameters["conditions"] = [f"{corpus}+shuffle@kmer2", "https://h.org/toy.txt@bpe64", "news@bpe64"]

    def key() -> str:
        return driver.chapter_key(small_book / "chapters" / "two.ipynb", parameters, small_book)

    before = key()
    assert key() == before
    match change:
        case "cells":
            path = small_book / "chapters" / "two.ipynb"
            changed = nbformat.read(path, as_version=4).cells
            changed[-1].source += "  # another comment"
            toybook.write_notebook(path, changed)
        case "parameters":
            parameters["seed"] = 2
        case "versions" | "device":
            state[change] = "another"
        case "address":
            state["address"].write_text("other words")
        case _:
            written[change].write_text(">r\nACGA\n")
    assert key() != before


@pytest.mark.usefixtures("no_kernel")
def test_a_chapter_that_writes_no_table_is_an_error(small_book: Path) -> None:
    path = small_book / "chapters" / "two.ipynb"
    parameters = toybook.code(toybook.PARAMETERS, ("parameters",))
    read = toybook.code("_ = profile, conditions, runs_dir, results_dir, seed")
    toybook.write_notebook(path, [parameters, read])
    with pytest.raises(GfmError, match="did not write its result table"):
        build("smoke", root=small_book, progress=False)


@pytest.mark.usefixtures("no_kernel")
def test_a_warning_of_sphinx_is_an_error(small_book: Path) -> None:
    (small_book / "intro.md").write_text("# Small\n\n{numref}`nowhere`\n")
    with pytest.raises(GfmError, match=r"the pages were not built: .*intro\.md.*nowhere"):
        build("smoke", root=small_book, progress=False)
    assert not (small_book / "_build" / "html").exists()


@pytest.mark.usefixtures("no_kernel")
def test_other_chapters_are_kept_and_pages_wait_for_all(tmp_path: Path) -> None:
    root = toybook.write_book(tmp_path / "book")
    report = build("smoke", root=root, chapters=["two"], progress=False)
    assert report.chapters == {"one": "kept", "two": "executed"}
    assert report.html is None


def test_an_unknown_profile_is_refused_before_anything_runs(small_book: Path) -> None:
    with pytest.raises(GfmError, match="unknown profile 'tiny'"):
        build("tiny", root=small_book, progress=False)
    assert not (small_book / "_build").exists()


def test_the_kernel_is_this_python_whatever_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other" / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "other"))
    went: list[str] = []
    monkeypatch.setattr(os, "chdir", lambda folder, go=os.chdir: went.append(str(folder)) or go(folder))
    cell = toybook.code("import os, sys; print(sys.executable, os.getcwd())")
    source = toybook.write_notebook(tmp_path / "n.ipynb", [cell])
    with private_jupyter(tmp_path / "jupyter"):
        execute(source, tmp_path / "done.ipynb", {}, tmp_path / "work", progress=False)
    assert set(went) <= {str(Path.cwd())}  # every thread's, and another chapter may be running
    assert os.environ["JUPYTER_PATH"] == str(tmp_path / "other")
    notebook = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    assert notebook.cells[0].outputs[0].text.split() == [sys.executable, str(tmp_path)]


@pytest.mark.parametrize("given", ["x.csv", "sub/../x.csv:text", "x.csv:text?kind=dna"])
def test_conditions_of_files_become_absolute_and_keep_their_column_and_kind(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "x.csv").write_text("text\nhello\n")
    monkeypatch.chdir(tmp_path)
    corpus = str(tmp_path / "x.csv") + given[given.index(".csv") + 4 :]
    for end in ("@bpe64", "+noise0.25@bpe64"):
        assert driver.absolute(given + end) == corpus + end
    for other in ("news+shuffle@bpe64", "https://x.org/a+b.fa+markov2@kmer4", "hf://datasets/a/b?split=v@1@bpe64"):
        assert driver.absolute(other) == other
    with pytest.raises(GfmError, match="not of the form corpus@tokenizer"):
        driver.absolute(given)
