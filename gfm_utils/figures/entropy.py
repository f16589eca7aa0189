"""Charts and tables of corpus entropy, from `gfm_utils.entropy.rows`, and of how far the estimators are off."""

from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.corpora import KINDS
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.figures.forms import Menu, chosen, condition_colour, finished, level
from gfm_utils.figures.names import ESTIMATOR_NAMES, beside_tokenizer, estimator_name
from gfm_utils.figures.numbers import brief, interval, number, spanned
from gfm_utils.figures.palette import HEAT, NEUTRAL
from gfm_utils.figures.summary_table import for_people
from gfm_utils.tokens import is_condition

_TICKS = [sign * 10.0**power for power in range(-3, 2) for sign in (-1, 1)] + [0.0]
_CODE_TIPS = [
    alt.Tooltip("condition:N", title="corpus"), alt.Tooltip("estimator:N", title="coder"),
    alt.Tooltip("value:Q", title="bits per symbol (upper bound)", format=".3~r"),
    alt.Tooltip("n:Q", title="symbols coded", format=","),
]  # fmt: skip
#: Columns that charts read, with types that Vega knows.
_TYPES: dict[str, Any] = dict.fromkeys(("condition", "estimator", "unit"), object)
_TYPES |= dict.fromkeys(("order", "value", "se", "low", "high", "n"), float)


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``_TYPES``, with names and standard errors for people, and whether a row is trusted."""
    trusted = rows["trusted"].fillna(False).astype(bool)
    return rows.astype(_TYPES)[list(_TYPES)].assign(
        estimator=rows["estimator"].map(estimator_name, na_action="ignore").astype(object),
        error=rows["se"].map("{:.3g}".format, na_action="ignore").astype(object).fillna("–"),
        sample=np.where(trusted, "trusted", "not trusted"),
    )


def _points(base: alt.Chart, size: int, tips: list[Any]) -> list[alt.Chart]:
    """Points, hollow where they are not to be trusted."""
    return [
        base.mark_point(size=size, strokeWidth=1.5, fill="white", opacity=1).encode(tooltip=tips),
        base.transform_filter("datum.sample == 'trusted'").mark_circle(size=size, opacity=1).encode(tooltip=tips),
    ]


def _of_corpora(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of corpora; value and interval as shares of a uniform choice are ``y``, ``bottom`` and ``top``."""
    rows = _plain(table[(table["metric"] == metric) & ~_of_tokens(table) & (table["unit"] != "bits/token")])
    uniform = rows["condition"].map(_baselines(table)[0]).astype(float)
    return rows.assign(y=rows["value"] / uniform, bottom=rows["low"] / uniform, top=rows["high"] / uniform)


