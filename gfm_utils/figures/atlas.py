"""Charts and tables of the atlas: measures of many corpora against what their models gain, and forecasts.

Each ``table`` is of ``measures.estimates.compared``, ``points`` are of ``claims.atlas_points``, and
``forecasts`` of ``claims.left_out``.
"""

import html
from collections.abc import Iterable, Sequence
from functools import partial

import altair as alt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from gfm_utils.claims.atlas import (
    CENTRAL_DOGMA,
    DIFFERS,
    NOT_SEPARABLE,
    atlas_points,
    gain_scale,
    kind_contrasts,
    kind_effects,
    line,
    slopes,
)
from gfm_utils.claims.dose import GAIN, LEAST_GAIN
from gfm_utils.claims.effects import PRIMARY
from gfm_utils.claims.forecast import COUNTED_FIRST, FORECAST, judged, left_out
from gfm_utils.corpora.registry import find
from gfm_utils.figures.comparison import LABELS, comparison_rows, entropy_gain_chart, kind_colour
from gfm_utils.figures.forms import crosses, one_below_another, tooltips
from gfm_utils.figures.numbers import (
    brief,
    difference,
    interval,
    listed,
    number,
    percentage,
    row_difference,
    spanned,
    with_interval,
)
from gfm_utils.figures.palette import NEUTRAL
from gfm_utils.figures.summary_table import markdown_table
from gfm_utils.measures.registry import MEASURES

#: What of an atlas stands in its table.
LISTED = ("entropy_share", GAIN, "accuracy", *PRIMARY, "leaked_windows")
_CORPUS = alt.Tooltip("label:N", title="corpus")


def atlas_map(table: pd.DataFrame) -> alt.LayerChart:
    """Every corpus: context gain against the length of its shortest code, both as shares."""
    points = atlas_points(table)
    return entropy_gain_chart(table, dict(zip(points["condition"], points["label"], strict=True)))


def atlas_numbers(points: pd.DataFrame, forecasts: pd.DataFrame) -> dict[str, str]:
    """What stands in the sentences of the chapter on many corpora.

    Returns:
        ``corpora``: how many of which sort; ``explained_`` and the name of each primary measure: the share of the
        variance between genomes that the context gain explains; ``gain_``, ``learned_`` and each measure with a
        kind: from the least to the greatest, and the median share of what counting or a code saves; ``better``,
        ``among``, ``error``, ``mean_error``, ``held`` and ``held_kind`` of the forecasts.
    """
    kinds = points.groupby("kind")
    dna = points[points["kind"] == "dna"]
    within = slopes(dna[dna["group"] != "transcript"]).set_index("metric")["gain_alone"]
    saved = points[["counting_gain", "code_gain"]].max(axis=1)
    learned = (points[GAIN] / saved).groupby(points["kind"]).median()
    spans = {
        f"{short}_{kind}": spanned(rows.dropna(), partial(brief, percent=MEASURES[name].percent))
        for name, short in {GAIN: "gain", **{one: one for one in (*PRIMARY, "output_entropy_share")}}.items()
        for kind, rows in kinds[name]
    }
    verdicts = judged(forecasts)
    family, of_kind = (verdicts[verdicts["by"] == by].set_index("metric") for by in ("family", "kind"))
    among = judged(left_out(dna)).set_index("metric")
    return {
        "corpora": _counted(points),
        **{f"explained_{name}": percentage(within[name], 0) for name in PRIMARY},
        **{f"learned_{kind}": percentage(share, 0) for kind, share in learned.items()},
        **spans,
        "better": f"{(family['score'] < family['mean_score']).sum()} of {len(FORECAST)}",
        "among": f"{(among['score'] < among['mean_score']).sum()} of {len(FORECAST)}",
        "error": number(family.loc[GAIN, "error"], digits=2),
        "mean_error": number(family.loc[GAIN, "mean_error"], digits=2),
        "held": percentage(family.loc[GAIN, "held"], 0),
        "held_kind": spanned(of_kind["held"], partial(percentage, digits=0)),
    }


