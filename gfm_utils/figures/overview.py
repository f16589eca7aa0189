"""A result table's summary rows as a table for people."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from gfm_utils.figures.numbers import interval
from gfm_utils.figures.select import rows_of, summaries


def overview(table: pd.DataFrame, *metrics: str, axis: str | None = None, digits: int = 3) -> Styler:
    """Value and 95 % interval of some metrics, one row a condition and state, one column a metric and unit.

    A symbol is a base of DNA or a character of text.

    Args:
        table: a result table.
        metrics: names of metrics, the columns' order.
        axis: show the metrics on this axis, one column a metric and position.
        digits: after the decimal point.

    Raises:
        GfmError: the table lacks one of the metrics.
    """
    rows = summaries(rows_of(table, *metrics, axis=axis, numeric=False))
    rows["text"] = [
        interval(*numbers, digits=digits) for numbers in zip(rows["value"], rows["low"], rows["high"], strict=True)
    ]
    unit = rows["unit"].str.replace(r"\b(base|character)", "symbol", regex=True)
    rows["column"] = rows["metric"].str.replace("_", " ") + " (" + unit + ")"
    if axis is not None:
        one_metric, one_place = rows["column"].nunique() == 1, rows["x"].nunique() == 1
        rows["column"] = rows["x"] if one_metric else rows["column"] + ("" if one_place else ", " + rows["x"])
    order = list(dict.fromkeys(rows.sort_values("metric", key=lambda m: m.map(metrics.index))["column"]))
    keys = ["condition"] if rows["state"].isna().all() else ["condition", "state"]
    rows["state"] = rows["state"].fillna("–")
    wide = rows.pivot_table(index=keys, columns="column", values="text", aggfunc="first", sort=False)
    return for_people(wide[order].fillna("–").rename_axis(columns=None).reset_index())


def provenance_note(*about: Mapping[str, Any]) -> Markdown:
    """Where recorded results come from, a line each: date, device, commit, time and command.

    Rows that were made anew later, by the part of the command that their change concerns, are told with their own
    date and commit (``made_anew`` of the provenance: ``rows``, ``date``, ``commit``); what else has to be known of
    them stands behind (``remarks``, sentences). Without any record it says that there is none.
    """
    if not about:
        return Markdown("*Nothing is recorded here: what follows is this run.*")
    return Markdown("\n\n".join(_provenance(one) for one in about))


def _provenance(about: Mapping[str, Any]) -> str:
    trained = about["configuration"].get("seconds_of_training_added_up_over_members")
    training = "" if trained is None else f", after {trained / 60:,.0f} min of training, added up over models"
    later = about.get("made_anew")
    anew = "" if later is None else f"; {later['rows']} of {later['date'][:10]}, commit {later['commit']}"
    return " ".join([
        f"*Recorded on {about['date'][:10]}, commit {about['commit']}, on {about['device']}, "
        f"in {about['seconds']:,.0f} s{training}{anew}; make it anew:* `{about['command']}`",
        *about.get("remarks", ()),
    ])  # fmt: skip


def for_people(frame: pd.DataFrame) -> Styler:
    """The frame without its index, in the book's style of tables."""
    return frame.style.hide().set_table_attributes('class="dataframe"')
