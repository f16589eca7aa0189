"""Charts of Fisher information."""

import altair as alt
import pandas as pd

from gfm_utils.figures.forms import (
    Menu,
    chosen,
    condition_colour,
    crosses,
    finished,
    lines,
    points_in_rows,
    tooltips,
)
from gfm_utils.figures.palette import OTHERS
from gfm_utils.figures.select import conditions_of, means

#: The paper's groups, and what they are taken apart into; every parameter is in one of each.
PAPER_GROUPS = r"embeddings|encoder\.\d+|encoder\.norm|head"
FINE_GROUPS = (
    r"embedding\..*|encoder\.\d+\.(attention|feed_forward|other)|encoder\.norm|head\.transform|decoder\..*"
)
#: Names for people of the groups that are followed along training.
FOLLOWED_NAMES = {
    "encoder": "encoder",
    "embeddings": "embeddings, as in the paper",
    "input": "input path",
    "output": "output path",
    "head": "head",
}
STATES = ["trained", "random context", "shuffled", "no layers", "untrained"]
#: Names for people of the groups that are not of one layer.
GROUP_NAMES = {
    "embeddings": "embeddings", "embedding.mask": "input: [MASK]", "embedding.visible": "input: visible tokens",
    "embedding.other": "input: norm", "encoder.norm": "last norm",
    "head": "head", "head.transform": "head: transform",
    "decoder.weight": "output: embeddings", "decoder.bias": "output: bias", "decoder.cross": "input × output",
}  # fmt: skip
_PERCENT = alt.Axis(format="%")
_ENDS = tooltips("value", "low", "high", text=".3~p")


def group_name(group: str) -> str:
    """A group of parameters for people."""
    if group in GROUP_NAMES:
        return GROUP_NAMES[group]
    _, place, *part = group.split(".")
    return ": ".join([f"layer {int(place) + 1}", *part]).replace("_", "-")


def _means(table: pd.DataFrame, *metrics: str, axis: str) -> pd.DataFrame:
    """``means`` with the states' names as people write them."""
    rows = means(table, *metrics, axis=axis, numeric=False)
    return rows.assign(state=rows["state"].str.replace("_", " "))


def share_chart(
    table: pd.DataFrame, split_embeddings: bool = False, metric: str = "fisher_share"
) -> alt.LayerChart:
    """Shares of the Fisher information, a row a group of parameters, of the members that a list chooses.

    The groups are the paper's; or the finest (``split_embeddings``), where both paths of a tied matrix stand
    apart.
    """
    rows = _shares(table, metric, FINE_GROUPS if split_embeddings else PAPER_GROUPS)
    states = [state for state in STATES if state in set(rows["state"])]
    return _in_groups(rows, table, Menu(f"{metric}_{split_embeddings}", "state", states, "models "))


def rescaling_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Shares of the trained models (filled) and of the same functions with larger embeddings (open).

    From ``fisher_rescaling``.
    """
    forms = {"": "Fisher information", "_invariant": "θ² times it, which does not change"}
    rows = pd.concat(
        _shares(table, f"fisher_share{end}_sequence", PAPER_GROUPS).assign(form=form)
        for end, form in forms.items()
    )
    return _in_groups(rows, table, Menu("rescaled", "form", list(forms.values()), "share of the "))


def _shares(table: pd.DataFrame, metric: str, groups: str) -> pd.DataFrame:
    """The rows of groups that a pattern names, in their order."""
    rows = _means(table, metric, axis="group")
    rows = rows[rows["x"].str.fullmatch(groups)].assign(group=lambda rows: rows["x"].map(group_name))
    order = sorted(set(rows["x"]), key=lambda name: (["emb", "enc", "hea", "dec"].index(name[:3]), name))
    return rows.sort_values("x", kind="stable", key=lambda names: names.map(order.index))


def _in_groups(rows: pd.DataFrame, table: pd.DataFrame, menu: Menu) -> alt.LayerChart:
    """Points of shares in a row a group."""
    return points_in_rows(
        rows,
        "group",
        alt.X("value:Q", title="share of the Fisher information", axis=_PERCENT),
        conditions_of(table),
        ["condition", "state", "group", *_ENDS],
        order=list(dict.fromkeys(rows["group"])),
        menus=[menu],
        filled=menu.column == "state",
        height=30 * rows["group"].nunique(),
    )


def flow_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Share of a group along training, chosen from a list, with its interval over members, and its controls.

    From ``fisher_flow``.
    """
    rows = _means(table, "fisher_share", axis="group|step")
    rows[["shown", "x"]] = rows["x"].str.split("|", expand=True)
    rows["shown"] = rows["shown"].map(FOLLOWED_NAMES)
    y = alt.Y("value:Q", title="share of the Fisher information", axis=_PERCENT)
    return _along_training(rows, table, y, Menu("chosen_group", "shown", list(FOLLOWED_NAMES.values()), "group "))


