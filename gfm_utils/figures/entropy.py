"""Charts and tables of corpus entropy, from `gfm_utils.entropy.rows`, and of how far the estimators are off."""

import json
from functools import partial
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.corpora import KINDS
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.errors import GfmError
from gfm_utils.figures.forms import Menu, Tips, chosen, condition_colour, finished, tooltips
from gfm_utils.figures.names import ESTIMATOR_NAMES, beside_tokenizer, chart_names, estimator_name
from gfm_utils.figures.numbers import brief, interval, number, spanned
from gfm_utils.figures.palette import HEAT, NEUTRAL, OTHERS
from gfm_utils.figures.summary_table import for_people
from gfm_utils.tokens import is_condition

_TICKS = [sign * 10.0**power for power in range(-3, 2) for sign in (-1, 1)] + [0.0]
#: Metric -> what an estimate of it is made from, for people.
_SOURCES = {"conditional_entropy": "counts", "entropy_rate": "matches", "code_length": "code length"}
_CODE_TIPS = [
    alt.Tooltip("condition:N", title="corpus"), alt.Tooltip("estimator:N", title="coder"),
    alt.Tooltip("value:Q", title="bits per symbol (upper bound)", format=".3~r"),
    alt.Tooltip("n:Q", title="symbols coded", format=","),
]  # fmt: skip
#: Columns that charts read, with types that Vega knows.
_TYPES = {
    "condition": object, "estimator": object, "unit": object, "kind": object, "order": float, "value": float,
    "se": float, "low": float, "high": float, "n": float,
}  # fmt: skip


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``_TYPES``, with the names of estimators for people."""
    names = rows["estimator"].map(estimator_name, na_action="ignore")
    return rows.assign(estimator=names)[list(_TYPES)].astype(_TYPES).reset_index(drop=True)


def _hollow_unless(base: alt.Chart, trusted: str, size: int, tips: Tips) -> list[alt.Chart]:
    """Points, filled where the expression ``trusted`` is true."""
    return [
        base.mark_point(size=size, strokeWidth=1.5, fill="white", opacity=1).encode(tooltip=list(tips)),
        base.transform_filter(trusted).mark_circle(size=size, opacity=1).encode(tooltip=list(tips)),
    ]


def _errors(rows: pd.DataFrame) -> "pd.Series[str]":
    """Standard errors for tooltips; a dash where an estimator has none."""
    return rows["se"].map("{:.3g}".format, na_action="ignore").fillna("–")


def conditional_entropy_chart(table: pd.DataFrame, whole: pd.DataFrame | None = None) -> alt.LayerChart:
    """Conditional entropy against order, one line a corpus, with code lengths as horizontal rules.

    All are shares of log2 of the alphabet, so that text and DNA fit an axis. Trusted orders are filled points on a
    solid line with their 95 % interval; undersampled ones are hollow, on a dashed line. The grey rule is chance, a
    uniform choice among the corpus's symbols. A menu selects the estimator (first Grassberger's).

    Args:
        table: rows of `corpus_entropy`, of one or more corpora.
        whole: likewise, of corpora as a whole: the shortest code of each is a triangle beside the axis.

    Raises:
        GfmError: the table has no conditional entropy of a corpus.
    """
    rows = table[~_of_tokens(table) & (table["unit"] != "bits/token")]
    chance = rows[rows["metric"] == "uniform_entropy"].set_index("condition")["value"].astype(float)
    if not (rows["metric"] == "conditional_entropy").any():
        raise GfmError("the table has no conditional entropy of a corpus")
    shown = _plain(rows).assign(
        metric=rows["metric"].to_numpy(object),
        trust=np.where(rows["trusted"].fillna(False).astype(bool), "trusted", "undersampled"),
    )
    for column, end in (("y", "value"), ("bottom", "low"), ("top", "high")):
        shown[column] = shown[end] / shown["condition"].map(chance)
    curve = shown[shown["metric"] == "conditional_entropy"]
    estimators, first = list(dict.fromkeys(curve["estimator"])), estimator_name(Estimator.GRASSBERGER)
    menu = Menu("by", "estimator", estimators, "estimator ", first if first in estimators else None)
    curve = curve.assign(error=_errors(curve))
    base = chosen(curve.drop(columns=["metric", "low", "high", "kind", "se"]), menu).encode(
        x=alt.X("order:Q", title=["symbols in a block,", "the last of them uncertain"],
                axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(nice=False)),
        y=alt.Y("y:Q", title="bits, share of a uniform choice", axis=alt.Axis(format="%")),
        color=condition_colour(list(dict.fromkeys(rows["condition"]))),
    )  # fmt: skip
    tips = [
        alt.Tooltip("condition:N", title="corpus"),
        alt.Tooltip("order:Q", title="symbols in a block"),
        alt.Tooltip("value:Q", title="bits per symbol", format=".3~r"),
        alt.Tooltip("error:N", title="standard error"),
        alt.Tooltip("trust:N", title="sample"),
        alt.Tooltip("n:Q", title="blocks", format=","),
    ]
    filled = base.transform_filter("datum.trust == 'trusted'")
    level = alt.Chart(pd.DataFrame({"y": [1.0], "label": ["chance"]})).encode(y="y:Q")
    layers = [
        base.mark_line(strokeDash=[3, 3], strokeWidth=1.2),
        filled.mark_line(strokeWidth=2.2),
        filled.mark_rule(strokeWidth=1.5).encode(y=alt.Y("bottom:Q"), y2="top:Q"),
        *_hollow_unless(base, "datum.trust == 'trusted'", 55, tips),
        *_code_rules(shown[shown["metric"] == "code_length"], base),
        level.mark_rule(color=NEUTRAL, strokeWidth=1.5),
        level.mark_text(align="left", dx=4, dy=-7, color=NEUTRAL, fontSize=11).encode(
            x=alt.value(0), text="label:N"
        ),
    ]
    if whole is not None:
        layers += _whole_marks(whole[whole["condition"].isin(set(rows["condition"]))], base)
    return finished(layers, 340, menu)


def _whole_marks(whole: pd.DataFrame, curves: alt.Chart) -> list[alt.Chart]:
    """A triangle beside the axis for the shortest code of each corpus as a whole."""
    codes = _plain(whole[whole["metric"] == "code_length"])
    if codes.empty:
        return []
    codes = codes.loc[codes.groupby("condition", sort=False)["value"].idxmin()]
    chance = whole[whole["metric"] == "uniform_entropy"].set_index("condition")["value"].astype(float)
    codes = codes.assign(y=codes["value"] / codes["condition"].map(chance))
    marks = alt.Chart(codes[["condition", "estimator", "value", "n", "y"]])
    marks = marks.mark_point(shape="triangle-right", size=110, filled=True, opacity=1)
    return [marks.encode(x=alt.value(0), y="y:Q", color=curves.encoding.color, tooltip=_CODE_TIPS)]


def _code_rules(codes: pd.DataFrame, curves: alt.Chart) -> list[alt.Chart]:
    """A thin rule for every code length, named at the right end where it is its corpus's tightest."""
    codes = codes[["condition", "estimator", "value", "unit", "n", "y"]]
    tightest = codes.loc[codes.groupby("condition", sort=False)["y"].idxmin()]
    either: dict[str, Any] = {"y": "y:Q", "color": curves.encoding.color}
    rules = alt.Chart(codes).mark_rule(strokeWidth=1.2, strokeDash=[8, 3]).encode(**either, tooltip=_CODE_TIPS)
    names = alt.Chart(tightest).mark_text(align="left", dx=4, fontSize=11)
    return [rules, names.encode(x=alt.value("width"), text="estimator:N", **either)]


