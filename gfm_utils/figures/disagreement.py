"""Charts of the disagreement between members."""

import altair as alt
import pandas as pd

from gfm_utils.figures.select import conditions_of, rows_of, singles, summaries, with_span
from gfm_utils.figures.style import condition_colour, dropdown, in_lines, state_dash, themed, tooltips

_STRATA = {
    "token_frequency": "token frequency",
    "output_entropy": "output entropy",
    "gc": "GC of the window",
    "soft_masked": "soft-masked",
}


def top_p_chart(table: pd.DataFrame, authors: bool = False) -> alt.LayerChart:
    """Jensen-Shannon distance against the probability mass kept, with its controls.

    Args:
        table: of ``analyses.disagreement``.
        authors: of the truncation in the paper's code, instead of the standard one.
    """
    suffix = "_authors" * authors
    controls = {
        f"js_distance_mismatched{suffix}": "unrelated tokens",
        f"js_distance_matched_null{suffix}": "matched null",
    }
    rows = with_span(summaries(rows_of(table, f"js_distance{suffix}", *controls, axis="top_p")))
    control = rows["metric"].isin(controls)
    rows = rows[~control | (rows["state"] == "trained")]
    rows["state"] = rows["metric"].map(controls).fillna(rows["state"])
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
        y=alt.Y("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domain=[0, 1], clamp=True)),
        strokeDash=state_dash(rows["state"]),
        tooltip=[
            "condition", "state", alt.Tooltip("x:Q", title="top-p", format=".0%"),
            alt.Tooltip("value:Q", title="distance", format=".3f"),
            alt.Tooltip("low:Q", format=".3f"), alt.Tooltip("high:Q", format=".3f"),
        ],
    )  # fmt: skip
    return themed(alt.layer(band, line).add_params(pick).properties(width="container", height=340))


def pair_chart(table: pd.DataFrame) -> alt.VConcatChart:
    """Top-p curves of every pair of trained members, and the matrix of the pairs at the p under the pointer."""
    rows = singles(rows_of(table, "js_distance", axis="top_p"))
    rows = rows[rows["state"] == "trained"][["condition", "member", "other", "x", "value"]]
    rows["pair"] = [f"{a:.0f}, {b:.0f}" for a, b in zip(rows["member"], rows["other"], strict=True)]
    both = pd.concat([rows, rows.rename(columns={"member": "other", "other": "member"})])
    conditions = conditions_of(table)
    condition = dropdown("shown", conditions, "condition ")
    mass = alt.selection_point(
        name="mass", fields=["x"], on="pointerover", nearest=True, value=[{"x": 1.0}], empty=False
    )
    curves = (
        alt.Chart(rows)
        .transform_filter("datum.condition == shown")
        .encode(
            x=alt.X("x:Q", title="top-p (point at one)", axis=alt.Axis(format="%")),
            y=alt.Y("value:Q", title="distance", scale=alt.Scale(zero=False)),
            detail="pair:N",
            tooltip=[
                alt.Tooltip("pair:N", title="seeds"), alt.Tooltip("x:Q", title="top-p", format=".0%"),
                alt.Tooltip("value:Q", title="distance", format=".4f"),
            ],
        )
    )  # fmt: skip
    points = curves.mark_point(filled=True).encode(
        size=alt.when(mass).then(alt.value(70)).otherwise(alt.value(12)), color=alt.value("#D55E00")
    )
    lines = curves.mark_line(strokeWidth=1, color="#6e6e6e")
    upper = alt.layer(lines, points.add_params(mass)).properties(width=250, height=160)
    base = (
        alt.Chart(both)
        .transform_filter("datum.condition == shown")
        .transform_filter(mass)
        .encode(x=alt.X("member:O", title="seed", axis=alt.Axis(labelAngle=0)), y=alt.Y("other:O", title="seed"))
    )
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", title="distance", scale=alt.Scale(scheme="viridis"), legend=None),
        tooltip=["condition", "member:O", "other:O", alt.Tooltip("value:Q", format=".4f")],
    )
    text = base.mark_text(color="white", fontSize=12).encode(text=alt.Text("value:Q", format=".3f"))
    lower = alt.layer(cells, text).properties(width=250, height=220)
    return themed(alt.vconcat(upper, lower).add_params(condition))


def agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Top-1 agreement of pairs, with its interval over members and the chance level from the marginals (tick)."""
    rows = with_span(summaries(rows_of(table, "top1_agreement", "top1_agreement_chance")))
    wide = rows[rows["metric"] == "top1_agreement"].copy()
    chance = rows[rows["metric"] == "top1_agreement_chance"].set_index(["condition", "state"])["value"]
    wide["chance"] = [chance[(c, s)] for c, s in zip(wide["condition"], wide["state"], strict=True)]
    opacities = {"trained": 1.0, "no layers": 0.6, "untrained": 0.35}
    states = [name for name in opacities if name in set(wide["state"])]
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
        opacity=alt.Opacity(
            "state:O", title=None, scale=alt.Scale(domain=states, range=[opacities[name] for name in states])
        ),
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    tick = base.mark_tick(color="black", thickness=3).encode(x="chance:Q")
    height = 60 * wide["condition"].nunique()
    return themed(alt.layer(bar, span, tick).properties(width="container", height=height))


def rank_agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the k likeliest tokens that two trained members have in common, and its chance level (dotted)."""
    rows = with_span(summaries(rows_of(table, "topk_agreement", "topk_agreement_chance", axis="k")))
    rows = rows[rows["state"] == "trained"]
    rows["state"] = rows["metric"].map({"topk_agreement": "trained", "topk_agreement_chance": "chance"})
    base = alt.Chart(rows[["condition", "state", "x", "value", "low", "high"]]).encode(
        x=alt.X("x:Q", title="k likeliest tokens", scale=alt.Scale(type="log")),
        color=condition_colour(conditions_of(table)),
    )
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="share in common", scale=alt.Scale(domain=[0, 1], clamp=True)),
        strokeDash=state_dash(rows["state"]),
        tooltip=["condition", "state", alt.Tooltip("x:Q", title="k"), *tooltips("value", "low", "high")],
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    return themed(alt.layer(span, line).properties(width="container", height=300))


