"""The picture of the page on architecture: what parts of the package take from each other, by their imports."""

import ast
import html
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "gfm_utils"
WIDTH, GAP, LINE, LETTER = 340, 40, 15, 6.6  # pixels
_STYLE = (
    ".parts{max-width:36rem;width:100%;height:auto}.parts text{fill:currentColor;font:12px sans-serif}"
    ".parts .name{font-weight:600;font-size:13px}.parts .faint{opacity:.75;font-size:11px}"
    ".parts rect{fill:var(--pst-color-background,Canvas);stroke:currentColor}"
    ".parts path{fill:none;stroke:currentColor}"
)


class Part(NamedTuple):
    """A sub-package or module: what its docstring says first, and its size."""

    name: str
    text: str
    size: str


class Box(NamedTuple):
    """A part and where it is drawn."""

    part: Part
    x: float
    y: float
    width: float
    height: float

    @property
    def lines(self) -> list[str]:
        """Its sentence, in lines that fit."""
        return textwrap.wrap(self.part.text, int((self.width - 14) / LETTER))


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


def floors(parts: dict[str, Part], pairs: set[tuple[str, str]]) -> list[list[str]]:
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
    """The SVG: data come in above and leave as pages below."""
    parts, taken = imports(root)
    boxed = {name: part for name, part in parts.items() if (root / PACKAGE / name).is_dir() or name == "cli"}
    below = [part for name, part in parts.items() if name not in boxed]
    pairs = {pair for pair in taken if set(pair) <= set(boxed)}
    boxes: dict[str, Box] = {}
    y = 4.0
    for row in floors(boxed, pairs):
        width = (WIDTH - 8 * (len(row) - 1)) / len(row)
        drawn = [Box(boxed[name], place * (width + 8), y, width, 0) for place, name in enumerate(row)]
        height = 2 * LINE + 12 + LINE * max(len(box.lines) for box in drawn)
        boxes |= {box.part.name: box._replace(height=height) for box in drawn}
        y += height + GAP
    near = direct(pairs)
    lines = [_arrow(boxes[source], boxes[by], taken[source, by]) for source, by in sorted(near)]
    lines += [_box(box) for box in boxes.values()]
    words = textwrap.wrap(f"Below all of them: {', '.join(f'{part.name} ({part.size})' for part in below)}.", 56)
    lines += [_text(0, y - GAP + 22 + LINE * place, line, "faint") for place, line in enumerate(words)]
    y += LINE * len(words) + 22 - GAP
    said = "; ".join(f"{by} imports {source}" for source, by in sorted(near))
    return (
        f'<svg class="parts" viewBox="0 0 {WIDTH} {y:.0f}" role="img" aria-label="Parts of the package: {said}">'
        f"<style>{_STYLE}</style>{''.join(lines)}</svg>"
    )


def _box(box: Box) -> str:
    parts = [
        f'<rect x="{box.x + 0.5:.1f}" y="{box.y:.1f}" width="{box.width - 1:.1f}" height="{box.height}" rx="5"/>'
    ]
    parts.append(_text(box.x + 8, box.y + 17, box.part.name, "name"))
    parts += [_text(box.x + 8, box.y + 17 + LINE * (place + 1), line) for place, line in enumerate(box.lines)]
    parts.append(_text(box.x + 8, box.y + 17 + LINE * (len(box.lines) + 1), box.part.size, "faint"))
    return "".join(parts)


def _arrow(source: Box, by: Box, names: Counter[str]) -> str:
    """From a box to the one below it, with the classes that this takes most often."""
    across = (max(source.x, by.x) + min(source.x + source.width, by.x + by.width)) / 2
    top, bottom = source.y + source.height, by.y
    classes = [name for name, _ in names.most_common() if name[:1].isupper() and not name.isupper()]
    head = f'<path d="M{across:.0f} {top:.0f}V{bottom:.0f}m-4 -6l4 6l4 -6"/>'
    words = ", ".join(classes[: 2 if source.width == by.width else 1])
    return head + _text(max(2, across - 8 - 6.2 * len(words)), (top + bottom) / 2 + 4, words, "faint")


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(words)}</text>' if words else ""


def page(root: Path) -> str:
    """What the page on architecture includes."""
    return f"```{{raw}} html\n{picture(root)}\n```\n"
