"""Charts of contextual embeddings, layer by layer."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, summaries, with_span
from gfm_utils.figures.style import condition_colour, dropdown, state_dash, themed, tooltips

#: Names for people of what can be shown at each layer.
LAYER_NAMES = {
    "effective_rank": "effective rank (dimensions)",
    "participation_ratio": "participation ratio (dimensions)",
    "anisotropy": "anisotropy (mean cosine)",
    "uniformity": "uniformity (lower: more even)",
}
AGREEMENT_NAMES = {
    "linear_cka_debiased": "linear CKA, debiased (chance 0)",
    "neighbour_alignment_corrected": "neighbours shared, beyond chance",
    "linear_cka": "linear CKA",
    "neighbour_alignment": "neighbours shared",
}
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
