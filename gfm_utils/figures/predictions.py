"""Charts of output distributions, and of how far members disagree on them."""

from typing import Any

import altair as alt
import pandas as pd
from IPython.display import Markdown

from gfm_utils.figures.forms import (
    NO_DNA,
    Menu,
    chosen,
    condition_colour,
    finished,
    in_lines,
    level,
    lines,
    logarithmic,
    one_below_another,
    plain_labels,
    points_in_rows,
    state_dash,
    stroke_legend,
    tooltips,
)
from gfm_utils.figures.names import chart_names
from gfm_utils.figures.palette import HEAT, NEUTRAL
from gfm_utils.figures.select import conditions_of, means, named_means, rows_of, singles, summaries

_STRATA = {
    "token_frequency": "token frequency",
    "output_entropy": "output entropy",
    "gc": "GC of the window",
    "soft_masked": "soft-masked",
}
_STATES = ["trained", "no layers", "untrained"]
#: What stands beside the distance of two members' predictions for one token -> its name.
_CONTROLS = {"js_distance_matched_null": "matched null"}
_PERCENT = alt.Axis(format="%")
#: Mean probabilities below this are not drawn.
_LEAST = 1e-6
#: Tokens that are drawn at once along a window.
_PASSAGE = 24
_ROOM = 52  # for the tokens, in pixels: the same for every passage, or what is drawn first would be cut


def uncertainty_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Output entropy and loss of every member in bits per token, beside levels that no network is needed for.

    The levels: a uniform choice, token frequencies, and a code that looks no further than a window, where it costs
    less than a uniform choice.
    """
    rows = rows_of(table, "output_entropy", "nll").query("unit == 'bits/token'")
    what = rows["metric"].map({"output_entropy": "output entropy", "nll": "loss"})
    rows = singles(rows.assign(what=what, row=what + ", " + rows["state"]))
    levels = alt.Chart(_levels(table)).mark_rule(strokeWidth=1.5).encode(
        x="level:Q",
        color=condition_colour(conditions_of(table)),
        strokeDash=alt.StrokeDash("what:N", title=None, legend=stroke_legend()),
        tooltip=["condition", "what", alt.Tooltip("level:Q", title="bits per token", format=".3~r")],
    )  # fmt: skip
    return points_in_rows(
        rows,
        "row",
        alt.X("value:Q", title="bits per token", scale=alt.Scale(zero=False)),
        conditions_of(table),
        ["condition", "state", "what", alt.Tooltip("member:N", title="seed"), *tooltips("value")],
        order=[f"{what}, {state}" for what in ("output entropy", "loss") for state in _STATES],
        spread=None,
        behind=[levels],
        height=300,
    )


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """Bits per token that no network is needed for: ``condition``, ``level``, ``what``."""
    models = means(table, "output_entropy", "kl_from_uniform").query("unit == 'bits/token' and state == 'trained'")
    uniform = models.groupby("condition", sort=False)["value"].sum()  # the two add up to log2 V
    names = {"unigram_nll": "token frequencies alone", "window_code_nll": "code within a window"}
    counted = named_means(table, names).query("unit == 'bits/token'")
    counted = counted[
        (counted["metric"] == "unigram_nll") | (counted["value"] < counted["condition"].map(uniform))
    ]
    levels = pd.concat([uniform.reset_index().assign(what="uniform choice"), counted])
    return levels.rename(columns={"value": "level"})


def rank_probability_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Mean probability of the r-th likeliest token, of trained members (solid) and controls (dashed)."""
    rows = summaries(rows_of(table, "rank_probability", axis="rank"))
    rows = rows[rows["value"] >= _LEAST]
    return lines(
        rows,
        alt.X("x:Q", title="rank of the token, from the likeliest", **logarithmic(rows["x"])),
        alt.Y("value:Q", title="mean probability", **logarithmic(rows["value"], "~p")),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="rank"),
         alt.Tooltip("value:Q", title="probability", format=".3~p")],
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
    return points_in_rows(
        rows,
        "x",
        alt.X("value:Q", title=in_lines("bits per symbol (character or base) saved by the model")),
        conditions_of(table),
        ["condition", "x", *tooltips("value", "low", "high")],
        title="saved over",
        behind=[level(x=0)],
    )