def estimators_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Every estimate and bound of each corpus's entropy beside the others, in bits per symbol.

    From counts: the conditional entropy at the largest order that this estimator is trusted at.
    Filled points are trusted or, right of the truth, upper bounds; hollow ones are not to be trusted.
    The bars are 95 % intervals where there are any, the grey rule a uniform choice. A menu selects the corpus.

    Args:
        table: rows of `corpus_entropy`, of one or more corpora.

    Raises:
        GfmError: the table has no entropy of a corpus.
    """
    rows = table[~_of_tokens(table)]
    counts = rows[(rows["metric"] == "conditional_entropy") & rows["trusted"].fillna(False)]
    counts = counts.sort_values("order").groupby(["condition", "estimator"], sort=False).tail(1)
    estimates = pd.concat([counts, rows[rows["metric"].isin(["entropy_rate", "code_length"])]])
    if estimates.empty:
        raise GfmError("the table has no entropy of a corpus")
    shown = _plain(estimates).rename(columns={"condition": "corpus"}).drop(columns="se")
    for end in ("low", "high"):
        shown[end] = shown[end].fillna(shown["value"])
    shown["from"] = list(estimates["metric"].map(_SOURCES))
    shown["trust"] = np.where(estimates["trusted"].astype(bool), "yes", "no")
    shown["what"] = [
        f"{name}, h_{order:.0f}" if pd.notna(order) else name
        for name, order in zip(shown["estimator"], shown["order"], strict=True)
    ]
    order = [name for name in ESTIMATOR_NAMES.values() if name in set(shown["estimator"])]
    menu = Menu("about", "corpus", list(dict.fromkeys(shown["corpus"])), "corpus ")
    tips: list[str | alt.Tooltip] = [
        alt.Tooltip("what:N", title="estimator"), "kind:N", *tooltips("value"), "unit:N", *tooltips("low", "high"),
        alt.Tooltip("trust:N", title="trusted"), alt.Tooltip("n:Q", title="symbols", format=","),
    ]  # fmt: skip
    colours = alt.Scale(domain=list(_SOURCES.values()), range=OTHERS[:3])
    base = chosen(shown.drop(columns="order"), menu).encode(
        x=alt.X("value:Q", title="bits per symbol", scale=alt.Scale(zero=False)),
        y=alt.Y("estimator:N", title=None, sort=order, axis=alt.Axis(labelLimit=180)),
        color=alt.Color("from:N", title=None, scale=colours),
        tooltip=tips,
    )
    uniform = _plain(rows[rows["metric"] == "uniform_entropy"]).rename(columns={"condition": "corpus"})
    layers = [
        chosen(uniform[["corpus", "value"]], menu)
        .mark_rule(color=NEUTRAL, strokeWidth=1.5)
        .encode(x="value:Q"),
        base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"),
        *_hollow_unless(base, "datum.trust == 'yes'", 70, tips),
    ]  # fmt: skip
    return finished(layers, 24 * len(order), menu)


def unigram_chart(table: pd.DataFrame, per: Literal["token", "symbol"] = "token") -> alt.LayerChart:
    """Unigram entropy of each condition's tokens as bars; the tick is a uniform choice among the vocabulary.

    Per symbol, the corpora stand beside their conditions: what single bases or characters cost by frequency.

    Args:
        table: rows of `token_entropy`, of one or more conditions, and of their corpora.
        per: ``"token"``, or ``"symbol"``: per symbol, so that tokenizers compare.

    Raises:
        GfmError: the table has no unigram entropy of tokens.
    """
    is_token = _of_tokens(table)
    rows = table if per == "symbol" else table[is_token]
    bars = rows[(rows["metric"] == "unigram_entropy") & (rows["estimator"] == Estimator.GRASSBERGER.value)]
    bars = _plain(bars[(bars["unit"] == "bits/token") == (per == "token")])
    if bars.empty:
        raise GfmError("the table has no unigram entropy of tokens")
    chance = _plain(rows[rows["metric"] == "uniform_entropy"])[["condition", "unit", "value"]]
    bars = bars.merge(chance.rename(columns={"value": "chance"}), on=["condition", "unit"], how="left")
    corpora = bars["condition"].map(beside_tokenizer)
    places = corpora.map(list(dict.fromkeys(corpora)).index)
    bars = bars.iloc[np.argsort(places, kind="stable")].drop(columns=["kind", "low", "high", "order"])
    conditions = dict.fromkeys([*table.loc[is_token, "condition"], *bars["condition"]])
    alone = chart_names([name for name in conditions if not is_condition(name)])
    names = chart_names([name for name in conditions if is_condition(name)])
    names |= {name: f"{text}, single symbols" for name, text in alone.items()}
    labels = alt.Axis(labelLimit=180, labelExpr=f"{json.dumps(names)}[datum.label]")
    base = alt.Chart(bars.assign(error=_errors(bars)).drop(columns="se")).encode(
        y=alt.Y("condition:N", title=None, sort=None, axis=labels),
        tooltip=[
            "condition:N", *tooltips("value"),
            alt.Tooltip("error:N", title="standard error"), "unit:N",
            alt.Tooltip("chance:Q", title="uniform choice", format=".3~r"),
            alt.Tooltip("n:Q", title="tokens", format=","),
        ],
    )  # fmt: skip
    unit = "bits per token" if per == "token" else "bits per symbol"
    bar = base.mark_bar(height={"band": 0.6}).encode(
        x=alt.X("value:Q", title=f"{unit}, by frequency alone"),
        color=condition_colour(list(conditions), legend=False),
    )
    tick = base.mark_tick(color=NEUTRAL, thickness=2).encode(x="chance:Q")
    return finished([bar, tick], 40 * bars["condition"].nunique())


def rate_overview(table: pd.DataFrame) -> Styler:
    """``rates`` as a table of the book."""
    return for_people(rates(table))


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """Bounds and match lengths of each corpus, for people: bits per symbol, 95 % interval, and two shares.

    One share is that of a uniform choice among the symbols that occur, which a large alphabet of rare characters
    makes small; the other that of the entropy of their frequencies.

    Args:
        table: rows of `corpus_entropy`, of one or more corpora.
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
    """Bits per symbol of a uniform choice and of the frequencies of single symbols, by corpus."""
    uniform = table[table["metric"] == "uniform_entropy"].groupby("condition")["value"].first()
    counted = (table["metric"] == "unigram_entropy") & (table["estimator"] == Estimator.GRASSBERGER.value)
    return uniform, table[counted].groupby("condition")["value"].first()


