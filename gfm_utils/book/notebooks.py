"""The notebooks of the book: which there are, in which order, and the parameters that they declare."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml

from gfm_utils.errors import GfmError, unknown


def toc_entries(root: Path) -> list[str]:
    """Every page that ``_toc.yml`` lists, in order, as paths without extension (``chapters/corpora``).

    Raises:
        GfmError: there is no ``_toc.yml``, or it lists a page for which there is no file.
    """
    path = Path(root) / "_toc.yml"
    if not path.is_file():
        raise GfmError(f"no _toc.yml in {Path(root).resolve()}; run this in the root of the book's repository")
    entries = _files(yaml.safe_load(path.read_text(encoding="utf-8")))
    for entry in entries:
        if not any((Path(root) / f"{entry}{suffix}").is_file() for suffix in (".md", ".ipynb")):
            raise GfmError(f"_toc.yml lists {entry!r}, but there is neither {entry}.md nor {entry}.ipynb")
    return entries


def _files(node: Any) -> list[str]:
    """Values of the keys ``root`` and ``file`` anywhere in a table of contents, in order of appearance."""
    if isinstance(node, list):
        return [name for item in node for name in _files(item)]
    if not isinstance(node, dict):
        return []
    own = [str(node[key]) for key in ("root", "file") if key in node]
    return own + [name for value in node.values() for name in _files(value)]


def chapter_paths(root: Path, names: Sequence[str] | None = None) -> dict[str, Path]:
    """The notebooks of the table of contents: name of the chapter -> path of its notebook, in order.

    Args:
        root: the book's repository.
        names: only these chapters; None: all.

    Raises:
        GfmError: a name is not that of a chapter, or the table of contents is at fault.
    """
    paths = [Path(root) / f"{entry}.ipynb" for entry in toc_entries(root)]
    found = {path.stem: path for path in paths if path.is_file()}
    for name in names or ():
        if name not in found:
            raise unknown("chapter", name, found)
    return {name: path for name, path in found.items() if names is None or name in names}


def python_of(source: str) -> str:
    """A cell's source without the lines that only IPython reads (``%magic`` and ``!command``)."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)  # keeps the numbers of the lines


def declared_parameters(path: Path) -> dict[str, Any]:
    """Names and defaults in the cell tagged ``parameters``, in order.

    Raises:
        GfmError: there is not exactly one such cell, or it holds anything but names set to plain literals.
    """
    cells = _code_cells(path, tagged=True)
    if len(cells) != 1:
        raise GfmError(f"{path}: one cell must carry the tag 'parameters', and {len(cells)} do")
    declared: dict[str, Any] = {}
    for statement in ast.parse(python_of(cells[0])).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    declared[name] = ast.literal_eval(value)
                except ValueError:
                    raise GfmError(f"{path}: parameter {name!r} is not set to a plain literal") from None
            case _:
                raise GfmError(f"{path}: line {statement.lineno} of the parameters cell is not 'name = literal'")
    return declared


def check_parameters(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters against a notebook, and return those that differ from its defaults.

    Raises:
        GfmError: a name is not declared, a value has another type than the default (a list: its elements
            too), or the notebook declares a parameter and never reads it.
    """
    declared = declared_parameters(path)
    for name, value in given.items():
        if name not in declared:
            raise unknown(f"parameter of {path.name}", name, declared)
        if not same_type(value, declared[name]):
            raise GfmError(
                f"{path.name}: parameter {name!r} is {value!r}; "
                f"it must be of the type of its default {declared[name]!r}"
            )
    unread = set(declared) - _names_read(path)
    if unread:
        raise GfmError(f"{path.name} declares parameters that no cell reads: {', '.join(sorted(unread))}")
    return {name: value for name, value in given.items() if value != declared[name]}


def same_type(value: Any, default: Any) -> bool:
    """Whether a value is of the type of a default (a list: its elements too); a whole number is a number."""
    if isinstance(default, list):
        kinds = {type(item) for item in default}
        return isinstance(value, list) and (not kinds or all(type(item) in kinds for item in value))
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def _code_cells(path: Path, tagged: bool) -> list[str]:
    """Sources of the code cells with (or without) the tag ``parameters``."""
    notebook = nbformat.read(path, as_version=4)
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and ("parameters" in cell.metadata.get("tags", [])) is tagged
    ]


def _names_read(path: Path) -> set[str]:
    read: set[str] = set()
    for source in _code_cells(path, tagged=False):
        try:
            tree = ast.parse(python_of(source))
        except SyntaxError as error:
            raise GfmError(f"{path}: a cell is not Python ({error})") from None
        read |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return read