def reliability_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Accuracy against confidence of trained members in bins of equally many predictions, and the diagonal."""
    rows = rows_of(table, "reliability_confidence", "reliability_accuracy", axis="bin")
    rows = rows[rows["state"] == "trained"]
    wide = rows.pivot_table(index=["condition", "x", "n"], columns="metric", values="value").reset_index()
    wide = wide.rename(columns=lambda name: str(name).removeprefix("reliability_"))
    most = float(wide[["accuracy", "confidence"]].to_numpy().max())
    ticks = alt.Axis(format="~%", values=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    both: dict[str, Any] = {"scale": alt.Scale(type="sqrt", domain=[0, most]), "axis": ticks}
    ends = pd.DataFrame({"confidence": [0, most], "accuracy": [0, most]})
    diagonal = alt.Chart(ends).mark_line(color=NEUTRAL, strokeDash=[4, 4]).encode(x="confidence:Q", y="accuracy:Q")
    return lines(
        wide,
        alt.X("confidence:Q", title="mean probability of the likeliest token", **both),
        alt.Y("accuracy:Q", title="how often it is the true one", **both),
        conditions_of(table),
        ["condition", alt.Tooltip("confidence:Q", title="probability", format=".3~p"),
         alt.Tooltip("accuracy:Q", title="share of hits", format=".3~p"),
         alt.Tooltip("n:Q", title="predictions", format=",")],
        spread=None,
        behind=[diagonal],
    )  # fmt: skip


def top_p_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Jensen-Shannon distance against the probability mass kept, beside a control; by either way to truncate.

    From ``measures.disagreement``.
    """
    parts = []
    for suffix, way in (("", "standard"), ("_authors", "that of the paper's code")):
        rows = means(table, f"js_distance{suffix}", *(f"{name}{suffix}" for name in _CONTROLS), axis="top_p")
        metric = rows["metric"].str.removesuffix("_authors").map(_CONTROLS)
        rows = rows[metric.isna() | (rows["state"] == "trained")]
        rows["state"] = metric.fillna(rows["state"])
        parts += [
            rows[rows["state"].isin(["trained", control])].assign(way=way, control=control)
            for control in (*_CONTROLS.values(), "untrained", "no layers")
            if control in set(rows["state"])
        ]
    rows = pd.concat(parts)
    return lines(
        rows,
        alt.X("x:Q", title="probability kept, likeliest tokens first (top-p)", axis=alt.Axis(format="%")),
        alt.Y("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domain=[0, 1], clamp=True)),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="kept", format=".0%"),
         alt.Tooltip("value:Q", title="distance", format=".3~r"), *tooltips("low", "high")],
        spread="area", faint=0.1, height=340, dash=state_dash(rows["state"], legend=False),
        menus=[
            Menu("top_p_control", "control", list(dict.fromkeys(rows["control"])), "dashed "),
            Menu("top_p_way", "way", list(dict.fromkeys(rows["way"])), "truncation "),
        ],
    )  # fmt: skip


def pair_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The distance of every pair of trained members, a square a condition on one scale of colours.

    From ``measures.disagreement``.
    """
    rows = singles(rows_of(table, "js_distance", axis="top_p"))
    rows = rows[rows["state"] == "trained"][["condition", "member", "other", "x", "value"]]
    most, rows = float(rows["value"].max()), rows.assign(kept=rows["x"].map("{:.0%}".format))
    both = pd.concat([rows, rows.rename(columns={"member": "other", "other": "member"})])
    conditions, seeds = conditions_of(table), sorted(set(both["member"]))
    menu = Menu("pairs_kept", "kept", list(dict.fromkeys(rows["kept"])), "probability kept ", "100%")
    names = alt.Axis(labelExpr=plain_labels(conditions), labelAngle=0, orient="top", domain=False, ticks=False)
    base = chosen(both, menu).encode(
        x=alt.X("condition:N", title=None, sort=conditions, axis=names, scale=alt.Scale(paddingInner=0.08)),
        y=alt.Y("other:O", title="seed of one member", sort=seeds),
    )
    cells = base.mark_rect().encode(
        xOffset=alt.XOffset("member:O", sort=seeds),
        color=alt.Color("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domain=[0, most], range=HEAT)),
        tooltip=[
            "condition", alt.Tooltip("member:O", title="seed"), alt.Tooltip("other:O", title="other seed"),
            alt.Tooltip("value:Q", title="distance", format=".3~r"),
        ],
    )  # fmt: skip
    mean = base.mark_text(dy=12, fontSize=13, fontWeight="bold").encode(
        y=alt.value("height"), text=alt.Text("mean(value):Q", format=".2f")
    )
    return finished([cells, mean], 34 * len(seeds), menu)


def rank_agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of the k likeliest tokens that two trained members have in common, and its chance level (dotted)."""
    rows = named_means(table, {"topk_agreement": "trained", "topk_agreement_chance": "chance"}, "k", numeric=True)
    rows = rows[rows["state"] == "trained"]
    return lines(
        rows.assign(state=rows["what"]),
        alt.X("x:Q", title="likeliest tokens that are compared", **logarithmic(rows["x"])),
        alt.Y("value:Q", title="share in common", scale=alt.Scale(domain=[0, 1], clamp=True), axis=_PERCENT),
        conditions_of(table),
        ["condition", "state", alt.Tooltip("x:Q", title="likeliest tokens"),
         *tooltips("value", "low", "high", text=".3~p")],
        height=300,
    )  # fmt: skip


