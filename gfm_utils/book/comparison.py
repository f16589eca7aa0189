"""The comparison page of a batch: all conditions on the same scales, beside the reports."""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from markdown_it import MarkdownIt

from gfm_utils.book.front_page import warning
from gfm_utils.book.jobs import Outcome
from gfm_utils.book.report import figure_html, write_page
from gfm_utils.figures.claims import verdict_table
from gfm_utils.figures.comparison import comparison_chart, entropy_gain_chart
from gfm_utils.measures.estimates import compared
from gfm_utils.tables import write_table
from gfm_utils.tokens import Condition

_CAPTIONS = {
    "js_distance": "Jensen–Shannon distance between members. The tick is the matched null: distributions as "
    "certain whose logits are noise.",
    "topk_overlap_corrected": "Overlap of the ten nearest static embeddings between members, with chance at 0. "
    "The tick is the untrained members.",
    "fisher_share": "Share of the Fisher information that lies in the encoder. The tick is the untrained members.",
}


def build_comparison(out: Path, outcomes: Sequence[Outcome], combined: pd.DataFrame) -> Path:
    """Write ``out/index.html`` and ``out/comparison.parquet``, which holds its numbers; return the page's path.

    ``combined`` has the rows of all reports that are done, with a column ``report``.
    """
    done = [outcome for outcome in outcomes if outcome.error is None]
    table = pd.concat(
        [compared(combined[combined["report"] == one.name], one.conditions) for one in done], ignore_index=True
    )
    write_table(table, out / "comparison.parquet")
    return write_page(out / "index.html", "Comparison of corpora", _parts(out, table, combined, outcomes))


def _parts(out: Path, table: pd.DataFrame, combined: pd.DataFrame, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The page, part by part."""
    done = [outcome for outcome in outcomes if outcome.error is None]
    metrics = set(table["metric"])
    yield (
        f"<p>{table['condition'].nunique()} conditions of {len(done)} corpora, at the profile "
        f"<code>{done[0].profile}</code> with seed {done[0].seed}. A point is a condition; bars are 95 % "
        "intervals over the members of an ensemble, those of a corpus's entropy along the corpus. Where two "
        "members are all there is, a point has no bar.</p>"
    )
    yield MarkdownIt().render(warning({done[0].profile}).strip(":\n").removeprefix("{warning}"))
    yield "<h2>Reports</h2>"
    lines = ["".join(f"<th>{head}</th>" for head in ("Corpus", "Conditions", "Report"))]
    lines += ["".join(f"<td>{cell}</td>" for cell in _report(out, one)) for one in outcomes]
    table_rows = "".join(f"<tr>{line}</tr>" for line in lines)
    yield f'<div class="wide" tabindex="0"><table>{table_rows}</table></div>'
    if {"entropy_share", "context_gain_share"} <= metrics:
        yield (
            "<h2>Entropy against context gain</h2><p>To the right, the shortest code of a corpus is longer, which "
            "bounds its entropy from above; upwards, models gain more from the tokens around a hidden one. Both "
            "are shares, so that alphabets and tokenizers compare: of a uniform choice of symbols, and of what "
            "guessing by token frequencies costs.</p>"
        )
        caption = "Context gain of the trained members against the shortest code of the corpus."
        yield figure_html("entropy-gain", entropy_gain_chart(table), f"{caption} Click a kind to see it alone.")
    yield "<h2>Members against each other, and where the information sits</h2>"
    for name in (name for name in _CAPTIONS if name in metrics):
        yield figure_html(name, comparison_chart(table, name), _CAPTIONS[name])
    yield "<p>The numbers are in <code>comparison.parquet</code>, all of them in <code>results.csv</code>.</p>"
    if {"bits/base", "bits/character"} <= set(combined["unit"]):
        verdicts = MarkdownIt().enable("table").render(verdict_table({"These corpora": combined}))
        yield (
            "<h2>The paper's claims on these corpora</h2><p>A claim is supported if every condition of DNA "
            "differs from every one of text as claimed, by its primary measure.</p>"
            f'<details><summary>Table</summary><div class="wide" tabindex="0">{verdicts}</div></details>'
        )


def _report(out: Path, outcome: Outcome) -> tuple[str, str, str]:
    """Cells of a report: its corpus, conditions, and a link with what was adapted, or the reason of a failure."""
    parsed = [Condition.parse(name) for name in outcome.conditions]
    beside = ", ".join(f"<code>{' '.join(filter(None, (one.transform, one.tokenizer)))}</code>" for one in parsed)
    if outcome.error is None:
        page = outcome.page(out)
        words = [f'<a href="{page.relative_to(out)}">read it</a>'] if page else ["only measured"]
        words += [html.escape(note.partition("`: ")[2]) for note in outcome.notes]
    else:
        words = [f"<strong>failed</strong>: {html.escape(outcome.error)}"]
        if Path(outcome.corpus).is_absolute():
            words = [words[0].replace(f"{Path(outcome.corpus).parent}/", "")]
    return html.escape(Path(outcome.corpus).name), beside, "<br>".join(words)
