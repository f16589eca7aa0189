"""The theme and the forms of chart of the book: lines over an axis, points in rows, and crosses.

Colours can be told apart by colour-blind readers, and the layout fits a phone. A named chart is a call of one of
the forms: the rows of a result table, its axes, its tooltips and its menus.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
import pandas as pd
from IPython.display import Markdown

#: Told apart by colour-blind readers too (Okabe and Ito, 2008; Tol, 2021), in the order of the conditions.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#882255")
NEUTRAL = "#6e6e6e"
#: What is shown in place of a chart where no corpus is DNA.
NO_DNA = Markdown("*There is no DNA among the conditions of this run, hence nothing to draw here.*")
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
            orient="top", direction="horizontal", columns=1, labelFontSize=12, titleFontSize=12, labelLimit=220
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


#: Tooltips: names of columns, or with a title and a format of their own.
Tips = Sequence[str | alt.Tooltip]
#: The rows of trained members, of which alone most charts draw the intervals.
TRAINED = "datum.state == 'trained'"


class Menu(NamedTuple):
    """A list below a chart; the rows whose ``column`` holds what the reader chooses are drawn.

    Attributes:
        name: of the chart's parameter.
        column: of the rows.
        options: what can be chosen.
        label: before the list.
        first: chosen to begin with; None: the first option.
        alone: whether a single option is listed too.
    """

    name: str
    column: str
    options: Sequence[Any]
    label: str
    first: Any = None
    alone: bool = True


def chosen(rows: pd.DataFrame, *menus: Menu) -> alt.Chart:
    """The chart of those rows that the reader chooses; ``finished`` draws the menus."""
    chart = alt.Chart(rows)
    wanted = " && ".join(f"datum.{menu.column} == {menu.name}" for menu in menus)
    return chart.transform_filter(wanted) if menus else chart


def finished(layers: Iterable[Any], height: float, *params: Any, **properties: Any) -> alt.LayerChart:
    """The layers as one chart as wide as the page, in the book's style, with its menus and selections."""
    drawn = [listed(one) if isinstance(one, Menu) else one for one in params]
    chart = alt.layer(*layers).add_params(*drawn)
    return themed(chart.properties(width="container", height=height, **properties))


def listed(menu: Menu) -> alt.Parameter:
    """A menu as a parameter of a chart."""
    several = menu.alone or len(menu.options) > 1
    bind = alt.binding_select(options=list(menu.options), name=menu.label) if several else alt.Undefined
    return alt.param(name=menu.name, value=menu.first or menu.options[0], bind=bind)


def legend_choice(chart: alt.Chart, faint: float) -> tuple[alt.Chart, alt.Parameter]:
    """The chart in which a click on a condition in the legend makes all others faint, and that selection."""
    pick = alt.selection_point(fields=["condition"], bind="legend")
    return chart.encode(opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(faint))), pick


def lines(
    rows: pd.DataFrame,
    x: alt.X,
    y: alt.Y,
    colour: Sequence[str] | alt.Color,
    tips: Tips,
    *,
    dash: alt.StrokeDash | None = None,
    spread: Literal["rule", "area"] | None = "rule",
    menus: Sequence[Menu] = (),
    behind: Sequence[Any] = (),
    faint: float | None = None,
    points: bool = True,
    height: int = 320,
) -> alt.LayerChart:
    """A line a condition and state over an axis, dashed for controls, and the intervals of trained members.

    Args:
        rows: ``condition``, ``state`` where there are several, and the columns of the axes, tooltips and menus.
        x: axis to the right.
        y: axis upwards, of ``value``; intervals reach from ``low`` to ``high``.
        colour: the conditions, in the order of their colours; or a channel.
        tips: what the tooltip of a point shows.
        dash: what lines are dashed by; None: by the state.
        spread: how intervals are drawn.
        menus: what the reader chooses.
        behind: layers below the lines.
        faint: opacity of conditions that a click in the legend does not choose; None: it chooses nothing.
        points: whether points stand on the lines.
        height: in pixels.
    """
    base = chosen(rows, *menus).encode(
        x=x, color=colour if isinstance(colour, alt.Color) else condition_colour(colour)
    )  # fmt: skip
    picked: list[Any] = []
    if faint is not None:
        base, pick = legend_choice(base, faint)
        picked.append(pick)
    line = base.mark_line(point=points, strokeWidth=2).encode(y=y, tooltip=list(tips))
    dashes = state_dash(rows["state"]) if dash is None and "state" in rows else dash
    layers = [*behind, line if dashes is None else line.encode(strokeDash=dashes)]
    if spread is not None:
        ends = base.transform_filter(TRAINED) if "state" in rows else base
        ends = ends.mark_rule() if spread == "rule" else ends.mark_area().encode(opacity=alt.value(0.18))
        layers.insert(len(behind), ends.encode(y="low:Q", y2="high:Q"))
    return finished(layers, height, *menus, *picked)


