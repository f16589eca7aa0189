"""Charts of the information profile, from `gfm_utils.entropy.profile`."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.corpora import Feature
from gfm_utils.figures.forms import (
    NO_DNA,
    Menu,
    chosen,
    finished,
    lines,
    logarithmic,
    points_in_rows,
    tooltips,
)
from gfm_utils.figures.palette import KIND_COLOURS, NEUTRAL, OTHERS
from gfm_utils.figures.select import conditions_of, rows_of, with_span

#: Most windows that are drawn; beyond that neighbours are pooled.
MOST = 1_600
#: Windows shorter than this share of the longest one are left out: means of a few bases say nothing.
_SHORT = 0.25
_LINE = 220  # height of the part with the line, in pixels
_TRACK, _GAP = 16, 22  # height of a track, and room above it for its name
_NAMES = {
    "repeat": "soft-masked repeats", "coding": "coding", "genic": "introns and untranslated", "gc": "GC",
}  # fmt: skip
_TRACK_COLOUR = {"repeat": OTHERS[1], "coding": OTHERS[2], "genic": OTHERS[0], "gc": NEUTRAL}
_ENDS = {"left": "from", "right": "to"}  # of a window, column -> name
_CONTRASTS = {"repeat_auc": "repeats below others", "coding_auc": "intergenic below coding"}
_READ = {feature.value: feature.value for feature in Feature} | {
    "utr": "UTR", "noncoding_rna": "non-coding RNA", "other": "pseudogene, other",
}  # fmt: skip


def profile_chart(profiles: Mapping[str, pd.DataFrame], most: int = MOST) -> alt.LayerChart | Markdown:
    """Bits per base along the longest record, with tracks of the soft mask and the annotation under it.

    Drag to move along the record, scroll or pinch to zoom; the darker a track, the larger the share of its
    class. The line breaks where more than half a window is missing; windows of less than a quarter of the usual
    length (between two cuts) are left out. One view of layers, so that its width follows the page; where there
    are several corpora the reader selects one.

    Args:
        profiles: windows as `information_profile` gives them, by the name of the corpus.
        most: windows that are drawn at most, of all corpora; neighbours within the same stretch are pooled.

    Returns:
        The chart; a sentence where there is no DNA.
    """
    if not profiles:
        return NO_DNA
    shares = {"genic": "utr"}  # known together with the share of introns
    known = [
        name for name in _NAMES if any(each[shares.get(name, name)].notna().all() for each in profiles.values())
    ]
    tracks = {name: _LINE + _GAP + number * (_TRACK + _GAP) for number, name in enumerate(known)}
    height = _LINE + len(tracks) * (_TRACK + _GAP) + 6
    parts: list[pd.DataFrame] = []
    labels: list[dict[str, str | int]] = []
    for corpus, profile in profiles.items():
        record = str(profile.groupby("record", sort=False)["bases"].sum().idxmax())
        rows = _drawn(profile[profile["record"] == record], most // len(profiles))
        labels.append({"corpus": corpus, "label": f"{corpus}, {record}", "place": 12})
        for name, top in tracks.items():
            low, high = _range(rows[name])
            labels.append(
                {"corpus": corpus, "label": f"{_NAMES[name]}, {low:.0%} to {high:.0%}", "place": top - 1}
            )
            rows[f"{name}_shade"] = ((rows[name] - low) / (high - low)).clip(0, 1).round(3)
        parts.append(rows.assign(corpus=corpus))
    shown, menu = pd.concat(parts, ignore_index=True), _corpora(list(profiles))
    position: dict[str, Any] = {
        "scale": alt.Scale(nice=False, zero=False),
        "axis": alt.Axis(grid=False, tickCount=6),
    }
    base = chosen(shown, menu).encode(x=alt.X("middle:Q", title="position (Mb)", **position))
    y = alt.Y(
        "bits:Q",
        title="bits per base",
        scale=alt.Scale(
            domain=[float(shown["bits"].min()), max(2.0, float(shown["bits"].max()))],
            range=[_LINE, 20], zero=False, nice=False,
        ),
        axis=alt.Axis(titleY=_LINE / 2, tickCount=6),
    )  # fmt: skip
    tips = [
        *(alt.Tooltip(f"{end}:Q", title=f"{word} (Mb)", format=".3f") for end, word in _ENDS.items()),
        *tooltips("bits"),
        *(alt.Tooltip(f"{name}:Q", title=_NAMES[name], format=".0%") for name in tracks),
    ]
    windows = base.encode(x="left:Q", x2="right:Q")
    touch = windows.mark_rect(opacity=0, clip=True).encode(y=alt.value(0), y2=alt.value(height), tooltip=tips)
    names = chosen(pd.DataFrame(labels), menu).mark_text(
        align="left", baseline="bottom", fontSize=11, color="#333333"
    )
    layers = [
        alt.Chart(pd.DataFrame({"bits": [2.0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(y=y),
        base.mark_line(strokeWidth=1.2, color=KIND_COLOURS["dna"], clip=True).encode(y=y, detail="stretch:N"),
        base.mark_circle(size=9, color=KIND_COLOURS["dna"], opacity=0.6, clip=True).encode(y=y),
        *(_track(windows, name, top) for name, top in tracks.items()),
        *(
            names.transform_filter(f"datum.place == {place}").encode(
                x=alt.value(2), y=alt.value(place), text="label:N"
            )
            for place in dict.fromkeys(label["place"] for label in labels)
        ),
        touch.add_params(alt.selection_interval(bind="scales", encodings=["x"])),
    ]
    return finished(layers, height, menu).resolve_scale(opacity="independent")


def _track(windows: alt.Chart, name: str, top: int) -> alt.Chart:
    """A strip of windows, darker where the share of a class is larger."""
    shade = alt.Opacity(f"{name}_shade:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 1]))
    return windows.mark_rect(color=_TRACK_COLOUR[name], clip=True).encode(
        y=alt.value(top), y2=alt.value(top + _TRACK), opacity=shade
    )


def _corpora(names: Sequence[str]) -> Menu:
    """Which corpus is shown."""
    return Menu("shown", "corpus", names, "corpus ")


def _drawn(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Windows in Mb, in stretches without larger gaps, pooled until there are few enough."""
    rows = rows[rows["bases"] >= _SHORT * rows["bases"].max()].sort_values("begin").reset_index(drop=True)
    gap = rows["begin"].to_numpy()[1:] - rows["end"].to_numpy()[:-1]
    stretch = np.concatenate([[0], np.cumsum(gap > rows["bases"].max() / 2)])
    rows = rows.assign(stretch=stretch, genic=rows["utr"] + rows["intron"])
    shares = ["bits", *_NAMES]
    size = -(-len(rows) // most)
    if size > 1:
        group = [rows["stretch"], rows.groupby("stretch").cumcount() // size]
        weighted = rows[shares].mul(rows["bases"], axis=0).groupby(group).sum(min_count=1)
        spans = rows.groupby(group).agg(begin=("begin", "min"), end=("end", "max"), bases=("bases", "sum"))
        rows = (
            weighted.div(spans["bases"], axis=0).join(spans).rename_axis(["stretch", None]).reset_index("stretch")
        )
    rows = rows.assign(
        left=rows["begin"] / 1e6, right=rows["end"] / 1e6, middle=(rows["begin"] + rows["end"]) / 2e6
    )
    return rows[["stretch", "left", "right", "middle", *shares]].round(5).reset_index(drop=True)


def _range(share: pd.Series) -> list[float]:
    """The middle 96 % of a share, from white to full colour."""
    low, high = share.quantile([0.02, 0.98])
    return [float(low), float(high) if high > low else float(low) + 1e-6]


def feature_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Mean bits per base of each class of bases, with 95 % intervals; dashed: all bases.

    Args:
        table: with the rows of `bits_by_class`, of one or more corpora, of which the reader selects one.

    Returns:
        The chart; a sentence where the table has no such rows.
    """
    if not (table["metric"] == "feature_code_length").any():
        return NO_DNA
    rows = with_span(rows_of(table, "feature_code_length", axis="feature", numeric=False))
    share = rows_of(table, "feature_share", axis="feature", numeric=False)
    rows = rows.merge(share[["condition", "x", "value"]].rename(columns={"value": "share"}), on=["condition", "x"])
    rows = rows.assign(feature=rows["x"].map(_READ)).rename(columns={"condition": "corpus"})
    overall = (
        rows_of(table, "feature_code_length").assign(label="all bases").rename(columns={"condition": "corpus"})
    )
    menu = _corpora(list(dict.fromkeys(rows["corpus"])))
    present = [feature for feature in Feature if feature.value in set(rows["x"])]
    order = [_READ[feature.value] for feature in present]
    whole = chosen(overall[["corpus", "value", "low", "high", "label"]], menu).encode(x="value:Q")
    return points_in_rows(
        rows[["corpus", "feature", "value", "low", "high", "share", "n"]],
        "feature",
        alt.X("value:Q", title="bits per base (upper bound)", scale=alt.Scale(zero=False)),
        alt.Color("feature:N", scale=alt.Scale(domain=order, range=[KIND_COLOURS["dna"]]), legend=None),
        [
            "feature", alt.Tooltip("value:Q", title="bits per base", format=".3~r"), *tooltips("low", "high"),
            alt.Tooltip("share:Q", title="share of the bases", format=".3~p"),
            alt.Tooltip("n:Q", title="bases", format=","),
        ],
        order=order,
        menus=[menu],
        behind=[
            whole.mark_rule(color=NEUTRAL, strokeDash=[2, 3], strokeWidth=1.5),
            whole.mark_text(align="right", dx=-4, dy=4, fontSize=11, color=NEUTRAL, baseline="top").encode(
                y=alt.value(0), text="label:N"
            ),
        ],
        room=120,
        height=36 * len(order),
    )  # fmt: skip


def separation_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """AUC of both contrasts against the size of the window, with 95 % intervals.

    The dashed rule is chance, 0.5.

    Args:
        table: with the rows of `separation`, of one or more corpora, of which the reader selects one.

    Returns:
        The chart; a sentence where the table has no such rows.
    """
    rows = table[table["metric"].isin(_CONTRASTS)]
    if rows.empty:
        return NO_DNA
    rows = with_span(rows.astype({"condition": object, "metric": object, "x": "float64", "n": "float64"}))
    rows = rows.assign(contrast=rows["metric"].map(_CONTRASTS), corpus=rows["condition"])
    chance = alt.Chart(pd.DataFrame({"value": [0.5]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4])
    two = alt.Scale(domain=list(_CONTRASTS.values()), range=OTHERS[1:3])
    return lines(
        rows[["corpus", "contrast", "x", "value", "low", "high", "n"]],
        alt.X("x:Q", title="bases in a window", **logarithmic(rows["x"])),
        alt.Y("value:Q", title="separation (AUC; chance: 0.5)", scale=alt.Scale(zero=False)),
        alt.Color("contrast:N", title=None, scale=two),
        [
            "contrast", alt.Tooltip("x:Q", title="bases in a window", format=","),
            alt.Tooltip("value:Q", title="AUC", format=".3~r"), *tooltips("low", "high"),
            alt.Tooltip("n:Q", title="windows", format=","),
        ],
        menus=[_corpora(conditions_of(rows))],
        behind=[chance.encode(y="value:Q")],
        height=300,
    )  # fmt: skip
