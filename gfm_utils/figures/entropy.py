"""Charts of corpus entropy, from the tables of `gfm_utils.entropy.rows`."""

from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.entropy.estimators import Estimator
from gfm_utils.errors import GfmError
from gfm_utils.figures.names import ESTIMATOR_NAMES, estimator_name
from gfm_utils.figures.numbers import interval
from gfm_utils.figures.overview import for_people
from gfm_utils.figures.style import COLOURS, NEUTRAL, condition_colour, in_lines, themed
from gfm_utils.tokens import Condition, is_condition

Scale = Literal["share", "bits"]


def conditional_entropy_chart(table: pd.DataFrame, scale: Scale = "share") -> alt.LayerChart:
    """Conditional entropy against order, one line a corpus, with code lengths as horizontal rules.

    Trusted orders are filled points on a solid line with their 95 % interval; undersampled ones are hollow,
    on a dashed line.
    The grey rule is chance, a uniform choice among the corpus's symbols (in ``"bits"``, one a corpus).
    A menu selects the estimator (first Grassberger's); a click in the legend shows one corpus alone.

    Args:
        table: rows of `corpus_entropy`, of one or more corpora.
        scale: ``"share"``: of log2 of the alphabet, so that text and DNA fit an axis; ``"bits"``: per symbol.

    Raises:
        GfmError: the table has no conditional entropy of a corpus.
    """
    rows = table[~_of_tokens(table) & (table["unit"] != "bits/token")]
    curve = rows[rows["metric"] == "conditional_entropy"]
    if curve.empty:
        raise GfmError("the table has no conditional entropy of a corpus")
    chance = rows[rows["metric"] == "uniform_entropy"].set_index("condition")["value"].astype(float)
    codes = rows[rows["metric"] == "code_length"]
    curve, codes = (_scaled(part, chance, scale) for part in (curve, codes))
    curve["order"] = curve["order"].astype(int)
    curve["trust"] = curve["trusted"].astype(bool).map({True: "trusted", False: "undersampled"})
    colour = condition_colour(list(dict.fromkeys(rows["condition"])))
    curve["estimator"] = curve["estimator"].map(estimator_name)
    names = list(dict.fromkeys(curve["estimator"]))
    first = estimator_name(Estimator.GRASSBERGER)
    by = alt.param(
        name="by",
        value=first if first in names else names[0],
        bind=alt.binding_select(options=names, name="estimator "),
    )
    pick = alt.selection_point(fields=["condition"], bind="legend")
    seen = alt.when(pick)
    title = "share of log2(alphabet)" if scale == "share" else "bits per symbol"
    y = alt.Y("y:Q", title=f"Conditional entropy ({title})", scale=alt.Scale(zero=True))
    x = alt.X("order:Q", title="Order k (h_k = H_k − H_k−1)", axis=alt.Axis(tickMinStep=1, format="d"))
    tips = [
        alt.Tooltip("condition:N", title="corpus"),
        alt.Tooltip("order:Q", title="order"),
        alt.Tooltip("value:Q", title="bits per symbol", format=".4f"),
        alt.Tooltip("se:Q", title="standard error", format=".4f"),
        alt.Tooltip("trust:N", title="sample"),
        alt.Tooltip("n:Q", title="blocks", format=","),
    ]
    base = (
        alt.Chart(_plain(curve))
        .transform_filter("datum.estimator == by")
        .encode(x=x, y=y, color=colour, opacity=seen.then(alt.value(1)).otherwise(alt.value(0.12)))
    )
    filled = base.transform_filter("datum.trust == 'trusted'")
    layers = [
        base.mark_line(strokeDash=[3, 3], strokeWidth=1.2),
        filled.mark_line(strokeWidth=2.2),
        filled.mark_rule(strokeWidth=1.5).encode(y=alt.Y("bottom:Q"), y2="top:Q"),
        base.mark_point(size=55, strokeWidth=1.5, fill="white", opacity=1).encode(tooltip=tips),
        filled.mark_circle(size=55, opacity=1).encode(tooltip=tips),
        _code_rules(_plain(codes), colour, seen),
        _chance_rules(chance, scale),
    ]
    chart = alt.layer(*layers).add_params(pick, by).properties(width="container", height=340)
    return themed(chart)


