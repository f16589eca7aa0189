"""A panel of the key figure: one measure against the context gain, as SVG."""

import html
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from gfm_utils.claims.dose import DOSE_MEASURES
from gfm_utils.claims.effects import keeps_counts
from gfm_utils.figures.boxes import Box, box_around, first_free
from gfm_utils.figures.comparison import LABELS
from gfm_utils.figures.names import corpus_name, cut_name
from gfm_utils.figures.numbers import number, percentage
from gfm_utils.figures.palette import DNA_BPE, KIND_COLOURS, NEUTRAL
from gfm_utils.tokens import Condition

#: Measure -> the heading of its panel, in everyday words and in the field's.
PANELS = {
    "js_distance": ("How far two models’ guesses differ", "Jensen–Shannon distance"),
    "topk_overlap_corrected": ("Do they agree which tokens are alike?", "neighbours shared beyond chance"),
    "fisher_share": ("How much the layers matter", "encoder’s share of the Fisher information"),
}
WIDTH, HEIGHT = 264, 282  # pixels, before a panel is scaled
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 256, 44, 240
#: Context gains (bits per token) far below this lie in proportion, those far above by their logarithm.
_BEND = 0.1
_GAINS = (0, 0.1, 0.3, 1, 3)
_TEXT = KIND_COLOURS["text"]
_LETTER, _LINE = 5.9, 11.5  # width and height of a letter in pixels
_FAINT = 'opacity=".75"'
#: Where the label of a point can stand, in pixels from it, the best place first.
_PLACES = (
    (-7, -3), (7, 11), (7, -3), (-7, 11), (7, 4), (-7, 4), *((dx, dy) for dy in (-14, 22, -26, 34, -38, 46)
    for dx in (-9, 9, 22, 36))
)  # fmt: skip


class _Label(NamedTuple):
    """A text, and the point in pixels that it belongs to."""

    x: float
    y: float
    text: str


