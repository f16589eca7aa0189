"""The page of functions: what chapters call and what makes measures, for Sphinx to describe by docstrings."""

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from gfm_utils.claims.claim import CLAIMS
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.registry import MEASURES, Measure
from gfm_utils.tables import COLUMNS

#: Module -> the heading of its section.
SECTIONS = {
    "gfm_utils.measures": "Measures",
    "gfm_utils.claims": "Claims",
    "gfm_utils.book": "Chapters",
    "gfm_utils.figures": "Figures and tables",
    "gfm_utils.provenance": "Recorded results",
    "gfm_utils.ensembles": "Ensembles",
}
#: What traces and chapters rest on without naming it.
FURTHER = ("gfm_utils.claims.dose_response", "gfm_utils.ensembles.train_ensembles")

#: A section with more functions is folded as a whole.
MANY = 60


def called(source: str) -> set[str]:
    """What a chapter's script takes from the package: functions by the module that it takes them from."""
    names, found = {}, set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gfm_utils"):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            found.add(f"{names[node.value.id]}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in names and names[node.id] not in SECTIONS:
            found.add(names[node.id])
    return found


def functions(root: Path) -> dict[str, list[str]]:
    """Function -> the chapters that call it, in the order of the chapters' names."""
    found = defaultdict[str, list[str]](list)
    for path in sorted((root / "chapters").glob("*.py")):
        for name in called(path.read_text(encoding="utf-8")):
            found[name].append(path.stem)
    made = {f"gfm_utils.{measure.made_by}" for measure in MEASURES.values()}
    for name in (*made, *FURTHER):
        found.setdefault(name, [])
    return dict(found)


def _section(name: str, chapters: Iterable[str]) -> Iterator[str]:
    """A folded description, where the function is called, and what is read from its table."""
    short = name.rpartition(".")[2]
    yield from ("", f"::::{{dropdown}} {short}", "```{eval-rst}", f".. autofunction:: {name}", "```", "")
    where = ", ".join(f"{{doc}}`chapters/{chapter}`" for chapter in chapters)
    if where:
        yield from (f"Called in {where}.", "")
    made = {key: one for key, one in MEASURES.items() if name == f"gfm_utils.{one.made_by}"}
    if made:
        lines = [[f"`{key}`", one.text, one.unit, _shown(one), _judged(one)] for key, one in made.items()]
        yield markdown_table(["Measure", "What it is", "Unit", "Shown in", "Claim"], lines, 5)
    yield "::::"


def _shown(measure: Measure) -> str:
    """The figure, or else the chapter."""
    return f"{{numref}}`{measure.figure}`" if measure.figure else f"{{doc}}`chapters/{measure.chapter}`"


def _judged(measure: Measure) -> str:
    """The claim that it judges, with its trace."""
    return next((f"{{ref}}`{one.text} <why-{one.name}>`" for one in CLAIMS if one.primary == measure), "")


def page(root: Path) -> str:
    """What the page of functions includes."""
    found = functions(root)
    columns = markdown_table(["Column", "Meaning"], [[f"`{name}`", text] for name, text in COLUMNS.items()], 2)
    lines = [":::{dropdown} Columns of a result table", columns, ":::"]
    for module, heading in SECTIONS.items():
        of_module = sorted(name for name in found if name.rpartition(".")[0] == module)
        lines += ["", f"## {heading}", ""]
        lines += [(inspect.getdoc(importlib.import_module(module)) or "").partition("\n\n")[0]]
        described = [line for name in of_module for line in _section(name, found[name])]
        many = len(of_module) > MANY
        lines += [f":::::{{dropdown}} All {len(of_module)}", *described, ":::::"] if many else described
        if module == "gfm_utils.book":
            lines += ["", "```{eval-rst}", ".. autoclass:: gfm_utils.book.Chapter", "   :members:", "```"]
    return "\n".join(lines) + "\n"
