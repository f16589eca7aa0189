"""The table of training recipes."""

import pandas as pd
from pandas.io.formats.style import Styler

from gfm_utils.figures.overview import for_people
from gfm_utils.figures.select import conditions_of, rows_of, summaries

#: Axis of the rows.
AXIS = "recipe"
TIME = "processor seconds a member"


def recipe_table(table: pd.DataFrame) -> Styler:
    """One row a recipe: loss on hidden tokens of each condition, its gain over token frequencies, and the time.

    Args:
        table: of ``benchmarks/recipe.py``.
    """
    rows = summaries(rows_of(table, "validation_nll", "context_gain", "training_time", axis=AXIS, numeric=False))
    found = rows.set_index(["x", "condition", "metric"])["value"]
    names = [name for name in conditions_of(rows) if name != "all"]
    lines = []
    for recipe in dict.fromkeys(rows["x"]):
        line = {"recipe": recipe}
        for name in names:
            loss, gain = (found[recipe, name, metric] for metric in ("validation_nll", "context_gain"))
            line[f"{name}: bits a token (gain)"] = f"{loss:.2f} ({gain:.2f})"
        lines.append({**line, TIME: f"{found[recipe, 'all', 'training_time']:.0f}"})
    levels = table[table["metric"].isin(["unigram_nll", "ngram_nll"])].set_index(["metric", "condition"])["value"]
    for metric, said in (
        ("unigram_nll", "token frequencies"),
        ("ngram_nll", "counting on both sides (test part)"),
    ):
        costs = {f"{name}: bits a token (gain)": f"{levels[metric, name]:.2f}" for name in names}
        lines.append({"recipe": f"beside them: {said}", **costs, TIME: "–"})
    return for_people(pd.DataFrame(lines))