def trace_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Trace of the Fisher information of all parameters along training, and its controls.

    An interval of few members may reach below zero, for which a logarithmic axis has no place: it is drawn down
    to half the least mean.

    From ``fisher_flow``.
    """
    rows = _means(table, "fisher_trace", axis="step")
    rows = rows.assign(low=rows["low"].clip(lower=rows["value"].min() / 2))
    y = alt.Y("value:Q", title="trace, nats²", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g"))
    return _along_training(rows, table, y, text=".3~s")


def _along_training(
    rows: pd.DataFrame, table: pd.DataFrame, y: alt.Y, *menus: Menu, text: str = ".3~p"
) -> alt.LayerChart:
    """Lines over the training step (``x``), perhaps of what a list chooses; controls are dashed."""
    rows = rows.astype({"x": float})
    marked = alt.Axis(values=sorted(rows["x"].unique()), format="~s")
    step, ends = alt.Tooltip("x:Q", title="step", format=","), tooltips("value", "low", "high", text=text)
    return lines(
        rows,
        alt.X("x:Q", title="training step", scale=alt.Scale(type="symlog"), axis=marked),
        y,
        conditions_of(table),
        ["condition", "state", *(menu.column for menu in menus), step, *ends],
        spread="area",
        menus=menus,
    )


def perturbation_chart(table: pd.DataFrame) -> alt.LayerChart:
    """What a perturbation of all parameters of a part does to the predictions (points), and ½ ε² tr F (lines).

    From ``fisher_perturbations``.
    """
    rows = means(table, "perturbation_divergence", "perturbation_expected", axis="group|size", numeric=False)
    rows[["part", "size"]] = rows["x"].str.split("|", expand=True)
    rows = rows.astype({"size": float})
    parts, log = list(dict.fromkeys(rows["part"])), alt.Scale(type="log")
    small = alt.Axis(format="~g", tickCount=6)
    sizes = alt.Axis(format="~g", values=sorted(rows["size"].unique()))
    menu = Menu("perturbed", "condition", conditions_of(table), "condition ")
    size = alt.Tooltip("size:Q", title="ε")
    base = chosen(rows, menu).encode(
        x=alt.X("size:Q", title="ε, by which every parameter is moved", scale=log, axis=sizes),
        y=alt.Y("value:Q", title="change of predictions (KL, nats per token)", scale=log, axis=small),
        color=alt.Color("part:N", title=None, scale=alt.Scale(domain=parts, range=OTHERS[:3])),
        tooltip=["condition", "part", size, *tooltips("value", "low", "high", text=".3~g")],
    )
    measured = base.transform_filter("datum.metric == 'perturbation_divergence'").mark_point(size=70, filled=True)
    line = base.transform_filter("datum.metric == 'perturbation_expected'").mark_line(strokeWidth=1.5)
    return finished([line, measured], 320, menu)


def gain_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The encoder's share against what the context is worth, on the same tokens: conditions in every state.

    From ``fisher_information``.
    """
    share, gain = _means(table, "fisher_share", axis="group"), _means(table, "context_gain", axis="on")
    keys = ["condition", "state"]
    gain = gain.set_index(keys)[["value", "low", "high"]].add_suffix("_gain")
    rows = share[share["x"] == "encoder"].join(gain, on=keys, how="inner")
    there = [name for name in STATES if name in set(rows["state"])]
    shapes = alt.Scale(domain=there, range=["circle", "diamond", "square", "triangle-up", "cross"])
    base = alt.Chart(rows).encode(
        x=alt.X("value_gain:Q", title="context gain, bits per token"),
        y=alt.Y("value:Q", title="share of Fisher information in the layers", axis=_PERCENT),
        color=condition_colour(conditions_of(table)),
        tooltip=["condition", "state", alt.Tooltip("value_gain:Q", title="context gain", format=".3~r"), *_ENDS],
    )
    shape = alt.Shape("state:N", title=None, scale=shapes, legend=alt.Legend(columns=2))
    points = base.mark_point(size=90, filled=True, opacity=1).encode(shape=shape)
    return finished([*crosses(base, ("low_gain", "high_gain"), ("low", "high")), points], 360)
