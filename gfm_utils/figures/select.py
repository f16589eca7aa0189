"""Rows of a result table as plain data frames that Altair can read."""

from collections.abc import Mapping

import pandas as pd

from gfm_utils.errors import GfmError


def rows_of(table: pd.DataFrame, *metrics: str, axis: str | None = None, numeric: bool = True) -> pd.DataFrame:
    """The rows of some metrics on one axis (None: those without one), in plain types; ``numeric`` positions.

    Raises:
        GfmError: the table lacks one of the metrics.
    """
    rows = table[table["metric"].isin(metrics) & _on(table, axis)].copy()
    missing = set(metrics) - set(rows["metric"])
    if missing:
        raise GfmError(f"the result table has no {', '.join(sorted(missing))}; run its chapter or analysis again")
    for name in ("condition", "state", "metric", "x", "unit"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), None)
    for name in ("member", "other", "n", *(["x"] if axis is not None and numeric else [])):
        rows[name] = rows[name].astype("float64")
    return rows.reset_index(drop=True)


def _on(table: pd.DataFrame, axis: str | None) -> "pd.Series[bool]":
    return table["axis"].isna() if axis is None else (table["axis"] == axis).fillna(False)


def summaries(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows over all members or pairs."""
    return rows[rows["member"].isna() & rows["other"].isna()].reset_index(drop=True)


def with_span(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose missing interval is drawn as the value itself (two members have none)."""
    return rows.assign(low=rows["low"].fillna(rows["value"]), high=rows["high"].fillna(rows["value"]))


def means(table: pd.DataFrame, *metrics: str, axis: str | None = None, numeric: bool = True) -> pd.DataFrame:
    """The rows over all members or pairs of ``rows_of``, each with an interval, if only of its value."""
    return with_span(summaries(rows_of(table, *metrics, axis=axis, numeric=numeric)))


def named_means(
    table: pd.DataFrame, names: Mapping[str, str], axis: str | None = None, numeric: bool = False
) -> pd.DataFrame:
    """``means`` of those metrics of ``names`` that the table has on the axis, and the name of each in ``what``."""
    there = set(table.loc[_on(table, axis), "metric"])
    rows = means(table, *(name for name in names if name in there), axis=axis, numeric=numeric)
    rows = rows.assign(what=rows["metric"].map(names))
    return rows.sort_values("metric", kind="stable", key=lambda metrics: metrics.map(list(names).index))


def singles(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of single members or pairs."""
    return rows[rows["member"].notna()].reset_index(drop=True)


def conditions_of(table: pd.DataFrame) -> list[str]:
    """The conditions of a table in their order."""
    return [str(name) for name in dict.fromkeys(table["condition"].dropna())]


def value_of(table: pd.DataFrame, condition: str, metric: str, **where: str | None) -> pd.Series:
    """The one summary row of a metric, e.g. ``value_of(t, c, "nll", state="trained", unit="bits/token")``.

    Raises:
        GfmError: there is none.
    """
    rows = summaries(table[(table["condition"] == condition) & (table["metric"] == metric)])
    for name, wanted in ({"axis": None} | where).items():
        rows = rows[rows[name].isna() if wanted is None else (rows[name] == wanted).fillna(False)]
    if rows.empty:
        raise GfmError(f"the result table has no {metric} of {condition!r} ({where}); run its chapter again")
    return rows.iloc[0]