def _counted(points: pd.DataFrame) -> str:
    """How many corpora of which sort, in words: ``14 genomes, 4 sets of transcripts and 10 texts``."""
    transcripts = int((points["group"] == "transcript").sum())
    of_kind = points["kind"].value_counts()
    sorts = {
        "genomes": int(of_kind.get("dna", 0)) - transcripts, "sets of transcripts": transcripts,
        "sets of proteins": int(of_kind.get("protein", 0)), "texts": int(of_kind.get("text", 0)),
    }  # fmt: skip
    return listed([f"{count} {name}" for name, count in sorts.items() if count])


def atlas_chart(table: pd.DataFrame) -> alt.ConcatChart:
    """The primary measures against the context gain, a point a corpus, with the line of each kind and nulls."""
    points = atlas_points(table)
    labels = points.set_index("condition")["label"]
    gain = comparison_rows(table, GAIN).set_index("condition")[["value", "low", "high"]]
    gain = gain.set_axis(["gain", "gain_low", "gain_high"], axis="columns").clip(lower=LEAST_GAIN)
    kinds, frames = list(dict.fromkeys(points["kind"])), []
    for metric in PRIMARY:
        rows = comparison_rows(table, metric).join(gain, on="condition")
        frames.append(rows.assign(metric=metric, label=rows["condition"].map(labels), drawn="point"))
        slope, *intercepts = line(points.dropna(subset=[metric, GAIN]), metric, kinds)
        for kind, intercept in zip(kinds, intercepts, strict=True):
            gains = gain_scale(points.loc[points["kind"] == kind, GAIN])
            scale = np.linspace(gains.min(), gains.max(), 12)
            fitted = {"gain": np.exp2(scale), "value": intercept + slope * scale, "kind": LABELS[kind]}
            frames.append(pd.DataFrame({**fitted, "metric": metric, "drawn": "line"}))
    rows = pd.concat(frames, ignore_index=True)
    return one_below_another(rows, {name: MEASURES[name].text for name in PRIMARY}, _of_measure, 190)


def _of_measure(rows: pd.DataFrame) -> list[alt.Chart]:
    scale, ticks = alt.Scale(type="log", padding=14, nice=False), [0.03, 0.1, 0.3, 1, 3]
    base = alt.Chart(rows).encode(
        x=alt.X(
            "gain:Q", title="context gain, bits per token", scale=scale, axis=alt.Axis(format="~g", values=ticks)
        ),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format="~r", tickCount=5)),
        color=kind_colour(rows),
    )
    measured = base.transform_filter("datum.drawn == 'point'")
    tips = [_CORPUS, "kind", *tooltips("value", "low", "high", "gain", "null")]
    null = measured.mark_point(shape="stroke", size=70, opacity=0.5, strokeWidth=1.5).encode(
        y="null:Q", tooltip=tips, color=alt.value(NEUTRAL)
    )
    return [
        base.transform_filter("datum.drawn == 'line'").mark_line(strokeWidth=1.5, opacity=0.6),
        null,
        *crosses(measured, ("gain_low", "gain_high"), ("low", "high")),
        measured.mark_point(filled=True, size=60, opacity=1).encode(tooltip=tips),
    ]


def contrasts_table(points: pd.DataFrame) -> Markdown:
    """What two kinds differ by, at any gain and at equal gain, and the verdict; a row a measure and pair."""
    rows = []
    for _, row in kind_contrasts(points).iterrows():
        measure = MEASURES[row["metric"]]
        apart, least, most = (
            difference(row[name], np.nan, np.nan, measure.percent) for name in ("apart", "least", "most")
        )
        outcome = f"**{row['outcome']}**" if row["outcome"] == DIFFERS else row["outcome"]
        outcome += f" ({row['shared']} in the common range)" if row["outcome"] == NOT_SEPARABLE else ""
        pair = f"{LABELS[row['kind']]} less {LABELS[row['other']]}"
        equal = row_difference(row, measure.percent)
        rows.append([measure.text, pair, apart, equal, f"{least} to {most}", outcome])
    heads = ["Measure", "Kinds", "apart", "at equal gain", "without any one family", "verdict"]
    return Markdown(markdown_table(heads, rows, names=2))


