"""Charts of the disagreement between members."""

import altair as alt
import pandas as pd

from gfm_utils.figures.output import state_dash
from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries, with_span
from gfm_utils.figures.style import condition_colour, themed, tooltips


def top_p_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Jensen-Shannon distance against the probability mass kept, with the untrained and unrelated controls."""
    rows = with_span(summaries(rows_of(table, "js_distance", "js_distance_mismatched", axis="top_p")))
    unrelated = rows["metric"] == "js_distance_mismatched"
    rows = rows[~(unrelated & (rows["state"] == "untrained"))]
    rows.loc[unrelated, "state"] = "unrelated tokens"
    pick = alt.selection_point(fields=["condition"], bind="legend")
    base = alt.Chart(rows[["condition", "state", "x", "value", "low", "high"]]).encode(
        x=alt.X("x:Q", title="probability mass kept (top-p)", axis=alt.Axis(format="%")),
        color=condition_colour(conditions_of(table)),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.1)),
    )
    band = (
        base.transform_filter("datum.state == 'trained'")
        .mark_area(opacity=0.18)
        .encode(y="low:Q", y2="high:Q", opacity=alt.value(0.18))
    )
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domainMin=0)),
        strokeDash=state_dash(),
        tooltip=[
            "condition", "state", alt.Tooltip("x:Q", title="top-p", format=".0%"),
            alt.Tooltip("value:Q", title="distance", format=".3f"),
            alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"),
        ],
    )  # fmt: skip
    return themed(alt.layer(band, line).add_params(pick).properties(width="container", height=340))


def pair_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Jensen-Shannon distance of every pair of trained members at a chosen top-p and condition."""
    rows = singles(rows_of(table, "js_distance", axis="top_p"))
    rows = rows[rows["state"] == "trained"][["condition", "member", "other", "x", "value"]]
    both = pd.concat([rows, rows.rename(columns={"member": "other", "other": "member"})])
    conditions, grid = conditions_of(table), sorted(both["x"].unique())
    condition = alt.param(
        name="shown", value=conditions[0], bind=alt.binding_select(options=conditions, name="condition ")
    )
    mass = alt.param(name="mass", value=1.0, bind=alt.binding_select(options=grid, name="top-p "))
    base = (
        alt.Chart(both)
        .transform_filter("datum.condition == shown && datum.x == mass")
        .encode(x=alt.X("member:O", title="seed", axis=alt.Axis(labelAngle=0)), y=alt.Y("other:O", title="seed"))
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", title="distance", scale=alt.Scale(scheme="viridis")),
        tooltip=["condition", "member:O", "other:O", alt.Tooltip("value:Q", format=".4f")],
    )
    text = base.mark_text(color="white", fontSize=12).encode(text=alt.Text("value:Q", format=".3f"))
    return themed(alt.layer(cells, text).add_params(condition, mass).properties(width="container", height=300))


def agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Top-1 agreement of pairs, with its interval over members and the chance level from the marginals (tick)."""
    rows = with_span(summaries(rows_of(table, "top1_agreement", "top1_agreement_chance")))
    wide = rows[rows["metric"] == "top1_agreement"].copy()
    chance = rows[rows["metric"] == "top1_agreement_chance"].set_index(["condition", "state"])["value"]
    wide["chance"] = [chance[(c, s)] for c, s in zip(wide["condition"], wide["state"], strict=True)]
    base = alt.Chart(wide[["condition", "state", "value", "low", "high", "chance"]]).encode(
        y=alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=160)),
        yOffset=alt.YOffset("state:N", sort=["trained", "untrained"]),
        tooltip=["condition", "state", *tooltips("value", "low", "high", "chance")],
    )  # fmt: skip
    bar = base.mark_bar().encode(
        x=alt.X("value:Q", title="share of tokens with the same likeliest prediction", axis=alt.Axis(format="%")),
        color=condition_colour(conditions_of(table)),
        opacity=alt.Opacity(
            "state:O", title=None, scale=alt.Scale(domain=["trained", "untrained"], range=[1, 0.4])
        ),
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    tick = base.mark_tick(color="black", thickness=3).encode(x="chance:Q")
    height = 60 * wide["condition"].nunique()
    return themed(alt.layer(bar, span, tick).properties(width="container", height=height))
