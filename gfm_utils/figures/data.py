"""Charts of the tokens and of the training."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries
from gfm_utils.figures.style import condition_colour, themed


def token_frequency_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the r-th commonest token against its rank, both logarithmic, one line a condition."""
    rows = rows_of(table, "token_frequency", axis="rank")
    rows = rows[rows["value"] > 0]
    chart = (
        alt.Chart(rows[["condition", "x", "value"]])
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title="rank of the token", scale=alt.Scale(type="log")),
            y=alt.Y("value:Q", title="share of all tokens", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g")),
            color=condition_colour(conditions_of(table)),
            tooltip=["condition", alt.Tooltip("x:Q", title="rank"), alt.Tooltip("value:Q", format=".3%")],
        )
        .properties(width="container", height=300)
        .interactive()
    )
    return themed(chart)


def learning_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Validation loss against tokens read, a thin line a member; dashed: what token frequencies alone reach."""
    curve = singles(rows_of(table, "validation_nll", axis="tokens"))
    curve = curve[curve["x"] > 0]
    level = rows_of(table, "validation_unigram_nll")
    colour = condition_colour(conditions_of(table))
    lines = (
        alt.Chart(curve[["condition", "member", "x", "value"]])
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.2)
        .encode(
            x=alt.X("x:Q", title="tokens read in training", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s")),
            y=alt.Y("value:Q", title="validation loss (bits per token)", scale=alt.Scale(zero=False)),
            color=colour,
            detail="member:N",
            tooltip=[
                "condition",
                alt.Tooltip("member:N", title="seed"),
                alt.Tooltip("x:Q", title="tokens", format=","),
                alt.Tooltip("value:Q", title="bits per token", format=".3f"),
            ],
        )
    )
    rules = (
        alt.Chart(level[["condition", "value"]])
        .mark_rule(strokeDash=[6, 4], strokeWidth=1.5)
        .encode(
            y="value:Q", color=colour,
            tooltip=["condition", alt.Tooltip("value:Q", title="unigram, bits per token", format=".3f")],
        )
    )  # fmt: skip
    return themed(alt.layer(lines, rules).properties(width="container", height=340))


def summary_of_training(table: pd.DataFrame) -> pd.DataFrame:
    """Per condition: tokens a member, final validation loss with its interval, unigram level, tokens a second."""
    final = summaries(rows_of(table, "validation_nll", axis="tokens")).sort_values("x")
    final = final.groupby("condition", sort=False).last()
    level = rows_of(table, "validation_unigram_nll").set_index("condition")["value"]
    speed = summaries(rows_of(table, "training_speed")).set_index("condition")["value"]
    return pd.DataFrame({
        "tokens a member": final["x"].map("{:,.0f}".format),
        "validation loss (bits/token)": final["value"].round(3),
        "95 % interval": [interval_text(low, high) for low, high in zip(final["low"], final["high"], strict=True)],
        "unigram level": level.round(3),
        "tokens/s a member": speed.map("{:,.0f}".format),
    })  # fmt: skip


def interval_text(low: float, high: float, digits: int = 3) -> str:
    """An interval as ``[low, high]``, or a dash where there is none."""
    return "–" if pd.isna(low) or pd.isna(high) else f"[{low:.{digits}f}, {high:.{digits}f}]"
