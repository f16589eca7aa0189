"""Charts of tasks: probes beside counting, layer by layer and label by label, and what disruptions cost."""

from collections.abc import Callable, Mapping

import altair as alt
import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from gfm_utils.claims.tasks import DOSES, task_points
from gfm_utils.figures.comparison import LABELS, kind_colour
from gfm_utils.figures.forms import (
    Menu,
    chosen,
    crosses,
    finished,
    in_lines,
    level,
    lines,
    points_in_rows,
    tooltips,
)
from gfm_utils.figures.names import layer_name
from gfm_utils.figures.palette import NEUTRAL, OTHERS
from gfm_utils.figures.select import conditions_of, means
from gfm_utils.figures.summary_table import overview
from gfm_utils.measures.tasks import PRIMARY, TASK
from gfm_utils.tokens import is_control

#: What is shown where no corpus of a run has labels.
NO_TASKS = Markdown(
    "*No corpus of this run has an annotation and enough sequence, hence there are no tasks here.*"
)
#: States of the members and what they are compared with, as people read them, in the order of their colours.
STATES = {
    "trained": "trained models", "untrained": "untrained models", "counting": "counting",
    "composition": "single symbols", "shuffled labels": "shuffled labels", "position": "position alone",
}  # fmt: skip
_COLOURS = (OTHERS[2], NEUTRAL, OTHERS[1], OTHERS[4], "#9a9a9a", "#c4c4c4")
_AREA = "area under the curve (chance 0.5)"
_ACROSS = alt.X("value:Q", title=_AREA, scale=alt.Scale(zero=False))
_PRIMARY = "primary: coding, word class"


def task_gain_chart(runs: Mapping[str, pd.DataFrame]) -> alt.LayerChart | Markdown:
    """What probes gain over counting against what models gain from context: a point a condition, dose and run.

    From ``gfm_utils.claims.recorded_tasks``, or one run by its heading.
    """
    points = task_points(dict(runs))
    if points.empty:
        return NO_TASKS
    primary = points[points["task"] == points["kind"].map(PRIMARY)].assign(shown=_PRIMARY)
    rows = pd.concat([primary, points.assign(shown=points["task"])])
    rows = rows.assign(kind=rows["kind"].map(LABELS))
    menu = Menu("task", "shown", list(dict.fromkeys(rows["shown"])), "task ")
    scale = alt.Scale(type="symlog", constant=0.05, nice=False, padding=10)
    gains = alt.Axis(values=[0, 0.1, 0.3, 1, 2, 4], format="~g")
    heading = in_lines("context gain of the models, bits per token")
    base = chosen(rows, menu).encode(
        x=alt.X("context_gain:Q", title=heading, scale=scale, axis=gains),
        y=alt.Y("value:Q", title="area above that of counting"),
        color=kind_colour(rows),
        tooltip=["condition", "task", "run", *tooltips("value", "low", "high", "untrained", "context_gain")],
    )
    shapes = alt.Scale(
        domain=list(dict.fromkeys(rows["run"])), range=["circle", "diamond", "square", "triangle-up"]
    )
    point = base.mark_point(filled=True, size=80, opacity=1)
    null = base.mark_point(shape="stroke", size=90, opacity=0.6).encode(y="untrained:Q")
    ends = crosses(base, ("context_gain_low", "context_gain_high"), ("low", "high"))
    shaped = point.encode(shape=alt.Shape("run:N", title=None, scale=shapes))
    return finished([level(y=0), null, *ends, shaped], 340, menu)


