"""The theme and the forms of chart of the book: lines over an axis, points in rows, and small charts side by side.

A named chart is a call of one of them, with the rows of a result table, its axes, its tooltips and its menus.
"""

import json
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.optimize import isotonic_regression

from gfm_utils.figures.names import chart_names
from gfm_utils.figures.palette import NEUTRAL, condition_colours

#: What is shown in place of a chart where no corpus is DNA.
NO_DNA = Markdown("*There is no DNA, or too little, among the conditions of this run, so nothing to draw here.*")
#: Dashes of lines by what they are of.
DASHES = {
    "trained": (1, 0), "untrained": (6, 4), "random context": (6, 4), "shuffled": (1, 3), "no layers": (2, 2),
    "chance": (1, 3), "counting": (1, 3), "matched null": (8, 3, 2, 3),
}  # fmt: skip
#: Legends of colours and of dashes; Vega knows this setting, Altair does not, so Vega-Embed gets it.
_BELOW_EACH_OTHER = {"top": {"direction": "vertical", "anchor": "end"}}
_NAMES = 65  # pixels for the names and the space between small charts
#: What is written in place of the names of columns that tooltips show.
_TITLES = {
    "value": "value", "low": "95 % interval from", "high": "to", "n": "counted", "x": "at", "what": "measure",
    "null": "untrained, or chance", "gain": "context gain (bits a token)", "nll": "cost of the true token (bits)",
    "js_distance": "Jensen–Shannon distance", "top1_agreement": "same first choice", "entropy": "entropy (bits)",
    "true": "measured", "mean_value": "mean of the atlas", "bits": "bits per base",
}  # fmt: skip
_LINE_HEIGHT = 14  # pixels between the names of two lines


def condition_colour(conditions: Sequence[str], legend: bool = True) -> alt.Color:
    """Colour by condition: of one thing the same in every chart, with its plain name in the legend."""
    scale = alt.Scale(domain=list(conditions), range=condition_colours(conditions))
    drawn = alt.Legend(labelExpr=plain_labels(conditions), symbolOpacity=1, columns=in_columns(conditions))
    return alt.Color("condition:N", title=None, scale=scale, legend=drawn if legend else None)


def plain_labels(conditions: Sequence[str]) -> str:
    """Expression for the plain name of a condition that is the label of a legend or an axis."""
    return f"{json.dumps(chart_names(conditions))}[datum.label] || datum.label"


def in_columns(names: Iterable[str]) -> int:
    """How many entries of a legend stand side by side, so that they fit on a phone."""
    longest = max(map(len, chart_names(list(names)).values()), default=1)
    return max(1, 340 // (28 + 7 * longest))


def logarithmic(values: pd.Series, form: str = "~s") -> dict[str, Any]:
    """Scale and axis, logarithmic, that go no further than the values, with few lines in the background."""
    low, high = float(values.min()), float(values.max())
    steps = (1, 2, 5) if high < 2000 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)
    return {"scale": scale, "axis": alt.Axis(values=ticks, format=form)}


def themed(chart: Any) -> Any:
    """The chart with the book's fonts, grid and legends above it that are narrow enough for a phone."""
    chart = chart.properties(usermeta={"embedOptions": {"config": {"legend": {"layout": _BELOW_EACH_OTHER}}}})
    return chart.configure(
        lineBreak="\n",
        view=alt.ViewConfig(stroke=None),
        title=alt.TitleConfig(fontSize=14, anchor="start"),
        axis=alt.AxisConfig(
            labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#e6e6e6",
            labelOverlap="greedy", labelSeparation=8,
        ),
        axisX=alt.AxisConfig(titleAnchor="end", tickCount=8),  # below the names of rows too: room on a phone
        legend=alt.LegendConfig(
            orient="top", direction="horizontal", labelFontSize=12, titleFontSize=12, labelLimit=220
        ),
    )  # fmt: skip


def in_lines(title: str) -> list[str]:
    """A title in lines that fit below a chart on a phone."""
    return textwrap.wrap(title, 30)


