"""The key figure: measures against what models have gained from context, drawn as SVG that needs no script.

It stands on the front page and at the top of the causal chapter, and is the picture of links to the book. Its
words have the colour of the text around it, for light and for dark pages; every point has a tooltip.
"""

import html
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import vl_convert
from IPython.display import HTML, Markdown

from gfm_utils.claims.dose import DOSE_MEASURES
from gfm_utils.claims.effects import CHECKS, CODE, LESS, MORE, NO_GAP, PRIMARY, gap_parts, kind_of, verdict_setting
from gfm_utils.figures.comparison import LABELS
from gfm_utils.figures.dose import NOT_RECORDED, dose_rows, setting_name, share_text
from gfm_utils.figures.hero_panel import HEIGHT, PANELS, WIDTH, Panel
from gfm_utils.figures.names import plain_name
from gfm_utils.figures.numbers import brief, percentage, spanned
from gfm_utils.files import atomic
from gfm_utils.measures.estimates import estimate
from gfm_utils.measures.registry import MEASURES
from gfm_utils.provenance import recorded_runs
from gfm_utils.tokens import Condition

_STYLE = (
    ".hero{display:grid;grid-template-columns:repeat(3,1fr);gap:.5rem}"
    "@media(max-width:600px){.hero{grid-template-columns:1fr}}"
    ".hero svg{width:100%;height:auto}.hero text{font:10.5px sans-serif}"
)
_LEAD = "Make English as hard to predict as DNA, and its models show {} of what sets models of DNA apart."
#: What is said of the gaps in all primary measures -> how much the models show.
_SHOWN = {MORE: "most", LESS: "little"}


def hero_figure(table: pd.DataFrame) -> HTML | Markdown:
    """Three measures against the context gain: text and its doses, DNA and its doses, and what is between them.

    From ``dose_response``; of an empty one a sentence says that nothing is recorded.
    """
    panels = _panels(table)
    if not panels:
        return Markdown(NOT_RECORDED)
    drawn = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(panel.said)}">'
        f"{panel.drawn()}</svg>"
        for panel in panels
    )
    return HTML(f'<div class="hero"><style>{_STYLE}</style>{"".join(drawn)}</div>')


def write_card(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write the panels below a title as a PNG of 1200 by 630 pixels, for links; nothing without panels."""
    drawn = "".join(
        f'<g transform="translate({24 + 390 * place},165) scale(1.42)">{panel.drawn()}</g>'
        for place, panel in enumerate(_panels(table))
    )
    if drawn:
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="630">'
            f'<style>text{{font:10.5px sans-serif}}</style><rect width="1200" height="630" fill="#fff"/>'
            f'<text x="40" y="105" style="font-size:48px">{html.escape(title)}</text>{drawn}</svg>'
        )
        with atomic(path) as temporary:
            temporary.write_bytes(vl_convert.svg_to_png(svg.replace("currentColor", "#222")))


def split_dna(table: pd.DataFrame, parts: pd.DataFrame) -> str:
    """The condition of DNA whose gap is shown: one that is cut as a text is, else the first; empty without."""
    cuts = {Condition.parse(name).tokenizer for name, kind in kind_of(table).items() if kind == "text"}
    names = list(dict.fromkeys(parts["condition"]))
    alike = [name for name in names if Condition.parse(name).tokenizer in cuts]
    return next(iter([*alike, *names]), "")


def gap_numbers(table: pd.DataFrame) -> dict[str, str]:
    """What stands in the sentences of the causal answer, of the DNA that the key figure shows; dashes without any.

    Args:
        table: of ``dose_response``.

    Returns:
        ``lead``, ``dna``, ``setting``; of each primary measure ``gone_``, ``text_``, ``beside_`` (text at DNA's
        gain), ``dna_`` and ``shuffled_`` (text in random order); ``coded``, from the least to the greatest share
        that is gone where text is matched by a code; ``kept``, other measures that keep more than half of the gap.
    """
    x = verdict_setting(table)
    every, coded = gap_parts(table, x), gap_parts(table, x, CODE, PRIMARY)
    every = every[every["condition"] == split_dna(table, every)]
    there = every[(every["outcome"] != NO_GAP) & ~every["metric"].isin([*PRIMARY, *CHECKS])]
    coded = coded[(coded["outcome"] != NO_GAP) & coded["condition"].isin(every["condition"])]
    shown = every[every["metric"].isin(PRIMARY)].set_index("metric")
    outcomes = shown["outcome"].unique().tolist()
    percent = {name: DOSE_MEASURES[name].percent for name in PRIMARY}
    values = {
        f"{column}_{name}": "–" if pd.isna(value) else brief(value, percent[name])
        for column in ("text", "beside", "dna", "shuffled")
        for name, value in shown.reindex(PRIMARY)[column].items()
    }
    return {
        "lead": _LEAD.format(_SHOWN.get(outcomes[0], "a part") if len(outcomes) == 1 else "a part"),
        **{
            f"gone_{name}": share_text(shown.loc[name], "gone") if name in shown.index else "–" for name in PRIMARY
        },
        **values,
        "dna": plain_name(str(shown["condition"].iloc[0])) if len(shown) else "DNA",
        "setting": setting_name(x) if x else "–",
        "coded": spanned(coded["gone"].dropna(), partial(percentage, digits=0)),
        "kept": f"{(there['outcome'] == LESS).sum()} of {len(there)}",
    }


def _panels(table: pd.DataFrame) -> list[Panel]:
    """One a measure that is there, in the setting that verdicts rest on."""
    if table.empty:
        return []
    x = verdict_setting(table)
    rows = dose_rows(table)
    rows = rows[(rows["setting"] == setting_name(x)) & (rows["state"] == "trained")]
    texts = rows.loc[(rows["kind"] == LABELS["text"]) & (rows["dose"] == "as it is"), "condition"]
    parts = gap_parts(table, x, metrics=PRIMARY)
    parts = parts[parts["condition"] == split_dna(table, parts)].dropna(subset="gone")
    shown = {row["metric"]: row for _, row in parts.iterrows()}
    return [
        Panel(name, rows[rows["metric"] == name], shown.get(name), _untrained(name, texts))
        for name in PANELS
        if name in set(rows["metric"])
    ]


def _untrained(metric: str, texts: Sequence[str]) -> float | None:
    """The measure of untrained models of a text, of the first recorded run that has it."""
    for run in recorded_runs():
        for name in texts:
            level = estimate(MEASURES[metric], run.rows[run.rows["condition"] == name], "untrained")
            if level is not None:
                return level.interval.value
    return None