def points_in_rows(
    rows: pd.DataFrame,
    row: str,
    x: alt.X,
    colour: Sequence[str] | alt.Color,
    tips: Tips,
    *,
    order: Sequence[str] | None = None,
    menus: Sequence[Menu] = (),
    filled: bool = True,
    spread: str | None = "true",
    ticks: str | None = None,
    behind: Sequence[Any] = (),
    title: str | None = None,
    room: int = 180,
    height: int = 180,
) -> alt.LayerChart:
    """A point a condition with its interval, in rows by name; several conditions share a row.

    Args:
        rows: ``condition``, ``value``, ``low``, ``high`` and the columns of the rest.
        row: column of the names of rows.
        x: axis to the right, of ``value``.
        colour: the conditions, in the order of their colours; or a channel, where a row is one point.
        tips: what the tooltip of a point shows.
        order: of the rows; None: as they come.
        menus: what the reader chooses.
        filled: all points; else those of trained members, and open ones of the untrained.
        spread: which points have their interval drawn, an expression; None: none of them.
        ticks: which rows are a tick instead of a point, an expression: levels of chance.
        behind: layers below the points.
        title: above the names of rows.
        room: for the names of rows, in pixels.
        height: in pixels.
    """
    channel = colour if isinstance(colour, alt.Color) else condition_colour(colour)
    base = chosen(rows, *menus).encode(
        y=alt.Y(f"{row}:N", title=title, sort=order, axis=alt.Axis(labelLimit=room)),
        color=channel,
        tooltip=list(tips),
    )
    if channel is not colour:
        base = base.encode(yOffset=alt.YOffset("condition:N"))
    measured = base.transform_filter(f"!({ticks})") if ticks else base
    point = measured.mark_point(filled=filled, size=70, opacity=1, strokeWidth=2).encode(x=x)
    if not filled:
        point = point.encode(fillOpacity=state_fill(), fill=channel)
    layers = [*behind, point]
    if spread:
        ends = measured.transform_filter(spread).mark_rule(strokeWidth=2)
        layers.insert(len(behind), ends.encode(x="low:Q", x2="high:Q"))
    if ticks:
        layers.append(base.transform_filter(ticks).mark_tick(thickness=2).encode(x=x))
    return finished(layers, height, *menus)


def crosses(base: alt.Chart, across: tuple[str, str], upright: tuple[str, str]) -> list[alt.Chart]:
    """The intervals of points in both directions, by the columns of their ends."""
    return [
        base.mark_rule(strokeWidth=2).encode(x=f"{across[0]}:Q", x2=f"{across[1]}:Q"),
        base.mark_rule(strokeWidth=2).encode(y=f"{upright[0]}:Q", y2=f"{upright[1]}:Q"),
    ]


def one_below_another(
    rows: pd.DataFrame, titles: Mapping[str, str], draw: Callable[[pd.DataFrame], Iterable[Any]], height: int
) -> alt.VConcatChart:
    """A small chart a metric, narrow enough for a phone.

    Args:
        rows: of several metrics.
        titles: metric -> title, in their order; those without rows are left out.
        draw: rows of one metric -> layers.
        height: in pixels.
    """
    parts = dict(list(rows.groupby("metric")))
    titled = [
        alt.layer(*draw(parts[name])).properties(
            width=290, height=height, title=alt.TitleParams(title, fontSize=12, fontWeight="normal")
        )
        for name, title in titles.items()
        if name in parts
    ]
    return themed(alt.vconcat(*titled))
