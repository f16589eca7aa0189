"""Charts of the information profile, from `gfm_utils.entropy.profile`."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from gfm_utils.corpora import Feature
from gfm_utils.figures.forms import NO_DNA, Menu, chosen, finished, level, tooltips
from gfm_utils.figures.numbers import with_interval
from gfm_utils.figures.palette import KIND_COLOURS, NEUTRAL, OTHERS
from gfm_utils.figures.select import named_means
from gfm_utils.figures.summary_table import for_people

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
_CONTRASTS = {"repeat_auc": "repeats below others", "coding_auc": "intergenic below coding"}
_READ = {feature.value: feature.value for feature in Feature} | {
    "utr": "UTR", "noncoding_rna": "non-coding RNA", "other": "pseudogene, other",
}  # fmt: skip


def profile_chart(profiles: Mapping[str, pd.DataFrame]) -> alt.LayerChart | Markdown:
    """Bits per base along the longest record, with tracks of the soft mask and the annotation under it.

    Drag to move along the record, scroll or pinch to zoom; the darker a track, the larger the share of its
    class. The line breaks where more than half a window is missing; windows of less than a quarter of the usual
    length (between two cuts) are left out. One view of layers, so that its width follows the page; where there
    are several corpora the reader selects one, and where there is no DNA a sentence says so.

    Args:
        profiles: windows as `information_profile` gives them, by the name of the corpus.
    """
    if not profiles:
        return NO_DNA
    known = [
        name for name in _NAMES
        if any(each["utr" if name == "genic" else name].notna().all() for each in profiles.values())
    ]  # fmt: skip
    tracks = {name: _LINE + _GAP + place * (_TRACK + _GAP) for place, name in enumerate(known)}
    height = _LINE + len(tracks) * (_TRACK + _GAP) + 6
    shown, labels = _rows(profiles, tracks)
    menu = Menu("shown", "corpus", list(profiles), "corpus ")
    position, fixed = alt.Axis(grid=False, tickCount=6), alt.Scale(nice=False, zero=False)
    base = chosen(shown, menu).encode(x=alt.X("middle:Q", title="position (Mb)", axis=position, scale=fixed))
    ends = [float(shown["bits"].min()), max(2.0, float(shown["bits"].max()))]
    scale = alt.Scale(domain=ends, range=[_LINE, 20], zero=False, nice=False)
    y = alt.Y("bits:Q", title="bits per base", scale=scale, axis=alt.Axis(titleY=_LINE / 2, tickCount=6))
    tips = [
        alt.Tooltip("left:Q", title="from (Mb)", format=".3f"),
        alt.Tooltip("right:Q", title="to (Mb)", format=".3f"),
        *tooltips("bits"),
        *(alt.Tooltip(f"{name}:Q", title=_NAMES[name], format=".0%") for name in tracks),
    ]
    windows, dna = base.encode(x="left:Q", x2="right:Q"), KIND_COLOURS["dna"]
    touch = windows.mark_rect(opacity=0, clip=True).encode(y=alt.value(0), y2=alt.value(height), tooltip=tips)
    names = chosen(labels, menu).mark_text(align="left", baseline="bottom", fontSize=11, color="#333333")
    layers = [
        base.mark_line(strokeWidth=1.2, color=dna, clip=True).encode(y=y, detail="stretch:N"),
        base.mark_circle(size=9, color=dna, opacity=0.6, clip=True).encode(y=y),
        level(y=2.0),
        *(_track(windows, name, top) for name, top in tracks.items()),
        *(
            names.transform_filter(f"datum.place == {place}").encode(
                x=alt.value(2), y=alt.value(place), text="label:N"
            )
            for place in labels["place"].unique().tolist()
        ),
        touch.add_params(alt.selection_interval(bind="scales", encodings=["x"])),
    ]
    return finished(layers, height, menu).resolve_scale(opacity="independent")


def _rows(profiles: Mapping[str, pd.DataFrame], tracks: Mapping[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The windows of each corpus's longest record with the shades of its tracks, and the names of these."""
    parts, labels = [], []
    for corpus, profile in profiles.items():
        record = str(profile.groupby("record", sort=False)["bases"].sum().idxmax())
        rows = _drawn(profile[profile["record"] == record], MOST // len(profiles))
        labels.append({"corpus": corpus, "label": f"{corpus}, {record}", "place": 12})
        for name, top in tracks.items():
            low, high = _range(rows[name])
            text = f"{_NAMES[name]}, {low:.0%} to {high:.0%}"
            labels.append({"corpus": corpus, "label": text, "place": top - 1})
            rows[f"{name}_shade"] = ((rows[name] - low) / (high - low)).clip(0, 1).round(3)
        parts.append(rows.assign(corpus=corpus))
    return pd.concat(parts, ignore_index=True), pd.DataFrame(labels)


def _track(windows: alt.Chart, name: str, top: int) -> alt.Chart:
    """A strip of windows, darker where the share of a class is larger."""
    shade = alt.Opacity(f"{name}_shade:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 1]))
    return windows.mark_rect(color=_TRACK_COLOUR[name], clip=True).encode(
        y=alt.value(top), y2=alt.value(top + _TRACK), opacity=shade
    )


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
        rows = weighted.div(spans["bases"], axis=0).join(spans)
        rows = rows.rename_axis(["stretch", None]).reset_index("stretch")
    left, right = rows["begin"] / 1e6, rows["end"] / 1e6
    rows = rows.assign(left=left, right=right, middle=(left + right) / 2)
    return rows[["stretch", "left", "right", "middle", *shares]].round(5).reset_index(drop=True)


def _range(share: pd.Series) -> list[float]:
    """The middle 96 % of a share, from white to full colour."""
    low, high = share.quantile([0.02, 0.98])
    return [float(low), float(high) if high > low else float(low) + 1e-6]


def feature_overview(table: pd.DataFrame) -> Styler | Markdown:
    """Mean bits per base of each class of bases, with 95 % intervals, and of all bases; a sentence where none are.

    From `bits_by_class`, of one or more corpora.
    """
    rows = pd.concat([named_means(table, {"feature_code_length": "bits"}, axis) for axis in ("feature", None)])
    if rows.empty:
        return NO_DNA
    share = table[table["metric"] == "feature_share"].astype({"x": object}).set_index(["condition", "x"])["value"]
    rows = rows.join(share.rename("share"), on=["condition", "x"])
    return for_people(pd.DataFrame({
        "corpus": rows["condition"], "bases": rows["x"].map(_READ).fillna("all bases"),
        "bits per base (upper bound)": rows.apply(with_interval, axis=1, digits=3),
        "share of the bases": rows["share"].astype(float).fillna(1.0).map("{:.1%}".format),
    }).sort_values("corpus", kind="stable"))  # fmt: skip


def separation_table(table: pd.DataFrame) -> Styler | Markdown:
    """AUC of both contrasts by the size of the window, with 95 % intervals; a sentence where there are none.

    From `separation`, of one or more corpora.
    """
    rows = named_means(table, _CONTRASTS, "window", numeric=True)
    if rows.empty:
        return NO_DNA
    rows = rows.assign(text=rows.apply(with_interval, axis=1, digits=3), x=rows["x"].map("{:,.0f} bases".format))
    wide = rows.pivot_table(index=["condition", "what"], columns="x", values="text", aggfunc="first", sort=False)
    return for_people(wide.rename_axis(index=["corpus", "separated"], columns=None).reset_index())
