"""Charts of the information profile, from `gfm_utils.entropy.profile`."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from gfm_utils.corpora import Feature
from gfm_utils.figures.select import conditions_of, rows_of, with_span
from gfm_utils.figures.style import COLOURS, NEUTRAL, themed, tooltips

#: What is shown in place of a chart where no corpus is DNA.
NO_DNA = Markdown("*There is no DNA among the conditions of this run, hence nothing to draw here.*")
#: Most windows that are drawn; beyond that neighbours are pooled.
MOST = 1_600
#: Windows shorter than this share of the longest one are left out: means of a few bases say nothing.
_SHORT = 0.25
_LINE = 220  # height of the part with the line, in pixels
_TRACK, _GAP = 16, 22  # height of a track, and room above it for its name
_NAMES = {
    "repeat": "soft-masked repeats", "coding": "coding", "genic": "introns and untranslated", "gc": "GC",
}  # fmt: skip
_READ = {feature.value: feature.value for feature in Feature} | {
    "utr": "UTR", "noncoding_rna": "non-coding RNA", "other": "pseudogene, other",
}  # fmt: skip
_COLOUR = {
    Feature.REPEAT: COLOURS[1], Feature.CODING: COLOURS[2], Feature.UTR: COLOURS[5], Feature.INTRON: COLOURS[0],
    Feature.NONCODING_RNA: COLOURS[3], Feature.OTHER: COLOURS[4], Feature.INTERGENIC: NEUTRAL,
    Feature.UNANNOTATED: NEUTRAL,
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
    parts: list[pd.DataFrame] = []
    labels: dict[int, list[dict[str, str]]] = {}  # by their place from above, in pixels
    top_of: dict[str, int] = {}
    tracks = [name for name in _NAMES if any(_has(profile, name) for profile in profiles.values())]
    for number, name in enumerate(tracks):
        top_of[name] = _LINE + _GAP + number * (_TRACK + _GAP)
    for corpus, profile in profiles.items():
        record = str(profile.groupby("record", sort=False)["bases"].sum().idxmax())
        rows = _drawn(profile[profile["record"] == record], most // len(profiles))
        labels.setdefault(12, []).append({"corpus": corpus, "label": f"{corpus}, {record}"})
        for name in tracks:
            labels.setdefault(top_of[name] - 1, []).append({"corpus": corpus, "label": _label(name, rows[name])})
            low, high = _range(rows[name])
            rows[f"{name}_shade"] = ((rows[name] - low) / (high - low)).clip(0, 1).round(3)
        parts.append(rows.assign(corpus=corpus))
    height = _LINE + len(tracks) * (_TRACK + _GAP) + 6
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    shown = pd.concat(parts, ignore_index=True)
    base = _of_chosen(alt.Chart(shown)).encode(
        x=alt.X(
            "middle:Q",
            title="position (Mb)",
            scale=alt.Scale(nice=False, zero=False),
            axis=alt.Axis(grid=False, tickCount=6),
        )
    )
    low, high = float(shown["bits"].min()), max(2.0, float(shown["bits"].max()))
    y = alt.Y(
        "bits:Q",
        title="bits per base",
        scale=alt.Scale(domain=[low, high], range=[_LINE, 20], zero=False, nice=False),
        axis=alt.Axis(titleY=_LINE / 2, tickCount=6),
    )
    tips = [
        alt.Tooltip("left:Q", title="from (Mb)", format=".3f"),
        alt.Tooltip("right:Q", title="to (Mb)", format=".3f"),
        *tooltips("bits"),
        *(alt.Tooltip(f"{name}:Q", title=_NAMES[name], format=".0%") for name in tracks),
    ]
    line = base.mark_line(strokeWidth=1.2, color=COLOURS[0], clip=True).encode(y=y, detail="stretch:N")
    dots = base.mark_circle(size=9, color=COLOURS[0], opacity=0.6, clip=True).encode(y=y)
    touch = base.mark_rect(opacity=0, clip=True).encode(
        x="left:Q", x2="right:Q", y=alt.value(0), y2=alt.value(height), tooltip=tips
    )
    level = alt.Chart(pd.DataFrame({"bits": [2.0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(y=y)
    layers = [level, line, dots]
    colours = {"repeat": COLOURS[1], "coding": COLOURS[2], "genic": COLOURS[4], "gc": NEUTRAL}
    for name in tracks:
        shade = alt.Opacity(f"{name}_shade:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 1]))
        layers.append(
            base.mark_rect(color=colours[name], clip=True).encode(
                x="left:Q", x2="right:Q", y=alt.value(top_of[name]), y2=alt.value(top_of[name] + _TRACK),
                opacity=shade,
            )
        )  # fmt: skip
    for place, texts in labels.items():
        names = _of_chosen(alt.Chart(pd.DataFrame(texts)))
        layers.append(
            names.mark_text(align="left", baseline="bottom", fontSize=11, color="#333333").encode(
                x=alt.value(2), y=alt.value(place), text="label:N"
            )
        )
    chart = alt.layer(*layers, touch.add_params(zoom)).resolve_scale(opacity="independent")
    return themed(chart.add_params(_chooser(list(profiles))).properties(width="container", height=height))


def _has(profile: pd.DataFrame, track: str) -> bool:
    """Whether the profile knows the share that a track shows."""
    return bool(profile["utr" if track == "genic" else track].notna().all())


def _chooser(corpora: Sequence[str]) -> alt.Parameter:
    """Which corpus is shown, with a menu where there are several."""
    bind = alt.binding_select(options=list(corpora), name="corpus ") if len(corpora) > 1 else alt.Undefined
    return alt.param(name="shown", value=corpora[0], bind=bind)


def _of_chosen(chart: alt.Chart) -> alt.Chart:
    return chart.transform_filter("datum.corpus == shown")


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


def _label(name: str, share: pd.Series) -> str:
    low, high = _range(share)
    return f"{_NAMES[name]}, {low:.0%} to {high:.0%}"


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
    share = rows_of(table, "feature_share", axis="feature", numeric=False).set_index(["condition", "x"])["value"]
    rows["share"] = [share[key] for key in zip(rows["condition"], rows["x"], strict=True)]
    rows["feature"], rows["corpus"] = rows["x"].map(_READ), rows["condition"]
    overall = rows_of(table, "feature_code_length").assign(label="all bases")
    overall = overall.rename(columns={"condition": "corpus"})[["corpus", "value", "low", "high", "label"]]
    present = [feature for feature in Feature if feature.value in set(rows["x"])]
    order, colours = [_READ[feature.value] for feature in present], [_COLOUR[feature] for feature in present]
    base = _of_chosen(alt.Chart(rows[["corpus", "feature", "value", "low", "high", "share", "n"]])).encode(
        y=alt.Y("feature:N", title=None, sort=order, axis=alt.Axis(labelLimit=120)),
        color=alt.Color("feature:N", scale=alt.Scale(domain=order, range=colours), legend=None),
        tooltip=[
            "feature", alt.Tooltip("value:Q", title="bits per base", format=".3f"), *tooltips("low", "high"),
            alt.Tooltip("share:Q", title="share of the bases", format=".1%"),
            alt.Tooltip("n:Q", title="bases", format=","),
        ],
    )  # fmt: skip
    x = alt.X("value:Q", title="bits per base (upper bound)", scale=alt.Scale(zero=False))
    span = base.mark_rule(strokeWidth=2.5).encode(x="low:Q", x2="high:Q")
    point = base.mark_circle(size=110, opacity=1).encode(x=x)
    everything = _of_chosen(alt.Chart(overall)).encode(x="value:Q")
    rule = everything.mark_rule(color=NEUTRAL, strokeDash=[2, 3], strokeWidth=1.5)
    name = everything.mark_text(align="right", dx=-4, dy=4, fontSize=11, color=NEUTRAL, baseline="top").encode(
        y=alt.value(0), text="label:N"
    )
    chart = alt.layer(rule, name, span, point).add_params(_chooser(conditions_of(rows)))
    return themed(chart.properties(width="container", height=36 * len(order)))


def separation_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """AUC of both contrasts against the size of the window or of the smoothing, with 95 % intervals.

    The dashed rule is chance, 0.5.

    Args:
        table: with the rows of `separation`, of one or more corpora, of which the reader selects one.

    Returns:
        The chart; a sentence where the table has no such rows.
    """
    found = sorted(set(table["metric"]) & {"repeat_auc", "coding_auc"})
    if not found:
        return NO_DNA
    rows = pd.concat(
        [
            rows_of(table[table["metric"] == name], name, axis=axis)
            for name in found
            for axis in _axes(table[table["metric"] == name])
        ]
    )
    rows = with_span(rows)
    rows["corpus"] = rows["condition"]
    rows["contrast"] = rows["metric"].map({
        "repeat_auc": "repeats below the rest", "coding_auc": "intergenic below coding",
    })  # fmt: skip
    rows["view"] = rows["axis"].map({"window": "windows", "smoothing": "bases, smoothed"})
    domain = ["repeats below the rest", "intergenic below coding"]
    base = _of_chosen(alt.Chart(rows[["corpus", "contrast", "view", "x", "value", "low", "high", "n"]])).encode(
        x=alt.X("x:Q", title="width (bases)", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s")),
        color=alt.Color(
            "contrast:N", title=None, scale=alt.Scale(domain=domain, range=[COLOURS[1], COLOURS[2]]),
            legend=alt.Legend(columns=1),
        ),
        tooltip=[
            "contrast", "view", alt.Tooltip("x:Q", title="bases", format=","),
            alt.Tooltip("value:Q", title="AUC", format=".3f"), *tooltips("low", "high"),
            alt.Tooltip("n:Q", title="windows or bases", format=","),
        ],
    )  # fmt: skip
    dash = alt.StrokeDash(
        "view:N", title=None, scale=alt.Scale(domain=["windows", "bases, smoothed"], range=[[1, 0], [5, 3]]),
        legend=alt.Legend(columns=1, symbolType="stroke", symbolStrokeColor=NEUTRAL, symbolStrokeWidth=2),
    )  # fmt: skip
    y = alt.Y("value:Q", title="AUC", scale=alt.Scale(zero=False))
    line = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    point = base.mark_circle(size=45, opacity=1).encode(y=y)
    span = base.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    chance = alt.Chart(pd.DataFrame({"value": [0.5]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(y=y)
    chart = alt.layer(chance, span, line, point).add_params(_chooser(conditions_of(rows)))
    return themed(chart.properties(width="container", height=300))


def _axes(table: pd.DataFrame) -> list[str]:
    return [axis for axis in ("window", "smoothing") if (table["axis"] == axis).any()]
