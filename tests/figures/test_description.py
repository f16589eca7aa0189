"""What a screen reader says of a chart."""

import altair as alt
import pandas as pd

from gfm_utils.figures.description import described
from gfm_utils.figures.forms import Menu, condition_colour, lines

ROWS = pd.DataFrame(
    [
        (name, state, metric, x, value * scale, value - 1, value + 1)
        for metric, scale in (("loss", 1), ("gain", 100))
        for name, value in (("text", 2.0), ("DNA", 7.25))
        for state in ("trained", "untrained")
        for x in (1, 2)
    ],
    columns=["condition", "state", "metric", "x", "value", "low", "high"],
)


def test_a_chart_tells_its_caption_and_what_is_drawn_before_anything_is_chosen() -> None:
    """Of trained members, of the metric that the menu has at first, and not of the ends of intervals."""
    rows = ROWS.assign(value=ROWS["value"] + ROWS["x"].where(ROWS["state"] == "trained", 50))
    menu = Menu("measure", "metric", ["loss", "gain"], "measure ")
    x, y = alt.X("x:Q").title("step"), alt.Y("value:Q").title("bits")
    chart = lines(rows, x, y, ["text", "DNA"], ["value"], menus=[menu])
    told = described(chart.to_dict(), "Loss {cite:p}`x1` of $n$ members; choose the measure below. Dashed: no.")
    assert told == "Loss of n members. bits: text 3 to 4, DNA 8.25 to 9.25."


def test_a_chart_whose_axes_are_calculated_tells_how_much_it_holds() -> None:
    chart = alt.Chart(ROWS).mark_point().encode(y="twice:Q", color=condition_colour(["text", "DNA"]))
    drawn = chart.transform_calculate(twice="datum.value * 2").to_dict()
    assert described(drawn, "") == "Chart. Drawn from 16 rows."
