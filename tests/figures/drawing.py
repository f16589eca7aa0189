"""What a chart draws: its specification, its picture and its data."""

import altair as alt
import vl_convert


def data_of(chart):
    """All rows of the data of a chart, after a look at whether it is valid."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def drawn(chart, width=400):
    """The specification, its SVG at a width in pixels, and all its data."""
    spec = chart.to_dict()
    size = {"width": width} if spec.get("width") == "container" else {}
    svg = vl_convert.vegalite_to_svg(spec | size, vl_version=".".join(alt.VEGALITE_VERSION.split(".")[:2]))
    assert "NaN" not in svg
    return spec, svg, data_of(chart)


def cells(markdown):
    """The cells of the rows of a Markdown table, without its head."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