@dataclass
class Panel:
    """A measure, and what is drawn of it."""

    metric: str
    rows: pd.DataFrame  # of ``dose_rows``, of trained models in one setting
    gap: pd.Series | None  # of ``gap_parts``, of the DNA that is shown; None where nothing is matched, or no gap
    untrained: float | None  # the level of models before training, if it is recorded
    taken: list[Box] = field(default_factory=list)  # what is drawn, where no label may stand

    @property
    def unexplained(self) -> bool:
        """Whether a part of the gap, and no more than all, is there at equal gain, its interval without zero."""
        return self.gap is not None and bool(self.gap["gone"] >= 0 and self.gap["gone_high"] < 1)

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

    @property
    def top(self) -> float:
        """The value at the upper end of the panel."""
        return float(1.06 * max(self.rows["high"].max(), self.untrained or 0.0))

    def up(self, value: float) -> float:
        """Pixels downwards of a value."""
        return _BOTTOM - value / self.top * (_BOTTOM - _TOP)

    def across(self, gain: float) -> float:
        """Pixels to the right of a context gain."""
        least, most = _bent(min(0.0, self.rows["gain"].min())), _bent(self.rows["gain"].max())
        return float(_LEFT + 10 + (_bent(gain) - least) / (most - least) * (_RIGHT - _LEFT - 18))

    def drawn(self) -> str:
        """The inside of the SVG."""
        parts = [*self._axes(), *self._line_of_text(), *self._split()]
        points, labels = self._points()
        if self.gap is not None and self.unexplained:
            gap, said = self.gap, f"{percentage(1 - self.gap['gone'], 0)} not explained"
            labels.append(_Label(self.across(gap["gain"]), self.up((gap["beside"] + gap["dna"]) / 2), said))
        return "".join([*parts, *points, *(self._label(one) for one in labels)])

    def _axes(self) -> list[str]:
        """Headings, values, gains, and the level of untrained models."""
        plain, field_words = PANELS[self.metric]
        parts = [
            _word(2, 13, plain, "start", 'style="font-weight:600"'),
            _word(2, 27, field_words, "start", _FAINT),
        ]
        step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if self.top / step <= 6)
        for value in map(float, np.arange(0, self.top, step)):
            y = self.up(value)
            parts.append(_line(_LEFT, y, _RIGHT, y, 'stroke="currentColor" opacity=".13"'))
            parts.append(_word(_LEFT - 4, y + 3.5, self.written(value), "end", _FAINT))
        gains = [gain for gain in _GAINS if gain <= self.rows["gain"].max()]
        parts += [_word(self.across(gain), _BOTTOM + 14, f"{gain:g}", "middle", _FAINT) for gain in gains]
        parts.append(_word(_RIGHT, _BOTTOM + 28, "context gain, bits per token →", "end", _FAINT))
        if self.untrained is not None:
            y = self.up(max(self.untrained, 0.0))
            parts.append(_line(_LEFT, y, _RIGHT, y, f'stroke="{NEUTRAL}" stroke-width="1.5"'))
            parts.append(_word(_RIGHT, y - 3, "untrained", "end", _FAINT))
            self.taken.append(Box(_RIGHT - 9 * _LETTER, y - 12, _RIGHT, y))
        return parts

    def _line_of_text(self) -> list[str]:
        """The line through the doses of text, straight in bits per token as the match is."""
        text = self.rows[self.rows["kind"] == LABELS["text"]]
        doses = text[text["condition"].map(keeps_counts).astype(bool)].sort_values("gain")
        if len(doses) < 2:
            return []
        gains = np.concatenate([np.linspace(a, b, 15) for a, b in pairwise(doses["gain"])])
        values = np.interp(gains, doses["gain"], doses["value"])
        places = [(self.across(gain), self.up(value)) for gain, value in zip(gains, values, strict=True)]
        self.taken += [box_around(x, y, 2) for x, y in places]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        return [f'<polyline points="{path}" fill="none" stroke="{_TEXT}" stroke-width="1.8"/>']

    def _split(self) -> list[str]:
        """At DNA's gain, the gap to text and what of it is gone there."""
        if self.gap is None:
            return []
        x, gone = self.across(self.gap["gain"]), self.gap["gone"]
        text, beside, dna = (self.up(self.gap[name]) for name in ("text", "beside", "dna"))
        right = self.across(self.rows["gain"].max())
        parts = [
            _word(x + 3, _TOP - 1, "DNA’s gain", "start", _FAINT),
            _line(x, _TOP - 8, x, _BOTTOM, 'stroke="currentColor" stroke-dasharray="1.5 3" opacity=".8"'),
            _line(x, text, right, text, f'stroke="{_TEXT}" stroke-dasharray="2 3"'),
            _line(x, text, x, beside, f'stroke="{_TEXT}" stroke-width="5" opacity=".45"'),
        ]
        if self.unexplained:
            colour = _colour(str(self.gap["condition"]))
            parts.append(_line(x, beside, x, dna, f'stroke="{colour}" stroke-width="5" opacity=".6"'))
        low, high = (f"{100 * self.gap[end]:.0f}" for end in ("gone_low", "gone_high"))
        explained = f"{percentage(gone, 0)} [{low}, {high}]", "explained by what", "was learned"
        lines = explained if gone >= 0 else ("scrambled text", "moves away", "from DNA")
        middle = (text + min(beside, dna)) / 2 - _LINE * len(lines) / 2
        for place, line in enumerate(lines, 1):
            y = middle + _LINE * place
            parts.append(_word(x - 7, y, line, "end"))
            self.taken.append(Box(x - 7 - _LETTER * len(line), y - _LINE, x - 7, y + 2))
        return parts

    def _points(self) -> tuple[list[str], list[_Label]]:
        """Points with tooltips, and their labels."""
        points, labels, first = [], [], True
        rows = self.rows.assign(plain=self.rows["dose"] == "as it is")
        for _, row in rows.sort_values(["plain", "gain"], ascending=False, kind="stable").iterrows():
            condition, x, y = str(row["condition"]), self.across(row["gain"]), self.up(row["value"])
            parsed, text = Condition.parse(condition), row["kind"] == LABELS["text"]
            dose, own, cut = dose_words(condition), keeps_counts(condition), cut_name(condition)
            name = corpus_name(parsed.corpus) + ("" if text else f", {cut}")
            value, gain = self.written(row["value"]), f"{row['gain']:.2f} bits per token"
            tip = f"{', '.join(filter(None, (name, dose)))}: {value} at {gain}"
            colour = _TEXT if text else _colour(condition)
            spread = _line(x, self.up(row["low"]), x, self.up(row["high"]), f'stroke="{colour}"')
            mark = _mark(x, y, colour, text, own, row["plain"])
            points.append(f"<g><title>{html.escape(tip)}</title>{spread}{mark}</g>")
            self.taken.append(box_around(x, y, 4))
            if row["plain"]:
                labels.append(_Label(x, y, name if text else f"DNA ({cut.partition(' of')[0]})"))
            elif not own and len(parsed.transforms) == 1:
                labels.append(_Label(x, y, dose))
            elif text:
                labels.append(_Label(x, y, dose if first else dose.removesuffix(" scrambled")))
                first = False
        return points, labels

    def _label(self, label: _Label) -> str:
        """A label beside its point where nothing else is, with a line to it if that is far; none without room."""
        width, places = _LETTER * len(label.text), dict[Box, tuple[float, float, float]]()
        for dx, dy in _PLACES:
            left, y = label.x + dx - (width if dx < 0 else 0), label.y + dy
            box = Box(left, y - 9, left + width, y + 2)
            if box.left >= _LEFT and box.right <= WIDTH and box.top >= _TOP - 8 and box.bottom <= _BOTTOM:
                places[box] = (left, label.x + dx, y)
        free = first_free(places, self.taken)
        if free is None:
            return ""
        left, x, y = places[free]
        far = abs(y - label.y - 4) > 12
        line = _line(label.x, label.y, x, y - 4, 'stroke="currentColor" opacity=".4"') if far else ""
        return line + _word(left, y, label.text, "start")


def dose_words(condition: str) -> str:
    """The transforms of a condition in words: ``30 % scrambled``, ``Markov chain``; empty without."""
    words = []
    for name in Condition.parse(condition).transforms:
        noise = re.fullmatch(r"noise(.+)", name)
        of_name = {"shuffle": "all scrambled", "markov": "Markov chain"}
        plain = of_name.get(re.split(r"\d", name)[0], name)
        words.append(f"{percentage(float(noise[1]), 0)} scrambled" if noise else plain)
    return ", ".join(words)


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