def estimators_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Every estimate and bound of each corpus's entropy beside the others, in bits per base or character.

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
    others = rows[rows["metric"].isin(["entropy_rate", "code_length"])]
    found = pd.concat([counts, others])
    if found.empty:
        raise GfmError("the table has no entropy of a corpus")
    source = {"conditional_entropy": "counts", "entropy_rate": "matches", "code_length": "code length"}
    shown = pd.DataFrame({
        "corpus": found["condition"].astype(object), "estimator": found["estimator"].map(estimator_name),
        "from": found["metric"].map(source), "value": found["value"].astype(float),
        "low": found["low"].fillna(found["value"]).astype(float),
        "high": found["high"].fillna(found["value"]).astype(float),
        "trust": np.where(found["trusted"].astype(bool), "yes", "no"), "n": found["n"].astype(float),
        "kind": found["kind"].astype(object), "unit": found["unit"].astype(object),
    })  # fmt: skip
    shown["what"] = [
        f"{name}, h_{order}" if pd.notna(order) else name
        for name, order in zip(shown["estimator"], found["order"], strict=True)
    ]
    names = list(dict.fromkeys(shown["corpus"]))
    order = [name for name in ESTIMATOR_NAMES.values() if name in set(shown["estimator"])]
    chosen = alt.param(name="about", value=names[0], bind=alt.binding_select(options=names, name="corpus "))
    domain = list(source.values())
    base = alt.Chart(shown).transform_filter("datum.corpus == about").encode(
        x=alt.X("value:Q", title="bits per base or character", scale=alt.Scale(zero=False)),
        y=alt.Y("estimator:N", title=None, sort=order, axis=alt.Axis(labelLimit=180)),
        color=alt.Color("from:N", title=None, scale=alt.Scale(domain=domain, range=list(COLOURS[:3]))),
        tooltip=[
            alt.Tooltip("what:N", title="estimator"), "kind:N", alt.Tooltip("value:Q", format=".4f"), "unit:N",
            alt.Tooltip("low:Q", format=".4f"), alt.Tooltip("high:Q", format=".4f"),
            alt.Tooltip("trust:N", title="trusted"), alt.Tooltip("n:Q", title="symbols", format=","),
        ],
    )  # fmt: skip
    uniform = rows[rows["metric"] == "uniform_entropy"]
    levels = pd.DataFrame({"corpus": uniform["condition"].astype(object), "value": uniform["value"].astype(float)})
    level = alt.Chart(levels).transform_filter("datum.corpus == about")
    layers = [
        level.mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(x="value:Q"),
        base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"),
        base.mark_point(size=70, strokeWidth=1.5, fill="white", opacity=1),
        base.transform_filter("datum.trust == 'yes'").mark_circle(size=70, opacity=1),
    ]
    chart = alt.layer(*layers).add_params(chosen).properties(width="container", height=24 * len(order))
    return themed(chart)


def unigram_chart(
    table: pd.DataFrame,
    per: Literal["token", "symbol"] = "token",
    estimator: Estimator = Estimator.GRASSBERGER,
) -> alt.LayerChart:
    """Unigram entropy of each condition's tokens as bars; the tick is a uniform choice among the vocabulary.

    Per symbol, the corpora stand beside their conditions: what single bases or characters cost by frequency.

    Args:
        table: rows of `token_entropy`, of one or more conditions, and of their corpora.
        per: ``"token"``, or ``"symbol"``: per base or character, so that tokenizers compare.
        estimator: whose values are drawn.

    Raises:
        GfmError: the table has no unigram entropy of tokens by that estimator.
    """
    is_token = _of_tokens(table)
    conditions = list(dict.fromkeys(table.loc[is_token, "condition"]))
    rows = table if per == "symbol" else table[is_token]
    bars = rows[(rows["metric"] == "unigram_entropy") & (rows["estimator"] == estimator.value)]
    bars = bars[(bars["unit"] == "bits/token") == (per == "token")]
    if bars.empty:
        raise GfmError(f"the table has no unigram entropy of tokens by {estimator.value!r}")
    chance = rows[rows["metric"] == "uniform_entropy"][["condition", "unit", "value"]]
    bars = bars.merge(chance.rename(columns={"value": "chance"}), on=["condition", "unit"], how="left")
    corpus = bars["condition"].map(_beside_tokenizer)
    order = corpus.map({name: place for place, name in enumerate(dict.fromkeys(corpus))})
    bars = bars.iloc[np.argsort(order, kind="stable")]
    base = alt.Chart(_plain(bars)).encode(
        y=alt.Y("condition:N", title=None, sort=None, axis=alt.Axis(labelLimit=150)),
        tooltip=[
            alt.Tooltip("condition:N"),
            alt.Tooltip("value:Q", format=".3f"),
            alt.Tooltip("se:Q", title="standard error", format=".3f"),
            alt.Tooltip("unit:N"),
            alt.Tooltip("chance:Q", title="uniform", format=".3f"),
            alt.Tooltip("n:Q", title="tokens", format=","),
        ],
    )
    title = "bits per token" if per == "token" else "bits per base or character"
    x = alt.X("value:Q", title=in_lines(f"Unigram entropy ({title})"))
    bar = base.mark_bar(height={"band": 0.6}).encode(
        x=x, color=condition_colour(list(dict.fromkeys([*conditions, *bars["condition"]])), legend=None)
    )
    tick = base.mark_tick(color=NEUTRAL, thickness=2).encode(x="chance:Q")
    return themed(alt.layer(bar, tick).properties(width="container", height=40 * bars["condition"].nunique()))


