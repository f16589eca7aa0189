"""Charts of Fisher information."""

from typing import Any

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries, with_span
from gfm_utils.figures.style import COLOURS, condition_colour, dropdown, state_dash, themed, tooltips

#: The paper's groups, and what they are taken apart into; every parameter is in one of each.
PAPER_GROUPS = r"embeddings|encoder\.\d+|encoder\.norm|head"
FINE_GROUPS = (
    r"embedding\..*|encoder\.\d+\.(attention|feed_forward|other)|encoder\.norm|head\.transform|decoder\..*"
)
#: Names for people of the groups that are followed along training.
FOLLOWED_NAMES = {
    "encoder": "encoder",
    "embeddings": "embeddings, as in the paper",
    "input": "input path",
    "output": "output path",
    "head": "head",
}
STATES = ["trained", "random_context", "shuffled", "no layers", "untrained"]
#: Names for people of what is followed along training, of all parameters.
TRACES = {
    "fisher_trace": "trace, token by token",
    "fisher_trace_paper": "trace, the paper's form",
    "fisher_inflation": "by what batches inflate the trace",
}

#: Names of rows above them, not beside them, where they would take most of the width of a phone.
ABOVE = alt.Axis(
    labelAlign="left", labelPadding=0, labelOffset=-15, labelLimit=300, ticks=False, domain=False, grid=False
)
SPACED = alt.Scale(paddingInner=0.5, paddingOuter=0.5)


def share_chart(table: pd.DataFrame, split_embeddings: bool = False, metric: str = "fisher_share") -> alt.Chart:
    """Shares of the Fisher information by group, a bar a condition and state.

    Args:
        table: result of ``fisher_information``, with those of other functions below it or not.
        split_embeddings: the finest groups, where both paths of a tied matrix stand apart, not the paper's.
        metric: ``fisher_share``, or one of its other forms.
    """
    rows = summaries(rows_of(table, metric, axis="group", numeric=False))
    rows = rows[rows["x"].str.fullmatch(FINE_GROUPS if split_embeddings else PAPER_GROUPS)]
    groups = list(dict.fromkeys(rows["x"]))
    groups.sort(key=lambda name: (["emb", "enc", "hea", "dec"].index(name[:3]), name))
    rows = rows.assign(rank=rows["x"].map(groups.index), bar=rows["condition"] + ", " + rows["state"])
    rows = rows.sort_values("condition", kind="stable", key=lambda names: names.map(conditions_of(table).index))
    chart = (
        alt.Chart(rows[["condition", "state", "bar", "x", "rank", "value", "low", "high"]])
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title="share of the Fisher information", axis=alt.Axis(format="%"), stack=True),
            y=alt.Y("bar:N", title=None, sort=None, axis=ABOVE, scale=SPACED),
            color=alt.Color("x:N", title=None, sort=groups, scale=alt.Scale(domain=groups, scheme="tableau20")),
            order="rank:Q",
            tooltip=[
                "condition", "state", alt.Tooltip("x:N", title="group"), alt.Tooltip("value:Q", format=".1%"),
                alt.Tooltip("low:Q", format=".1%"), alt.Tooltip("high:Q", format=".1%"),
            ],
        )
        .properties(width="container", height=36 * rows["bar"].nunique())
    )  # fmt: skip
    return themed(chart)


def flow_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of a group along training, chosen from a list, with its interval over members, and its controls.

    Args:
        table: result of ``fisher_flow``.
    """
    rows = with_span(summaries(rows_of(table, "fisher_share", axis="group|step", numeric=False)))
    place = rows["x"].str.split("|", expand=True)
    rows = rows.assign(shown=place[0].map(FOLLOWED_NAMES), step=place[1].astype(float))
    shown = {"title": "share of the Fisher information", "axis": alt.Axis(format="%")}
    return _along_training(rows, conditions_of(table), list(FOLLOWED_NAMES.values()), "group ", shown, ".1%")


def trace_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Trace of the Fisher information along training, and by how much the paper's form overstates it.

    An interval of few members may reach below zero, for which a logarithmic axis has no place: it is drawn down
    to half the least mean.

    Args:
        table: result of ``fisher_flow``.
    """
    rows = with_span(summaries(rows_of(table, *TRACES, axis="step")))
    least = rows.groupby("metric")["value"].transform("min") / 2
    rows = rows.assign(shown=rows["metric"].map(TRACES), step=rows["x"], low=rows["low"].clip(lower=least))
    shown = {"title": "nats², or times", "scale": alt.Scale(type="log"), "axis": alt.Axis(format="~g")}
    return _along_training(rows, conditions_of(table), list(TRACES.values()), "form ", shown, ".3g")