def _of_tokens(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a condition, rather than of a corpus."""
    return table["condition"].map(is_condition).astype(bool)


def conditional_entropy_chart(table: pd.DataFrame, whole: pd.DataFrame) -> alt.LayerChart:
    """Conditional entropy against order, one line a corpus, with code lengths as horizontal rules.

    All are shares of log2 of the alphabet, so that text and DNA fit an axis. Trusted orders are filled points on a
    solid line with their 95 % interval; undersampled ones are hollow, on a dashed line. A menu selects the
    estimator. The shortest codes of ``whole`` corpora are triangles beside the axis; both tables are rows of
    `corpus_entropy`.
    """
    curve, codes = _of_corpora(table, "conditional_entropy"), _of_corpora(table, "code_length")
    shortest = _of_corpora(whole[whole["condition"].isin(set(curve["condition"]))], "code_length")
    tightest, shortest = (
        rows.loc[rows.groupby("condition", sort=False)["y"].idxmin()] for rows in (codes, shortest)
    )
    menu = Menu("by", "estimator", list(dict.fromkeys(curve["estimator"])), "estimator ", "Grassberger")
    height = alt.Y("y:Q", title="bits, share of a uniform choice", axis=alt.Axis(format="%"))
    colour = condition_colour(list(dict.fromkeys(curve["condition"])))
    scale, whole_numbers = alt.Scale(nice=False), alt.Axis(tickMinStep=1, format="d")
    heading = ["symbols in a block,", "the last of them uncertain"]
    base = chosen(curve, menu).encode(
        x=alt.X("order:Q", title=heading, axis=whole_numbers, scale=scale), y=height, color=colour
    )
    tips = [
        alt.Tooltip("condition:N", title="corpus"),
        alt.Tooltip("order:Q", title="symbols in a block"),
        alt.Tooltip("value:Q", title="bits per symbol", format=".3~r"),
        alt.Tooltip("error:N", title="standard error"),
        "sample:N",
        alt.Tooltip("n:Q", title="blocks", format=","),
    ]
    trusted = base.transform_filter("datum.sample == 'trusted'")
    names, marks = (alt.Chart(rows).encode(y=height, color=colour) for rows in (tightest, shortest))
    rules = alt.Chart(codes).mark_rule(strokeWidth=1.2, strokeDash=[8, 3])
    word = alt.Chart(pd.DataFrame({"y": [1.0]})).mark_text(align="left", dx=4, dy=-7, color=NEUTRAL, fontSize=11)
    layers = [
        base.mark_line(strokeDash=[3, 3], strokeWidth=1.2),
        trusted.mark_line(strokeWidth=2.2),
        trusted.mark_rule(strokeWidth=1.5).encode(y="bottom:Q", y2="top:Q"),
        *_points(base, 55, tips),
        rules.encode(y=height, color=colour, tooltip=_CODE_TIPS),
        names.mark_text(align="left", dx=4, fontSize=11).encode(x=alt.value("width"), text="estimator:N"),
        level(y=1.0),
        word.encode(x=alt.value(0), y="y:Q", text=alt.value("chance")),
    ]
    if len(shortest):
        marks = marks.mark_point(shape="triangle-right", size=110, filled=True, opacity=1)
        layers.append(marks.encode(x=alt.value(0), tooltip=_CODE_TIPS))
    return finished(layers, 340, menu)


def unigram_overview(table: pd.DataFrame) -> Styler:
    """Unigram entropy of tokens and of single symbols, in bits per symbol, beside a uniform choice.

    From `token_entropy`, of one or more conditions, and of their corpora.
    """
    rows = table[table["unit"] != "bits/token"]
    uniform, single = _baselines(rows)
    order = single.index.to_series().map(beside_tokenizer)
    single = single[order.sort_values(kind="stable", key=lambda names: names.map(list(order).index)).index]
    return for_people(pd.DataFrame({
        "": single.index.map(lambda name: name if is_condition(name) else f"{name}, single symbols"),
        "bits per symbol": single.map("{:.3f}".format).to_numpy(),
        "uniform choice": uniform[single.index].map("{:.3f}".format).to_numpy(),
    }))  # fmt: skip


def rate_overview(table: pd.DataFrame) -> Styler:
    """``rates`` as a table of the book."""
    return for_people(rates(table))


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """Bounds and match lengths of each corpus (rows of `corpus_entropy`), for people.

    Bits per symbol with 95 % intervals, and their shares of a uniform choice among the symbols that occur, which a
    large alphabet of rare characters makes small, and of the entropy of the symbols' frequencies.
    """
    rows = table[table["metric"].isin(["code_length", "entropy_rate"])]
    uniform, single = _baselines(table)
    return pd.DataFrame({
        "corpus": rows["condition"], "estimator": rows["estimator"].map(estimator_name),
        "bits per symbol": list(map(interval, rows["value"], rows["low"], rows["high"])),
        "share of a uniform choice": (rows["value"] / rows["condition"].map(uniform)).map("{:.0%}".format),
        "share of single symbols": (rows["value"] / rows["condition"].map(single)).map("{:.0%}".format),
        "kind": rows["kind"].where(rows["trusted"].astype(bool), "not trusted"),
        "symbols": rows["n"].map("{:,.0f}".format),
    })  # fmt: skip


def _baselines(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Bits per symbol of a uniform choice and of the frequencies of single symbols or tokens, by their names."""
    uniform = table[table["metric"] == "uniform_entropy"].groupby("condition", sort=False)["value"].first()
    counted = (table["metric"] == "unigram_entropy") & (table["estimator"] == Estimator.GRASSBERGER.value)
    return uniform, table[counted].groupby("condition", sort=False)["value"].first()


def entropy_words(table: pd.DataFrame, whole: pd.DataFrame) -> dict[str, str]:
    """What stands in sentences: the shortest codes of a run's corpora, by kind; of several the least and greatest.

    Args:
        table: rows of `corpus_entropy`, of the corpora of a run.
        whole: likewise, of corpora as a whole.

    Returns:
        ``bits_KIND`` per symbol, and shares: ``share_KIND`` of a uniform choice, ``single_KIND`` of what single
        symbols need, ``near_KIND`` of a uniform choice, by the repeat-free mixer; each with ``whole_`` before it,
        of the whole corpora. A dash where there is none.
    """
    said = {}
    for prefix, rows in (("", table), ("whole_", whole[whole["condition"].isin(set(table["condition"]))])):
        codes, (uniform, single) = rows[rows["metric"] == "code_length"], _baselines(rows)
        near = codes[codes["estimator"] == Coder.CONTEXT_MIXING_REPEAT_FREE.value].set_index("condition")["value"]
        for kind, traits in KINDS.items():
            own = codes[codes["unit"] == f"bits/{traits.unit}"].groupby("condition")["value"].min()
            shares = {
                "share": own / uniform,
                "single": own / single,
                "near": near[near.index.isin(own.index)] / uniform,
            }
            said[f"{prefix}bits_{kind}"] = spanned(own, partial(number, digits=2))
            for name, share in shares.items():
                said[f"{prefix}{name}_{kind}"] = spanned(share.dropna(), partial(brief, percent=True))
    return said


def trust_overview(table: pd.DataFrame) -> Styler:
    """The conditional entropy at the largest order that each estimator from counts is trusted at, and that order.

    From `corpus_entropy` and `token_entropy`.
    """
    rows = table[(table["metric"] == "conditional_entropy") & table["trusted"].fillna(False).astype(bool)]
    rows = rows[~(_of_tokens(rows) & (rows["unit"] != "bits/token"))]
    last = rows.sort_values("order", kind="stable").groupby(["condition", "estimator"], sort=False).tail(1)
    last = last.assign(text=[
        f"{value:.3f} (k = {order})" for order, value in zip(last["order"], last["value"], strict=True)
    ])  # fmt: skip
    wide = last.pivot(index="estimator", columns="condition", values="text")
    wide = wide.loc[list(dict.fromkeys(rows["estimator"])), list(dict.fromkeys(rows["condition"]))]
    return for_people(wide.rename(index=estimator_name).fillna("–").rename_axis(columns=None).reset_index())


def calibration_chart(table: pd.DataFrame, source: str) -> alt.LayerChart:
    """Bias of every estimator against n (of `calibrate`) for the source that the reader selects, with its spread.

    Points are the mean error over repeats, bars reach one standard deviation over repeats to either side (what a
    single sample of that size is off by); hollow points are not to be trusted at that size. The scale is linear
    within a thousandth of a bit of no error and logarithmic beyond.
    """
    keys = ["condition", "estimator", "x"]
    spread = table[table["metric"] == "entropy_spread"].set_index(keys)["value"].rename("spread")
    bias = table[table["metric"] == "entropy_bias"].join(spread, on=keys)
    rows = _plain(bias).assign(spread=bias["spread"].astype(float).fillna(0.0), size=bias["x"].astype(float))
    low, high = rows["value"] - rows["spread"], rows["value"] + rows["spread"]
    rows = rows.assign(symbols=rows["size"].map("{:,.0f}".format), low=low, high=high)
    order = [name for name in ESTIMATOR_NAMES.values() if name in set(rows["estimator"])]
    sizes = rows.sort_values("size")["symbols"].unique().tolist()
    menu = Menu("source", "condition", list(dict.fromkeys(rows["condition"])), "source ", source)
    scale, heat = alt.Scale(type="symlog", constant=0.001), alt.Scale(range=HEAT[1:])
    title = "estimate less exact rate, bits per symbol"
    base = chosen(rows, menu).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(values=_TICKS, format="~g")),
        y=alt.Y("estimator:N", title=None, sort=order, axis=alt.Axis(labelLimit=180)),
        yOffset=alt.YOffset("symbols:O", sort=sizes, scale=alt.Scale(domain=sizes)),
        color=alt.Color("symbols:O", title="symbols", sort=sizes, scale=heat, legend=alt.Legend(columns=2)),
    )
    tips = [
        "estimator:N",
        "symbols:N",
        alt.Tooltip("value:Q", title="bias, bits", format="+.3~r"),
        alt.Tooltip("spread:Q", title="standard deviation", format=".3~r"),
        alt.Tooltip("n:Q", title="samples"),
        alt.Tooltip("sample:N", title="counts"),
    ]
    ends = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    return finished([level(x=0.0), ends, *_points(base, 40, tips)], 40 * len(order), menu)


