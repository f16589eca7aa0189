"""The picture of the page on architecture: what parts of the package take from each other, by their imports."""

import ast
import html
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "gfm_utils"
_STYLE = (
    ".parts{max-width:36rem}.parts>div{display:flex;gap:.5rem}.parts>div>div{flex:1;padding:.3rem .6rem}"
    ".parts .box{border:1px solid;border-radius:5px}.parts p,.parts small{margin:0;font-size:.8rem}"
)


class Part(NamedTuple):
    """A sub-package or module: what its docstring says first, and its size."""

    name: str
    text: str
    size: str


def imports(root: Path) -> tuple[dict[str, Part], dict[tuple[str, str], Counter[str]]]:
    """Parts by name; and of each pair (from, by) the classes that one takes from the other, how often.

    Args:
        root: the repository.
    """
    parts, taken = {}, defaultdict[tuple[str, str], Counter[str]](Counter)
    for path in sorted((root / PACKAGE).iterdir()):
        if (path.suffix != ".py" and not (path / "__init__.py").is_file()) or path.stem == "__init__":
            continue
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        first = path if path.suffix == ".py" else path / "__init__.py"
        said = ast.get_docstring(trees[files.index(first)]) or ""
        size = f"{len(files)} modules, {lines:,} lines" if path.is_dir() else f"{lines:,} lines"
        parts[path.stem] = Part(path.stem, said.partition("\n\n")[0].replace("\n", " ").replace("``", ""), size)
        for tree in trees:
            for source, name in _imported(tree):
                if source != path.stem:
                    taken[source, path.stem][name] += 1
    return parts, {pair: names for pair, names in taken.items() if pair[0] in parts}


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The part of each import from the package, and the name that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            inside = (node.module or "").split(".")[1:]
            yield from ((inside[0] if inside else one.name, one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            names = (one.name.split(".") for one in node.names)
            yield from ((name[1], name[-1]) for name in names if name[0] == PACKAGE and len(name) > 1)


def layers(parts: dict[str, Part], pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Parts by how many others take from them on the longest way, the ones that most rests on first."""
    depth: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in depth:
            depth[name] = min((of(by) for source, by in pairs if source == name), default=1) - 1
        return depth[name]

    rows = defaultdict(list)
    for name in parts:
        rows[of(name)].append(name)
    return [rows[place] for place in sorted(rows)]


def direct(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs that no way over a third part connects."""
    far: dict[str, set[str]] = defaultdict(set)
    for _ in pairs:
        for source, by in pairs:
            far[source] |= {by} | far[by]
    return {
        (source, by)
        for source, by in pairs
        if not any((source, middle) in pairs and by in far[middle] for middle in far[source])
    }


def picture(root: Path) -> str:
    """Boxes in rows, as HTML: data come in above and leave as pages below."""
    parts, taken = imports(root)
    boxed = {name: part for name, part in parts.items() if (root / PACKAGE / name).is_dir() or name == "cli"}
    others = [part for name, part in parts.items() if name not in boxed and name != "options"]  # these are cli's
    pairs = {pair for pair in taken if set(pair) <= set(boxed)}
    near, rows = direct(pairs), []
    for row in layers(boxed, pairs):
        above = ["; ".join(_arrow(*pair, taken[pair]) for pair in sorted(near) if pair[1] == name) for name in row]
        rows.append("".join(f"<div><p>{arrows}</p></div>" for arrows in above))
        rows.append("".join(f'<div class="box">{_box(boxed[name])}</div>' for name in row))
    below = ", ".join(f"{part.name} ({part.size})" for part in others)
    drawn = "".join(f"<div>{row}</div>" for row in rows[1:])
    return (
        f'<style>{_STYLE}</style><div class="parts">{drawn}<p>Below all of them: {html.escape(below)}.</p></div>'
    )


def _box(part: Part) -> str:
    return f"<b>{part.name}</b> <p>{html.escape(part.text)}</p><small>{part.size}</small>"


def _arrow(source: str, by: str, names: Counter[str]) -> str:
    """From a box to one below it, with the classes that this takes most often."""
    classes = [name for name, _ in names.most_common() if name[:1].isupper() and not name.isupper()]
    return f"↓ {', '.join(classes[:2])} <small>({source} → {by})</small>"


def page(root: Path) -> str:
    """What the page on architecture includes."""
    return f"```{{raw}} html\n{picture(root)}\n```\n"