def _along_training(
    rows: pd.DataFrame, conditions: list[str], choices: list[str], label: str, y: dict[str, Any], text: str
) -> alt.LayerChart:
    """Lines over the training step of what a list chooses (column ``shown``); controls are dashed."""
    name = f"chosen_{label.strip()}"
    marked = alt.Axis(values=sorted(rows["step"].unique()), labelOverlap="greedy")
    base = (
        alt.Chart(rows[["condition", "state", "shown", "step", "value", "low", "high"]])
        .transform_filter(f"datum.shown == {name}")
        .encode(
            x=alt.X("step:Q", title="training step", scale=alt.Scale(type="symlog"), axis=marked),
            color=condition_colour(conditions, legend=alt.Legend(symbolOpacity=1)),
        )
    )
    band = base.transform_filter("datum.state == 'trained'").mark_area(opacity=0.15)
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", **y),
        strokeDash=state_dash(rows["state"]),
        tooltip=["condition", "state", "shown", "step:Q", *tooltips("value", "low", "high", text=text)],
    )
    layers = alt.layer(band.encode(y=alt.Y("low:Q", **y), y2="high:Q"), line)
    return themed(layers.add_params(dropdown(name, choices, label)).properties(width="container", height=320))


def jolt_chart(table: pd.DataFrame) -> alt.LayerChart:
    """What a jolt of all parameters of a part does to the predictions (points), and ½ ε² tr F (lines).

    Args:
        table: result of ``fisher_jolts``.
    """
    rows = with_span(
        summaries(rows_of(table, "jolt_divergence", "jolt_expected", axis="group|size", numeric=False))
    )
    place = rows["x"].str.split("|", expand=True)
    rows = rows.assign(part=place[0], size=place[1].astype(float))
    conditions = conditions_of(table)
    parts, log = list(dict.fromkeys(rows["part"])), alt.Scale(type="log")
    sizes = alt.Axis(format="~g", values=sorted(rows["size"].unique()))
    base = (
        alt.Chart(rows[["condition", "metric", "part", "size", "value", "low", "high"]])
        .transform_filter("datum.condition == jolted")
        .encode(
            x=alt.X("size:Q", title="jolt ε of every parameter", scale=log, axis=sizes),
            y=alt.Y("value:Q", title="KL divergence, nats per token", scale=log, axis=alt.Axis(format=".0e")),
            color=alt.Color("part:N", title=None, scale=alt.Scale(domain=parts, range=list(COLOURS[4:7]))),
            tooltip=["condition", "part", "metric", "size:Q", *tooltips("value", "low", "high", text=".3g")],
        )
    )  # fmt: skip
    measured = base.transform_filter("datum.metric == 'jolt_divergence'").mark_point(size=70, filled=True)
    line = base.transform_filter("datum.metric == 'jolt_expected'").mark_line(strokeWidth=1.5)
    chosen = dropdown("jolted", conditions, "condition ")
    return themed(alt.layer(line, measured).add_params(chosen).properties(width="container", height=320))


def gain_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share against what the context is worth, on the same tokens: conditions in every state.

    Args:
        table: result of ``fisher_information``.
    """
    share = with_span(summaries(rows_of(table, "fisher_share", axis="group", numeric=False)))
    gain = with_span(summaries(rows_of(table, "context_gain", axis="on", numeric=False)))
    keys, values = ["condition", "state"], ["value", "low", "high"]
    rows = share.loc[share["x"] == "encoder", keys + values].merge(
        gain[keys + values], on=keys, suffixes=("", "_gain")
    )
    shapes = alt.Scale(domain=STATES, range=["circle", "diamond", "square", "triangle-up", "cross"])
    base = alt.Chart(rows).encode(
        x=alt.X("value_gain:Q", title="context gain, bits per token"),
        y=alt.Y("value:Q", title="encoder's share", axis=alt.Axis(format="%")),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "state", *tooltips("value_gain"), *tooltips("value", "low", "high", text=".1%")],
    )
    points = base.mark_point(size=90, filled=True).encode(shape=alt.Shape("state:N", title=None, scale=shapes))
    across = base.mark_rule().encode(x="low_gain:Q", x2="high_gain:Q")
    along = base.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q")
    return themed(alt.layer(across, along, points).properties(width="container", height=360))


def encoder_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share, member by member, with the mean's interval, in every state."""
    rows = rows_of(table, "fisher_share", axis="group", numeric=False)
    rows = rows[rows["x"] == "encoder"][["condition", "state", "member", "other", "value", "low", "high"]]
    conditions = conditions_of(table)
    rows = rows.sort_values(
        ["condition", "state"], kind="stable",
        key=lambda names: names.map((conditions if names.name == "condition" else STATES).index),
    )  # fmt: skip
    rows = rows.assign(bar=rows["condition"] + ", " + rows["state"])
    y = alt.Y("bar:N", title=None, sort=list(dict.fromkeys(rows["bar"])), axis=ABOVE, scale=SPACED)
    x = alt.X("value:Q", title="encoder's share of the Fisher information", axis=alt.Axis(format="%"))
    tips = ["condition", "state", alt.Tooltip("member:N", title="seed"), alt.Tooltip("value:Q", format=".1%")]
    points = (
        alt.Chart(singles(rows))
        .mark_circle(size=55, opacity=0.55)
        .encode(x=x, y=y, color=condition_colour(conditions, legend=None), tooltip=tips)
    )
    mean = alt.Chart(summaries(rows)).encode(y=y)
    span = mean.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    tick = mean.mark_tick(thickness=3, color="black").encode(
        x="value:Q", tooltip=["condition", "state", *tooltips("value", "low", "high", text=".1%")]
    )  # fmt: skip
    height = 36 * rows["bar"].nunique()
    return themed(alt.layer(points, span, tick).properties(width="container", height=height))
