"""Charts of a comparison: any number of conditions, each a point with its interval, read at any width."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from gfm_utils.corpora import KINDS
from gfm_utils.figures.forms import crosses, finished, in_lines, points_in_rows, tooltips
from gfm_utils.figures.palette import KIND_COLOURS, NEUTRAL
from gfm_utils.figures.select import rows_of, with_span
from gfm_utils.measures.estimates import COMPARED
from gfm_utils.tokens import Condition

LABELS = {kind: traits.label for kind, traits in KINDS.items()}
_Box = tuple[float, float, float, float]  # left, right, top, bottom
_ROW = 26  # pixels a condition
#: Shares of context gain below this are drawn in proportion, those above by their logarithm.
BEND = 0.01
_GAINS = (0, 0.01, 0.03, 0.1, 0.3)
_SIDES = {"above": -11, "below": 11}  # of a point, where its name stands, and how many pixels away


def kind_colour(rows: pd.DataFrame) -> alt.Color:
    """A colour for each kind of corpus in the column ``kind``, the same in every chart."""
    colours = {LABELS[kind]: colour for kind, colour in KIND_COLOURS.items()}
    there = [label for label in colours if label in set(rows["kind"])]
    scale = alt.Scale(domain=there, range=[colours[label] for label in there])
    return alt.Color("kind:N", title=None, scale=scale)


def short_names(conditions: Sequence[str]) -> dict[str, str]:
    """Condition -> a name that fits beside a chart: without the folders that tell no two conditions apart.

    Args:
        conditions: ``corpus@tokenizer`` each, the corpus a name or a path.
    """
    parsed = {name: Condition.parse(name) for name in conditions}
    return _short({name: (one.corpus, one.beside_corpus) for name, one in parsed.items()})


def short_corpora(corpora: Sequence[str]) -> dict[str, str]:
    """Corpus -> a name that fits beside a chart: without the folders that tell no two corpora apart.

    Args:
        corpora: names, paths or addresses.
    """
    return _short({corpus: (corpus, "") for corpus in corpora})


def _short(names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Name -> the last parts of its corpus's path, as few as keep the names apart, and what stands behind it."""
    parts = {name: PurePath(corpus).parts for name, (corpus, _) in names.items()}
    depth, short = 1, {name: name for name in parts}
    while depth <= max(map(len, parts.values()), default=0):
        short = {name: "/".join(part[-depth:]) + names[name][1] for name, part in parts.items()}
        if len(set(short.values())) == len(short):
            break
        depth += 1
    return short


