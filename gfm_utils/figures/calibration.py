"""Charts of how far the entropy estimators are off, from the table of `gfm_utils.entropy.calibration`."""

import altair as alt
import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.entropy.calibration import nsb_advantage
from gfm_utils.errors import GfmError
from gfm_utils.figures.names import ESTIMATOR_NAMES, estimator_name
from gfm_utils.figures.overview import for_people
from gfm_utils.figures.style import COLOURS, NEUTRAL, themed

_TICKS = [sign * 10.0**power for power in range(-3, 2) for sign in (-1, 1)] + [0.0]


def calibration_chart(table: pd.DataFrame, source: str | None = None) -> alt.LayerChart:
    """Bias of every estimator against n for the source that the reader selects, with its spread.

    Points are the mean error over repeats, bars reach one standard deviation over repeats to either side (what a
    single sample of that size is off by); hollow points are not to be trusted at that size.
    The grey line is no error; the scale is linear within a thousandth of a bit of it and logarithmic beyond.
    A click in the legend shows one estimator alone.

    Args:
        table: of `calibrate`.
        source: which one is shown first; None: the first of the table.

    Raises:
        GfmError: the table has no calibration, or not of that source.
    """
    rows = table[table["metric"].isin(["entropy_bias", "entropy_spread"])]
    names = list(dict.fromkeys(rows["condition"]))
    if not names:
        raise GfmError("the table has no calibration of entropy estimators")
    if source is not None and source not in names:
        raise GfmError(f"the table has no source {source!r}; it has {', '.join(names)}")
    keys = ["condition", "estimator", "x"]
    bias = rows[rows["metric"] == "entropy_bias"][[*keys, "value", "trusted", "n"]]
    spread = rows[rows["metric"] == "entropy_spread"][[*keys, "value"]].rename(columns={"value": "spread"})
    exact = table[table["metric"] == "entropy_rate"].set_index("condition")["value"]
    shown = bias.merge(spread, on=keys, how="left")
    shown = pd.DataFrame({
        "condition": shown["condition"].astype(object), "n": shown["x"].astype(float),
        "estimator": shown["estimator"].map(estimator_name).astype(object),
        "bias": shown["value"].astype(float), "spread": shown["spread"].astype(float).fillna(0.0),
        "rate": shown["condition"].map(exact).astype(float), "repeats": shown["n"].astype(float),
        "sample": shown["trusted"].astype(bool).map({True: "trusted", False: "not trusted"}),
    })  # fmt: skip
    shown["symbols"] = shown["n"].map("{:,.0f}".format)
    shown["low"], shown["high"] = shown["bias"] - shown["spread"], shown["bias"] + shown["spread"]
    sizes = [f"{size:,.0f}" for size in sorted(set(shown["n"]))]
    order = [name for name in ESTIMATOR_NAMES.values() if name in set(shown["estimator"])]
    pick = alt.selection_point(fields=["estimator"], bind="legend")
    chosen = alt.param(
        name="source", value=source or names[0], bind=alt.binding_select(options=names, name="source ")
    )
    base = (
        alt.Chart(shown)
        .transform_filter("datum.condition == source")
        .encode(
            x=alt.X("symbols:O", title="Symbols n", sort=sizes, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("estimator:N", sort=order, scale=alt.Scale(domain=order)),
            y=alt.Y(
                "bias:Q", title="Estimate − exact rate (bits per symbol)",
                scale=alt.Scale(type="symlog", constant=0.001),
                axis=alt.Axis(values=_TICKS, format="~g"),
            ),
            color=alt.Color(
                "estimator:N", title=None, scale=alt.Scale(domain=order, range=_colours(order))
            ),
            opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.1)),
        )
    )  # fmt: skip
    tips = [
        alt.Tooltip("condition:N", title="source"),
        alt.Tooltip("estimator:N"),
        alt.Tooltip("n:Q", title="symbols", format=","),
        alt.Tooltip("rate:Q", title="exact rate, bits", format=".4f"),
        alt.Tooltip("bias:Q", title="bias, bits", format="+.5f"),
        alt.Tooltip("spread:Q", title="standard deviation", format=".5f"),
        alt.Tooltip("repeats:Q", title="samples"),
        alt.Tooltip("sample:N", title="counts"),
    ]
    filled = base.transform_filter("datum.sample == 'trusted'")
    layers = [
        alt.Chart(pd.DataFrame({"y": [0.0]})).mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(y="y:Q"),
        base.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q"),
        base.mark_point(size=50, strokeWidth=1.5, fill="white").encode(tooltip=tips),
        filled.mark_circle(size=50).encode(tooltip=tips),
    ]
    return themed(alt.layer(*layers).add_params(chosen, pick).properties(width="container", height=340))


def nsb_overview(table: pd.DataFrame) -> Styler:
    """Root mean square error of NSB and of the best other estimator from counts, one row a source and n."""
    found = nsb_advantage(table)
    return for_people(pd.DataFrame({
        "source": found["condition"].astype(object), "symbols": found["symbols"].map("{:,}".format),
        "NSB (bits)": found["nsb"].map("{:.4f}".format), "best other (bits)": found["best"].map("{:.4f}".format),
        "which": found["other"].map(estimator_name), "ratio": found["ratio"].map("{:.2f}".format),
    }))  # fmt: skip


def _colours(names: list[str]) -> list[str]:
    """A colour for each estimator; two more than there are conditions at most."""
    return [*COLOURS, "#000000", "#999933"][: len(names)]
