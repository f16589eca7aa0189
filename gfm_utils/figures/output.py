"""Charts of output distributions."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries, with_span
from gfm_utils.figures.style import NEUTRAL, condition_colour, in_lines, state_dash, themed, tooltips


def uncertainty_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Output entropy and loss of every member in bits per token, beside levels that no network is needed for.

    The levels: a uniform choice, token frequencies, and a code that looks no further than a window, where it costs
    less than a uniform choice.
    """
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
    code = table[(table["metric"] == "window_code_nll") & (table["unit"] == "bits/token")].astype(
        {"condition": object}
    )
    code = code.assign(level=code["value"], what="code within a window")
    code = code[code["level"] < code["condition"].map(uniform.set_index("condition")["level"])]
    levels = pd.concat([uniform, unigram, code])[["condition", "level", "what"]]
    states = ("trained", "no layers", "untrained")
    order = [f"{state}: {what}" for what in ("output entropy", "loss (NLL)") for state in states]
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
    legend = alt.Legend(symbolType="stroke", symbolSize=400)
    rules = (
        alt.Chart(levels)
        .mark_rule(strokeWidth=1.5)
        .encode(
            x="level:Q",
            color=colour,
            strokeDash=alt.StrokeDash("what:N", title=None, legend=legend),
            tooltip=["condition", "what", alt.Tooltip("level:Q", title="bits per token", format=".3f")],
        )
    )
    return themed(alt.layer(rules, points).properties(width="container", height=300))


def rank_probability_chart(table: pd.DataFrame) -> alt.Chart:
    """Mean probability of the r-th likeliest token, of trained members (solid) and controls (dashed)."""
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
            strokeDash=state_dash(rows["state"]),
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


def context_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Context gain per symbol over counting: frequencies, and where counted n-grams of one side or both."""
    names = {"left": "n-grams before", "both": "n-grams on both sides"}
    plain = rows_of(table, "context_gain").assign(x="token frequencies")
    parts = [plain]
    if (table["axis"] == "against").any():
        ngram = rows_of(table, "context_gain", axis="against", numeric=False)
        parts.append(ngram.assign(x=ngram["x"].map(names)))
    rows = summaries(pd.concat(parts))
    rows = with_span(rows[(rows["unit"] != "bits/token") & (rows["state"] == "trained")])
    base = alt.Chart(rows[["condition", "x", "value", "low", "high"]]).encode(
        y=alt.Y("x:N", title="gain over", sort=None, axis=alt.Axis(labelLimit=180)),
        yOffset=alt.YOffset("condition:N"),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "x", *tooltips("value", "low", "high", text=".4f")],
    )
    points = base.mark_point(filled=True, size=70).encode(
        x=alt.X("value:Q", title=in_lines("bits per base or character saved by the model"))
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=NEUTRAL).encode(x="zero:Q")
    return themed(alt.layer(zero, span, points).properties(width="container", height=180))


def reliability_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Accuracy against confidence of trained members in bins of equally many predictions, and the diagonal."""
    rows = rows_of(table, "reliability_confidence", "reliability_accuracy", axis="bin")
    rows = rows[rows["state"] == "trained"]
    wide = rows.pivot_table(index=["condition", "x", "n"], columns="metric", values="value").reset_index()
    wide = wide.rename(columns=lambda name: str(name).removeprefix("reliability_"))
    most = float(wide[["accuracy", "confidence"]].to_numpy().max())
    scale = alt.Scale(type="sqrt", domain=[0, most])
    points = (
        alt.Chart(wide)
        .mark_line(point=True)
        .encode(
            x=alt.X("confidence:Q", title="mean probability of the likeliest token", scale=scale),
            y=alt.Y("accuracy:Q", title="share of hits", scale=scale),
            color=condition_colour(conditions_of(table)),
            tooltip=["condition", *tooltips("confidence", "accuracy"), alt.Tooltip("n:Q", title="predictions")],
        )
    )
    ends = pd.DataFrame({"confidence": [0, most], "accuracy": [0, most]})
    diagonal = alt.Chart(ends).mark_line(color=NEUTRAL, strokeDash=[4, 4]).encode(x="confidence:Q", y="accuracy:Q")
    return themed(alt.layer(diagonal, points).properties(width="container", height=320))