def spread_table(points: pd.DataFrame) -> Markdown:
    """What twice the gain does, and how much of the differences between corpora gain and kind explain."""
    parts = {"all corpora": points}
    parts |= {f"{LABELS[kind]} alone": some for kind, some in points.groupby("kind", sort=False)}
    rows = []
    for name, some in parts.items():
        explained = ["gain_alone", "kind_alone", "both"] if some["kind"].nunique() > 1 else ["gain_alone"]
        for _, row in slopes(some).iterrows():
            measure = MEASURES[row["metric"]]
            shares = [percentage(row[share], 0) for share in explained] + ["–"] * (3 - len(explained))
            rows.append([measure.text, name, row_difference(row, measure.percent), *shares])
    heads = ["Measure", "of", "twice the gain", "explained by gain", "by kind", "by both"]
    return Markdown(markdown_table(heads, rows, names=2))


def residuals_table(points: pd.DataFrame) -> Markdown:
    """How far each kind lies from the line of all corpora, as a random effect."""
    effects, rows = kind_effects(points), []
    kinds = list(dict.fromkeys(effects["kind"]))
    for metric, of_metric in effects.groupby("metric", sort=False):
        measure, own = MEASURES[str(metric)], of_metric.set_index("kind")
        rows.append([measure.text, *(row_difference(own.loc[kind], measure.percent) for kind in kinds)])
    return Markdown(markdown_table(["Measure", *(LABELS[kind] for kind in kinds)], rows))


def dogma_table(points: pd.DataFrame) -> Markdown:
    """One genome and what is read from it: a row each, from genome to protein."""
    there = points.set_index("corpus")
    rows = [
        [step, *(number(there.loc[name, metric], MEASURES[metric].percent) for metric in LISTED)]
        for name, step in CENTRAL_DOGMA.items()
        if name in there.index
    ]
    return Markdown(markdown_table(["*Arabidopsis thaliana*", *(MEASURES[name].text for name in LISTED)], rows))


#: Sorts the rows of a table by the column whose head is clicked, up and down in turn.
_SORT = (
    "var i=[...this.parentNode.children].indexOf(this),b=this.closest('table').tBodies[0],d=this.dataset.up="
    "this.dataset.up=='1'?'':'1';[...b.rows].sort((p,q)=>{var x=p.cells[i].dataset.v,y=q.cells[i].dataset.v,"
    "c=isNaN(x)?x.localeCompare(y):x-y;return d?c:-c}).forEach(r=>b.append(r))"
)


def atlas_table(points: pd.DataFrame) -> HTML:
    """All corpora in a table that sorts by the column whose head is clicked."""
    heads = ["Corpus", "Kind", "Group", *(MEASURES[name].text for name in LISTED)]
    rows = []
    for _, point in points.iterrows():
        texts = (point["label"], LABELS[point["kind"]], point["group"])
        numbers = [(f"{point[name]:.6g}", number(point[name], MEASURES[name].percent)) for name in LISTED]
        rows.append([*((text, text) for text in texts), *numbers])
    top = "".join(
        f'<th style="cursor:pointer" onclick="{html.escape(_SORT)}">{html.escape(head)}</th>' for head in heads
    )
    body = (
        "".join(f'<td data-v="{html.escape(key)}">{html.escape(text)}</td>' for key, text in row) for row in rows
    )
    return HTML(_table(top, body))


