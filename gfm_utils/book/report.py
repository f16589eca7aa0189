"""One page of charts and tables, a file that needs no other and no network; that of models that have no book."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gfm_utils import figures
from gfm_utils.book import offline
from gfm_utils.figures.description import described
from gfm_utils.figures.select import conditions_of
from gfm_utils.files import atomic


class Figure(NamedTuple):
    """A chart of a result table."""

    draw: Callable[[pd.DataFrame], Any]
    caption: str
    axis: str | None = None  # it is left out of a table without rows on this axis


class Section(NamedTuple):
    """A chapter's charts and its table for people."""

    title: str
    figures: tuple[Figure, ...]
    metrics: tuple[str, ...]  # of the table
    axis: str | None = None  # of the table, one column a position


#: By the name of the result table. Intervals are over the models that were named.
SECTIONS: dict[str, Section] = {
    "predictions": Section(
        "Predictions",
        (
            Figure(
                figures.uncertainty_chart,
                "Output entropy and loss of every model in bits per token. Rules: token frequencies of the "
                "rest of the corpus, and a uniform choice.",
            ),
            Figure(
                figures.context_chart,
                "What the models save over token frequencies on the same hidden tokens, per symbol.",
            ),
            Figure(figures.rank_probability_chart, "Mean probability of the r-th likeliest token.", "rank"),
            Figure(
                figures.reliability_chart,
                "Share of hits against the probability of the likeliest token; dashed: calibrated. Axes: square "
                "roots.",
            ),
        ),
        ("output_entropy", "nll", "context_gain", "accuracy", "expected_calibration_error"),
    ),
    "disagreement": Section(
        "Disagreement",
        (
            Figure(
                figures.top_p_chart,
                "Jensen–Shannon distance between models against the share of the probability kept. Control: the "
                "matched null, distributions as certain whose logits are noise.",
            ),
            Figure(
                figures.rank_agreement_chart,
                "Share of the k likeliest tokens that two models have in common. Dotted: level of chance.",
            ),
            Figure(
                figures.strata_chart,
                "Distance at full mass by kind of token (points); ticks: matched null of the same tokens.",
            ),
            Figure(figures.pair_chart, "Every pair of models, by their numbers; below each square its mean."),
        ),
        ("js_distance", "js_distance_matched_null", "mutual_information", "top1_agreement", "rank_biased_overlap"),
    ),
    "static_embeddings": Section(
        "Static embeddings",
        (
            Figure(figures.neighbourhood_chart, "Agreement about the nearest neighbours of tokens."),
            Figure(figures.alignment_chart, "Shape of the whole set of embeddings, compared between models."),
            Figure(figures.band_chart, "The same by the frequency of tokens in the corpus.", "band"),
        ),
        ("procrustes_disparity", "linear_cka", "linear_cka_debiased", "rbf_cka_debiased"),
    ),
    "contextual_embeddings": Section(
        "Contextual embeddings",
        (Figure(figures.layer_chart, "Hidden states at each layer: their shape, and how far models agree."),),
        ("layer_cka",),
        "layers",
    ),
    "tasks": Section(
        "Tasks",
        (
            Figure(
                figures.task_chart,
                "Area under the curve of probes of the models' states, beside counting on the same stretches; "
                "labels in random order and position alone must be at 0.5.",
            ),
            Figure(figures.task_layer_chart, "Probes of each layer; the first knows no context."),
            Figure(figures.task_examples_chart, "Probes by the number of labelled stretches. Dotted: counting."),
            Figure(
                figures.disruption_chart,
                "How often a disruption costs more where it destroys something than where it does not.",
                "disruption",
            ),
        ),
        ("probe_auc",),
        "task",
    ),
}
_STYLE = """body { font-family: sans-serif; max-width: 52rem; margin: 1rem auto; padding: 0 1rem; color: #222 }
figure { margin: 1.5rem 0 } figcaption, .note { color: #555; font-size: 0.9rem }
.chart { width: 100%; overflow-x: auto } .wide { overflow-x: auto } code { overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: 0.85rem } td, th { padding: 0.2rem 0.6rem; text-align: left }"""


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write one HTML page that needs no other file and no network, and return its path.

    Args:
        path: of the page.
        title: plain text.
        parts: HTML, one below the other.
    """
    bundle = re.sub("</(?=script)", r"<\\/", offline.vega_bundle(), flags=re.IGNORECASE)  # or it ends its element
    title, body = html.escape(title), "\n".join(parts)
    with atomic(path) as temporary:
        temporary.write_text(
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<style>{_STYLE}</style>\n<script>{bundle}</script></head>\n"
            f"<body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n",
            encoding="utf-8",
        )
    return path


def figure_html(name: str, chart: Any, caption: str) -> str:
    """A chart that ``write_page`` draws, with its caption.

    Args:
        name: another one for each chart of a page.
        chart: of Altair.
        caption: HTML.
    """
    spec = chart.to_dict()
    told = described(spec, re.sub("<[^>]*>", "", caption))
    specification = json.dumps({**spec, "description": told}).replace("<", "\\u003c")
    place = f"altair-viz-{name}"
    return (
        f'<figure><div class="chart" id="{place}"></div>\n<figcaption>{caption}</figcaption></figure>\n'
        f'<script>vegaEmbed("#{place}", {specification}, {{mode: "vega-lite", actions: false}});</script>'
    )


def write_report(
    tables: Mapping[str, pd.DataFrame], path: Path, command: str, failed: Mapping[str, str] | None = None
) -> Path:
    """Write the charts of some result tables, those of ``SECTIONS``, as one HTML page, and return its path.

    Args:
        tables: by the name of their chapter; others are passed over.
        path: of the page.
        command: that made the tables.
        failed: analyses that gave no table, each with the reason.
    """
    names = dict.fromkeys(name for table in tables.values() for name in conditions_of(table))
    parts = [
        f'<p class="note"><code>{html.escape(command)}</code><br>Brackets and bars are 95 % intervals over '
        "the models, which two models do not allow. There are no untrained models to compare with.</p>"
    ]
    for name, reason in (failed or {}).items():
        parts.append(f"<p><strong>Not done: {html.escape(name)}.</strong> {html.escape(reason)}</p>")
    parts += [part for name, table in tables.items() if name in SECTIONS for part in _section(name, table)]
    return write_page(path, ", ".join(names), parts)


def _section(name: str, table: pd.DataFrame) -> Iterator[str]:
    """A heading, the charts and the table of one chapter."""
    section = SECTIONS[name]
    yield f"<h2>{section.title}</h2>"
    axes = set(table["axis"].dropna())
    for number, figure in enumerate(section.figures, 1):
        if figure.axis is None or figure.axis in axes:
            yield figure_html(f"{name}-{number}", figure.draw(table), figure.caption)
    shown = figures.overview(table, *section.metrics, axis=section.axis).format(escape="html")
    yield f'<details><summary>Numbers</summary><div class="wide" tabindex="0">{shown.to_html()}</div></details>'
