"""The run at a glance: one row a condition, one column a quantity, made from the result tables."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gfm_utils.tables import read_tables


@dataclass(frozen=True)
class Column:
    """A quantity of the table: which rows of the result tables it is, and how it is written."""

    title: str
    metric: str
    axis: str | None = None
    x: str | None = None
    digits: int = 2
    percent: bool = False

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The summary rows of this quantity: those over all members, at this position of its axis."""
        if self.axis is None:
            place = rows["axis"].isna()
        else:
            place = (rows["axis"] == self.axis) & (rows["x"] == self.x)
        return rows[(rows["metric"] == self.metric) & place.fillna(False)]

    def number(self, value: float) -> str:
        """A value as the table writes it."""
        return f"{100 * value:.{self.digits}f}" if self.percent else f"{value:.{self.digits}f}"


COLUMNS = (
    Column("Unigram entropy", "unigram_entropy"),
    Column("Negative log-likelihood", "nll"),
    Column("Output entropy", "output_entropy"),
    Column("Accuracy", "accuracy", digits=1, percent=True),
    Column("Jensen–Shannon distance", "js_distance", digits=3),
    Column("Top-1 agreement", "top1_agreement", digits=1, percent=True),
    Column("Top-10 overlap of embeddings", "topk_overlap", axis="k", x="10", digits=1, percent=True),
    Column(
        "Encoder's share of Fisher information",
        "fisher_share",
        axis="group",
        x="encoder",
        digits=1,
        percent=True,
    ),
)


def at_a_glance(results_dir: Path) -> str:
    """Markdown table of the headline numbers, with 95 % intervals and the untrained control where there are.

    Args:
        results_dir: folder of the result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    rows = rows[rows["member"].isna() & rows["other"].isna()]
    columns = [column for column in COLUMNS if not column.of(rows).empty]
    if not columns:
        return "This run has no summary rows for the table at a glance.\n"
    titles = [f"{column.title}<br>({_unit(column, rows)})" for column in columns]
    lines = [
        f"| Condition | {' | '.join(titles)} |",
        f"| --- |{' ---: |' * len(columns)}",
    ]
    for condition in rows["condition"].dropna().unique():
        own = rows[rows["condition"] == condition]
        cells = (_cell(column, column.of(own)) for column in columns)
        lines.append(f"| `{condition}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _unit(column: Column, rows: pd.DataFrame) -> str:
    return "%" if column.percent else ", ".join(column.of(rows)["unit"].dropna().unique())


def _cell(column: Column, rows: pd.DataFrame) -> str:
    """Value, interval and control of one condition, each on a line of its own."""
    trained = rows[rows["state"].isna() | (rows["state"] == "trained").fillna(False)]
    untrained = rows[(rows["state"] == "untrained").fillna(False)]
    if trained.empty:
        return "–"
    row = trained.iloc[0]
    parts = [f"**{column.number(row['value'])}**"]
    if not (pd.isna(row["low"]) or pd.isna(row["high"])):
        parts.append(f"[{column.number(row['low'])}, {column.number(row['high'])}]")
    if not untrained.empty:
        parts.append(f"untrained {column.number(untrained.iloc[0]['value'])}")
    return "<br>".join(parts)