def calibration_overview(table: pd.DataFrame) -> Styler:
    """Median and largest error of each estimator over sources of known entropy rate, in bits per symbol.

    Of each source the largest sample counts; that of mutated repeats stands apart.

    From `calibrate`.
    """
    bias = table[table["metric"] == "entropy_bias"].astype({"x": float, "value": float})
    bias = bias.sort_values("x", kind="stable").groupby(["condition", "estimator"], sort=False).tail(1)
    trusted = np.where(bias["trusted"].astype(bool), "trusted", "not trusted")
    on = np.where(bias["condition"] == "repeats", "mutated repeats", trusted)
    groups = bias["value"].abs().groupby([bias["estimator"].map(estimator_name).astype(object), on])
    text = groups.median().map("{:.4f}".format) + " (" + groups.max().map("{:.3f}".format) + ")"
    wide = text.unstack().reindex([name for name in ESTIMATOR_NAMES.values() if name in text])
    return for_people(wide[["trusted", "not trusted", "mutated repeats"]].fillna("–").reset_index())


def nsb_overview(table: pd.DataFrame) -> Styler:
    """Root mean square error of NSB and of the best other estimator from counts, one row a source and n."""
    rows = table[(table["metric"] == "entropy_rmse") & table["estimator"].isin(list(Estimator))]
    rows = rows.astype({"condition": object, "x": int, "estimator": object})
    errors = rows.pivot_table("value", ["condition", "x"], "estimator", sort=False).reset_index()
    nsb, others = errors[Estimator.NSB], errors.drop(columns=["condition", "x", Estimator.NSB])
    return for_people(pd.DataFrame({
        "source": errors["condition"], "symbols": errors["x"].map("{:,}".format),
        "NSB (bits)": nsb.map("{:.4f}".format), "best other (bits)": others.min(axis=1).map("{:.4f}".format),
        "which": others.idxmin(axis=1).map(estimator_name),
        "ratio": (others.min(axis=1) / nsb).map("{:.2f}".format),
    }))  # fmt: skip
