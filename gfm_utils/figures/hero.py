"""The key figure: measures against what models have gained from context, drawn as SVG that needs no script.

It stands on the front page and at the top of the causal chapter, and is the picture of links to the book. Its
words have the colour of the text around it, for light and for dark pages; every point has a tooltip.
"""

import html
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import vl_convert
from IPython.display import HTML, Markdown

from gfm_utils.claims.dose import DOSE_MEASURES
from gfm_utils.claims.effects import (
    CHECKS,
    CODE,
    LESS,
    MORE,
    NO_GAP,
    PRIMARY,
    gap_parts,
    keeps_counts,
    kind_of,
    verdict_setting,
)
from gfm_utils.figures.comparison import LABELS
from gfm_utils.figures.dose import NOT_RECORDED, dose_rows, setting_name, share_text
from gfm_utils.figures.names import corpus_name, cut_name, plain_name
from gfm_utils.figures.numbers import brief, number, percentage, spanned
from gfm_utils.figures.palette import DNA_BPE, KIND_COLOURS, NEUTRAL
from gfm_utils.files import atomic
from gfm_utils.measures.estimates import estimate
from gfm_utils.measures.registry import MEASURES
from gfm_utils.provenance import recorded_runs
from gfm_utils.tokens import Condition

#: Measure -> the heading of its panel, in everyday words and in the field's.
PANELS = {
    "js_distance": ("How far two models’ guesses differ", "Jensen–Shannon distance"),
    "topk_overlap_corrected": ("Do they agree which tokens are alike?", "neighbours shared beyond chance"),
    "fisher_share": ("How much the layers matter", "encoder’s share of the Fisher information"),
}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 264, 282, 36, 256, 44, 240  # pixels, before a panel is scaled
#: Context gains (bits per token) far below this lie in proportion, those far above by their logarithm.
_BEND = 0.1
_GAINS = (0, 0.1, 0.3, 1, 3)
_TEXT = KIND_COLOURS["text"]
_LETTER, _LINE = 5.9, 11.5  # width and height of a letter in pixels
_STYLE = (
    ".hero{display:grid;grid-template-columns:repeat(3,1fr);gap:.5rem}"
    "@media(max-width:600px){.hero{grid-template-columns:1fr}}"
    ".hero svg{width:100%;height:auto}.hero text{font:10.5px sans-serif}"
)
_FAINT = 'opacity=".75"'
#: Where the label of a point can stand, in pixels from it, the best place first.
_PLACES = (
    (-7, -3), (7, 11), (7, -3), (-7, 11), (7, 4), (-7, 4), *((dx, dy) for dy in (-14, 22, -26, 34, -38, 46)
    for dx in (-9, 9, 22, 36))
)  # fmt: skip


def hero_figure(table: pd.DataFrame) -> HTML | Markdown:
    """Three measures against the context gain: text and its doses, DNA and its doses, and what is between them.

    Args:
        table: of ``dose_response``; of an empty one a sentence says that nothing is recorded.
    """
    panels = _panels(table)
    if not panels:
        return Markdown(NOT_RECORDED)
    drawn = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(panel.said)}">'
        f"{panel.drawn()}</svg>"
        for panel in panels
    )
    return HTML(f'<div class="hero"><style>{_STYLE}</style>{"".join(drawn)}</div>')


