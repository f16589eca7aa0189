"""What all charts share: colours that colour-blind readers can tell apart, and a layout that fits a phone."""

from collections.abc import Collection, Sequence
from typing import Any

import altair as alt

#: Blues for text, warm and green tones for DNA (Okabe and Ito 2008; Tol 2021), grey for what is no condition.
TEXT_COLOURS = ("#0072B2", "#56B4E9", "#332288", "#88CCEE")
DNA_COLOURS = ("#D55E00", "#009E73", "#E69F00", "#CC79A7", "#882255", "#117733")
NEUTRAL = "#6e6e6e"
#: Corpora of the registry that are text, for tables whose units do not say so.
_TEXT_NAMES = ("news", "enwiki", "wiki", "text", "english")


def condition_colours(conditions: Sequence[str], text: Collection[str] | None = None) -> dict[str, str]:
    """A colour for each condition, the same whenever the same conditions come in the same order.

    Args:
        conditions: names (corpus, or corpus@tokenizer), without repeats.
        text: those whose corpus is text; None: guessed from the corpus's name.
    """
    if text is None:
        text = [name for name in conditions if name.rsplit("/", 1)[-1].startswith(_TEXT_NAMES)]
    used = {True: 0, False: 0}
    colours = {}
    for name in conditions:
        palette = TEXT_COLOURS if name in text else DNA_COLOURS
        colours[name] = palette[used[name in text] % len(palette)]
        used[name in text] += 1
    return colours


def condition_scale(conditions: Sequence[str], text: Collection[str] | None = None) -> alt.Scale:
    """The colour scale of these conditions: text in blues, DNA in orange, green and their like."""
    colours = condition_colours(conditions, text)
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def themed(chart: Any) -> Any:
    """The chart with the book's fonts, grid and a legend above it that wraps on a narrow page."""
    return (
        chart.configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#e6e6e6")
        .configure_legend(
            orient="top",
            direction="horizontal",
            columns=2,
            labelFontSize=12,
            titleFontSize=12,
            labelLimit=150,
        )
        .configure_title(fontSize=14, anchor="start")
        .configure_header(labelFontSize=12, title=None)
    )


def condition_colour(conditions: Sequence[str]) -> alt.Color:
    """Colour by condition, with a legend."""
    return alt.Color("condition:N", title=None, scale=condition_scale(conditions))
