"""The comparison page of a batch: all conditions on the same scales, in the book's look, beside the reports."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from gfm_utils.analyses.comparison import COMPARED, compared
from gfm_utils.book import offline
from gfm_utils.book.claims import warning
from gfm_utils.book.jobs import DONE, Outcome
from gfm_utils.book.site import pages_of
from gfm_utils.figures.claims import measures_table, verdict_table
from gfm_utils.figures.comparison import comparison_chart, comparison_rows, entropy_gain_chart
from gfm_utils.figures.numbers import interval, number
from gfm_utils.files import atomic
from gfm_utils.tables import write_table
from gfm_utils.tokens import Condition

PAGE = "comparison"
_CAPTIONS = {
    "js_distance": "Jensen–Shannon distance between members. The tick is the matched null: distributions as "
    "certain whose logits are noise.",
    "topk_overlap_corrected": "Overlap of the ten nearest static embeddings between members, with chance at 0. "
    "The tick is the untrained members.",
    "fisher_share": "Share of the Fisher information that lies in the encoder. The tick is the untrained members.",
}


def build_comparison(out: Path, root: Path, outcomes: Sequence[Outcome], combined: pd.DataFrame) -> Path:
    """Build ``out/comparison/html`` from the combined result table, unless it is up to date.

    Beside it ``out/comparison.parquet`` holds the numbers of its charts, and ``out/index.html`` leads there.

    Args:
        out: folder of the batch.
        root: the book's repository, for the pages' style.
        outcomes: of all reports that stand, done or failed.
        combined: rows of all reports that are done, with a column ``report``.

    Returns:
        Path of the front page.

    Raises:
        GfmError: the pages were not built.
    """
    done = [outcome for outcome in outcomes if outcome.state == DONE]
    table = pd.concat(
        [compared(combined[combined["report"] == one.name], one.conditions) for one in done], ignore_index=True
    )
    write_table(table, out / f"{PAGE}.parquet")
    source = _assemble(out / PAGE, root, [*_cells(table, combined, outcomes)])
    page = pages_of(source, out / PAGE, [PAGE])[0].with_name(f"{PAGE}.html")
    with atomic(out / "index.html") as temporary:
        link = page.relative_to(out).as_posix()
        temporary.write_text(
            f'<!DOCTYPE html><meta http-equiv="Refresh" content="0; url={link}"><a href="{link}">Comparison</a>\n'
        )
    return page


def _assemble(folder: Path, root: Path, cells: Sequence[Any]) -> Path:
    """Make ``folder/src``: one page with the book's configuration and style."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    settings.pop("launch_buttons", None)
    settings.setdefault("html", {})["use_repository_button"] = False
    settings["title"] = "Comparison of corpora"
    with atomic(folder / "src") as tree:
        tree.mkdir(parents=True)
        (tree / "_config.yml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        (tree / "_toc.yml").write_text(f"format: jb-book\nroot: {PAGE}\n")
        shutil.copyfile(root / "references.bib", tree / "references.bib")
        shutil.copytree(root / "assets", tree / "assets")
        offline.copy_vega(folder / "vega", tree / "assets")
        offline.copy_mathjax(tree / "assets")
        page = nbformat.writes(new_notebook(cells=list(cells)))
        (tree / f"{PAGE}.ipynb").write_text(_without_chance(page), encoding="utf-8")
    return folder / "src"


def _without_chance(text: str) -> str:
    """A page whose random identifiers are numbers, so that one that says the same is the same file."""
    found: dict[str, str] = {}
    for pattern in (r'(?<="id": ")[0-9a-f]{8}(?=")', r"(?<=altair-viz-)[0-9a-f]{32}"):
        text = re.sub(pattern, lambda match: found.setdefault(match[0], f"{len(found):08d}"), text)
    return text


def _cells(table: pd.DataFrame, combined: pd.DataFrame, outcomes: Sequence[Outcome]) -> Iterator[Any]:
    """The page, cell by cell."""
    done = [outcome for outcome in outcomes if outcome.state == DONE]
    have = set(table["metric"])
    yield _text(
        "# Comparison of corpora",
        f"{len(table['condition'].unique())} conditions of {len(done)} corpora, at the profile "
        f"`{done[0].profile}` with seed {done[0].seed}.",
        "A point is a condition; bars are 95 % intervals over the members of an ensemble, those of a corpus's "
        "entropy along the corpus.",
        "Where two members are all there is, a point has no bar.",
        "",
        warning({done[0].profile}),
    )
    yield _text("## Reports", "", _reports(outcomes))
    if {"entropy_share", "context_gain_share"} <= have:
        yield _text(
            "## Entropy against context gain",
            "To the right, the shortest code of a corpus is longer, which bounds its entropy from above; upwards, "
            "models gain more from the tokens around a hidden one.",
            "Both are shares, so that alphabets and tokenizers compare: of a uniform choice of symbols, and of "
            "what guessing by token frequencies costs.",
        )
        yield _figure(
            entropy_gain_chart(table), "fig-entropy-gain",
            "Context gain of the trained members against the shortest code of the corpus. Click a kind in the "
            "legend to see it alone.",
        )  # fmt: skip
    charts = [name for name in _CAPTIONS if name in have]
    if charts:
        yield _text("## Members against each other, and where the information sits")
    for name in charts:
        yield _figure(comparison_chart(table, name), f"fig-{name.replace('_', '-')}", _CAPTIONS[name])
    yield _text("## The numbers", "", _numbers(table, have))
    if combined["unit"].isin(["bits/base"]).any() and combined["unit"].isin(["bits/character"]).any():
        yield _text(
            "## The paper's claims on these corpora",
            "A claim is supported if every condition of DNA differs from every one of text as claimed, by its "
            "primary measure.",
            "",
            verdict_table({"These corpora": combined}),
            measures_table(combined),
        )


def _text(*lines: str) -> Any:
    return new_markdown_cell("\n".join([lines[0], "", *lines[1:]]))


def _figure(chart: Any, name: str, caption: str) -> Any:
    """A cell without source whose output is the chart."""
    output = new_output("display_data", data=chart._repr_mimebundle_())
    metadata = {"tags": ["remove-input"], "mystnb": {"figure": {"name": name, "caption": caption}}}
    return new_code_cell(f"# {name}", outputs=[output], metadata=metadata, execution_count=1)


def _reports(outcomes: Sequence[Outcome]) -> str:
    """Markdown table of the reports: conditions, a link or the reason of a failure, and what was adapted."""
    lines = ["| Corpus | Conditions | Report |", "| --- | --- | --- |"]
    for one in outcomes:
        tokenizers = ", ".join(f"`{_beside_corpus(Condition.parse(name))}`" for name in one.conditions)
        if one.state == DONE:
            words = [f'<a href="../../{one.name}/html/index.html">read it</a>']
            words += [_safe(note.partition("`: ")[2]) for note in one.notes]
        else:
            folder = f"{Path(one.corpus).parent}/" if Path(one.corpus).is_absolute() else ""
            reason = (one.error or "").replace(folder, "") if folder else one.error or ""
            words = [f"**failed**: {_safe(reason)}"]
        lines.append(f"| {_safe(Path(one.corpus).name)} | {tokenizers} | {'<br>'.join(words)} |")
    return "\n".join(lines)


def _beside_corpus(condition: Condition) -> str:
    """A condition where the corpus stands beside it: its transform, if it has one, and its tokenizer."""
    return f"{condition.transform or ''} {condition.tokenizer}".strip()


def _numbers(table: pd.DataFrame, have: set[str]) -> str:
    """Markdown table of all points, a row a condition."""
    names = [name for name in COMPARED if name in have]
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        for _, row in comparison_rows(table, name).iterrows():
            cells.setdefault(row["name"], {})[name] = _with_span(row, COMPARED[name].percent)
    lines = [f"| Condition | {' | '.join(COMPARED[name].text for name in names)} |"]
    lines.append(f"| --- |{' ---: |' * len(names)}")
    lines += [f"| `{one}` | {' | '.join(own.get(name, '–') for name in names)} |" for one, own in cells.items()]
    return "\n".join(lines)


def _with_span(row: pd.Series, percent: bool) -> str:
    """A point with its interval, where that is more than the point itself."""
    if row["low"] == row["high"]:
        return number(row["value"], percent)
    return interval(row["value"], row["low"], row["high"], percent)


def _safe(text: str) -> str:
    """Text that Markdown and HTML leave as it is, inside a table."""
    for mark in ("\\", "#", "|", "*", "_", "`", "<", "{", "$", "[", "]", "@"):
        text = text.replace(mark, f"&#{ord(mark)};" if mark in "<|@" else f"\\{mark}")
    return " ".join(text.split())
