"""What models guess for hidden tokens: as a picture, and as a game."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import HTML

from gfm_utils.figures.forms import themed
from gfm_utils.figures.select import conditions_of

#: Tokens of a strip, from the middle of the window: what a phone has room for.
SHOWN = 10


def guess_strip(table: pd.DataFrame) -> alt.VConcatChart:
    """A stretch of each condition cut into tokens, and above each what every member guesses when it is hidden.

    Args:
        table: of ``measures.along_windows``; its first window is drawn.
    """
    rows = table[(table["metric"] == "position_confidence") & (table["window"] == 1)]
    rows = rows.assign(place=rows["x"].astype(int), hit=rows["named"] == rows["token"])
    middle = rows.groupby("condition")["place"].transform("max") // 2
    rows = rows[(rows["place"] > middle - SHOWN // 2) & (rows["place"] <= middle + SHOWN // 2)]
    strips = [_strip(rows[rows["condition"] == name], name) for name in conditions_of(rows)]
    return themed(alt.vconcat(*strips))


def _strip(rows: pd.DataFrame, title: str) -> Any:
    """The strip of one condition: a row a member, a column a token."""
    kept = rows.astype({"token": object, "named": object})[["place", "member", "token", "named", "value", "hit"]]
    place = alt.X("place:O", title=None, axis=None)
    base = alt.Chart(kept).encode(
        x=place,
        y=alt.Y("member:O", title="model", axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[
            alt.Tooltip("token:N", title="hidden"), alt.Tooltip("named:N", title="likeliest"),
            alt.Tooltip("value:Q", title="probability", format=".0%"), alt.Tooltip("member:N", title="model"),
        ],
    )  # fmt: skip
    cells = base.mark_rect().encode(
        color=alt.Color(
            "value:Q",
            title="probability of the likeliest token",
            scale=alt.Scale(scheme="blues", domain=[0, 1]),
            legend=alt.Legend(format="%", gradientLength=150, direction="horizontal"),
        )
    )
    right = base.transform_filter("datum.hit").mark_rect(filled=False, stroke="black", strokeWidth=2)
    guesses = base.mark_text(font="monospace", fontSize=11).encode(
        text="named:N", color=alt.when("datum.value > 0.6").then(alt.value("white")).otherwise(alt.value("black"))
    )
    true = (
        alt.Chart(kept.drop_duplicates("place"))
        .mark_text(font="monospace", fontSize=12, fontWeight="bold")
        .encode(x=place, y=alt.datum("true"), text="token:N")
    )
    return alt.layer(cells, right, guesses, true).properties(
        width=300, height=140, title=alt.TitleParams(title, fontSize=13, fontWeight="normal")
    )


def guessing_game(games: Sequence[Mapping[str, Any]]) -> HTML:
    """The game of ``measures.guessing_games``, which ``assets/play.js`` draws on a page of the book."""
    data = json.dumps(games, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return HTML(f'<div class="guess-game"><script type="application/json">{data}</script></div>')