def tooltips(*names: str, text: str = ".3~r") -> list[alt.Tooltip]:
    """Tooltips of numeric columns, all in one format, under the names of ``_TITLES``."""
    return [alt.Tooltip(f"{name}:Q", title=_TITLES.get(name, name), format=text) for name in names]


def stroke_legend(columns: int = 1) -> alt.Legend:
    """A legend of dashes that shows them."""
    # With a fill of its own Vega-Lite does not hide the stroke of lines that have points on them.
    return alt.Legend(
        symbolType="stroke", symbolFillColor="transparent", symbolStrokeColor=NEUTRAL, symbolStrokeWidth=2,
        symbolSize=400, columns=columns,
    )  # fmt: skip


def state_dash(states: pd.Series, legend: bool = True) -> alt.StrokeDash:
    """Solid lines for trained members and dashes for their controls; the legend has those that are in the rows."""
    there = {name: DASHES.get(name, (1, 0)) for name in sorted(set(states), key=[*DASHES, *states].index)}
    scale = alt.Scale(domain=list(there), range=[list(dash) for dash in there.values()])
    drawn = stroke_legend(2) if legend and len(set(there.values())) > 1 else None
    return alt.StrokeDash("state:N", title=None, scale=scale, legend=drawn)


#: Tooltips: names of columns, or with a title and a format of their own.
Tips = Sequence[str | alt.Tooltip]
#: The rows of trained members, of which alone most charts draw the intervals.
TRAINED = "datum.state == 'trained'"


class Menu(NamedTuple):
    """A list below a chart: drawn are the rows whose ``column`` holds the choice, at first ``first``, or option 1.

    ``name`` is that of the chart's parameter; a list of one option is not drawn.
    """

    name: str
    column: str
    options: Sequence[Any]
    label: str
    first: Any = None


def chosen(rows: pd.DataFrame, *menus: Menu) -> alt.Chart:
    """The chart of those rows that the reader chooses; ``finished`` draws the menus."""
    chart = alt.Chart(rows)
    wanted = " && ".join(f"datum.{menu.column} == {menu.name}" for menu in menus)
    return chart.transform_filter(wanted) if menus else chart


def finished(layers: Iterable[Any], height: float, *params: Any, **properties: Any) -> alt.LayerChart:
    """The layers as one chart as wide as the page, in the book's style, with its menus and selections."""
    chart = _slim(alt.layer(*layers))
    chart = chart.add_params(*(listed(one) if isinstance(one, Menu) else one for one in params))
    fit = alt.AutoSizeParams(type="fit-x", contains="padding", resize=bool(params))  # labels of what is chosen
    return themed(chart.properties(width="container", height=height, autosize=fit, **properties))


def _slim(chart: Any, *kept_too: str) -> Any:
    """The chart without the columns that nothing in it names, which would only make the page heavier."""
    spec = chart.to_dict(validate=False)
    words = {*kept_too, *re.findall(r"\w+", json.dumps({key: spec[key] for key in spec if key != "datasets"}))}
    kept: dict[int, pd.DataFrame] = {}
    for part in [chart, *_parts(chart)]:
        if isinstance(part.data, pd.DataFrame):
            used = [name for name in part.data if name in words]
            part.data = kept.setdefault(id(part.data), part.data[used])
    return chart


def _parts(chart: Any) -> Iterator[Any]:
    for part in [*getattr(chart, "layer", ()), *getattr(chart, "concat", ())]:
        yield part
        yield from _parts(part)


def listed(menu: Menu) -> alt.Parameter:
    """A menu as a parameter of a chart."""
    several = alt.binding_select(options=list(menu.options), name=menu.label)
    bind = several if len(menu.options) > 1 else alt.Undefined
    return alt.param(name=menu.name, value=menu.first or menu.options[0], bind=bind)