def entropy_words(table: pd.DataFrame, whole: pd.DataFrame) -> dict[str, str]:
    """What stands in sentences: the shortest codes of a run's corpora, by kind; of several the least and greatest.

    Args:
        table: rows of `corpus_entropy`, of the corpora of a run.
        whole: likewise, of corpora as a whole.

    Returns:
        ``bits_KIND`` per symbol; the same as a share of a uniform choice, ``share_KIND``, and of what single
        symbols need, ``single_KIND``; ``near_KIND``, the share of a uniform choice that the repeat-free mixer
        needs; and each with ``whole_`` before it, of the whole corpora. A dash where there is none.
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

    Args:
        table: rows of `corpus_entropy` and `token_entropy`.
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
    """Bias of every estimator against n for the source that the reader selects, with its spread.

    Points are the mean error over repeats, bars reach one standard deviation over repeats to either side (what a
    single sample of that size is off by); hollow points are not to be trusted at that size.
    The grey line is no error; the scale is linear within a thousandth of a bit of it and logarithmic beyond.

    Args:
        table: of `calibrate`.
        source: which one is shown first.

    Raises:
        GfmError: the table has no calibration, or not of that source.
    """
    rows = table[table["metric"].isin(["entropy_bias", "entropy_spread"])]
    names = list(dict.fromkeys(rows["condition"]))
    if source not in names:
        known = f"; it has {', '.join(names)}" if names else ", and no calibration of entropy estimators"
        raise GfmError(f"the table has no source {source!r}{known}")
    keys = ["condition", "estimator", "x"]
    spread = rows[rows["metric"] == "entropy_spread"].set_index(keys)["value"].rename("spread")
    exact = table[table["metric"] == "entropy_rate"].set_index("condition")["value"]
    shown = rows[rows["metric"] == "entropy_bias"].join(spread, on=keys)
    shown = pd.DataFrame({
        "condition": shown["condition"].astype(object), "n": shown["x"].astype(float),
        "estimator": shown["estimator"].map(estimator_name).astype(object),
        "bias": shown["value"].astype(float), "spread": shown["spread"].astype(float).fillna(0.0),
        "rate": shown["condition"].map(exact).astype(float), "repeats": shown["n"].astype(float),
        "sample": shown["trusted"].astype(bool).map({True: "trusted", False: "not trusted"}),
    }).assign(
        symbols=lambda shown: shown["n"].map("{:,.0f}".format),
        low=lambda shown: shown["bias"] - shown["spread"],
        high=lambda shown: shown["bias"] + shown["spread"],
    )  # fmt: skip
    order = [name for name in ESTIMATOR_NAMES.values() if name in set(shown["estimator"])]
    sizes = [f"{size:,.0f}" for size in sorted(set(shown["n"]))]
    menu = Menu("source", "condition", names, "source ", source)
    base = chosen(shown, menu).encode(
        x=alt.X(
            "bias:Q", title="estimate less exact rate, bits per symbol",
            scale=alt.Scale(type="symlog", constant=0.001), axis=alt.Axis(values=_TICKS, format="~g"),
        ),
        y=alt.Y("estimator:N", title=None, sort=order, axis=alt.Axis(labelLimit=180)),
        yOffset=alt.YOffset("symbols:O", sort=sizes, scale=alt.Scale(domain=sizes)),
        color=alt.Color("symbols:O", title="symbols", sort=sizes, scale=alt.Scale(range=HEAT[1:]),
                        legend=alt.Legend(columns=2)),
    )  # fmt: skip
    tips: list[str | alt.Tooltip] = [
        "estimator:N",
        alt.Tooltip("symbols:N", title="symbols"),
        alt.Tooltip("rate:Q", title="exact rate, bits", format=".3~r"),
        alt.Tooltip("bias:Q", title="bias, bits", format="+.3~r"),
        alt.Tooltip("spread:Q", title="standard deviation", format=".3~r"),
        alt.Tooltip("repeats:Q", title="samples"),
        alt.Tooltip("sample:N", title="counts"),
    ]
    layers = [
        alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(x="x:Q"),
        base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q"),
        *_hollow_unless(base, "datum.sample == 'trusted'", 40, tips),
    ]
    return finished(layers, 40 * len(order), menu)


def calibration_overview(table: pd.DataFrame) -> Styler:
    """Errors of groups of estimators on sources of known entropy rate: median, largest, and of what that is.

    Args:
        table: of `calibrate`.
    """
    bias = table[table["metric"] == "entropy_bias"]
    bias = bias.assign(symbols=bias["x"].astype(float), error=bias["value"].abs())
    repeats, sound = bias["condition"] == "repeats", bias["trusted"].astype(bool)
    counts = bias["estimator"].isin(set(Estimator) - {Estimator.PLUGIN})
    matches, mixer = (
        of & (bias["symbols"] == bias["symbols"][of].max())
        for of in (bias["estimator"].isin(list(Matching)), bias["estimator"] == Coder.CONTEXT_MIXING.value)
    )
    groups = {
        "counts, corrected, trusted": counts & sound & ~repeats,
        "counts, corrected, not trusted": counts & ~sound & ~repeats,
        "counts, corrected, on mutated repeats": counts & repeats,
        "match lengths, largest samples": matches & ~repeats,
        "context mixer, largest samples": mixer & ~repeats,
        "context mixer, on mutated repeats": mixer & repeats,
    }
    rows = [
        {
            "estimators": name, "cases": str(group.sum()),
            "median error (bits)": f"{bias['error'][group].median():.4f}",
            "largest error (bits)": f"{row['error']:.3f}",
            "of": f"{estimator_name(row['estimator'])}, {row['condition']}, {row['symbols']:,.0f} symbols",
        }
        for name, group in groups.items()
        for _, row in bias[group].nlargest(1, "error").iterrows()
    ]  # fmt: skip
    return for_people(pd.DataFrame(rows))


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


def _of_tokens(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a condition, rather than of a corpus."""
    return table["condition"].map(is_condition).astype(bool)