def corpus_reports(table: pd.DataFrame) -> HTML:
    """Each corpus to unfold: what it is, its licence and source, and all its measures beside their nulls."""
    parts = []
    for _, point in atlas_points(table).iterrows():
        entry, rows = find(point["corpus"]), table[table["condition"] == point["condition"]]
        nulls = rows[rows["state"] != "trained"].set_index("metric")
        lines = []
        for _, row in rows[rows["state"] == "trained"].iterrows():
            measure, beside = MEASURES[row["metric"]], ""
            if row["metric"] in nulls.index:
                null = nulls.loc[row["metric"]]
                beside = f"{null['state']}: {number(null['value'], measure.percent)}"
            value = interval(row["value"], row["low"], row["high"], measure.percent)
            lines.append(f"<td>{html.escape(measure.text)}</td><td>{value}</td><td>{beside}</td>")
        title = f"{point['label']}: {LABELS[point['kind']]}, {point['group']}"
        about = f"{entry.description}. {entry.citation}. Licence: {entry.licence}."
        parts.append(
            f"<details><summary>{html.escape(title)}</summary><p>{html.escape(about)}</p>"
            f"{_table('<th>Measure</th><th>Trained</th><th>Null</th>', lines)}</details>"
        )
    return HTML("".join(parts))


def _table(head: str, rows: Iterable[str]) -> str:
    """An HTML table that scrolls in its box, from the cells of its head and of each row."""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div style="overflow-x:auto"><table class="dataframe"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def forecast_chart(forecasts: pd.DataFrame) -> alt.ConcatChart:
    """Forecasts of corpora whose family was left out, against what their models showed; right on the line."""
    rows = forecasts[forecasts["by"] == "family"]
    rows = rows.assign(kind=rows["kind"].map(LABELS))
    return one_below_another(rows, {name: MEASURES[name].text for name in FORECAST}, _forecasts_of_measure, 170)


def _forecasts_of_measure(rows: pd.DataFrame) -> list[alt.Chart]:
    free, axis = alt.Scale(zero=False, padding=10), alt.Axis(format="~r", tickCount=5)
    base = alt.Chart(rows).encode(
        x=alt.X("true:Q", title="measured", scale=free, axis=axis), color=kind_colour(rows)
    )
    tips = ["kind", *tooltips("true", "value", "low", "high", "mean_value")]
    y = alt.Y("value:Q", title="forecast", scale=free, axis=axis)
    ends = [float(rows["true"].min()), float(rows["true"].max())]
    diagonal = alt.Chart(pd.DataFrame({"true": ends, "value": ends})).mark_line(strokeDash=[4, 4], color=NEUTRAL)
    return [
        diagonal.encode(x="true:Q", y="value:Q"),
        base.mark_rule(strokeWidth=1, opacity=0.5).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=[_CORPUS, *tips]),
    ]


def forecasts_table(rows: pd.DataFrame, notes: Sequence[str]) -> Markdown:
    """What is forecast of corpora, beside the mean of the atlas: a row a measure and corpus, and notes."""
    lines = []
    for _, row in rows.iterrows():
        measure = MEASURES[row["metric"]]
        value = row["outcome"] if pd.isna(row["value"]) else with_interval(row, None, measure.percent)
        mean = "counted"
        if row["outcome"] != COUNTED_FIRST:
            mean = interval(row["mean_value"], row["mean_low"], row["mean_high"], measure.percent)
        lines.append([f"`{row['corpus']}`", measure.text, value, mean])
    table = markdown_table(["Corpus", "Measure", "forecast", "mean of the atlas"], lines, names=2) if lines else ""
    return Markdown("\n".join([table, "", *(f"- {note}." for note in notes)]))


def judged_table(forecasts: pd.DataFrame) -> Markdown:
    """How good forecasts are on corpora that were left out with their family, and with their kind."""
    rows = []
    for _, row in judged(forecasts).iterrows():
        measure = MEASURES[row["metric"]]
        error, score = (
            f"{number(row[name], measure.percent)} ({number(row[f'mean_{name}'], measure.percent)})"
            for name in ("error", "score")
        )
        better = "yes" if row["score"] < row["mean_score"] else "no"
        rows.append([measure.text, row["by"], percentage(row["held"], 0), error, score, better])
    heads = [
        "Measure", "left out with its", "intervals that hold", "error (of the mean)",
        "interval score (of the mean)", "better than the mean",
    ]  # fmt: skip
    return Markdown(markdown_table(heads, rows, names=2))