def level(**at: float) -> alt.Chart:
    """A dashed grey rule at a value of an axis: ``level(x=0.5)``."""
    rule = alt.Chart(pd.DataFrame([at])).mark_rule(color=NEUTRAL, strokeDash=[4, 4])
    return rule.encode(**{axis: f"{axis}:Q" for axis in at})


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
    detail: str | None = None,
    height: int = 320,
) -> alt.LayerChart:
    """A line a condition and state over an axis, dashed for controls, and the intervals of trained members.

    ``rows`` have ``condition``, ``low`` and ``high``, ``state`` where there are several, and what the rest names.
    ``colour``: the conditions; or a channel, with a legend in place of names at the ends of lines. Lines are
    dashed by ``dash``, else by the state. ``behind`` are layers below them, and each value of the column
    ``detail`` has a line of its own. Where there is ``faint``, conditions that a click does not choose have this
    opacity.
    """
    rows = rows.drop(columns=[] if spread else ["low", "high"], errors="ignore").dropna(axis="columns", how="all")
    named, heading = isinstance(colour, alt.Color), _said(x)["title"]
    x = x if named else x.title(textwrap.wrap(heading, 26))  # names at the ends of lines take room on a phone
    base = chosen(rows, *menus).encode(
        x=x, color=colour if isinstance(colour, alt.Color) else condition_colour(colour, legend=False)
    )
    picked: list[Any] = []
    if faint is not None:
        pick = alt.selection_point(fields=["condition"], on="click", toggle=False)
        base = base.encode(opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(faint)))
        picked.append(pick)
    line = base.mark_line(point=points, strokeWidth=2).encode(y=y, tooltip=list(tips))
    line = line if detail is None else line.encode(detail=detail)
    dashes = state_dash(rows["state"]) if dash is None and not named and "state" in rows else dash
    layers = [*behind, line if dashes is None else line.encode(strokeDash=dashes)]
    if spread is not None:
        ends = base.transform_filter(TRAINED) if "state" in rows else base
        ends = ends.mark_rule() if spread == "rule" else ends.mark_area().encode(opacity=alt.value(0.18))
        layers.insert(len(behind), ends.encode(y="low:Q", y2="high:Q"))
    if not named:
        layers.append(_names_at_ends(rows, base, y, menus, height))
    return finished(layers, height, *menus, *picked, **_title_of(y, menus))


def _title_of(axis: alt.X | alt.Y, menus: Sequence[Menu]) -> dict[str, Any]:
    return {} if _said(axis).get("title") else {"title": chosen_title(menus[0])}


def _said(channel: Any) -> dict[str, Any]:
    return dict(channel.to_dict())


def chosen_title(menu: Menu, below: str = "''") -> alt.TitleParams:
    """A title of what the reader chooses, in lines that fit a phone, and an expression for what follows."""
    options = {option: "\n".join(textwrap.wrap(option, 36)) for option in menu.options}
    text = alt.ExprRef(expr=f"{json.dumps(options)}[{menu.name}] + {below}")
    return alt.TitleParams(text=text, anchor="start", frame="bounds", fontSize=13, fontWeight="normal")


def _names_at_ends(rows: pd.DataFrame, base: alt.Chart, y: alt.Y, menus: Sequence[Menu], height: int) -> alt.Chart:
    """The plain name of each condition to the right of the end of its line, apart from the others."""
    column, scale, across = _said(y)["field"], _said(y).get("scale", {}), _said(base.encoding.x)["field"]
    scaled = np.log if scale.get("type") == "log" else np.asarray
    solid = rows[rows["state"] == "trained"] if "state" in rows else rows
    ends, chosen_by = [solid.iloc[:0]], [solid[menu.column] for menu in menus]
    for _, shown in solid.groupby(chosen_by or pd.Series(0, solid.index), sort=False):
        shown = shown.sort_values(across, kind="stable") if shown[across].dtype == float else shown
        last = shown.groupby("condition", sort=False).tail(1).sort_values(column)
        at = scaled(shown[[name for name in (column, "low", "high") if name in shown]].to_numpy("float64"))
        low = 0.0 if scale.get("zero", True) and not scale.get("type") else at.min()
        apart = _LINE_HEIGHT / height * (max(at.max(), *scale.get("domain", [-np.inf])) - min(low, at.min()))
        places = spread_out(scaled(last[column].astype("float64")), apart)
        ends.append(last.assign(**{column: np.exp(places) if scaled is np.log else places}))
    names = pd.concat(ends)
    names = names.assign(label=names["condition"].map(chart_names(list(dict.fromkeys(rows["condition"])))))
    kept = ["condition", "label", across, column, *(menu.column for menu in menus)]
    text = base.properties(data=names[kept]).mark_text(align="left", dx=8, fontSize=12)
    return text.encode(y=y, text="label:N")