def write_card(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write the panels below a title as a picture of 1200 by 630 pixels, for links to the book.

    Args:
        table: of ``dose_response``; of an empty one nothing is written.
        title: above the panels.
        path: of the PNG file.
    """
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


def dose_words(condition: str) -> str:
    """The transforms of a condition in words: ``30 % scrambled``, ``Markov chain``; empty without."""
    words = []
    for name in Condition.parse(condition).transforms:
        noise = re.fullmatch(r"noise(.+)", name)
        of_name = {"shuffle": "all scrambled", "markov": "Markov chain"}
        words.append(
            f"{percentage(float(noise[1]), 0)} scrambled" if noise else of_name.get(re.split(r"\d", name)[0], name)
        )
    return ", ".join(words)


def split_dna(table: pd.DataFrame, parts: pd.DataFrame) -> str:
    """The condition of DNA whose gap is shown: that which is cut as a text is, else the first; empty without any.

    Args:
        table: of ``dose_response``.
        parts: of ``gap_parts``.
    """
    cuts = {Condition.parse(name).tokenizer for name, kind in kind_of(table).items() if kind == "text"}
    names = list(dict.fromkeys(parts["condition"]))
    alike = [name for name in names if Condition.parse(name).tokenizer in cuts]
    return next(iter([*alike, *names]), "")


#: The answer in a few words, by what is said of the gaps in all primary measures.
_LEADS = {
    MORE: "Make English as hard to predict as DNA, and its models show most of what sets models of DNA apart.",
    LESS: "Make English as hard to predict as DNA, and its models show little of what sets models of DNA apart.",
}
_DEPENDS = "Make English as hard to predict as DNA, and its models show a part of what sets models of DNA apart."


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
    outcomes = list(dict.fromkeys(shown["outcome"]))
    percent = {name: DOSE_MEASURES[name].percent for name in PRIMARY}
    values = {
        f"{column}_{name}": "–" if pd.isna(value) else brief(value, percent[name])
        for column in ("text", "beside", "dna", "shuffled")
        for name, value in shown.reindex(PRIMARY)[column].items()
    }
    return {
        "lead": _LEADS.get(outcomes[0], _DEPENDS) if len(outcomes) == 1 else _DEPENDS,
        **{
            f"gone_{name}": share_text(shown.loc[name], "gone") if name in shown.index else "–" for name in PRIMARY
        },
        **values,
        "dna": plain_name(str(shown["condition"].iloc[0])) if len(shown) else "DNA",
        "setting": setting_name(x) if x else "–",
        "coded": spanned(coded["gone"].dropna(), partial(percentage, digits=0)),
        "kept": f"{(there['outcome'] == LESS).sum()} of {len(there)}",
    }


class _Box(NamedTuple):
    """What is taken by a label, a point or a piece of a line."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


class _Panel(NamedTuple):
    """A measure, and what is drawn of it.

    Attributes:
        metric: its name.
        rows: of ``dose_rows``, of trained models in one setting.
        gap: of ``gap_parts``, of the DNA that is shown; None where nothing is matched, or there is no gap.
        untrained: the level of models before training; None where none is recorded.
    """

    metric: str
    rows: pd.DataFrame
    gap: pd.Series | None
    untrained: float | None

    @property
    def unexplained(self) -> pd.Series | None:
        """The gap, if a part of it, and no more than all, is there at equal gain, its interval without zero."""
        gap = self.gap
        return gap if gap is not None and gap["gone"] >= 0 and gap["gone_high"] < 1 else None

    @property
    def said(self) -> str:
        """The finding in a sentence."""
        heading = PANELS[self.metric][1]
        if self.gap is None:
            return f"{heading} against context gain, of text, of DNA and of their doses."
        text, dna, beside = (self.written(self.gap[name]) for name in ("text", "dna", "beside"))
        return (
            f"{heading}: {text} of text, {dna} of DNA, and {beside} of text that is scrambled until its models "
            f"gain {self.gap['gain']:.2f} bits per token from context, as those of DNA do."
        )

    def written(self, value: float) -> str:
        """A value of the measure, as a label has it."""
        percent = DOSE_MEASURES[self.metric].percent
        return number(value, percent, 0 if percent else 2)

    def drawn(self) -> str:
        """The inside of the SVG."""
        rows, parts, taken = self.rows, list[str](), list[_Box]()
        across, up, step = self._scales()
        for line, title in enumerate(PANELS[self.metric]):
            parts.append(_word(2, 13 + 14 * line, title, "start", _FAINT if line else 'style="font-weight:600"'))
        top = (_BOTTOM - _TOP) / (up(0.0) - up(1.0))
        for value in map(float, np.arange(0, top, step)):
            parts.append(_line(_LEFT, up(value), _RIGHT, up(value), 'stroke="currentColor" opacity=".13"'))
            parts.append(_word(_LEFT - 4, up(value) + 3.5, self.written(value), "end", _FAINT))
        for gain in (gain for gain in _GAINS if gain <= rows["gain"].max()):
            parts.append(_word(across(gain), _BOTTOM + 14, f"{gain:g}", "middle", _FAINT))
        parts.append(_word(_RIGHT, _BOTTOM + 28, "context gain, bits per token →", "end", _FAINT))
        if self.untrained is not None:
            y = up(max(self.untrained, 0.0))
            parts.append(_line(_LEFT, y, _RIGHT, y, f'stroke="{NEUTRAL}" stroke-width="1.5"'))
            parts.append(_word(_RIGHT, y - 3, "untrained", "end", _FAINT))
            taken.append(_Box(_RIGHT - 9 * _LETTER, y - 12, _RIGHT, y))
        parts += self._line_of_text(across, up, taken)
        parts += self._split(across, up, taken)
        points, labels = self._points(across, up, taken)
        gap = self.unexplained
        if gap is not None:
            said = f"{percentage(1 - gap['gone'], 0)} not explained"
            labels += _label(across(gap["gain"]), up((gap["beside"] + gap["dna"]) / 2), said, taken)
        return "".join([*parts, *points, *labels])

    def _scales(self) -> tuple[Callable[[float], float], Callable[[float], float], float]:
        """Gain -> pixels to the right; value -> pixels downwards; and the step of the values that are marked."""
        least, most = _bent(min(0.0, self.rows["gain"].min())), _bent(self.rows["gain"].max())
        top = 1.06 * max(self.rows["high"].max(), self.untrained or 0.0)
        step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if top / step <= 6)

        def across(gain: float) -> float:
            return float(_LEFT + 10 + (_bent(gain) - least) / (most - least) * (_RIGHT - _LEFT - 18))

        return across, lambda value: _BOTTOM - value / top * (_BOTTOM - _TOP), step

    def _line_of_text(
        self, across: Callable[[float], float], up: Callable[[float], float], taken: list[_Box]
    ) -> list[str]:
        """The line through the doses of text, straight in bits per token as the match is."""
        text = self.rows[self.rows["kind"] == LABELS["text"]]
        doses = text[text["condition"].map(keeps_counts).astype(bool)].sort_values("gain")
        if len(doses) < 2:
            return []
        gains = np.concatenate([np.linspace(a, b, 15) for a, b in pairwise(doses["gain"])])
        values = np.interp(gains, doses["gain"], doses["value"])
        places = [(across(gain), up(value)) for gain, value in zip(gains, values, strict=True)]
        taken += [_Box(x - 2, y - 2, x + 2, y + 2) for x, y in places]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        return [f'<polyline points="{path}" fill="none" stroke="{_TEXT}" stroke-width="1.8"/>']

    def _split(
        self, across: Callable[[float], float], up: Callable[[float], float], taken: list[_Box]
    ) -> list[str]:
        """At DNA's gain, the gap to text and what of it is gone there."""
        if self.gap is None:
            return []
        x, gone = across(self.gap["gain"]), self.gap["gone"]
        text, beside, dna = (up(self.gap[name]) for name in ("text", "beside", "dna"))
        parts = [
            _word(x + 3, _TOP - 1, "DNA’s gain", "start", _FAINT),
            _line(x, _TOP - 8, x, _BOTTOM, 'stroke="currentColor" stroke-dasharray="1.5 3" opacity=".8"'),
            _line(x, text, across(self.rows["gain"].max()), text, f'stroke="{_TEXT}" stroke-dasharray="2 3"'),
            _line(x, text, x, beside, f'stroke="{_TEXT}" stroke-width="5" opacity=".45"'),
        ]
        if self.unexplained is not None:
            colour = _colour(str(self.gap["condition"]))
            parts.append(_line(x, beside, x, dna, f'stroke="{colour}" stroke-width="5" opacity=".6"'))
        low, high = (f"{100 * self.gap[end]:.0f}" for end in ("gone_low", "gone_high"))
        away = "scrambled text", "moves away", "from DNA"
        lines = (
            (f"{percentage(gone, 0)} [{low}, {high}]", "explained by what", "was learned") if gone >= 0 else away
        )
        middle = (text + min(beside, dna)) / 2 - _LINE * len(lines) / 2
        for place, line in enumerate(lines):
            y = middle + _LINE * (place + 1)
            parts.append(_word(x - 7, y, line, "end"))
            taken.append(_Box(x - 7 - _LETTER * len(line), y - _LINE, x - 7, y + 2))
        return parts

    def _points(
        self, across: Callable[[float], float], up: Callable[[float], float], taken: list[_Box]
    ) -> tuple[list[str], list[str]]:
        """Points with tooltips, and their labels where there is room for them."""
        points, named, first = [], [], True
        rows = self.rows.assign(plain=self.rows["dose"].map(lambda dose: dose == "as it is"))
        for _, row in rows.sort_values(["plain", "gain"], ascending=False, kind="stable").iterrows():
            condition, x, y = str(row["condition"]), across(row["gain"]), up(row["value"])
            parsed, text = Condition.parse(condition), row["kind"] == LABELS["text"]
            dose, own = dose_words(condition), keeps_counts(condition)
            name = f"{corpus_name(parsed.corpus)}{'' if text else f', {cut_name(condition)}'}"
            value, gain = self.written(row["value"]), f"{row['gain']:.2f} bits per token"
            tip = f"{', '.join(filter(None, (name, dose)))}: {value} at {gain}"
            colour = _TEXT if text else _colour(condition)
            mark = _mark(x, y, colour, text, own, row["plain"])
            spread = _line(x, up(row["low"]), x, up(row["high"]), f'stroke="{colour}"')
            points.append(f"<g><title>{html.escape(tip)}</title>{spread}{mark}</g>")
            taken.append(_Box(x - 4, y - 4, x + 4, y + 4))
            if row["plain"]:
                named.append((x, y, name if text else f"DNA ({cut_name(condition).partition(' of')[0]})"))
            elif not own and len(parsed.transforms) == 1:
                named.append((x, y, dose))
            elif text:
                named.append((x, y, dose if first else dose.removesuffix(" scrambled")))
                first = False
        return points, [label for one in named for label in _label(*one, taken)]


