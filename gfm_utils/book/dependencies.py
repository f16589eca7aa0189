"""What code a chapter can reach: the modules of the package behind the names that its cells use.

Imports are followed as they stand in the sources, those inside functions too, and nothing is run. A name that a
package hands on (``analyses.disagreement``) leads to the module that defines it, not to all that the package
imports. Where a name may be one thing or another both are followed. What is not seen is a module whose name is put
together while the program runs.
"""

import ast
import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gfm_utils.files import digest
from gfm_utils.provenance import installed


@dataclass(frozen=True)
class Source:
    """What a module, or the cells of a notebook, consist of.

    Attributes:
        code: hash of the syntax tree without comments and docstrings; of a package without imports, too.
        uses: dotted names of what it imports, with the attributes that it takes of them.
        imported: its names that are imported ones -> their dotted names.
        words: its text constants.
    """

    code: str
    uses: frozenset[str]
    imported: dict[str, str]
    words: frozenset[str]


@dataclass(frozen=True)
class Reached:
    """What some cells can reach.

    Attributes:
        code: module -> hash of its code; name that a package hands on -> where from.
        sources: the cells, and the modules.
        distributions: what these import from elsewhere, and what that requires: name -> version.
    """

    code: dict[str, str]
    sources: list[Source]
    distributions: dict[str, str]


def reached(cells: Sequence[str], package: Path, also: Iterable[str] = ()) -> Reached:
    """What cells can reach of a package.

    Args:
        cells: sources in plain Python.
        package: folder of the package, which bears its name.
        also: dotted names that count as used.

    Raises:
        SyntaxError: a cell or a module is not Python.
    """
    found = [_parsed("\n".join(cells), package=False)]
    code: dict[str, str] = {}
    outside: set[str] = set()
    seen: set[str] = set()
    waiting = {*found[0].uses, *also}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        first, *parts = name.split(".")
        if first != package.name:
            outside.add(first)
            continue
        path, module, more = package, first, set[str]()
        while path.is_dir():
            source = _read(path / "__init__.py")
            code[module] = source.code
            if not parts or parts[0] == "*":
                more |= source.uses
                break
            part, *parts = parts
            path, module = path / part, f"{module}.{part}"
            handed_on = source.imported.get(part, module)
            code[f"{module} is"] = handed_on
            if handed_on != module and not handed_on.startswith(f"{module}."):
                more.add(".".join([handed_on, *parts]))
        if path.with_suffix(".py").is_file() and module not in code:
            source = _read(path.with_suffix(".py"))
            code[module] = source.code
            found.append(source)
            more |= source.uses
        waiting |= more - seen
    return Reached(code, found, _required(frozenset(outside)))


@cache
def _read(path: Path) -> Source:
    return _parsed(path.read_text(encoding="utf-8"), package=path.name == "__init__.py")


def _parsed(text: str, package: bool) -> Source:
    tree = ast.parse(text)
    _drop_docstrings(tree)
    names = _Names()
    names.visit(tree)
    uses = {*names.used, *(name for own, name in names.imported.items() if own not in names.read)}
    words = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    if package:
        tree.body = [node for node in tree.body if not _hands_on(node)]
    return Source(digest(ast.dump(tree)), frozenset(uses), names.imported, frozenset(words))


def _hands_on(node: ast.stmt) -> bool:
    """Whether it is an import, or the list of what a package hands on."""
    listed = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    return listed or isinstance(node, ast.Import | ast.ImportFrom)


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                line
                for line in node.body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ] or [ast.Pass()]


class _Names(ast.NodeVisitor):
    """Names that are imported, which of them are read, and the dotted names that come of it."""

    def __init__(self) -> None:
        self.imported: dict[str, str] = {}
        self.read: set[str] = set()
        self.used: set[str] = set()

    def visit_Module(self, node: ast.Module) -> None:
        for line in ast.walk(node):  # first, since a function may stand before the import that it needs
            if isinstance(line, ast.Import):
                for name in line.names:
                    self.used |= {name.name} if "." in name.name else set()
                    own = name.asname or name.name.partition(".")[0]
                    self.imported[own] = name.name if name.asname else own
            elif isinstance(line, ast.ImportFrom):
                assert line.module and not line.level, "imports within the package are absolute"
                for name in line.names:
                    self.used |= {f"{line.module}.*"} if name.name == "*" else set()
                    self.imported[name.asname or name.name] = f"{line.module}.{name.name}"
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self._read_name(inner.id, parts)
        else:
            self.visit(inner)

    def visit_Name(self, node: ast.Name) -> None:
        self._read_name(node.id, [])

    def _read_name(self, name: str, parts: Sequence[str]) -> None:
        if name in self.imported:
            self.read.add(name)
            self.used.add(".".join([self.imported[name], *parts]))


@cache
def _required(modules: frozenset[str]) -> dict[str, str]:
    """Versions of the installed distributions that hold these modules, and of all that they require."""
    holders = importlib.metadata.packages_distributions()
    there = {canonicalize_name(distribution.name): distribution for distribution in installed()}
    waiting = {canonicalize_name(name) for module in modules for name in holders.get(module, ())}
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in there:
            found[name] = there[name].version
            wanted = map(Requirement, there[name].requires or ())
            hard = (one for one in wanted if not one.marker or one.marker.evaluate({"extra": ""}))
            waiting |= {canonicalize_name(one.name) for one in hard} - set(found)
    return found
