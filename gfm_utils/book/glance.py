"""The run at a glance: one row a quantity, one column a condition, made from the result tables."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gfm_utils.figures.numbers import percentage
from gfm_utils.tables import read_tables
from gfm_utils.tokens import is_condition


@dataclass(frozen=True)
class Quantity:
    """A line of the table: which rows of the result tables it is, and how it is written."""

    title: str
    metric: str
    unit: str | None = None  # bits/token and the like; None: whatever the metric has
    axis: str | None = None
    x: str | None = None
    digits: int = 2
    percent: bool = False
    chance: str | None = None  # metric that gives the level of chance

    def of(self, rows: pd.DataFrame, metric: str) -> pd.DataFrame:
        """The summary rows of a metric at this quantity's unit and position on its axis."""
        here = rows["metric"] == metric
        if self.unit is not None:
            here &= rows["unit"] == self.unit
        place = rows["axis"].isna() if self.axis is None else (rows["axis"] == self.axis) & (rows["x"] == self.x)
        return rows[here & place.fillna(False)]

    def number(self, value: float) -> str:
        """A value as the table writes it."""
        return percentage(value, self.digits) if self.percent else f"{value:.{self.digits}f}"


TOKEN = "bits/token"
QUANTITIES = (
    Quantity("Unigram entropy (bits per token)", "unigram_entropy", TOKEN),
    Quantity("Loss on hidden tokens, NLL (bits per token)", "nll", TOKEN, chance="unigram_nll"),
    Quantity("Output entropy (bits per token)", "output_entropy", TOKEN),
    Quantity("Accuracy", "accuracy", digits=1, percent=True, chance="majority_accuracy"),
    Quantity(
        "Jensen–Shannon distance between members", "js_distance", digits=3, chance="js_distance_mismatched"
    ),
    Quantity("Mutual information (bits per token)", "mutual_information", TOKEN, digits=4),
    Quantity(
        "Top-1 agreement of members", "top1_agreement", digits=1, percent=True, chance="top1_agreement_chance"
    ),
    Quantity(
        "Overlap of the 10 nearest embeddings", "topk_overlap", axis="k", x="10", digits=1, percent=True,
        chance="topk_overlap_chance",
    ),
    Quantity(
        "Encoder's share of Fisher information", "fisher_share", axis="group", x="encoder", digits=1,
        percent=True,
    ),
)  # fmt: skip
#: What the level of chance is called where it is not simply chance.
CHANCE_NAMES = {"unigram_nll": "token frequencies", "js_distance_mismatched": "unrelated tokens"}


def at_a_glance(results_dir: Path) -> str:
    """Markdown table of the headline numbers, with 95 % intervals, the untrained control and the level of chance.

    Args:
        results_dir: folder of the result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    rows = rows[rows["member"].isna() & rows["other"].isna()]
    conditions = [name for name in dict.fromkeys(rows["condition"].dropna()) if is_condition(name)]
    found = {name: [_cell(one, rows[rows["condition"] == name]) for one in QUANTITIES] for name in conditions}
    conditions = [name for name in conditions if any(found[name])]  # doses of the causal test have none
    lines = [f"| | {' | '.join(f'`{name}`' for name in conditions)} |", f"| --- |{' ---: |' * len(conditions)}"]
    for place, quantity in enumerate(QUANTITIES):
        cells = [found[name][place] for name in conditions]
        if any(cells):
            lines.append(f"| {quantity.title} | {' | '.join(cell or '–' for cell in cells)} |")
    if len(lines) == 2:
        return "This run has no summary rows for the table at a glance.\n"
    return "\n".join(lines) + "\n"


def _of_trained(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained members, and of what needs no model."""
    return rows[rows["state"].isna() | (rows["state"] == "trained").fillna(False)]


def _cell(quantity: Quantity, rows: pd.DataFrame) -> str:
    """Value, interval and controls of one condition, each on a line of its own; empty if there is no value."""
    found = quantity.of(rows, quantity.metric)
    untrained = found[(found["state"] == "untrained").fillna(False)]
    trained = _of_trained(found)
    if trained.empty:
        return ""
    row = trained.iloc[0]
    parts = [f"**{quantity.number(row['value'])}**"]
    if not (pd.isna(row["low"]) or pd.isna(row["high"])):
        parts.append(f"[{quantity.number(row['low'])}, {quantity.number(row['high'])}]")
    if not untrained.empty:
        parts.append(f"untrained {quantity.number(untrained.iloc[0]['value'])}")
    if quantity.chance is not None:
        level = _of_trained(quantity.of(rows, quantity.chance))
        if not level.empty:
            name = CHANCE_NAMES.get(quantity.chance, "chance")
            parts.append(f"{name} {quantity.number(level.iloc[0]['value'])}")
    return "<br>".join(parts)