def task_counts(runs: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """In how many tasks, each once a tokenizer, the 95 % interval lies above counting, and below; uncorrected.

    Doses do not count. Keys are ``better_text``, ``worse_text``, ``better_dna`` and ``worse_dna``; values like
    ``1 of 2``, or a dash without tasks.
    """
    points = task_points({name: rows for name, rows in runs.items() if not name.startswith(DOSES)})
    points = points[~points["condition"].map(is_control)] if len(points) else points
    said = {f"{way}_{kind}": "–" for way in ("better", "worse") for kind in ("text", "dna")}
    for kind, rows in points.groupby("kind") if len(points) else ():
        said[f"better_{kind}"] = f"{(rows['low'] > 0).sum()} of {len(rows)}"
        said[f"worse_{kind}"] = f"{(rows['high'] < 0).sum()} of {len(rows)}"
    return said


def task_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Every task of a condition, chosen from a list: trained and untrained members, counting, and both checks."""
    if table.empty:
        return NO_TASKS
    rows = means(table, "probe_auc", axis=TASK, numeric=False)
    rows = rows.assign(what=rows["state"].map(STATES))
    menu = Menu("task_condition", "condition", list(dict.fromkeys(rows["condition"])), "condition ")
    order = list(STATES.values())
    colours = alt.Scale(domain=order, range=list(_COLOURS))
    base = chosen(rows, menu).encode(
        y=alt.Y("x:N", title=None, sort=None, axis=alt.Axis(labelLimit=110)),
        yOffset=alt.YOffset("what:N", sort=order, scale=alt.Scale(domain=order, padding=1)),
        color=alt.Color("what:N", title=None, scale=colours, legend=alt.Legend(columns=2)),
        tooltip=["condition", "x", "what", *tooltips("value", "low", "high", "n")],
    )
    ends = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    point = base.mark_point(filled=True, size=60, opacity=1).encode(x=_ACROSS)
    return finished([ends, point], 70 * rows.groupby("condition")["x"].nunique().max(), menu)


def task_layer_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Probes of each layer, of a task chosen from a list; the first layer knows no context. Dashed: untrained."""
    x = alt.X("at:N", title="layer", sort=None, axis=alt.Axis(labelAngle=0))
    return _along(table, "layer", x, layer_name)


def task_examples_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """Probes against the labelled stretches that they are trained on, of a task chosen from a list."""
    x = alt.X("at:Q", title="labelled stretches", scale=alt.Scale(type="log", nice=False, padding=10))
    return _along(table, "examples", x, float)


def _along(
    table: pd.DataFrame, axis: str, x: alt.X, read: Callable[[str], str | float]
) -> alt.LayerChart | Markdown:
    """Lines over the layers, or the examples, of which ``read`` makes a place on the axis ``x``."""
    if table.empty:
        return NO_TASKS
    rows = means(table, "probe_auc", axis=f"task|{axis}", numeric=False)
    rows[["task", "at"]] = rows["x"].str.split("|", expand=True)
    rows["at"] = rows["at"].map(read)
    return lines(
        rows,
        x,
        alt.Y("value:Q", title=_AREA, scale=alt.Scale(zero=False)),
        conditions_of(table),
        ["condition", "state", "task", "at", *tooltips("value", "low", "high")],
        menus=[Menu(f"task_{axis}", "task", list(dict.fromkeys(rows["task"])), "task ")],
    )


def disruption_chart(table: pd.DataFrame) -> alt.LayerChart | Markdown:
    """How often a disruption costs more where it destroys something. Filled: trained, open: untrained."""
    if table.empty:
        return NO_TASKS
    keys = ["condition", "state", "x"]
    effect = means(table, "disruption_effect", axis="disruption", numeric=False).set_index(keys)["value"]
    rows = means(table, "disruption_auc", axis="disruption", numeric=False).join(effect.rename("effect"), on=keys)
    return points_in_rows(
        rows,
        "x",
        _ACROSS,
        conditions_of(table),
        ["condition", "state", "x", *tooltips("value", "low", "high", "effect")],
        filled=False,
        behind=[level(x=0.5)],
        height=60 * rows["x"].nunique(),
    )


def task_agreement(table: pd.DataFrame) -> Styler | Markdown:
    """Agreement of two members' decisions beyond chance, by task."""
    if not (table["metric"] == "probe_kappa").any():
        return NO_TASKS
    return overview(table, "probe_kappa", axis=TASK, digits=2)
