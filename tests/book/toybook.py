"""A book of two small chapters in a temporary directory, with everything that a real chapter may hold."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).parents[2]

PARAMETERS = """profile = "quick"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42"""

RESULTS = """from pathlib import Path
from gfm_utils.tables import table, write_table
rows = [{"condition": name, "metric": METRIC, "value": 0.5 + i, "unit": "bits/token", "low": 0.4 + i,
         "high": 0.6 + i, "state": state}
        for name in conditions for i, state in enumerate(("trained", "untrained"))]
frame = write_table(table(rows), Path(results_dir) / FILE)
_ = profile, runs_dir, seed"""

ALTAIR = """import altair as alt
alt.Chart({"values": [{"a": 1, "b": 2}, {"a": 2, "b": 1}]}).mark_line().encode(x="a:Q", y="b:Q").properties(
    width="container", height=120).interactive()"""

FIXED = """import altair as alt
left = alt.Chart({"values": [{"a": 1, "b": 2}]}).mark_point().encode(x="a:Q", y="b:Q").properties(width=500)
left | left"""

MATPLOTLIB = """import matplotlib.pyplot as plt
figure, axes = plt.subplots()
_ = axes.plot([1, 2, 3])"""

GLUE = """from IPython.display import Markdown
from myst_nb import glue
glue("nll_text", 1.23456, display=False)
long = "- **" + "/of_a_long_path" * 6 + ".txt@bpe64**: no."
glue("answer", Markdown("The answer is **1.23** bits: $x^2$.\\n\\n" + long), display=False)"""

WIDE = """import sys
import pandas as pd
print("\\r 10%|#   | 1/10", end="", file=sys.stderr)
pd.DataFrame([[f"value {i}" for i in range(30)]])"""


def code(source: str, tags: tuple[str, ...] = (), **metadata: object) -> nbformat.NotebookNode:
    """A code cell with tags and metadata."""
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags), **metadata})


def text(source: str) -> nbformat.NotebookNode:
    """A markdown cell."""
    return nbformat.v4.new_markdown_cell(source)


def figure(name: str, caption: str) -> dict[str, object]:
    """Cell metadata of a numbered figure."""
    return {"mystnb": {"figure": {"name": name, "caption": caption}}}


WIDE_FIGURE = code(FIXED, ("hide-input",), **figure("fig-wide", "Two charts side by side, wider than a phone."))


def write_notebook(path: Path, cells: list[nbformat.NotebookNode]) -> Path:
    """Write cells as a notebook without outputs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def results_cell(metric: str, chapter: str) -> nbformat.NotebookNode:
    """The cell that writes a chapter's result table."""
    return code(RESULTS.replace("METRIC", repr(metric)).replace("FILE", repr(f"{chapter}.parquet")))


def write_small_book(
    root: Path, chapter: str, cells: Iterable[nbformat.NotebookNode], intro: str = "# Small\n"
) -> Path:
    """Write the sources of a book of one chapter into ``root``, and return it."""
    (root / "chapters").mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "references.bib"):
        shutil.copyfile(REPOSITORY / name, root / name)
    shutil.copytree(REPOSITORY / "assets", root / "assets")
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n  - file: chapters/{chapter}\n")
    (root / "intro.md").write_text(intro)
    parameters = code(PARAMETERS, ("parameters",))
    write_notebook(root / "chapters" / f"{chapter}.ipynb", [parameters, *cells])
    return root


def write_book(root: Path) -> Path:
    """Write the sources of the whole toy book into ``root``, and return it."""
    two = text("# Two\n\nSee {numref}`fig-static`."), WIDE_FIGURE, results_cell("accuracy", "two")
    intro = (
        "# Toy\n\nThe number is {glue:text}`chapters/one.ipynb::nll_text:.2f`, see {numref}`fig-line`.\n\n"
        "```{include} _run_table.md\n```\n"
    )
    write_small_book(root, "two", two, intro)
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nparts:\n"
        "  - caption: Chapters\n    numbered: true\n    chapters:\n"
        "      - file: chapters/one\n      - file: chapters/two\n"
        "  - caption: Back matter\n    chapters:\n      - file: references\n"
    )
    (root / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    write_notebook(
        root / "chapters" / "one.ipynb",
        [
            text("# One\n\n```{glue:md} answer\n:format: myst\n```\n\nAfter {cite:t}`shannon1948`."),
            code(PARAMETERS, ("parameters",)),
            code(GLUE, ("hide-input",)),
            code(ALTAIR, **figure("fig-line", "A line, with $x$ and {cite:p}`lin1991`.")),
            text("{numref}`fig-line` shows $e^{i\\pi}$ and\n\n$$\\sum_{i=1}^{n} p_i \\log p_i$$"),
            code(MATPLOTLIB, **figure("fig-static", "A static figure.")),
            code(WIDE),
            results_cell("nll", "one"),
        ],
    )
    return root
