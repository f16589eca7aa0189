"""Charts of contextual embeddings, layer by layer."""

import altair as alt
import pandas as pd

from gfm_utils.analyses.contextual import MASKED
from gfm_utils.figures.select import conditions_of, rows_of, summaries, with_span
from gfm_utils.figures.style import condition_colour, dropdown, state_dash, state_fill, themed, tooltips

#: Names for people of what can be shown at each layer.
LAYER_NAMES = {
    "effective_rank": "effective rank (dimensions)",
    "participation_ratio": "participation ratio (dimensions)",
    "anisotropy": "anisotropy (mean cosine)",
    "uniformity": "uniformity (lower: more even)",
    "pairwise_dist_std": "spread of distances",
}
AGREEMENT_NAMES = {
    "linear_cka_debiased": "linear CKA, debiased (chance 0)",
    "neighbour_alignment_corrected": "neighbours shared, beyond chance",
    "linear_cka": "linear CKA",
    "neighbour_alignment": "neighbours shared",
    "alignment_l2": "squared distance after rotation",
}
#: What the paper's code measures -> the metrics of windows that stand for it here and in its definition.
AUTHORS_NAMES: dict[str, tuple[str | None, str]] = {
    "effective rank (dimensions)": ("effective_rank", "effective_rank_authors"),
    "uniformity": ("uniformity", "uniformity"),
    "anisotropy": ("anisotropy", "anisotropy_authors"),
    "mean cosine": ("anisotropy", "anisotropy"),
    "spread of distances": (None, "pairwise_dist_std"),
    "neighbours shared": ("neighbour_alignment_corrected", "neighbour_alignment_authors"),
    "squared distance": ("alignment_l2", "alignment_l2_authors"),
    "linear CKA": ("linear_cka_debiased", "linear_cka"),
}
_HERE, _DEFINITION, _INPUTS = "as in this book", "the paper's formula", "and 15 % masked"
_LEVELS = {"": "tokens", "pooled_": "windows"}


def layer_shape_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The shape of the hidden states at each layer: rank, anisotropy, uniformity; dashed: untrained."""
    return _layers(table, LAYER_NAMES, "layer_shape")


def layer_agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """How far members agree at each layer; dashed: untrained."""
    return _layers(table, AGREEMENT_NAMES, "layer_agreement")


def _layers(table: pd.DataFrame, names: dict[str, str], parameter: str) -> alt.LayerChart:
    """A measure at each layer, of tokens or of windows, chosen from two lists."""
    shown = {f"{level}{name}": (text, _LEVELS[level]) for level in _LEVELS for name, text in names.items()}
    rows = with_span(summaries(rows_of(table, *shown, axis="layer", numeric=False)))
    rows["what"], rows["level"] = zip(*rows["metric"].map(shown), strict=True)
    order = list(dict.fromkeys(rows["x"]))
    measure = dropdown(parameter, list(names.values()), "measure ")
    level = dropdown(f"{parameter}_of", list(_LEVELS.values()), "of ")
    base = (
        alt.Chart(rows[["condition", "state", "what", "level", "x", "value", "low", "high"]])
        .transform_filter(f"datum.what == {parameter} && datum.level == {parameter}_of")
        .encode(
            x=alt.X("x:N", title="layer", sort=order, axis=alt.Axis(labelAngle=0)),
            color=condition_colour(conditions_of(table)),
        )
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title=None),
        strokeDash=state_dash(rows["state"]),
        tooltip=["condition", "state", "what", "level", "x", *tooltips("value", "low", "high")],
    )
    return themed(alt.layer(span, line).add_params(measure, level).properties(width="container", height=320))


def authors_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Windows at the last layer: by this book's formula, by that of the paper's code, and on its masked inputs.

    Filled: trained, open: untrained.
    """
    parts = [_last_windows(table, what, *metrics) for what, metrics in AUTHORS_NAMES.items()]
    rows = pd.concat(parts)[["condition", "state", "what", "way", "value", "low", "high"]]
    measure = dropdown("authors_measure", list(AUTHORS_NAMES), "measure ")
    colour = condition_colour(conditions_of(table))
    base = (
        alt.Chart(rows)
        .transform_filter("datum.what == authors_measure")
        .encode(
            y=alt.Y("way:N", title=None, sort=[_HERE, _DEFINITION, _INPUTS], axis=alt.Axis(labelLimit=180)),
            color=colour,
            yOffset=alt.YOffset("condition:N"),
            tooltip=["condition", "state", "what", "way", *tooltips("value", "low", "high")],
        )
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule(strokeWidth=2)
    span = span.encode(x="low:Q", x2="high:Q")
    point = base.mark_point(size=90, strokeWidth=2).encode(
        x=alt.X("value:Q", title=None, scale=alt.Scale(zero=False)), fillOpacity=state_fill(), fill=colour
    )
    height = 60 * (1 + len(conditions_of(table)))
    return themed(alt.layer(span, point).add_params(measure).properties(width="container", height=height))


def _last_windows(table: pd.DataFrame, what: str, ours: str | None, authors: str) -> pd.DataFrame:
    """The rows of one measure of windows at the last layer, by the way in which it is taken."""
    masked = rows_of(table, f"pooled_{authors}", axis=MASKED, numeric=False)
    ways = [masked.assign(way=_INPUTS)]
    for metric, way in ((ours, _HERE), (authors, _DEFINITION)):
        if metric is not None:
            layers = rows_of(table, f"pooled_{metric}", axis="layer", numeric=False)
            ways.append(layers[layers["x"] == masked["x"].iloc[0]].assign(way=way))
    return with_span(summaries(pd.concat(ways))).assign(what=what)


def layer_cka_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Debiased linear CKA between the layers of one member (mean over members), of tokens."""
    rows = summaries(rows_of(table, "layer_cka", axis="layers", numeric=False))
    ends = rows["x"].str.split("|", expand=True)
    rows = rows.assign(first=ends[0], second=ends[1], shown=rows["condition"] + ", " + rows["state"])
    order = list(dict.fromkeys([*rows["first"], *rows["second"]]))
    chosen = dropdown("layers_of", list(dict.fromkeys(rows["shown"])), "models ")
    base = (
        alt.Chart(rows[["condition", "state", "shown", "first", "second", "value"]])
        .transform_filter("datum.shown == layers_of")
        .encode(
            x=alt.X("first:N", title=None, sort=order, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("second:N", title=None, sort=order),
            tooltip=["condition", "state", "first", "second", *tooltips("value")],
        )
    )
    scale = alt.Scale(domain=[0, 1], range=["#ffffff", "#0072B2"], clamp=True)
    cell = base.mark_rect().encode(color=alt.Color("value:Q", title="CKA of two layers", scale=scale))
    text = base.mark_text(fontSize=13).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.when("datum.value > 0.6").then(alt.value("white")).otherwise(alt.value("black")),
    )
    height = 40 * len(order)
    return themed(alt.layer(cell, text).add_params(chosen).properties(width="container", height=height))
