"""Charts of Fisher information."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries, with_span
from gfm_utils.figures.style import condition_colour, dropdown, themed, tooltips

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
STATES = ["trained", "random_context", "shuffled", "untrained"]


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
    chart = (
        alt.Chart(rows[["condition", "state", "bar", "x", "rank", "value", "low", "high"]])
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title="share of the Fisher information", axis=alt.Axis(format="%"), stack=True),
            y=alt.Y("bar:N", title=None, sort=None, axis=alt.Axis(labelLimit=200)),
            color=alt.Color("x:N", title=None, sort=groups, scale=alt.Scale(domain=groups, scheme="tableau20")),
            order="rank:Q",
            tooltip=[
                "condition", "state", alt.Tooltip("x:N", title="group"), alt.Tooltip("value:Q", format=".1%"),
                alt.Tooltip("low:Q", format=".1%"), alt.Tooltip("high:Q", format=".1%"),
            ],
        )
        .properties(width="container", height=28 * rows["bar"].nunique())
    )  # fmt: skip
    return themed(chart)


def flow_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of a group along training, chosen from a list, with its interval over members.

    Args:
        table: result of ``fisher_flow``.
    """
    rows = with_span(summaries(rows_of(table, "fisher_share", axis="group|step", numeric=False)))
    place = rows["x"].str.split("|", expand=True)
    rows = rows.assign(group=place[0].map(FOLLOWED_NAMES), step=place[1].astype(float))
    chosen = dropdown("followed", list(FOLLOWED_NAMES.values()), "group ")
    base = (
        alt.Chart(rows[["condition", "group", "step", "value", "low", "high"]])
        .transform_filter("datum.group == followed")
        .encode(
            x=alt.X("step:Q", title="training step", scale=alt.Scale(type="symlog")),
            color=condition_colour(conditions_of(table)),
        )
    )
    band = base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="share of the Fisher information", axis=alt.Axis(format="%")),
        tooltip=["condition", "group", "step:Q", *tooltips("value", "low", "high", text=".1%")],
    )
    return themed(alt.layer(band, line).add_params(chosen).properties(width="container", height=320))


def trace_chart(table: pd.DataFrame) -> alt.Chart:
    """Trace of the Fisher information along training over its last value: per token, and as the paper has it.

    Args:
        table: result of ``fisher_flow``.
    """
    names = {"fisher_trace": "per token", "fisher_trace_paper": "the paper's form"}
    rows = summaries(rows_of(table, *names, axis="step"))
    rows["form"] = rows["metric"].map(names)
    last = rows.sort_values("x").groupby(["condition", "form"])["value"].transform("last")
    rows = rows.assign(ratio=rows["value"] / last)
    dash = alt.Scale(domain=list(names.values()), range=[[1, 0], [6, 4]])
    chart = (
        alt.Chart(rows[["condition", "form", "x", "value", "ratio", "low", "high"]])
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title="training step", scale=alt.Scale(type="symlog")),
            y=alt.Y("ratio:Q", title="trace, times that at the end", scale=alt.Scale(type="log")),
            color=condition_colour(conditions_of(table)),
            strokeDash=alt.StrokeDash("form:N", title=None, scale=dash),
            tooltip=["condition", "form", "x:Q", *tooltips("ratio", "value", "low", "high", text=".3g")],
        )
        .properties(width="container", height=300)
    )
    return themed(chart)


def encoder_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share, member by member, with the mean's interval, in every state."""
    rows = rows_of(table, "fisher_share", axis="group", numeric=False)
    rows = rows[rows["x"] == "encoder"][["condition", "state", "member", "other", "value", "low", "high"]]
    colour = condition_colour(conditions_of(table))
    y = alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=170))
    offset = alt.YOffset("state:N", sort=STATES)
    x = alt.X("value:Q", title="encoder's share of the Fisher information", axis=alt.Axis(format="%"))
    tips = ["condition", "state", alt.Tooltip("member:N", title="seed"), alt.Tooltip("value:Q", format=".1%")]
    points = (
        alt.Chart(singles(rows))
        .mark_circle(size=55, opacity=0.55)
        .encode(x=x, y=y, yOffset=offset, color=colour, tooltip=tips)
    )
    mean = alt.Chart(summaries(rows)).encode(y=y, yOffset=offset)
    span = mean.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    tick = mean.mark_tick(thickness=3, color="black").encode(
        x="value:Q", tooltip=["condition", "state", *tooltips("value", "low", "high", text=".1%")]
    )  # fmt: skip
    height = 30 * rows[["condition", "state"]].drop_duplicates().shape[0]
    return themed(alt.layer(points, span, tick).properties(width="container", height=height))