def strata_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Distance between trained members by kind of token (points), and that of the matched null there (ticks)."""
    found = [
        rows_of(table, "js_distance", "js_distance_matched_null", axis=axis, numeric=False)
        for axis in _STRATA
        if (table["axis"] == axis).any()
    ]
    rows = pd.concat(found)
    rows = with_span(rows[rows["state"] == "trained"])
    rows["stratum"] = rows["axis"].astype(object).map(_STRATA) + ": " + rows["x"]
    rows["what"] = rows["metric"].map({"js_distance": "members", "js_distance_matched_null": "matched null"})
    base = alt.Chart(rows[["condition", "stratum", "what", "value", "low", "high", "n"]]).encode(
        y=alt.Y("stratum:N", title=None, sort=None, axis=alt.Axis(labelLimit=190)),
        yOffset=alt.YOffset("condition:N"),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "stratum", "what", *tooltips("value", "low", "high"), "n:Q"],
    )
    x = alt.X("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domainMin=0))
    points = base.transform_filter("datum.what == 'members'").mark_point(filled=True, size=50).encode(x=x)
    span = base.transform_filter("datum.what == 'members'").mark_rule().encode(x="low:Q", x2="high:Q")
    ticks = base.transform_filter("datum.what == 'matched null'").mark_tick(thickness=2).encode(x=x)
    height = 34 * rows["stratum"].nunique()
    return themed(alt.layer(span, points, ticks).properties(width="container", height=height))


def strand_chart(table: pd.DataFrame) -> alt.LayerChart | alt.Chart:
    """Distance between one member's predictions from both strands beside that between members, trained and not."""
    if table.empty:
        note = (
            alt.Chart(pd.DataFrame({"note": ["no DNA in this run"]})).mark_text(fontSize=13).encode(text="note:N")
        )
        return themed(note.properties(width="container", height=60))
    names = {"strand_js_distance": "other strand", "member_js_distance": "other member"}
    rows = with_span(summaries(rows_of(table, *names)))
    rows["what"] = rows["state"] + ", " + rows["metric"].map(names)
    base = alt.Chart(rows[["condition", "what", "value", "low", "high"]]).encode(
        y=alt.Y("what:N", title=None, sort=None, axis=alt.Axis(labelLimit=190)),
        yOffset=alt.YOffset("condition:N"),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "what", *tooltips("value", "low", "high", text=".4f")],
    )
    points = base.mark_point(filled=True, size=70).encode(
        x=alt.X(
            "value:Q", title=in_lines("Jensen–Shannon distance of predicted bases"), scale=alt.Scale(domainMin=0)
        )
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return themed(alt.layer(span, points).properties(width="container", height=180))


def along_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Entropy (bars) and disagreement (their colour) along a test window, over the tokens that stand there."""
    names = ["position_entropy", "position_js_distance", "position_nll", "position_top1_agreement"]
    rows = table[table["metric"].isin(names)]
    keys = ["condition", "window", "x", "token", "named"]
    wide = rows.astype(dict.fromkeys(keys, object)).pivot_table(index=keys, columns="metric", values="value")
    wide = wide.reset_index().rename(columns=lambda name: str(name).removeprefix("position_"))
    wide["x"], wide["window"] = wide["x"].astype(int), wide["window"].astype(int)
    wide = wide.sort_values(["condition", "window", "x"])
    conditions, windows = conditions_of(table), sorted(wide["window"].unique().tolist())
    choices = [dropdown("along", conditions, "condition "), dropdown("window", windows, "window ")]
    base = (
        alt.Chart(wide)
        .transform_filter("datum.condition == along && datum.window == window")
        .encode(
            y=alt.Y("x:O", title=None, axis=alt.Axis(labels=False, ticks=False)),
            tooltip=[
                alt.Tooltip("x:Q", title="place"), "token:N", alt.Tooltip("named:N", title="members name"),
                *tooltips("entropy", "nll", "js_distance", "top1_agreement"),
            ],
        )
    )  # fmt: skip
    bars = base.mark_bar().encode(
        x=alt.X(
            "entropy:Q",
            title=in_lines("output entropy (bits); black: cost of the true token"),
            axis=alt.Axis(orient="top"),
        ),
        color=alt.Color("js_distance:Q", title="Jensen–Shannon distance", scale=alt.Scale(scheme="viridis")),
    )
    cost = base.mark_tick(color="black", thickness=2).encode(x="nll:Q")
    text = base.mark_text(align="right", dx=-4, font="monospace", fontSize=11).encode(
        x=alt.datum(0), text="token:N"
    )
    padding = {"left": 60, "right": 5, "top": 5, "bottom": 5}
    return themed(
        alt.layer(bars, cost, text).add_params(*choices).properties(width="container", height=850, padding=padding)
    )
