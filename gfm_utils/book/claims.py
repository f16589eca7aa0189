"""The paper's claims beside what this run measured, with a verdict that the numbers alone decide."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gfm_utils.tables import read_tables

Level = tuple[float, float, float]  # value, low, high
Measure = Callable[[pd.DataFrame], Level | None]


@dataclass(frozen=True)
class Claim:
    """One claim, made measurable.

    Attributes:
        text: the claim.
        measured: what is compared.
        page: where the evidence is.
        of: the measure of one condition's rows (or of its corpus's).
        dna_above: whether the claim says that DNA has the larger value.
        percent: write the value as a percentage.
        control: what stands beside it in brackets, and its measure.
    """

    text: str
    measured: str
    page: str
    of: Measure
    dna_above: bool
    percent: bool = False
    control: tuple[str, Measure] | None = None


def _summary(metric: str, axis: str | None = None, x: str | None = None, state: str = "trained") -> Measure:
    """The summary row of a metric over the members in one state."""

    def measure(rows: pd.DataFrame) -> Level | None:
        place = rows["axis"].isna() if axis is None else (rows["axis"] == axis) & (rows["x"] == x)
        here = (rows["metric"] == metric) & (rows["state"] == state) & rows["member"].isna() & place
        return _level(rows[here.fillna(False)])

    return measure


def _level(rows: pd.DataFrame, divisor: float = 1.0) -> Level | None:
    if rows.empty:
        return None
    value, low, high = (float(rows.iloc[0][name]) / divisor for name in ("value", "low", "high"))
    return value, value if pd.isna(low) else low, value if pd.isna(high) else high


def _code_length(rows: pd.DataFrame) -> Level | None:
    """The shortest code length as a share of a uniform choice."""
    codes = rows[(rows["metric"] == "code_length").fillna(False)].sort_values("value")
    uniform = rows[(rows["metric"] == "uniform_entropy").fillna(False)]
    return None if uniform.empty else _level(codes, float(uniform.iloc[0]["value"]))


def _output_share(state: str) -> Measure:
    """Output entropy as a share of log2 V."""

    def measure(rows: pd.DataFrame) -> Level | None:
        entropy = _summary("output_entropy", state=state)(rows)
        kl = _summary("kl_from_uniform", state=state)(rows)
        if entropy is None or kl is None:
            return None
        most = entropy[0] + kl[0]
        return entropy[0] / most, entropy[1] / most, entropy[2] / most

    return measure


def _untrained(metric: str, axis: str | None = None, x: str | None = None) -> tuple[str, Measure]:
    return "untrained", _summary(metric, axis, x, state="untrained")


CLAIMS = (
    Claim(
        "Genomic sequence has high entropy, text does not",
        "shortest code, share of a uniform choice",
        "chapters/entropy", _code_length, dna_above=True, percent=True,
    ),
    Claim(
        "Predictions on DNA are near-uniform",
        "output entropy, share of log2 V",
        "chapters/predictions", _output_share("trained"), dna_above=True, percent=True,
        control=("untrained", _output_share("untrained")),
    ),
    Claim(
        "Models of DNA disagree more: about whole distributions",
        "Jensen–Shannon distance, full mass",
        "chapters/disagreement", _summary("js_distance"), dna_above=True, control=_untrained("js_distance"),
    ),
    Claim(
        "… about the likeliest tokens",
        "Jensen–Shannon distance, top-p 0.05",
        "chapters/disagreement", _summary("js_distance", "top_p", "0.05"), dna_above=True,
        control=_untrained("js_distance", "top_p", "0.05"),
    ),
    Claim(
        "… and about the first choice",
        "top-1 agreement",
        "chapters/disagreement", _summary("top1_agreement"), dna_above=False, percent=True,
        control=("chance", _summary("top1_agreement_chance")),
    ),
    Claim(
        "Static embeddings of DNA are unstable",
        "overlap of the 10 nearest neighbours",
        "chapters/static_embeddings", _summary("topk_overlap", "k", "10"), dna_above=False, percent=True,
        control=("chance", _summary("topk_overlap_chance", "k", "10")),
    ),
    Claim(
        "Models of DNA keep their Fisher information out of the encoder",
        "encoder's share",
        "chapters/fisher", _summary("fisher_share", "group", "encoder"), dna_above=False, percent=True,
        control=_untrained("fisher_share", "group", "encoder"),
    ),
)  # fmt: skip


def claims_table(results_dir: Path) -> str:
    """Markdown table: claim, measure, values for text and for DNA, and the verdict.

    A claim stands *as claimed* if every interval of DNA lies on the claimed side of every interval of text,
    *the opposite* if on the other side, and is *undecided* where intervals overlap. A run without text or
    without DNA has nothing to compare, and the table says so.

    Args:
        results_dir: folder of the result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    text, dna = _kinds(rows)
    if not text or not dna:
        return "This run has no text, or no DNA, to compare the paper's claims on.\n"
    lines = ["| The paper's claim | Measured by | Text | DNA | In this run |", "| --- | --- | ---: | ---: | --- |"]
    for claim in CLAIMS:
        sides = [_levels(claim.of, rows, names) for names in (text, dna)]
        if all(sides):
            cells = [_cell(claim, rows, names) for names in (text, dna)]
            verdict = _verdict(sides[0], sides[1], claim.dna_above)
            lines.append(
                f"| {claim.text} | [{claim.measured}]({claim.page}) | {cells[0]} | {cells[1]} | **{verdict}** |"
            )
    return "\n".join(lines) + "\n"


def _kinds(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Corpora and conditions of text, and of DNA, told apart by the unit of their symbols."""
    by_unit = {
        unit: list(dict.fromkeys(rows.loc[(rows["unit"] == unit).fillna(False), "condition"]))
        for unit in ("bits/character", "bits/base")
    }
    return by_unit["bits/character"], by_unit["bits/base"]


def _levels(measure: Measure, rows: pd.DataFrame, names: list[str]) -> list[Level]:
    found = (measure(rows[rows["condition"] == name]) for name in names)
    return [level for level in found if level is not None]


def _cell(claim: Claim, rows: pd.DataFrame, names: list[str]) -> str:
    """Values of one kind of corpus, and below them those of the control."""

    def write(measure: Measure) -> str:
        levels = _levels(measure, rows, names)
        return ", ".join(f"{100 * v:.0f} %" if claim.percent else f"{v:.2f}" for v, _, _ in levels)

    text = write(claim.of)
    if claim.control is None:
        return text
    control = write(claim.control[1])
    return f"{text}<br>({claim.control[0]} {control})" if control else text


def _verdict(text: list[Level], dna: list[Level], dna_above: bool) -> str:
    above = min(low for _, low, _ in dna) > max(high for _, _, high in text)
    below = max(high for _, _, high in dna) < min(low for _, low, _ in text)
    if not (above or below):
        return "undecided"
    return "as claimed" if above == dna_above else "the opposite"
