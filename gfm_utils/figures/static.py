"""Charts of the stability of static embeddings."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, summaries, with_span
from gfm_utils.figures.style import NEUTRAL, condition_colour, themed, tooltips


def overlap_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Overlap of the k nearest neighbours against k; dotted: exact chance; dashed: untrained members."""
    rows = with_span(summaries(rows_of(table, "topk_overlap", axis="k")))
    chance = rows_of(table, "topk_overlap_chance", axis="k")
    chance = chance[chance["state"] == "trained"].assign(state="chance")
    drawn = pd.concat([rows, chance])[["condition", "state", "x", "value", "low", "high"]]
    scale = alt.Scale(domain=["trained", "untrained", "chance"], range=[[1, 0], [6, 4], [1, 3]])
    pick = alt.selection_point(fields=["condition"], bind="legend")
    base = alt.Chart(drawn).encode(
        x=alt.X("x:Q", title="k nearest neighbours", scale=alt.Scale(type="log")),
        color=condition_colour(conditions_of(table)),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.1)),
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="overlap (Jaccard index)"),
        strokeDash=alt.StrokeDash(
            "state:N", title=None, scale=scale, legend=alt.Legend(symbolStrokeColor=NEUTRAL)
        ),
        tooltip=[
            "condition", "state", alt.Tooltip("x:Q", title="k"), *tooltips("value", "low", "high"),
        ],
    )  # fmt: skip
    return themed(alt.layer(span, line).add_params(pick).properties(width="container", height=340))


def alignment_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Procrustes disparity and linear CKA of pairs: means with intervals, trained and untrained."""
    rows = with_span(summaries(rows_of(table, "procrustes_disparity", "linear_cka")))
    rows["what"] = rows["metric"].map({
        "procrustes_disparity": "Procrustes disparity (0 = same)", "linear_cka": "linear CKA (1 = same)",
    })  # fmt: skip
    base = alt.Chart(rows[["condition", "state", "what", "value", "low", "high"]]).encode(
        y=alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=160)),
        color=condition_colour(conditions_of(table)),
        yOffset=alt.YOffset("what:N"),
        tooltip=["condition", "state", "what", *tooltips("value", "low", "high")],
    )  # fmt: skip
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    point = base.mark_point(size=90, strokeWidth=2).encode(
        x=alt.X("value:Q", title="share", scale=alt.Scale(domain=[0, 1])),
        shape=alt.Shape("what:N", title=None, legend=alt.Legend(columns=1)),
        fillOpacity=alt.FillOpacity(
            "state:O", legend=None,
            scale=alt.Scale(domain=["trained", "untrained"], range=[1, 0]),
        ),
        fill=condition_colour(conditions_of(table)),
    )  # fmt: skip
    height = 70 * rows["condition"].nunique()
    return themed(alt.layer(span, point).properties(width="container", height=height))
