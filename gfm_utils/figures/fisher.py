"""Charts of Fisher information."""

from typing import Any

import altair as alt
import pandas as pd

from gfm_utils.figures.forms import (
    COLOURS,
    Menu,
    chosen,
    condition_colour,
    crosses,
    finished,
    lines,
    themed,
    tooltips,
)
from gfm_utils.figures.select import conditions_of, means, rows_of, singles, summaries

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

_PERCENT = alt.Axis(format="%")
#: Names of rows above them, not beside them, where they would take most of the width of a phone.
_ABOVE: dict[str, Any] = {
    "title": None,
    "axis": alt.Axis(
        labelAlign="left", labelPadding=0, labelOffset=-15, labelLimit=300, ticks=False, domain=False, grid=False
    ),
    "scale": alt.Scale(paddingInner=0.5, paddingOuter=0.5),
}


def share_chart(table: pd.DataFrame, split_embeddings: bool = False, metric: str = "fisher_share") -> alt.Chart:
    """Shares of the Fisher information by group, a bar a condition and state.

    Args:
        table: result of ``fisher_information``, with those of other functions below it or not.
        split_embeddings: the finest groups, where both paths of a tied matrix stand apart, not the paper's.
        metric: ``fisher_share``, or one of its other forms.
    """
    rows = summaries(rows_of(table, metric, axis="group", numeric=False))
    rows = rows[rows["x"].str.fullmatch(FINE_GROUPS if split_embeddings else PAPER_GROUPS)]
    groups = sorted(set(rows["x"]), key=lambda name: (["emb", "enc", "hea", "dec"].index(name[:3]), name))
    rows = rows.assign(rank=rows["x"].map(groups.index), bar=rows["condition"] + ", " + rows["state"])
    rows = rows.sort_values("condition", kind="stable", key=lambda names: names.map(conditions_of(table).index))
    chart = alt.Chart(rows[["condition", "state", "bar", "x", "rank", "value", "low", "high"]]).mark_bar()
    chart = chart.encode(
        x=alt.X("value:Q", title="share of the Fisher information", axis=_PERCENT, stack=True),
        y=alt.Y("bar:N", sort=None, **_ABOVE),
        color=alt.Color("x:N", title=None, sort=groups, scale=alt.Scale(domain=groups, scheme="tableau20")),
        order="rank:Q",
        tooltip=["condition", "state", alt.Tooltip("x:N", title="group"),
                 *tooltips("value", "low", "high", text=".1%")],
    )  # fmt: skip
    return themed(chart.properties(width="container", height=36 * rows["bar"].nunique()))