def _scaled(rows: pd.DataFrame, chance: pd.Series, scale: Scale) -> pd.DataFrame:
    """The rows with y, bottom and top: value and interval on the chosen scale."""
    divisor = rows["condition"].map(chance).astype(float) if scale == "share" else 1.0
    return rows.assign(y=rows["value"] / divisor, bottom=rows["low"] / divisor, top=rows["high"] / divisor)


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Only the columns that charts read, in types that Vega knows."""
    names = [
        "condition",
        "estimator",
        "order",
        "value",
        "se",
        "unit",
        "n",
        "y",
        "bottom",
        "top",
        "trust",
        "chance",
    ]
    rows = rows[[name for name in names if name in rows]].copy()
    for name in ("value", "se", "n", "order"):
        rows[name] = rows[name].astype(float)
    for name in ("condition", "unit", "estimator"):
        rows[name] = rows[name].astype(object)
    return rows.reset_index(drop=True)


def _code_rules(codes: pd.DataFrame, colour: alt.Color, seen: Any) -> Any:
    """A thin rule for every code length, named at the right end where it is its corpus's tightest."""
    tightest = codes.loc[codes.groupby("condition", sort=False)["y"].idxmin()] if len(codes) else codes
    tightest = tightest.assign(estimator=tightest["estimator"].map(estimator_name))
    tips = [
        alt.Tooltip("condition:N", title="corpus"),
        alt.Tooltip("estimator:N", title="coder"),
        alt.Tooltip("value:Q", title="bits per symbol (upper bound)", format=".4f"),
        alt.Tooltip("n:Q", title="symbols coded", format=","),
    ]
    faint = seen.then(alt.value(0.8)).otherwise(alt.value(0.08))
    rules = (
        alt.Chart(codes)
        .mark_rule(strokeWidth=1.2, strokeDash=[8, 3])
        .encode(y="y:Q", color=colour, opacity=faint, tooltip=tips)
    )
    names = (
        alt.Chart(tightest)
        .mark_text(align="right", dy=8, fontSize=11)
        .encode(x=alt.value("width"), y="y:Q", text="estimator:N", color=colour, opacity=faint)
    )
    return alt.layer(rules, names)


def _chance_rules(chance: pd.Series, scale: Scale) -> Any:
    """The entropy of a uniform choice, once on the scale of shares, else for every alphabet."""
    levels = {1.0: "chance"} if scale == "share" else {bits: f"chance, {name}" for name, bits in chance.items()}
    data = pd.DataFrame({"y": list(levels), "label": list(levels.values())})
    base = alt.Chart(data).encode(y="y:Q")
    names = base.mark_text(align="left", dx=4, dy=-7, color=NEUTRAL, fontSize=11).encode(
        x=alt.value(0), text="label:N"
    )
    return alt.layer(base.mark_rule(color=NEUTRAL, strokeWidth=1.5), names)


def rate_overview(table: pd.DataFrame) -> Styler:
    """Bounds and match lengths of each corpus: bits per symbol, 95 % interval, and two shares.

    One share is that of a uniform choice among the symbols that occur, which a large alphabet of rare characters
    makes small; the other that of the entropy of their frequencies.

    Args:
        table: rows of `corpus_entropy`, of one or more corpora.
    """
    rows = table[table["metric"].isin(["code_length", "entropy_rate"])]
    uniform = table[table["metric"] == "uniform_entropy"].groupby("condition")["value"].first()
    counted = (table["metric"] == "unigram_entropy") & (table["estimator"] == Estimator.GRASSBERGER.value)
    single = table[counted].groupby("condition")["value"].first()
    texts = [interval(*numbers) for numbers in zip(rows["value"], rows["low"], rows["high"], strict=True)]
    shown = pd.DataFrame({
        "corpus": rows["condition"], "estimator": rows["estimator"].map(estimator_name),
        "bits per symbol": texts,
        "share of a uniform choice": (rows["value"] / rows["condition"].map(uniform)).map("{:.0%}".format),
        "share of single symbols": (rows["value"] / rows["condition"].map(single)).map("{:.0%}".format),
        "kind": rows["kind"].where(rows["trusted"].astype(bool), "not trusted"),
        "symbols": rows["n"].map("{:,.0f}".format),
    })  # fmt: skip
    return for_people(shown)


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
    places = [name for name in dict.fromkeys(rows["estimator"]) if name in wide.index]
    wide = wide.loc[places, list(dict.fromkeys(rows["condition"]))].rename(index=estimator_name)
    return for_people(wide.fillna("–").rename_axis(columns=None).reset_index())


def _beside_tokenizer(name: str) -> str:
    """The name of a condition without its tokenizer, and that of a corpus."""
    return Condition.parse(name).beside_tokenizer if is_condition(name) else name


def _of_tokens(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a condition, rather than of a corpus."""
    return table["condition"].map(is_condition).astype(bool)
