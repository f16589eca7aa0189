"""What models guess for hidden tokens: as a picture, and as a game."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
from IPython.display import HTML

from gfm_utils.figures.forms import finished
from gfm_utils.figures.names import chart_names

#: Tokens of a strip, from the middle of the window: what a phone has room for.
SHOWN = 8
_TRUE = "true"


def guess_strip(table: pd.DataFrame) -> alt.LayerChart:
    """A stretch of each condition cut into tokens, and above each what every member guesses when it is hidden.

    From ``measures.along_windows``; its first window is drawn.
    """
    rows = table[(table["metric"] == "position_confidence") & (table["window"] == 1)]
    rows = rows.assign(place=rows["x"].astype(int), hit=rows["named"] == rows["token"])
    middle = rows.groupby("condition")["place"].transform("max") // 2
    rows["place"] -= middle - SHOWN // 2  # 1 to SHOWN
    rows = rows[rows["place"].between(1, SHOWN)].astype({"token": object, "named": object})
    rows["row"] = rows["condition"] + "|model " + rows["member"].astype(str)
    true = rows.drop_duplicates(["condition", "place"]).assign(row=lambda kept: kept["condition"] + f"|{_TRUE}")
    names = true.drop_duplicates("condition").assign(row=lambda kept: kept["condition"] + "|")
    names["name"] = names["condition"].map(chart_names(names["condition"].tolist()))
    order = pd.concat([names, rows, true]).sort_values("condition", key=_order, kind="stable")["row"].unique()

    place = alt.X("place:O", axis=None)
    label = alt.Axis(labelExpr="split(datum.label, '|')[1]", ticks=False, domain=False, title=None)
    row = alt.Y("row:N", sort=order.tolist(), axis=label)
    fields = ["condition", "row", "place", "member", "token", "named", "value", "hit"]
    base = alt.Chart(rows.sort_values("hit")[fields]).encode(  # frames of right guesses are drawn last
        x=place,
        y=row,
        tooltip=[
            alt.Tooltip("token:N", title="hidden"), alt.Tooltip("named:N", title="likeliest"),
            alt.Tooltip("value:Q", title="probability", format=".0%"), alt.Tooltip("member:N", title="model"),
        ],
    )  # fmt: skip
    legend = alt.Legend(format="%", direction="horizontal", gradientLength=150, titleLimit=300)
    scale = alt.Scale(domain=[0, 1], range=["#f7fbff", "#08306b"])
    colour = alt.Color("value:Q", title="probability of the guess", scale=scale, legend=legend)
    frame = alt.when("datum.hit").then(alt.value("black")).otherwise(alt.value("white"))
    cells = base.mark_rect(strokeWidth=2).encode(color=colour, stroke=frame)
    dark = alt.when("datum.value > 0.5").then(alt.value("white")).otherwise(alt.value("black"))
    guesses = base.mark_text(font="monospace", fontSize=11).encode(text="named:N", color=dark)
    stands = alt.Chart(true[["row", "place", "token"]]).encode(x=place, y=row, text="token:N")
    heads = alt.Chart(names[["row", "name"]]).encode(x=alt.value(0), y=row, text="name:N")
    words = [
        stands.mark_text(font="monospace", fontSize=11, fontWeight="bold"),
        heads.mark_text(align="left", dx=2, fontSize=13),
    ]
    return finished([cells, guesses, *words], 21 * len(order))


def _order(conditions: pd.Series) -> pd.Series:
    """Numbers of conditions in the order in which they come."""
    return pd.Series(pd.factorize(conditions)[0], conditions.index)


def guessing_game(games: Sequence[Mapping[str, Any]]) -> HTML:
    """The game of ``measures.guessing_games``, which ``assets/play.js`` draws on a page of the book."""
    data = json.dumps(games, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return HTML(f'<div class="guess-game"><script type="application/json">{data}</script></div>')
