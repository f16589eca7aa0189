"""Charts of Fisher information."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.style import condition_colour, themed, tooltips


def share_chart(table: pd.DataFrame, split_embeddings: bool = False) -> alt.Chart:
    """Shares of the Fisher information by group, a bar a condition and state.

    Args:
        table: result of ``fisher_information``.
        split_embeddings: show the two paths of the tied matrix and their cross term in place of ``embeddings``.
    """
    rows = summaries(rows_of(table, "fisher_share", axis="group", numeric=False))
    rows = rows[rows["x"] != "encoder"]
    parts = rows["x"].str.startswith("embeddings.")
    if split_embeddings:
        keys = ["condition", "state"]
        taken = rows[parts].groupby(keys)["value"].sum()
        whole = rows[rows["x"] == "embeddings"].set_index(keys)
        rest = whole.assign(value=whole["value"] - taken, x="embeddings.other", low=None, high=None)
        rows = pd.concat([rows[rows["x"] != "embeddings"], rest.reset_index()], ignore_index=True)
    else:
        rows = rows[~parts]
    groups = list(dict.fromkeys(rows["x"]))
    groups.sort(key=lambda name: (not name.startswith("embeddings"), not name.startswith("encoder"), name))
    rows["rank"] = rows["x"].map(groups.index)
    rows["bar"] = rows["condition"] + ", " + rows["state"]
    chart = (
        alt.Chart(rows[["condition", "state", "bar", "x", "rank", "value", "low", "high"]])
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title="share of the Fisher information", axis=alt.Axis(format="%"), stack=True),
            y=alt.Y("bar:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)),
            color=alt.Color("x:N", title=None, sort=groups, scale=alt.Scale(domain=groups, scheme="tableau10")),
            order="rank:Q",
            tooltip=[
                "condition", "state", alt.Tooltip("x:N", title="group"), alt.Tooltip("value:Q", format=".1%"),
                alt.Tooltip("low:Q", format=".1%"), alt.Tooltip("high:Q", format=".1%"),
            ],
        )
        .properties(width="container", height=36 * rows["bar"].nunique())
    )  # fmt: skip
    return themed(chart)


def encoder_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share, member by member, with the mean's interval; filled: trained."""
    rows = rows_of(table, "fisher_share", axis="group", numeric=False)
    rows = rows[rows["x"] == "encoder"][["condition", "state", "member", "other", "value", "low", "high"]]
    colour = condition_colour(conditions_of(table))
    y = alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=170))
    offset = alt.YOffset("state:N", sort=["trained", "untrained"])
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
    height = 60 * rows["condition"].nunique()
    return themed(alt.layer(points, span, tick).properties(width="container", height=height))