def spread_out(places: np.ndarray, apart: float) -> np.ndarray:
    """Ascending places, shape (n,), moved as little as keeps each at least ``apart`` from the next."""
    steps = apart * np.arange(len(places))
    return isotonic_regression(np.asarray(places) - steps).x + steps


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

    ``rows`` have ``condition``, ``value``, ``low`` and ``high``, and what the rest names; the column ``row`` has
    the names, for which there is ``room``, in their ``order`` or as they come. ``colour``: the conditions; or a
    channel, where a row is one point. Unless all are ``filled``, points of untrained members are open. ``spread``
    and ``ticks`` are expressions: which points have their interval drawn, and which rows are a tick in place of a
    point.
    """
    channel = colour if isinstance(colour, alt.Color) else condition_colour(colour)
    base = chosen(rows, *menus).encode(
        y=alt.Y(f"{row}:N", title=title, sort=order, axis=alt.Axis(labelLimit=room)),
        color=channel,
        tooltip=list(tips),
    )
    if not isinstance(colour, alt.Color):
        base = base.encode(yOffset=alt.YOffset("condition:N", scale=alt.Scale(domain=list(colour), padding=0.6)))
    measured = base.transform_filter(f"!({ticks})") if ticks else base
    point = measured.mark_point(filled=filled, size=70, opacity=1, strokeWidth=2).encode(x=x)
    if not filled:
        full = alt.when(TRAINED).then(alt.value(1)).otherwise(alt.value(0))
        point = point.encode(fillOpacity=full, fill=channel)
    layers = [*behind, point]
    if spread:
        ends = measured.transform_filter(spread).mark_rule(strokeWidth=2)
        layers.insert(len(behind), ends.encode(x="low:Q", x2="high:Q"))
    if ticks:
        layers.append(base.transform_filter(ticks).mark_tick(thickness=2).encode(x=x))
    return finished(layers, height, *menus, **_title_of(x, menus))


def crosses(base: alt.Chart, across: tuple[str, str], upright: tuple[str, str]) -> list[alt.Chart]:
    """The intervals of points in both directions, by the columns of their ends."""
    return [
        base.mark_rule(strokeWidth=2).encode(x=f"{across[0]}:Q", x2=f"{across[1]}:Q"),
        base.mark_rule(strokeWidth=2).encode(y=f"{upright[0]}:Q", y2=f"{upright[1]}:Q"),
    ]


def one_below_another(
    rows: pd.DataFrame,
    titles: Mapping[str, str],
    draw: Callable[[pd.DataFrame], Iterable[Any]],
    height: int,
    *menus: Menu,
    by: str = "metric",
    width: int = 270,
) -> alt.ConcatChart:
    """A small chart for each title, of the rows that ``by`` tells apart, as many in a row as fit.

    ``draw`` makes layers of the rows of one chart, which is ``width`` pixels wide without its names.
    """
    parts = dict(list(rows.groupby(by)))
    titled = [
        alt.layer(*draw(parts[name])).properties(
            width=width, height=height, title=alt.TitleParams(title, fontSize=12, fontWeight="normal")
        )
        for name, title in titles.items()
        if name in parts
    ]
    chart = themed(_slim(alt.concat(*titled, columns=1), by).add_params(*map(listed, menus)))
    each = {"signal": f"max(1, floor(containerSize()[0] / {width + _NAMES}))"}  # Vega-Lite takes a number only
    chart.usermeta["embedOptions"]["patch"] = [{"op": "add", "path": "/layout/columns", "value": each}]
    return chart
