"""Every chapter's notebook equals its script, holds no outputs, and keeps to the form of a chapter."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from gfm_utils.book.chapter import PARAMETERS
from gfm_utils.book.site import chapter_paths
from gfm_utils.provenance import recorded

ROOT = Path(__file__).parents[1]
CHAPTERS = (
    "corpora", "entropy", "ensembles", "predictions", "disagreement", "embeddings", "fisher",
    "training", "causal", "atlas", "tasks",
)  # fmt: skip
LONGEST_CELL = 12
NOT_PROSE = ("|", "```", ":::", "$$", "#", ":", "<", "(", "%")
# A full stop after a word of two letters or more, then a new sentence on the same line.
TWO_SENTENCES = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bet al)(?<!\bvs)(?<!\bFig)[a-z0-9)*`$]{2}\. +[A-Z]"
)

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
SCRIPTS = sorted((ROOT / "chapters").glob("*.py"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path: Path) -> list[nbformat.NotebookNode]:
    return list(jupytext.read(path).cells)


def python_of(source: str) -> str:
    """A cell's source without the lines that only IPython reads (``%magic`` and ``!command``)."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def code_cells(path: Path) -> list[str]:
    return [python_of(cell.source) for cell in cells_of(path) if cell.cell_type == "code"]


def prose_lines(source: str) -> list[str]:
    """Lines of a markdown cell that are sentences: no code, formulas, tables, headings or directives."""
    lines, inside = [], ""
    for line in map(str.strip, source.splitlines()):
        fence = next((mark for mark in ("```", ":::", "$$") if line.startswith(mark)), "")
        if fence and not (fence == "$$" and line.count("$$") == 2):
            inside = "" if inside == fence else inside or fence
        elif not inside and line and not line.startswith(NOT_PROSE):
            lines.append(line)
    return lines


def test_the_book_has_its_chapters_in_order_and_every_script_a_notebook() -> None:
    assert tuple(chapter_paths(ROOT)) == CHAPTERS
    assert [path.stem for path in SCRIPTS] == [path.stem for path in NOTEBOOKS]


@each_notebook
def test_notebook_equals_script(path: Path) -> None:
    script = path.with_suffix(".py")
    assert script.is_file(), f"{script.name} is missing: jupytext --set-formats ipynb,py:percent {path.name}"
    pairs = zip(cells_of(path), cells_of(script), strict=True)
    for number, (ours, theirs) in enumerate(pairs, 1):
        for what in ("cell_type", "source"):
            assert ours[what] == theirs[what], f"cell {number} differs in its {what}"
        for what in ("tags", "mystnb"):
            same = (ours.metadata.get(what) or None) == (theirs.metadata.get(what) or None)
            assert same, f"cell {number} differs in its {what}"


@each_notebook
def test_no_outputs_are_committed(path: Path) -> None:
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells, 1):
        assert not cell.get("outputs"), f"cell {number} has outputs"
        assert cell.get("execution_count") is None, f"cell {number} has been executed"


@each_notebook
def test_cells_are_short_and_call_the_package(path: Path) -> None:
    forbidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While)
    for source in code_cells(path):
        assert len(source.splitlines()) <= LONGEST_CELL, f"more than {LONGEST_CELL} lines:\n{source}"
        found = [type(node).__name__ for node in ast.walk(ast.parse(source)) if isinstance(node, forbidden)]
        assert not found, f"{found} belongs in gfm_utils, not in a cell:\n{source}"


@each_notebook
def test_a_number_of_the_answer_is_computed_by_hand_and_held_against_the_package(path: Path) -> None:
    cells = cells_of(path)
    (place,) = (number for number, cell in enumerate(cells) if cell.source.startswith("## By hand\n"))
    asserts = [node for node in ast.walk(ast.parse(cells[place + 1].source)) if isinstance(node, ast.Assert)]
    assert any("np.isclose" in ast.unparse(node) or "np.allclose" in ast.unparse(node) for node in asserts)


@each_notebook
def test_what_a_chapter_calls_is_there_and_takes_what_it_is_given(path: Path) -> None:
    """Names that it imports, attributes of these, and keywords of their calls: without running it."""
    trees, known = [ast.parse(source) for source in code_cells(path)], {}
    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)):
        if node.module is not None and node.module.startswith("gfm_utils"):
            for one in node.names:
                known[one.asname or one.name] = getattr(importlib.import_module(node.module), one.name, None) or (
                    importlib.import_module(f"{node.module}.{one.name}")
                )

    def meant(node: ast.expr) -> object:
        if isinstance(node, ast.Attribute) and inspect.ismodule(of := meant(node.value)):
            return getattr(of, node.attr)  # fails where there is none
        return known.get(node.id) if isinstance(node, ast.Name) else None

    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = meant(node.func)
        if inspect.isfunction(called) and not any(isinstance(one, ast.Starred) for one in node.args):
            given = {keyword.arg: None for keyword in node.keywords if keyword.arg is not None}
            inspect.signature(called).bind_partial(*node.args, **given)
    assert known


@each_notebook
def test_parameters_are_those_of_every_chapter(path: Path) -> None:
    """Set to plain literals in the one cell that bears the tag, and read by the others."""
    tagged = [cell.source for cell in cells_of(path) if "parameters" in cell.metadata.get("tags", [])]
    (cell,) = map(ast.parse, tagged)
    assert {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in cell.body} == PARAMETERS
    rest = [ast.parse(source) for source in code_cells(path) if source not in tagged]
    read = {node.id for tree in rest for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(PARAMETERS) <= read


@each_notebook
def test_one_sentence_a_line(path: Path) -> None:
    markdown = [cell.source for cell in cells_of(path) if cell.cell_type == "markdown"]
    found = [line for source in markdown for line in prose_lines(source) if TWO_SENTENCES.search(line)]
    assert not found, "two sentences on a line:\n" + "\n".join(found)


def test_every_recorded_result_that_a_chapter_shows_is_there():
    shown = {name for path in SCRIPTS for name in re.findall(r'recorded\("(\w+)"\)', path.read_text())}
    assert {"calibration", "entropy"} <= shown
    for name in shown:
        frame, about = recorded(name)
        assert len(frame) and {"command", "commit", "device", "versions", "date", "seconds"} <= set(about)
