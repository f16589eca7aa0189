"""Tables for people: a result table's summary rows, the recipes, and where recorded results come from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from gfm_utils.figures.names import layer_name
from gfm_utils.figures.numbers import with_interval
from gfm_utils.figures.select import conditions_of, rows_of, summaries

_RECIPE = "recipe"


def for_people(frame: pd.DataFrame) -> Styler:
    """The frame without its index, in the book's style of tables."""
    return frame.style.hide().set_table_attributes('class="dataframe"')


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> str:
    """A table in Markdown, of which ``names`` columns hold names; the others, with numbers, stand to the right."""
    rules = ["---"] * names + ["---:"] * (len(heads) - names)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def cells(rows: pd.DataFrame, column: str, names: Iterable[Any], write: Callable[[pd.Series], str]) -> list[str]:
    """What is written of the row that has each name in a column; a dash where there is no such row."""
    written = {row[column]: write(row) for _, row in rows.iterrows()}
    return [written.get(name, "–") for name in names]


def overview(table: pd.DataFrame, *metrics: str, axis: str | None = None, digits: int = 3) -> Styler:
    """Value and 95 % interval of some metrics, one row a condition and state, one column a metric and unit.

    On an axis there is one column a metric and position. A symbol is a base of DNA, a residue of protein or a
    character of text.

    Raises:
        GfmError: the table lacks one of the metrics.
    """
    rows = summaries(rows_of(table, *metrics, axis=axis, numeric=False))
    rows["text"] = rows.apply(with_interval, axis=1, digits=digits)
    unit = rows["unit"].str.replace(r"\b(base|residue|character)", "symbol", regex=True)
    rows["column"] = rows["metric"].str.replace("_", " ") + " (" + unit + ")"
    if axis is not None:
        rows["x"] = [" and ".join(map(layer_name, x.split("|"))) for x in rows["x"]]
        one_metric, one_place = rows["column"].nunique() == 1, rows["x"].nunique() == 1
        rows["column"] = rows["x"] if one_metric else rows["column"] + ("" if one_place else ", " + rows["x"])
    order = list(dict.fromkeys(rows.sort_values("metric", key=lambda m: m.map(metrics.index))["column"]))
    keys = ["condition"] if rows["state"].isna().all() else ["condition", "state"]
    rows["state"] = rows["state"].fillna("–")
    wide = rows.pivot_table(index=keys, columns="column", values="text", aggfunc="first", sort=False)
    return for_people(wide[order].fillna("–").rename_axis(columns=None).reset_index())


def recipe_table(table: pd.DataFrame) -> Markdown:
    """One row a recipe: loss on hidden tokens of each condition, its gain over token frequencies, and the time.

    From ``benchmarks/recipe.py``.
    """
    rows = summaries(
        rows_of(table, "validation_nll", "context_gain", "training_time", axis=_RECIPE, numeric=False)
    )
    value = rows.set_index(["x", "condition", "metric"])["value"]
    names = [name for name in conditions_of(rows) if name != "all"]
    level = table[table["metric"].isin(["unigram_nll", "ngram_nll"])].set_index(["metric", "condition"])["value"]
    beside = {"unigram_nll": "token frequencies", "ngram_nll": "counting on both sides (test part)"}
    lines = [
        [
            recipe,
            *(f"{value[recipe, name, 'validation_nll']:.2f} ({value[recipe, name, 'context_gain']:.2f})"
              for name in names),
            f"{value[recipe, 'all', 'training_time']:.0f}",
        ]
        for recipe in dict.fromkeys(rows["x"])
    ] + [
        [f"beside them: {text}", *(f"{level[metric, name]:.2f}" for name in names), "–"]
        for metric, text in beside.items()
    ]  # fmt: skip
    heads = [_RECIPE, *(f"{name}: bits a token (gain)" for name in names), "processor seconds a member"]
    return Markdown(markdown_table(heads, lines))


def provenance_note(*about: Mapping[str, Any]) -> Markdown:
    """Where recorded results come from, a line each: date, device, commit, time and command.

    Rows that were remade later, by the part of the command that their change concerns, are given with their own
    date and commit (``made_anew`` of the provenance: ``rows``, ``date``, ``commit``); what else has to be known of
    them stands behind (``remarks``, sentences). Without any record it says that there is none.
    """
    if not about:
        return Markdown("*Nothing is recorded here: what follows is this run.*")
    return Markdown("\n\n".join(map(_provenance, about)))


def _provenance(about: Mapping[str, Any]) -> str:
    trained = about["configuration"].get("seconds_of_training_added_up_over_members")
    training = "" if trained is None else f", after {trained / 60:,.0f} min of training, added up over models"
    later = about.get("made_anew")
    anew = "" if later is None else f"; {later['rows']} of {later['date'][:10]}, commit {later['commit']}"
    return " ".join([
        f"*Recorded on {about['date'][:10]}, commit {about['commit']}, on {about['device']}, "
        f"in {about['seconds']:,.0f} s{training}{anew}; reproduce with:* `{about['command']}`",
        *about.get("remarks", ()),
    ])  # fmt: skip