def flow_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of a group along training, chosen from a list, with its interval over members, and its controls.

    Args:
        table: result of ``fisher_flow``.
    """
    rows = means(table, "fisher_share", axis="group|step", numeric=False)
    rows[["shown", "step"]] = rows["x"].str.split("|", expand=True)
    rows["shown"] = rows["shown"].map(FOLLOWED_NAMES)
    y = alt.Y("value:Q", title="share of the Fisher information", axis=_PERCENT)
    return _along_training(rows, table, y, Menu("chosen_group", "shown", list(FOLLOWED_NAMES.values()), "group "))


def trace_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Trace of the Fisher information along training, and by how much the paper's form overstates it.

    An interval of few members may reach below zero, for which a logarithmic axis has no place: it is drawn down
    to half the least mean.

    Args:
        table: result of ``fisher_flow``.
    """
    rows = means(table, *TRACES, axis="step")
    least = rows.groupby("metric")["value"].transform("min") / 2
    rows = rows.assign(shown=rows["metric"].map(TRACES), step=rows["x"], low=rows["low"].clip(lower=least))
    y = alt.Y("value:Q", title="nats², or times", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g"))
    menu = Menu("chosen_form", "shown", list(TRACES.values()), "form ")
    return _along_training(rows, table, y, menu, ".3g")


def _along_training(
    rows: pd.DataFrame, table: pd.DataFrame, y: alt.Y, menu: Menu, text: str = ".1%"
) -> alt.LayerChart:
    """Lines over the training step of what a list chooses (column ``shown``); controls are dashed."""
    rows = rows.astype({"step": float})
    marked = alt.Axis(values=sorted(rows["step"].unique()), labelOverlap="greedy")
    return lines(
        rows[["condition", "state", "shown", "step", "value", "low", "high"]],
        alt.X("step:Q", title="training step", scale=alt.Scale(type="symlog"), axis=marked),
        y,
        condition_colour(conditions_of(table), legend=alt.Legend(symbolOpacity=1)),
        ["condition", "state", "shown", "step:Q", *tooltips("value", "low", "high", text=text)],
        spread="area",
        menus=[menu],
    )


def jolt_chart(table: pd.DataFrame) -> alt.LayerChart:
    """What a jolt of all parameters of a part does to the predictions (points), and ½ ε² tr F (lines).

    Args:
        table: result of ``fisher_jolts``.
    """
    rows = means(table, "jolt_divergence", "jolt_expected", axis="group|size", numeric=False)
    rows[["part", "size"]] = rows["x"].str.split("|", expand=True)
    rows = rows.astype({"size": float})
    parts, log = list(dict.fromkeys(rows["part"])), alt.Scale(type="log")
    sizes = alt.Axis(format="~g", values=sorted(rows["size"].unique()))
    menu = Menu("jolted", "condition", conditions_of(table), "condition ")
    base = chosen(rows[["condition", "metric", "part", "size", "value", "low", "high"]], menu).encode(
        x=alt.X("size:Q", title="jolt ε of every parameter", scale=log, axis=sizes),
        y=alt.Y("value:Q", title="KL divergence, nats per token", scale=log, axis=alt.Axis(format=".0e")),
        color=alt.Color("part:N", title=None, scale=alt.Scale(domain=parts, range=list(COLOURS[4:7]))),
        tooltip=["condition", "part", "metric", "size:Q", *tooltips("value", "low", "high", text=".3g")],
    )
    measured = base.transform_filter("datum.metric == 'jolt_divergence'").mark_point(size=70, filled=True)
    line = base.transform_filter("datum.metric == 'jolt_expected'").mark_line(strokeWidth=1.5)
    return finished([line, measured], 320, menu)


def gain_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share against what the context is worth, on the same tokens: conditions in every state.

    Args:
        table: result of ``fisher_information``.
    """
    share = means(table, "fisher_share", axis="group", numeric=False)
    gain = means(table, "context_gain", axis="on", numeric=False)
    keys, values = ["condition", "state"], ["value", "low", "high"]
    rows = share.loc[share["x"] == "encoder", keys + values].merge(
        gain[keys + values], on=keys, suffixes=("", "_gain")
    )
    shapes = alt.Scale(domain=STATES, range=["circle", "diamond", "square", "triangle-up", "cross"])
    base = alt.Chart(rows).encode(
        x=alt.X("value_gain:Q", title="context gain, bits per token"),
        y=alt.Y("value:Q", title="encoder's share", axis=_PERCENT),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "state", *tooltips("value_gain"), *tooltips("value", "low", "high", text=".1%")],
    )
    points = base.mark_point(size=90, filled=True).encode(shape=alt.Shape("state:N", title=None, scale=shapes))
    return finished([*crosses(base, ("low_gain", "high_gain"), ("low", "high")), points], 360)


def encoder_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share, member by member, with the mean's interval, in every state."""
    rows = rows_of(table, "fisher_share", axis="group", numeric=False)
    rows = rows[rows["x"] == "encoder"][["condition", "state", "member", "other", "value", "low", "high"]]
    conditions = conditions_of(table)
    bars = [f"{condition}, {state}" for condition in conditions for state in STATES]
    rows["bar"] = rows["condition"] + ", " + rows["state"]
    y = alt.Y("bar:N", sort=[bar for bar in bars if bar in set(rows["bar"])], **_ABOVE)
    x = alt.X("value:Q", title="encoder's share of the Fisher information", axis=_PERCENT)
    tips = ["condition", "state", alt.Tooltip("member:N", title="seed"), *tooltips("value", text=".1%")]
    colour = condition_colour(conditions, legend=None)
    points = alt.Chart(singles(rows)).mark_circle(size=55, opacity=0.55)
    mean = alt.Chart(summaries(rows)).encode(y=y)
    tick = mean.mark_tick(thickness=3, color="black").encode(
        x="value:Q", tooltip=["condition", "state", *tooltips("value", "low", "high", text=".1%")]
    )
    span = mean.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    height = 36 * rows["bar"].nunique()
    return finished([points.encode(x=x, y=y, color=colour, tooltip=tips), span, tick], height)