def comparison_rows(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row a condition: ``name``, ``kind``, ``value``, ``low``, ``high`` and ``null`` of a quantity.

    Args:
        table: of :func:`gfm_utils.measures.estimates.compared`, for one or more reports.
        metric: a key of ``COMPARED``.

    Raises:
        GfmError: the table lacks the quantity.
    """
    rows = rows_of(table, metric, axis="kind", numeric=False)
    nulls = rows[rows["state"] != "trained"].set_index("condition")["value"]
    trained = with_span(rows[rows["state"] == "trained"])
    short = short_names(list(table["condition"]))
    trained = trained.assign(
        name=trained["condition"].map(short), kind=trained["x"].map(LABELS), null=trained["condition"].map(nulls)
    )
    return trained[["condition", "name", "kind", "value", "low", "high", "null"]]


def comparison_chart(table: pd.DataFrame, metric: str) -> alt.LayerChart:
    """One quantity of all conditions, a point each with its 95 % interval, sorted; the tick is its null."""
    rows, measure = comparison_rows(table, metric), COMPARED[metric]
    names = list(rows.sort_values("value")["name"])
    axis = alt.Axis(format="%" if measure.percent else "~g", tickCount=4)
    null = alt.Chart(rows).transform_filter("isValid(datum.null)").mark_tick(thickness=2, size=16, opacity=0.6)
    ticks = null.encode(x="null:Q", y=alt.Y("name:N", title=None, sort=names), color=alt.value(NEUTRAL))
    numbers = ["value", "low", "high", *(["null"] if rows["null"].notna().all() else [])]
    return points_in_rows(
        rows,
        "name",
        alt.X("value:Q", title=in_lines(measure.text), scale=alt.Scale(zero=False), axis=axis),
        kind_colour(rows),
        [
            "condition",
            "kind",
            *tooltips(*numbers, text=".3~p" if measure.percent else ".3~r"),
        ],
        order=names,
        behind=[ticks] if rows["null"].notna().any() else [],
        room=150,
        height=_ROW * max(len(rows), 2),
    )


def entropy_gain_chart(table: pd.DataFrame, labels: Mapping[str, str] | None = None) -> alt.LayerChart:
    """Context gain against the entropy of the corpus, both as shares, a point a condition with its intervals.

    Args:
        table: of :func:`gfm_utils.measures.estimates.compared`.
        labels: of many corpora, condition -> what its point is called, and gains are then spread out by their
            logarithm above ``BEND``; None: the corpus, and gains as they are.
    """
    entropy, gain = (comparison_rows(table, metric) for metric in ("entropy_share", "context_gain_share"))
    rows = gain.merge(entropy[["condition", "value", "low", "high"]], on="condition", suffixes=("_gain", ""))
    corpora = rows["name"].map(lambda name: Condition.parse(name).beside_tokenizer)
    rows = rows.assign(corpus=corpora if labels is None else rows["condition"].map(labels))
    pick = alt.selection_point(fields=["kind"], bind="legend")
    heading, percent = in_lines(COMPARED["entropy_share"].text), alt.Axis(format="%", tickCount=5)
    bent: dict[str, Any] = {} if labels is None else {"type": "symlog", "constant": BEND, "nice": False}
    wide, room = alt.Scale(zero=False, padding=45), alt.Scale(padding=18, **bent)
    upright = alt.Axis(format="%", tickCount=5) if labels is None else alt.Axis(format="%", values=_GAINS)
    base = alt.Chart(rows).encode(
        x=alt.X("value:Q", title=heading, scale=wide, axis=percent),
        y=alt.Y("value_gain:Q", title="context gain, share of token frequencies' cost", scale=room, axis=upright),
        color=kind_colour(rows),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.15)),
        tooltip=[
            "corpus", "condition", "kind", alt.Tooltip("value:Q", title="entropy", format=".3~p"),
            alt.Tooltip("value_gain:Q", title="context gain", format=".3~p"),
            alt.Tooltip("low_gain:Q", title="95 % interval from", format=".3~p"),
            alt.Tooltip("high_gain:Q", title="to", format=".3~p"),
        ],
    )  # fmt: skip
    named = _with_room(rows, bent=labels is not None)
    texts = [
        base.mark_text(dy=away, fontSize=11).encode(text="corpus:N").properties(data=named[named["side"] == side])
        for side, away in _SIDES.items()
        if side in named["side"].array
    ]
    points = base.mark_point(filled=True, size=80).add_params(pick)
    return finished([*crosses(base, ("low", "high"), ("low_gain", "high_gain")), points, *texts], 320)


def _with_room(rows: pd.DataFrame, bent: bool) -> pd.DataFrame:
    """The row of each corpus that bears its name (``corpus``), and on which ``side`` of its point, on a phone.

    Conditions of one corpus stand above each other: the highest is named, the tooltips have the rest. A name that
    has room on neither side, beside the other names and the points, is left out.
    """
    places = _pixels(rows, bent)
    taken = [(x - 5, x + 5, y - 5, y + 5) for x, y in places.to_numpy()]
    corpora = rows["corpus"]
    highest = rows.groupby(corpora)["value_gain"].idxmax()
    named = []
    for index in rows.loc[highest].sort_values("value_gain", ascending=False).index:
        half = 3.2 * len(corpora[index])  # a character of size 11 is about 6 pixels wide
        for side, away in _SIDES.items():
            x, y = places.loc[index]
            box = (x - half, x + half, y + away - 5, y + away + 5)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                named.append({**rows.loc[index], "side": side})
                break
    return pd.DataFrame(named, columns=[*rows.columns, "side"])


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _pixels(rows: pd.DataFrame, bent: bool) -> pd.DataFrame:
    """About where the points of :func:`entropy_gain_chart` lie on a phone: columns ``x`` and ``y`` (downwards)."""
    low, high = rows["low"].min(), rows["high"].max()
    ends = np.array([max(0.0, rows["high_gain"].max()), min(0.0, rows["low_gain"].min())])
    gains = rows["value_gain"].to_numpy(np.float64)
    if bent:
        ends, gains = (np.sign(some) * np.log1p(np.abs(some) / BEND) for some in (ends, gains))
    top, bottom = ends
    return pd.DataFrame(
        {
            "x": 45 + 210 * (rows["value"] - low) / max(high - low, 1e-9),
            "y": 18 + 284 * (top - gains) / max(top - bottom, 1e-9),
        }
    )