def strata_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Distance between trained members by kind of token (points), and that of the matched null there (ticks)."""
    names = {"js_distance": "members", "js_distance_matched_null": "matched null"}
    rows = pd.concat([named_means(table, names, axis) for axis in _STRATA])
    rows = rows[rows["state"] == "trained"]
    rows["stratum"] = rows["axis"].astype(object).map(_STRATA) + ": " + rows["x"].replace("rest", "other")
    return points_in_rows(
        rows,
        "stratum",
        alt.X("value:Q", title="Jensen–Shannon distance", scale=alt.Scale(domainMin=0)),
        conditions_of(table),
        ["condition", "stratum", "what", *tooltips("value", "low", "high"),
         alt.Tooltip("n:Q", title="tokens", format=",")],
        ticks="datum.what == 'matched null'",
        room=190,
        height=34 * rows["stratum"].nunique(),
    )  # fmt: skip


def strand_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Distance between one member's predictions from both strands beside that between members, trained and not."""
    if table.empty:
        return NO_DNA
    rows = named_means(table, {"strand_js_distance": "other strand", "member_js_distance": "other member"})
    rows["what"] = rows["state"] + ", " + rows["what"]
    title = in_lines("Jensen–Shannon distance of predicted bases")
    return points_in_rows(
        rows,
        "what",
        alt.X("value:Q", title=title, scale=alt.Scale(domainMin=0)),
        conditions_of(table),
        ["condition", "what", *tooltips("value", "low", "high")],
        room=190,
    )


def along_chart(table: pd.DataFrame) -> alt.ConcatChart:
    """Entropy (bars) and disagreement (their colour) along test windows, a chart a condition, all on one scale.

    From ``measures.along_windows``; a list chooses which tokens are drawn.
    """
    names = ["position_entropy", "position_js_distance", "position_nll", "position_top1_agreement"]
    keys = ["condition", "window", "x", "token", "named"]
    rows = table[table["metric"].isin(names)].astype(dict.fromkeys(keys, object))
    wide = rows.pivot_table(index=keys, columns="metric", values="value").reset_index()
    wide = wide.rename(columns=lambda name: str(name).removeprefix("position_")).astype({"x": int, "window": int})
    first = (wide["x"] - 1) // _PASSAGE * _PASSAGE + 1
    wide["passage"] = [
        f"window {window}, from token {one}" for window, one in zip(wide["window"], first, strict=True)
    ]
    wide = wide.sort_values(["window", "x"])
    menu = Menu("along", "passage", list(dict.fromkeys(wide["passage"])), "passage ")
    bits = alt.Scale(domain=[0, float(wide[["entropy", "nll"]].max().max())], nice=False)
    apart = alt.Scale(domain=[0, float(wide["js_distance"].max())], range=HEAT[:4])

    def draw(part: pd.DataFrame) -> list[alt.Chart]:
        base = chosen(part, menu).encode(
            y=alt.Y("x:O", title=None, axis=alt.Axis(labels=False, ticks=False, minExtent=_ROOM)),
            tooltip=[
                alt.Tooltip("x:Q", title="place"), "token:N", alt.Tooltip("named:N", title="members name"),
                *tooltips("entropy", "nll", "js_distance", "top1_agreement"),
            ],
        )  # fmt: skip
        bars = base.mark_bar().encode(
            x=alt.X("entropy:Q", title="output entropy, bits", scale=bits),
            color=alt.Color("js_distance:Q", title="Jensen–Shannon distance", scale=apart),
        )
        cost = base.mark_tick(color="black", thickness=2).encode(x="nll:Q")
        text = base.mark_text(align="right", dx=-4, font="monospace", fontSize=11, limit=_ROOM - 4).encode(
            x=alt.datum(0), text="token:N"
        )
        return [bars, cost, text]

    titles = chart_names(conditions_of(table))
    return one_below_another(wide, titles, draw, 15 * _PASSAGE, menu, by="condition", width=145)
