"""Charts of output distributions, and of how far members disagree on them."""

from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from gfm_utils.figures.forms import (
    NEUTRAL,
    NO_DNA,
    Menu,
    chosen,
    condition_colour,
    finished,
    in_lines,
    lines,
    listed,
    points_in_rows,
    themed,
    tooltips,
)
from gfm_utils.figures.select import conditions_of, means, rows_of, singles, summaries

_STRATA = {
    "token_frequency": "token frequency",
    "output_entropy": "output entropy",
    "gc": "GC of the window",
    "soft_masked": "soft-masked",
}
#: Opacity of the bars by the state of members.
_OPACITIES = {"trained": 1.0, "no layers": 0.6, "untrained": 0.35}


def uncertainty_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Output entropy and loss of every member in bits per token, beside levels that no network is needed for.

    The levels: a uniform choice, token frequencies, and a code that looks no further than a window, where it costs
    less than a uniform choice.
    """
    rows = rows_of(table, "output_entropy", "nll")
    rows = rows[rows["unit"] == "bits/token"]
    rows["what"] = rows["metric"].map({"output_entropy": "output entropy", "nll": "loss (NLL)"})
    rows["row"] = rows["state"] + ": " + rows["what"]
    order = [f"{state}: {what}" for what in ("output entropy", "loss (NLL)") for state in _OPACITIES]
    cost: dict[str, Any] = {"title": "bits per token", "format": ".3f"}
    dash = alt.StrokeDash("what:N", title=None, legend=alt.Legend(symbolType="stroke", symbolSize=400))
    levels = alt.Chart(_levels(table, rows)).mark_rule(strokeWidth=1.5)
    levels = levels.encode(
        x="level:Q",
        color=condition_colour(conditions_of(table)),
        strokeDash=dash,
        tooltip=["condition", "what", alt.Tooltip("level:Q", **cost)],
    )
    return points_in_rows(
        singles(rows)[["condition", "state", "what", "row", "member", "value"]],
        "row",
        alt.X("value:Q", title="bits per token", scale=alt.Scale(zero=False)),
        conditions_of(table),
        ["condition", "state", "what", alt.Tooltip("member:N", title="seed"), alt.Tooltip("value:Q", **cost)],
        order=order,
        spread=None,
        behind=[levels],
        height=300,
    )


def _levels(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Bits per token that no network is needed for: ``condition``, ``level``, ``what``."""
    trained = summaries(rows[(rows["metric"] == "output_entropy") & (rows["state"] == "trained")])
    kl = summaries(rows_of(table, "kl_from_uniform"))
    kl = kl[kl["state"] == "trained"].set_index("condition")["value"]
    uniform = trained.assign(value=trained["value"] + trained["condition"].map(kl), what="uniform (log2 V)")
    level = uniform.set_index("condition")["value"]
    others = table[table["metric"].isin(["unigram_nll", "window_code_nll"]) & (table["unit"] == "bits/token")]
    others = others[others["axis"].isna()].astype({"value": "float64"})
    code = others["metric"] == "window_code_nll"
    others = others.assign(what=code.map({True: "code within a window", False: "token frequencies alone"}))
    others = others[~code | (others["value"] < others["condition"].map(level))]
    every = pd.concat([uniform, others]).astype({"condition": object})
    return every.rename(columns={"value": "level"})[["condition", "level", "what"]]


def rank_probability_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Mean probability of the r-th likeliest token, of trained members (solid) and controls (dashed)."""
    rows = summaries(rows_of(table, "rank_probability", axis="rank"))
    log = alt.Scale(type="log")
    return lines(
        rows[["condition", "state", "x", "value"]],
        alt.X("x:Q", title="rank r of the token", scale=log),
        alt.Y("value:Q", title="mean probability", scale=log, axis=alt.Axis(format="~g")),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="rank"),
         alt.Tooltip("value:Q", title="probability", format=".2e")],
        spread=None, faint=0.15, points=False,
    )  # fmt: skip


def context_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Context gain per symbol over counting: frequencies, and where counted n-grams of one side or both."""
    names = {"left": "n-grams before", "both": "n-grams on both sides"}
    parts = [means(table, "context_gain").assign(x="token frequencies")]
    if (table["axis"] == "against").any():
        ngram = means(table, "context_gain", axis="against", numeric=False)
        parts.append(ngram.assign(x=ngram["x"].map(names)))
    rows = pd.concat(parts)
    rows = rows[(rows["unit"] != "bits/token") & (rows["state"] == "trained")]
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=NEUTRAL).encode(x="zero:Q")
    return points_in_rows(
        rows[["condition", "x", "value", "low", "high"]],
        "x",
        alt.X("value:Q", title=in_lines("bits per symbol saved by the model")),
        conditions_of(table),
        ["condition", "x", *tooltips("value", "low", "high", text=".4f")],
        title="gain over",
        behind=[zero],
    )


