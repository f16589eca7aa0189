"""The notebooks of the book: which there are, in which order, and the parameters that they declare."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sphinx_external_toc.parsing import parse_toc_yaml

from gfm_utils.errors import GfmError, unknown


def toc_entries(root: Path) -> list[str]:
    """Every page that ``_toc.yml`` lists, in order, as paths without extension (``chapters/corpora``).

    Raises:
        GfmError: there is no ``_toc.yml``, or it lists a page for which there is no file.
    """
    path = Path(root) / "_toc.yml"
    if not path.is_file():
        raise GfmError(f"no _toc.yml in {Path(root).resolve()}; run this in the root of the book's repository")
    entries = list(parse_toc_yaml(path))
    for entry in entries:
        if not any((Path(root) / f"{entry}{suffix}").is_file() for suffix in (".md", ".ipynb")):
            raise GfmError(f"_toc.yml lists {entry!r}, but there is neither {entry}.md nor {entry}.ipynb")
    return entries


def chapter_paths(root: Path, names: Sequence[str] | None = None) -> dict[str, Path]:
    """The notebooks of the table of contents: name of the chapter -> path of its notebook, in order.

    Args:
        root: the book's repository.
        names: only these chapters; None: all.

    Raises:
        GfmError: a name is not that of a chapter, or the table of contents is at fault.
    """
    paths = [Path(root) / f"{entry}.ipynb" for entry in toc_entries(root)]
    chapters = {path.stem: path for path in paths if path.is_file()}
    for name in names or ():
        if name not in chapters:
            raise unknown("chapter", name, chapters)
    return {name: path for name, path in chapters.items() if names is None or name in names}


def check_parameters(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters against a notebook, and return those that differ from its defaults.

    Raises:
        GfmError: the notebook does not declare a parameter, or declares it with a default that is no plain literal
            or is of another type than the value (a list: than its elements).
    """
    import papermill  # which a chapter that runs does not need

    declared = papermill.inspect_notebook(str(path))
    changed: dict[str, Any] = {}
    for name, value in given.items():
        if name not in declared:
            raise unknown(f"parameter of {path.name}", name, declared)
        try:
            default = ast.literal_eval(declared[name]["default"])
        except (ValueError, SyntaxError):
            raise GfmError(f"{path.name}: parameter {name!r} is not set to a plain literal") from None
        if not same_type(value, default):
            raise GfmError(
                f"{path.name}: parameter {name!r} is {value!r}; it must be of the type of its default {default!r}"
            )
        changed |= {name: value} if value != default else {}
    return changed


def same_type(value: Any, default: Any) -> bool:
    """Whether a value is of the type of a default (a list: its elements too); a whole number is a number."""
    if isinstance(default, list):
        kinds = {type(item) for item in default}
        return isinstance(value, list) and (not kinds or all(type(item) in kinds for item in value))
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)
