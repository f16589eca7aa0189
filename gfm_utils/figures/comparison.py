"""Charts of a comparison: any number of conditions, each a point with its interval, read at any width."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import altair as alt
import numpy as np
import pandas as pd

from gfm_utils.corpora import KINDS
from gfm_utils.figures.boxes import Box, box_around, first_free
from gfm_utils.figures.forms import crosses, finished, in_lines, points_in_rows, tooltips
from gfm_utils.figures.palette import KIND_COLOURS, NEUTRAL
from gfm_utils.figures.select import rows_of, with_span
from gfm_utils.measures.estimates import COMPARED
from gfm_utils.tokens import Condition

LABELS = {kind: traits.label for kind, traits in KINDS.items()}
_ROW = 26  # pixels a condition
#: Shares of context gain below this are drawn in proportion, those above by their logarithm.
BEND = 0.01
_GAINS = (0, 0.01, 0.03, 0.1, 0.3)
_AWAY = (-11, 11)  # pixels from a point to its name: above it, or below


def kind_colour(rows: pd.DataFrame) -> alt.Color:
    """A colour for each kind of corpus in the column ``kind``, the same in every chart."""
    colours = {LABELS[kind]: colour for kind, colour in KIND_COLOURS.items()}
    there = [label for label in colours if label in set(rows["kind"])]
    scale = alt.Scale(domain=there, range=[colours[label] for label in there])
    return alt.Color("kind:N", title=None, scale=scale, legend=alt.Legend(symbolOpacity=1))


def short_names(conditions: Sequence[str]) -> dict[str, str]:
    """Condition -> a name that fits beside a chart: without the folders that tell no two conditions apart."""
    parsed = {name: Condition.parse(name) for name in conditions}
    return _short({name: (one.corpus, one.beside_corpus) for name, one in parsed.items()})


def short_corpora(corpora: Sequence[str]) -> dict[str, str]:
    """Corpus (name, path or address) -> its name beside a chart, without folders that tell no two apart."""
    return _short({corpus: (corpus, "") for corpus in corpora})


def _short(names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Name -> the last parts of its corpus's path, as few as keep the names apart, and what stands behind it."""
    parts = {name: PurePath(corpus).parts for name, (corpus, _) in names.items()}
    for depth in range(1, 1 + max(map(len, parts.values()), default=0)):
        short = {name: "/".join(part[-depth:]) + names[name][1] for name, part in parts.items()}
        if len(set(short.values())) == len(short):
            return short
    return {name: name for name in parts}


def comparison_rows(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row a condition: ``name``, ``kind``, ``value``, ``low``, ``high`` and ``null`` of one of ``COMPARED``.

    Raises:
        GfmError: the table (of ``measures.estimates.compared``) lacks the quantity.
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
        ["condition", "kind", *tooltips(*numbers, text=".3~p" if measure.percent else ".3~r")],
        order=names,
        behind=[ticks] if rows["null"].notna().any() else [],
        room=150,
        height=_ROW * max(len(rows), 2),
    )


def entropy_gain_chart(table: pd.DataFrame, labels: Mapping[str, str] | None = None) -> alt.LayerChart:
    """Context gain against the entropy of the corpus, both as shares, a point a condition with its intervals.

    Gains are spread out by their logarithm above ``BEND``. Points are called by ``labels``, else by their corpora.
    """
    entropy, gain = (comparison_rows(table, metric) for metric in ("entropy_share", "context_gain_share"))
    rows = gain.merge(entropy[["condition", "value", "low", "high"]], on="condition", suffixes=("_gain", ""))
    corpora = rows["name"].map(lambda name: Condition.parse(name).beside_tokenizer)
    rows = rows.assign(corpus=corpora if labels is None else rows["condition"].map(labels))
    pick = alt.selection_point(fields=["kind"], bind="legend")
    heading, percent = in_lines(COMPARED["entropy_share"].text), alt.Axis(format="%", tickCount=5)
    wide, gains = alt.Scale(zero=False, padding=45), alt.Axis(format="%", values=_GAINS)
    bent = alt.Scale(type="symlog", constant=BEND, nice=False, padding=18)
    tips = {"value": "entropy", "value_gain": "context gain", "low_gain": "95 % interval from", "high_gain": "to"}
    base = alt.Chart(rows).encode(
        x=alt.X("value:Q", title=heading, scale=wide, axis=percent),
        y=alt.Y("value_gain:Q", title="context gain, share of token frequencies' cost", scale=bent, axis=gains),
        color=kind_colour(rows),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.15)),
        tooltip=[
            "corpus", "condition", "kind",
            *(alt.Tooltip(f"{name}:Q", title=title, format=".3~p") for name, title in tips.items()),
        ],
    )  # fmt: skip
    text, named = base.mark_text(fontSize=11).encode(text="corpus:N"), _with_room(rows)
    texts = [
        text.mark_text(fontSize=11, dy=away).properties(data=named[named["away"] == away])
        for away in named["away"].unique().tolist()
    ]
    points = base.mark_point(filled=True, size=80).add_params(pick)
    return finished([*crosses(base, ("low", "high"), ("low_gain", "high_gain")), points, *texts], 320)


def _with_room(rows: pd.DataFrame) -> pd.DataFrame:
    """The row of each corpus that bears its name, and how far ``away`` from its point, in pixels, on a phone.

    Conditions of one corpus stand above each other: the highest is named, tooltips have the others. A name that
    has room on neither side, beside the other names and the points, is left out.
    """
    places = _pixels(rows)
    taken, named = [box_around(x, y, 5) for x, y in places.to_numpy()], []
    highest = rows.loc[rows.groupby("corpus")["value_gain"].idxmax()].sort_values("value_gain", ascending=False)
    for index, row in highest.iterrows():
        x, y = places.loc[index]
        half = 3.2 * len(row["corpus"])  # a character of size 11 is about 6 pixels wide
        boxes = {Box(x - half, y + away - 5, x + half, y + away + 5): away for away in _AWAY}
        free = first_free(boxes, taken)
        if free is not None:
            named.append({**row, "away": boxes[free]})
    return pd.DataFrame(named, columns=[*rows.columns, "away"])


def _pixels(rows: pd.DataFrame) -> pd.DataFrame:
    """About where the points of :func:`entropy_gain_chart` lie on a phone: columns ``x`` and ``y`` (downwards)."""
    low, high = rows["low"].min(), rows["high"].max()
    ends = np.array([max(0.0, rows["high_gain"].max()), min(0.0, rows["low_gain"].min())])
    gains = rows["value_gain"].to_numpy(np.float64)
    (top, bottom), gains = (np.sign(some) * np.log1p(np.abs(some) / BEND) for some in (ends, gains))
    x = 45 + 210 * (rows["value"] - low) / max(high - low, 1e-9)
    return pd.DataFrame({"x": x, "y": 18 + 284 * (top - gains) / max(top - bottom, 1e-9)})