def reliability_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Accuracy against confidence of trained members in bins of equally many predictions, and the diagonal."""
    rows = rows_of(table, "reliability_confidence", "reliability_accuracy", axis="bin")
    rows = rows[rows["state"] == "trained"]
    wide = rows.pivot_table(index=["condition", "x", "n"], columns="metric", values="value").reset_index()
    wide = wide.rename(columns=lambda name: str(name).removeprefix("reliability_"))
    most = float(wide[["accuracy", "confidence"]].to_numpy().max())
    scale = alt.Scale(type="sqrt", domain=[0, most])
    ends = pd.DataFrame({"confidence": [0, most], "accuracy": [0, most]})
    diagonal = alt.Chart(ends).mark_line(color=NEUTRAL, strokeDash=[4, 4]).encode(x="confidence:Q", y="accuracy:Q")
    return lines(
        wide,
        alt.X("confidence:Q", title="mean probability of the likeliest token", scale=scale),
        alt.Y("accuracy:Q", title="share of hits", scale=scale),
        conditions_of(table),
        ["condition", *tooltips("confidence", "accuracy"), alt.Tooltip("n:Q", title="predictions")],
        spread=None,
        behind=[diagonal],
    )


def top_p_chart(table: pd.DataFrame, authors: bool = False) -> alt.LayerChart:
    """Jensen-Shannon distance against the probability mass kept, with its controls.

    Args:
        table: of ``measures.disagreement``.
        authors: of the truncation in the paper's code, instead of the standard one.
    """
    suffix = "_authors" * authors
    controls = {
        f"js_distance_mismatched{suffix}": "unrelated tokens",
        f"js_distance_matched_null{suffix}": "matched null",
    }
    rows = means(table, f"js_distance{suffix}", *controls, axis="top_p")
    rows = rows[~rows["metric"].isin(controls) | (rows["state"] == "trained")]
    rows["state"] = rows["metric"].map(controls).fillna(rows["state"])
    return lines(
        rows[["condition", "state", "x", "value", "low", "high"]],
        alt.X("x:Q", title="probability mass kept (top-p)", axis=alt.Axis(format="%")),
        alt.Y("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domain=[0, 1], clamp=True)),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="top-p", format=".0%"),
         alt.Tooltip("value:Q", title="distance", format=".3f"), *tooltips("low", "high")],
        spread="area", faint=0.1, height=340,
    )  # fmt: skip


def pair_chart(table: pd.DataFrame) -> alt.VConcatChart:
    """Top-p curves of every pair of trained members, and the matrix of the pairs at the p under the pointer."""
    rows = singles(rows_of(table, "js_distance", axis="top_p"))
    rows = rows[rows["state"] == "trained"][["condition", "member", "other", "x", "value"]]
    rows["pair"] = [f"{a:.0f}, {b:.0f}" for a, b in zip(rows["member"], rows["other"], strict=True)]
    both = pd.concat([rows, rows.rename(columns={"member": "other", "other": "member"})])
    menu = Menu("shown", "condition", conditions_of(table), "condition ")
    mass = alt.selection_point(
        name="mass", fields=["x"], on="pointerover", nearest=True, value=[{"x": 1.0}], empty=False
    )
    curves = chosen(rows, menu).encode(
        x=alt.X("x:Q", title="top-p (point at one)", axis=alt.Axis(format="%")),
        y=alt.Y("value:Q", title="distance", scale=alt.Scale(zero=False)),
        detail="pair:N",
        tooltip=[
            alt.Tooltip("pair:N", title="seeds"), alt.Tooltip("x:Q", title="top-p", format=".0%"),
            alt.Tooltip("value:Q", title="distance", format=".4f"),
        ],
    )  # fmt: skip
    points = curves.mark_point(filled=True).encode(
        size=alt.when(mass).then(alt.value(70)).otherwise(alt.value(12)), color=alt.value("#D55E00")
    )
    upper = alt.layer(curves.mark_line(strokeWidth=1, color=NEUTRAL), points.add_params(mass))
    base = (
        chosen(both, menu)
        .transform_filter(mass)
        .encode(x=alt.X("member:O", title="seed", axis=alt.Axis(labelAngle=0)), y=alt.Y("other:O", title="seed"))
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", title="distance", scale=alt.Scale(scheme="viridis"), legend=None),
        tooltip=["condition", "member:O", "other:O", alt.Tooltip("value:Q", format=".4f")],
    )
    text = base.mark_text(color="white", fontSize=12).encode(text=alt.Text("value:Q", format=".3f"))
    both_parts = [
        upper.properties(width=250, height=160),
        alt.layer(cells, text).properties(width=250, height=220),
    ]
    return themed(alt.vconcat(*both_parts).add_params(listed(menu)))


def agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Top-1 agreement of pairs, with its interval over members and the chance level from the marginals (tick)."""
    rows = means(table, "top1_agreement", "top1_agreement_chance")
    keys = ["condition", "state"]
    chance = rows.loc[rows["metric"] == "top1_agreement_chance", [*keys, "value"]]
    wide = rows[rows["metric"] == "top1_agreement"].merge(chance.rename(columns={"value": "chance"}), on=keys)
    states = [name for name in _OPACITIES if name in set(wide["state"])]
    opacities = alt.Scale(domain=states, range=[_OPACITIES[name] for name in states])
    base = alt.Chart(wide[["condition", "state", "value", "low", "high", "chance"]]).encode(
        y=alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=160)),
        yOffset=alt.YOffset("state:N", sort=states),
        tooltip=["condition", "state", *tooltips("value", "low", "high", "chance")],
    )  # fmt: skip
    bar = base.mark_bar().encode(
        x=alt.X(
            "value:Q", title=in_lines("share of tokens with the same likeliest token"), axis=alt.Axis(format="%")
        ),
        color=condition_colour(conditions_of(table)),
        opacity=alt.Opacity("state:O", title=None, scale=opacities),
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    tick = base.mark_tick(color="black", thickness=3).encode(x="chance:Q")
    return finished([bar, span, tick], 60 * wide["condition"].nunique())


def rank_agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the k likeliest tokens that two trained members have in common, and its chance level (dotted)."""
    states = {"topk_agreement": "trained", "topk_agreement_chance": "chance"}
    rows = means(table, *states, axis="k")
    rows = rows[rows["state"] == "trained"]
    return lines(
        rows.assign(state=rows["metric"].map(states))[["condition", "state", "x", "value", "low", "high"]],
        alt.X("x:Q", title="k likeliest tokens", scale=alt.Scale(type="log")),
        alt.Y("value:Q", title="share in common", scale=alt.Scale(domain=[0, 1], clamp=True)),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="k"), *tooltips("value", "low", "high")],
        height=300,
    )


def strata_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Distance between trained members by kind of token (points), and that of the matched null there (ticks)."""
    names = {"js_distance": "members", "js_distance_matched_null": "matched null"}
    axes = [axis for axis in _STRATA if (table["axis"] == axis).any()]
    rows = pd.concat([means(table, *names, axis=axis, numeric=False) for axis in axes])
    rows = rows[rows["state"] == "trained"].assign(what=lambda rows: rows["metric"].map(names))
    rows["stratum"] = rows["axis"].astype(object).map(_STRATA) + ": " + rows["x"]
    return points_in_rows(
        rows[["condition", "stratum", "what", "value", "low", "high", "n"]],
        "stratum",
        alt.X("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domainMin=0)),
        conditions_of(table),
        ["condition", "stratum", "what", *tooltips("value", "low", "high"), "n:Q"],
        ticks="datum.what == 'matched null'",
        room=190,
        height=34 * rows["stratum"].nunique(),
    )


def strand_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Distance between one member's predictions from both strands beside that between members, trained and not."""
    if table.empty:
        return NO_DNA
    names = {"strand_js_distance": "other strand", "member_js_distance": "other member"}
    rows = means(table, *names)
    rows["what"] = rows["state"] + ", " + rows["metric"].map(names)
    title = in_lines("Jensen–Shannon distance of predicted bases")
    return points_in_rows(
        rows[["condition", "what", "value", "low", "high"]],
        "what",
        alt.X("value:Q", title=title, scale=alt.Scale(domainMin=0)),
        conditions_of(table),
        ["condition", "what", *tooltips("value", "low", "high", text=".4f")],
        room=190,
    )


def along_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Entropy (bars) and disagreement (their colour) along a test window, over the tokens that stand there."""
    names = ["position_entropy", "position_js_distance", "position_nll", "position_top1_agreement"]
    keys = ["condition", "window", "x", "token", "named"]
    rows = table[table["metric"].isin(names)].astype(dict.fromkeys(keys, object))
    wide = rows.pivot_table(index=keys, columns="metric", values="value").reset_index()
    wide = wide.rename(columns=lambda name: str(name).removeprefix("position_")).astype({"x": int, "window": int})
    wide = wide.sort_values(["condition", "window", "x"])
    menus = (
        Menu("along", "condition", conditions_of(table), "condition "),
        Menu("window", "window", sorted(wide["window"].unique().tolist()), "window "),
    )
    base = chosen(wide, *menus).encode(
        y=alt.Y("x:O", title=None, axis=alt.Axis(labels=False, ticks=False)),
        tooltip=[
            alt.Tooltip("x:Q", title="place"), "token:N", alt.Tooltip("named:N", title="members name"),
            *tooltips("entropy", "nll", "js_distance", "top1_agreement"),
        ],
    )  # fmt: skip
    title = in_lines("output entropy (bits); black: cost of the true token")
    bars = base.mark_bar().encode(
        x=alt.X("entropy:Q", title=title, axis=alt.Axis(orient="top")),
        color=alt.Color("js_distance:Q", title="Jensen–Shannon distance", scale=alt.Scale(scheme="viridis")),
    )
    cost = base.mark_tick(color="black", thickness=2).encode(x="nll:Q")
    text = base.mark_text(align="right", dx=-4, font="monospace", fontSize=11).encode(
        x=alt.datum(0), text="token:N"
    )
    padding = {"left": 60, "right": 5, "top": 5, "bottom": 5}
    return finished([bars, cost, text], 850, *menus, padding=padding)