def _panels(table: pd.DataFrame) -> list[_Panel]:
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
        _Panel(name, rows[rows["metric"] == name], shown.get(name), _untrained(name, texts))
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


def _colour(condition: str) -> str:
    """Of a condition of DNA, by how it is cut."""
    return DNA_BPE if Condition.parse(condition).tokenizer.startswith("bpe") else KIND_COLOURS["dna"]


def _bent(gain: float) -> float:
    return float(np.sign(gain) * np.log1p(abs(gain) / _BEND))


def _line(x: float, y: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def _word(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor" {style}>{html.escape(text)}</text>'


def _mark(x: float, y: float, colour: str, round_: bool, own: bool, plain: bool) -> str:
    """A circle of text or a diamond of DNA, hollow where the counts of tokens are not the corpus's own."""
    style = f'fill="{colour if own else "none"}" stroke="{colour}" stroke-width="1.5"'
    size = 5 if plain else 3.5
    if round_:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size - 0.5}" {style}/>'
    path = f"M{x:.1f} {y - size:.1f}l{size} {size}l-{size} {size}l-{size} -{size}z"
    return f'<path d="{path}" {style}/>'


def _label(x: float, y: float, text: str, taken: list[_Box]) -> list[str]:
    """A label beside a point where nothing else is, with a line to it where that is far; none without room."""
    width = _LETTER * len(text)
    for dx, dy in _PLACES:
        left = x + dx - (width if dx < 0 else 0)
        box = _Box(left, y + dy - 9, left + width, y + dy + 2)
        inside = box.left >= _LEFT and box.right <= _WIDTH and box.top >= _TOP - 8 and box.bottom <= _BOTTOM
        if inside and not any(box.meets(other) for other in taken):
            taken.append(box)
            far = (
                [_line(x, y, x + dx, y + dy - 4, 'stroke="currentColor" opacity=".4"')] if abs(dy - 4) > 12 else []
            )
            return [*far, _word(left, y + dy, text, "start")]
    return []
