"""One page of charts and tables, a file that needs no other and no network; that of models that have no book."""

import html
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gfm_utils import figures
from gfm_utils.book.pages import vega_bundle
from gfm_utils.figures.description import described
from gfm_utils.figures.select import conditions_of
from gfm_utils.files import atomic


class Section(NamedTuple):
    """The charts of a result table, whose captions are what their functions say, and its table for people."""

    charts: tuple[Callable[[pd.DataFrame], Any], ...]
    metrics: tuple[str, ...]  # of the table
    axis: str | None = None  # of the table, one column a position


#: By the name of the result table. Intervals are over the models that were named.
SECTIONS: dict[str, Section] = {
    "predictions": Section(
        (
            figures.uncertainty_chart, figures.context_chart, figures.rank_probability_chart,
            figures.reliability_chart,
        ),
        ("output_entropy", "nll", "context_gain", "accuracy", "expected_calibration_error"),
    ),
    "disagreement": Section(
        (figures.top_p_chart, figures.rank_agreement_chart, figures.strata_chart, figures.pair_chart),
        ("js_distance", "js_distance_matched_null", "mutual_information", "top1_agreement", "rank_biased_overlap"),
    ),
    "static_embeddings": Section(
        (figures.neighbourhood_chart, figures.alignment_chart, figures.band_chart),
        ("procrustes_disparity", "linear_cka", "linear_cka_debiased", "rbf_cka_debiased"),
    ),
    "contextual_embeddings": Section((figures.layer_chart,), ("layer_cka",), "layers"),
    "tasks": Section(
        (figures.task_chart, figures.task_layer_chart, figures.task_examples_chart, figures.disruption_chart),
        ("probe_auc",),
        "task",
    ),
}  # fmt: skip
#: A chart is left out of a table without rows on its axis.
AXES = {
    figures.rank_probability_chart: "rank",
    figures.band_chart: "band",
    figures.disruption_chart: "disruption",
}
_STYLE = """body { font-family: sans-serif; max-width: 52rem; margin: 1rem auto; padding: 0 1rem; color: #222 }
figure { margin: 1.5rem 0 } figcaption, .note { color: #555; font-size: 0.9rem }
.chart { width: 100%; overflow-x: auto } .wide { overflow-x: auto } code { overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: 0.85rem } td, th { padding: 0.2rem 0.6rem; text-align: left }"""


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write one HTML page that needs no other file and no network, and return its path.

    ``title`` is plain text, ``parts`` are HTML, one below the other.
    """
    bundle = re.sub("</(?=script)", r"<\\/", vega_bundle(), flags=re.IGNORECASE)  # or it ends its element
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
    """An Altair chart that ``write_page`` draws, with its caption; each chart of a page has another name."""
    spec = chart.to_dict()
    spec["description"] = described(spec, caption)
    specification = json.dumps(spec).replace("<", "\\u003c")  # which must not begin a tag in a script
    place = f"altair-viz-{name}"
    words = html.escape(caption)
    return (
        f'<figure><div class="chart" id="{place}"></div>\n<figcaption>{words}</figcaption></figure>\n'
        f'<script>vegaEmbed("#{place}", {specification}, {{mode: "vega-lite", actions: false}});</script>'
    )


def write_report(
    tables: Mapping[str, pd.DataFrame], path: Path, command: str, failed: Mapping[str, str] | None = None
) -> Path:
    """Write the charts of the tables that ``SECTIONS`` name as one HTML page, and return its path.

    ``failed``: analyses that gave no table, each with the reason.
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
    section, axes = SECTIONS[name], set(table["axis"].dropna())
    yield f"<h2>{name.replace('_', ' ').capitalize()}</h2>"
    for number, draw in enumerate(section.charts, 1):
        if draw not in AXES or AXES[draw] in axes:
            caption = (inspect.getdoc(draw) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "")
            yield figure_html(f"{name}-{number}", draw(table), caption)
    shown = figures.overview(table, *section.metrics, axis=section.axis).format(escape="html")
    yield f'<details><summary>Numbers</summary><div class="wide" tabindex="0">{shown.to_html()}</div></details>'
