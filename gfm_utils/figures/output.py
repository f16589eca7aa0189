"""Charts of output distributions."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.style import NEUTRAL, condition_colour, themed


def uncertainty_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Output entropy and loss of every member in bits per token, beside the unigram level and the uniform one."""
    rows = rows_of(table, "output_entropy", "nll")
    rows = rows[rows["unit"] == "bits/token"]
    rows["what"] = rows["metric"].map({"output_entropy": "output entropy", "nll": "loss (NLL)"})
    rows["row"] = rows["state"] + ": " + rows["what"]
    kl = summaries(rows_of(table, "kl_from_uniform"))
    kl = kl[kl["state"] == "trained"].set_index("condition")["value"]
    entropy = summaries(rows[(rows["metric"] == "output_entropy") & (rows["state"] == "trained")])
    uniform = entropy.assign(level=entropy["value"] + entropy["condition"].map(kl), what="uniform (log2 V)")
    unigram = rows_of(table, "unigram_nll").assign(what="token frequencies alone")
    unigram = unigram[unigram["unit"] == "bits/token"]
    unigram["level"] = unigram["value"]
    levels = pd.concat([uniform, unigram])[["condition", "level", "what"]]
    order = [f"{state}: {what}" for what in ("output entropy", "loss (NLL)") for state in ("trained", "untrained")]
    y = alt.Y("row:N", title=None, sort=order, axis=alt.Axis(labelLimit=180))
    colour = condition_colour(conditions_of(table))
    members = singles(rows)[["condition", "state", "what", "row", "member", "value"]]
    points = (
        alt.Chart(members)
        .mark_point(size=60, filled=True, opacity=0.65)
        .encode(
            x=alt.X("value:Q", title="bits per token", scale=alt.Scale(zero=False)),
            y=y,
            yOffset=alt.YOffset("condition:N"),
            color=colour,
            tooltip=[
                "condition", "state", "what", alt.Tooltip("member:N", title="seed"),
                alt.Tooltip("value:Q", title="bits per token", format=".3f"),
            ],
        )
    )  # fmt: skip
    rules = (
        alt.Chart(levels)
        .mark_rule(strokeWidth=1.5)
        .encode(
            x="level:Q",
            color=colour,
            strokeDash=alt.StrokeDash("what:N", title=None, legend=alt.Legend(columns=1)),
            tooltip=["condition", "what", alt.Tooltip("level:Q", title="bits per token", format=".3f")],
        )
    )
    return themed(alt.layer(rules, points).properties(width="container", height=300))


def rank_probability_chart(table: pd.DataFrame) -> alt.Chart:
    """Mean probability of the r-th likeliest token, trained (solid) and untrained (dashed)."""
    rows = summaries(rows_of(table, "rank_probability", axis="rank"))
    pick = alt.selection_point(fields=["condition"], bind="legend")
    chart = (
        alt.Chart(rows[["condition", "state", "x", "value"]])
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title="rank r of the token", scale=alt.Scale(type="log")),
            y=alt.Y(
                "value:Q", title="mean probability", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g")
            ),
            color=condition_colour(conditions_of(table)),
            strokeDash=state_dash(),
            opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.15)),
            tooltip=[
                "condition", "state", alt.Tooltip("x:Q", title="rank"),
                alt.Tooltip("value:Q", title="probability", format=".2e"),
            ],
        )
        .add_params(pick)
        .properties(width="container", height=320)
    )  # fmt: skip
    return themed(chart)


def state_dash() -> alt.StrokeDash:
    """Solid for trained members, dashed for untrained ones, dotted for predictions of unrelated tokens."""
    scale = alt.Scale(domain=["trained", "untrained", "unrelated tokens"], range=[[1, 0], [6, 4], [1, 3]])
    return alt.StrokeDash("state:N", title=None, scale=scale, legend=alt.Legend(symbolStrokeColor=NEUTRAL))
