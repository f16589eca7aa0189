"""What all charts share: colours that colour-blind readers can tell apart, and a layout that fits a phone."""

import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

#: Told apart by colour-blind readers too (Okabe and Ito, 2008; Tol, 2021), in the order of the conditions.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255")
NEUTRAL = "#6e6e6e"
#: Dashes of lines by what they are of.
DASHES = {
    "trained": (1, 0),
    "untrained": (6, 4),
    "random_context": (6, 4),
    "shuffled": (1, 3),
    "no layers": (2, 2),
    "chance": (1, 3),
    "unrelated tokens": (1, 3),
    "matched null": (8, 3, 2, 3),
}


#: Legends of colours and of dashes; Vega knows this setting, Altair does not, so Vega-Embed gets it.
_BELOW_EACH_OTHER = {"top": {"direction": "vertical", "anchor": "end"}}


def condition_colour(conditions: Sequence[str], **options: Any) -> alt.Color:
    """Colour by condition: the same conditions in the same order have the same colours in every chart.

    Args:
        conditions: names (corpus, or corpus@tokenizer), without repeats.
        options: further ones of ``altair.Color``, e.g. ``legend=None``.
    """
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(conditions))]
    scale = alt.Scale(domain=list(conditions), range=colours)
    return alt.Color("condition:N", title=None, scale=scale, **options)


def themed(chart: Any) -> Any:
    """The chart with the book's fonts, grid and legends above it that are narrow enough for a phone."""
    chart = chart.properties(usermeta={"embedOptions": {"config": {"legend": {"layout": _BELOW_EACH_OTHER}}}})
    return (
        chart.configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#e6e6e6")
        .configure_axisX(titleAnchor="end")  # below the names of rows too: the plot alone is too narrow on a phone
        .configure_legend(
            orient="top",
            direction="horizontal",
            columns=1,
            labelFontSize=12,
            titleFontSize=12,
            labelLimit=220,
        )
        .configure_title(fontSize=14, anchor="start")
        .configure_header(labelFontSize=12, title=None)
    )


def in_lines(title: str) -> list[str]:
    """A title in lines that fit below a chart on a phone."""
    return textwrap.wrap(title, 30)


def tooltips(*names: str, text: str = ".3f") -> list[alt.Tooltip]:
    """Tooltips of numeric columns, all in one format."""
    return [alt.Tooltip(f"{name}:Q", format=text) for name in names]


def stroke_legend() -> alt.Legend:
    """A legend of dashes that shows them."""
    # With a fill of its own Vega-Lite does not hide the stroke of lines that have points on them.
    return alt.Legend(
        symbolType="stroke",
        symbolFillColor="transparent",
        symbolStrokeColor=NEUTRAL,
        symbolStrokeWidth=2,
        symbolSize=400,
    )


def state_dash(states: pd.Series) -> alt.StrokeDash:
    """Solid lines for trained members and dashes for their controls, of which the legend has those that are there.

    Args:
        states: of the rows that are drawn.
    """
    present = set(states)
    there = {name: dash for name, dash in DASHES.items() if name in present}
    scale = alt.Scale(domain=list(there), range=[list(dash) for dash in there.values()])
    return alt.StrokeDash("state:N", title=None, scale=scale, legend=stroke_legend())


def state_fill() -> alt.FillOpacity:
    """Filled points for trained members and open ones for untrained, without a legend."""
    scale = alt.Scale(domain=["trained", "untrained"], range=[1, 0])
    return alt.FillOpacity("state:O", legend=None, scale=scale)


def dropdown(name: str, options: Sequence[str | int], label: str) -> alt.Parameter:
    """A list from which a reader chooses; expressions of the chart read the choice by its name.

    Args:
        name: of the parameter.
        options: what can be chosen, the first one to begin with.
        label: before the list.
    """
    return alt.param(name=name, value=options[0], bind=alt.binding_select(options=list(options), name=label))
