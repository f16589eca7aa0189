"""What a chart says to those who do not see it: its caption's first sentence, and the range of what is drawn."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]

_NAMED = 6  # so many groups are named; a sentence of more is not listened to
_MARKUP = re.compile(r"\{[\w:]+\}`[^`]*`|[`*$\\]")


def described(spec: Spec, caption: str) -> str:
    """One sentence for a screen reader: the caption's first (Markdown), and from where to where the values go.

    Of a chart (Vega-Lite with its rows under ``datasets``) with menus these are the values drawn before anything
    is chosen; of one with controls those of the trained members; of one in several parts those of the first.
    """
    text = " ".join(_MARKUP.sub("", caption).split())
    shows = re.split(r"(?<=[a-z0-9)])\. ", text, maxsplit=1)[0].rstrip(".")
    shows = re.sub(r"; choose [^;]*$", "", shows) or "Chart"
    found = [(rank, numbers) for view in _views(spec, {}) for rank, numbers in _measured(spec, view)]
    if found:
        return f"{shows}. {min(found, key=lambda one: one[0])[1]}."
    return f"{shows}. Drawn from {sum(map(len, spec.get('datasets', {}).values()))} rows."


def _views(spec: Spec, above: Spec) -> Iterator[dict[str, Any]]:
    """The single charts of which a chart is made, each with what it inherits."""
    view = {
        "data": spec.get("data", above.get("data")),
        "title": spec.get("title", above.get("title")),
        "encoding": {**above.get("encoding", {}), **spec.get("encoding", {})},
        "transform": [*above.get("transform", []), *spec.get("transform", [])],
    }
    parts = [part for kind in ("layer", "vconcat", "hconcat", "concat") for part in spec.get(kind, ())]
    parts += [spec["spec"]] if "spec" in spec else []
    if not parts:
        yield view
    for part in parts:
        yield from _views(part, view)


def _measured(spec: Spec, view: Spec) -> Iterator[tuple[tuple[bool, bool], str]]:
    """What the axes of a view measure, in words, with a rank: columns of values first, then axes with a title."""
    chosen = {one["name"]: one["value"] for one in spec.get("params", []) if "value" in one}
    rows = _drawn(spec, view, chosen)
    encoding = view["encoding"]
    colour = encoding.get("color", {})
    group = colour.get("field") if colour.get("type") in ("nominal", "ordinal") else None
    for axis in (encoding.get(name, {}) for name in ("y", "x", "color")):
        name = axis.get("field")
        if axis.get("type") == "quantitative" and any(_is_number(row.get(name)) for row in rows):
            ranges = [f"{one} {span}".strip() for one, span in _ranges(rows, name, group).items()]
            more = f", and {len(ranges) - _NAMED} more" if len(ranges) > _NAMED else ""
            choice = ", ".join(value for value in chosen.values() if isinstance(value, str))
            title = _line(axis.get("title")) or choice or _line(view["title"]) or name.replace("_", " ")
            yield (name != "value", not axis.get("title")), f"{title}: {', '.join(ranges[:_NAMED])}{more}"


def _drawn(spec: Spec, view: Spec, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a view that the menus choose at first, of trained members where there are others too."""
    data = view["data"] or {}
    rows = list(spec.get("datasets", {}).get(data.get("name"), data.get("values", [])))
    for step in view["transform"]:
        wanted = str(step.get("filter", ""))
        if "!" not in wanted and "||" not in wanted:
            for column, text, name in re.findall(r"datum\.(\w+) == (?:'(.*?)'|(\w+))", wanted):
                if text or name in chosen:
                    rows = [row for row in rows if row.get(column) == (text or chosen[name])]
    trained = [row for row in rows if row.get("state") == "trained"]
    return trained or rows


def _ranges(rows: list[dict[str, Any]], field: str, group: str | None) -> dict[str, str]:
    """Group -> ``a`` or ``a to b``, the least and the greatest value; all rows are one group without a column."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if _is_number(row.get(field)):
            name = row.get(group) if group and group != field else None
            groups.setdefault("" if name is None else str(name), []).append(row[field])
    ends = {name: tuple(f"{end:.3g}" for end in (min(values), max(values))) for name, values in groups.items()}
    return {name: low if low == high else f"{low} to {high}" for name, (low, high) in ends.items()}


def _line(title: Any) -> str:
    """A title in one line; empty where it is none or an expression."""
    if isinstance(title, dict):
        title = title.get("text")
    return " ".join(title) if isinstance(title, list) else title if isinstance(title, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
