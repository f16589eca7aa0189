"""Charts of static embeddings and of hidden states: how stable they are, their shape, and a list of neighbours."""

import altair as alt
import pandas as pd

from gfm_utils.figures.forms import (
    TRAINED,
    Menu,
    chosen,
    condition_colour,
    finished,
    lines,
    logarithmic,
    points_in_rows,
    tooltips,
)
from gfm_utils.figures.names import chart_names
from gfm_utils.figures.palette import HEAT
from gfm_utils.figures.select import conditions_of, means, rows_of, summaries
from gfm_utils.measures.contextual import MASKED
from gfm_utils.measures.static import BAND_K, BANDS

#: Names for people of measures of neighbourhoods.
NEIGHBOURHOOD_NAMES = {
    "topk_overlap_corrected": "neighbours shared, beyond chance",
    "topk_overlap": "neighbours shared (Jaccard index)",
    "local_spearman": "order of neighbours (Spearman)",
    "local_spearman_authors": "the same by the paper's code",
}
#: Names for people of measures of the whole shape.
SHAPE_NAMES = {
    "procrustes_disparity": "Procrustes disparity",
    "aligned_cosine": "cosine after alignment",
    "linear_cka_debiased": "linear CKA, debiased",
    "rbf_cka_debiased": "RBF CKA, debiased",
}
#: Names for people of what is compared on the tokens that occur and on all rows.
ROWS_NAMES = {
    "topk_overlap_corrected": "neighbours shared",
    "procrustes_disparity": "Procrustes disparity",
    "linear_cka": "linear CKA",
    "linear_cka_debiased": "linear CKA, debiased",
    "rbf_cka_authors": "RBF CKA, the paper's",
}
#: Names for people of what can be shown at each layer.
LAYER_NAMES = {
    "effective_rank": "effective rank",
    "participation_ratio": "participation ratio",
    "anisotropy": "anisotropy (mean cosine)",
    "uniformity": "uniformity (lower: more even)",
    "pairwise_dist_std": "spread of distances",
}
AGREEMENT_NAMES = {
    "linear_cka_debiased": "linear CKA, debiased (chance 0)",
    "neighbour_alignment_corrected": "neighbours shared, beyond chance",
    "linear_cka": "linear CKA",
}
#: What the paper's code measures -> the metrics of windows that stand for it here and in its definition.
AUTHORS_NAMES: dict[str, tuple[str | None, str]] = {
    "effective rank (dimensions)": ("effective_rank", "effective_rank_authors"),
    "uniformity": ("uniformity", "uniformity"),
    "anisotropy": ("anisotropy", "anisotropy_authors"),
    "mean cosine": ("anisotropy", "anisotropy"),
    "spread of distances": (None, "pairwise_dist_std"),
    "neighbours shared": ("neighbour_alignment_corrected", "neighbour_alignment_authors"),
    "squared distance": (None, "alignment_l2_authors"),
    "linear CKA": ("linear_cka_debiased", "linear_cka"),
}
_OCCURRING, _ALL = "tokens that occur", "all rows"
_HERE, _DEFINITION, _INPUTS = "as in this book", "the paper's formula", "and 15 % masked"
_LEVELS = {"": "tokens", "pooled_": "windows"}
_LEVEL, _EDGE = alt.Axis(labelAngle=0), alt.Scale(type="point", padding=0.02)
_SAME = "1: the same (disparity: 0)"
_ENDS = tooltips("value", "low", "high")


def overlap_chart(table: pd.DataFrame, baseline: pd.DataFrame) -> alt.LayerChart:
    """Nearest neighbours of ten that two members share; filled: trained, open: untrained, tick: chance.

    Args:
        table: of ``measures.static_embeddings``.
        baseline: likewise, of members trained on tokens in random order.
    """
    both = pd.concat([table, baseline])
    rows = means(both, "topk_shared", "topk_shared_chance", axis="k")
    rows = rows[rows["x"] == rows.loc[rows["x"] <= BAND_K, "x"].max()]
    by_chance = rows["metric"] == "topk_shared_chance"
    rows = rows[~by_chance | (rows["state"] == "trained")].assign(
        name=rows["condition"].map(chart_names(conditions_of(both))),
        state=rows["state"].mask(by_chance, "chance"),
    )
    return points_in_rows(
        rows[["condition", "name", "state", "value", "low", "high"]],
        "name",
        alt.X("value:Q", title="neighbours shared, of 10", scale=alt.Scale(domainMin=0)),
        condition_colour(conditions_of(both), legend=False),
        ["name", "state", *_ENDS],
        order=list(dict.fromkeys(rows["name"])),
        filled=False,
        ticks="datum.state == 'chance'",
        height=46 * rows["name"].nunique(),
    )


def neighbourhood_chart(table: pd.DataFrame, baseline: pd.DataFrame | None = None) -> alt.LayerChart:
    """A measure of neighbourhoods against how many are compared; dashed: untrained.

    Args:
        table: of ``measures.static_embeddings``.
        baseline: likewise, of members trained on tokens in random order, which are drawn as a condition more.
    """
    both = table if baseline is None else pd.concat([table, baseline[baseline["state"] == "trained"]])
    rows = _present(both, NEIGHBOURHOOD_NAMES, "k")
    return lines(
        rows[["condition", "state", "what", "x", "value", "low", "high"]],
        alt.X("x:Q", title="nearest neighbours compared", **logarithmic(rows["x"])),
        alt.Y("value:Q", title=None),
        conditions_of(both),
        ["condition", "state", alt.Tooltip("x:Q", title="neighbours"), *_ENDS],
        menus=[Menu("neighbourhood_measure", "what", _there(rows, NEIGHBOURHOOD_NAMES), "measure ")],
        faint=0.1,
    )


def band_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A measure by token frequency, chosen from a list; dashed: untrained."""
    near = {
        name: f"{NEIGHBOURHOOD_NAMES[name]}, of {BAND_K}" for name in ("topk_overlap_corrected", "local_spearman")
    }
    parts = _present(table, near, f"band_at_k{BAND_K}"), _present(table, SHAPE_NAMES, "band")
    rows = pd.concat(parts)
    return lines(
        rows[["condition", "state", "what", "x", "value", "low", "high", "n"]],
        alt.X("x:N", title="tokens, by how often they occur", sort=list(BANDS), axis=_LEVEL, scale=_EDGE),
        alt.Y("value:Q", title=None),
        conditions_of(table),
        ["condition", "state", "what", "x", *_ENDS],
        menus=[Menu("band_measure", "what", _there(rows, near | SHAPE_NAMES), "measure ")],
        height=300,
    )


def _there(rows: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """The names of measures that have rows, in their order."""
    return [text for text in names.values() if text in set(rows["what"])]


def _present(table: pd.DataFrame, names: dict[str, str], axis: str) -> pd.DataFrame:
    """Rows of those metrics that a vocabulary is large enough for; the position as a number where it is ``k``."""
    present = set(table.loc[(table["axis"] == axis).fillna(False), "metric"])
    rows = means(table, *(name for name in names if name in present), axis=axis, numeric=axis == "k")
    return rows.assign(what=rows["metric"].map(names))


def alignment_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Procrustes and CKA of pairs: means with intervals; filled: trained, open: untrained."""
    rows = means(table, *SHAPE_NAMES)
    rows["what"] = rows["metric"].map(SHAPE_NAMES)
    return points_in_rows(
        rows[["condition", "state", "what", "value", "low", "high"]],
        "what",
        alt.X("value:Q", title=_SAME),
        conditions_of(table),
        ["condition", "state", "what", *_ENDS],
        order=list(SHAPE_NAMES.values()),
        filled=False,
        height=20 * len(SHAPE_NAMES) * (1 + rows["condition"].nunique()),
    )


def all_rows_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Agreement on the tokens that occur and on all rows of the matrix, as the paper's code has it.

    A list chooses trained or untrained members.
    """
    largest = max(x for x in rows_of(table, "topk_overlap", axis="k")["x"] if x <= BAND_K)
    parts = []
    for axis, near_axis, way in ((None, "k", _OCCURRING), ("all_rows", "k_all_rows", _ALL)):
        near = means(table, "topk_overlap_corrected", axis=near_axis)
        whole = means(table, *list(ROWS_NAMES)[1:], axis=axis, numeric=False)
        parts += [near[near["x"] == largest].assign(way=way), whole.assign(way=way)]
    rows = pd.concat(parts)
    rows["what"] = rows["metric"].map(ROWS_NAMES)
    menu = Menu("rows_state", "state", list(dict.fromkeys(rows["state"])), "members ")
    base = chosen(rows[["condition", "state", "what", "way", "value", "low", "high", "n"]], menu).encode(
        y=alt.Y("what:N", title=None, sort=list(ROWS_NAMES.values()), axis=alt.Axis(labelLimit=180)),
        color=condition_colour(conditions_of(table)),
        yOffset=alt.YOffset("condition:N"),
    )
    line = base.mark_line(strokeWidth=2).encode(x="value:Q", detail=["condition:N", "what:N"])
    ways = alt.Scale(domain=[_OCCURRING, _ALL], range=["circle", "square"])
    point = base.mark_point(size=80, filled=True, opacity=1).encode(
        x=alt.X("value:Q", title=_SAME),
        shape=alt.Shape("way:N", title=None, scale=ways),
        tooltip=["condition", "state", "what", "way", *_ENDS],
    )
    return finished([line, point], 20 * len(ROWS_NAMES) * (1 + rows["condition"].nunique()), menu)


def neighbour_explorer(nearest: pd.DataFrame) -> alt.LayerChart:
    """The nearest neighbours of a token, chosen from a list, in each member; shaded: how many members share them.

    Args:
        nearest: of `gfm_utils.measures.nearest_tokens`.
    """
    ranks = list(range(1, 1 + len(nearest["neighbours"].iloc[0])))
    names = nearest["condition"].map(chart_names(list(dict.fromkeys(nearest["condition"]))))
    rows = nearest.assign(label=names + ": " + nearest["token"], rank=[ranks] * len(nearest))
    menu = Menu("token", "label", list(dict.fromkeys(rows["label"])), "token ")
    base = (
        chosen(rows, menu)
        .transform_flatten(["neighbours", "cosines", "shared", "rank"])
        .encode(
            x=alt.X("member:O", title="member", axis=alt.Axis(labelAngle=0, orient="top")),
            y=alt.Y("rank:O", title="nearest neighbours"),
            tooltip=[
                "condition:N", "token:N", alt.Tooltip("count:Q", title="occurrences", format=","),
                "member:O", "neighbours:N", alt.Tooltip("cosines:Q", title="cosine", format=".3~r"),
                alt.Tooltip("shared:Q", title="members that share it"),
            ],
        )
    )  # fmt: skip
    scale = alt.Scale(domain=[1, nearest["member"].nunique()], range=HEAT[:3])
    cell = base.mark_rect(stroke="white").encode(
        color=alt.Color("shared:Q", title="members that share it", scale=scale,
                        legend=alt.Legend(tickMinStep=1, format="d")),
    )  # fmt: skip
    text = base.mark_text(fontSize=13, font="monospace").encode(text="neighbours:N")
    return finished([cell, text], 30 * len(ranks), menu)


def layer_name(x: str) -> str:
    """``encoder.0`` as people count: ``layer 1``."""
    name, _, place = x.partition(".")
    return f"layer {int(place) + 1}" if place else name


def layer_shape_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The shape of the hidden states at each layer: rank, anisotropy, uniformity; dashed: untrained."""
    return _layers(table, LAYER_NAMES, "layer_shape")


def layer_agreement_chart(table: pd.DataFrame) -> alt.LayerChart:
    """How far members agree at each layer; dashed: untrained."""
    return _layers(table, AGREEMENT_NAMES, "layer_agreement")


def _layers(table: pd.DataFrame, names: dict[str, str], parameter: str) -> alt.LayerChart:
    """A measure at each layer, of tokens or of windows, chosen from two lists."""
    shown = {f"{level}{name}": (text, _LEVELS[level]) for level in _LEVELS for name, text in names.items()}
    rows = means(table, *shown, axis="layer", numeric=False)
    rows["what"], rows["level"] = zip(*rows["metric"].map(shown), strict=True)
    rows["x"] = rows["x"].map(layer_name)
    return lines(
        rows[["condition", "state", "what", "level", "x", "value", "low", "high"]],
        alt.X("x:N", title="layer", sort=list(dict.fromkeys(rows["x"])), axis=_LEVEL, scale=_EDGE),
        alt.Y("value:Q", title=None),
        conditions_of(table),
        ["condition", "state", "what", "level", "x", *_ENDS],
        menus=[
            Menu(parameter, "what", list(names.values()), "measure "),
            Menu(f"{parameter}_of", "level", list(_LEVELS.values()), "of "),
        ],
    )


def authors_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Windows at the last layer: by this book's formula, by that of the paper's code, and on its masked inputs.

    Filled: trained, open: untrained.
    """
    rows = pd.concat([_last_windows(table, what, *metrics) for what, metrics in AUTHORS_NAMES.items()])
    return points_in_rows(
        rows[["condition", "state", "what", "way", "value", "low", "high"]],
        "way",
        alt.X("value:Q", title=None, scale=alt.Scale(zero=False)),
        conditions_of(table),
        ["condition", "state", "what", "way", *_ENDS],
        order=[_HERE, _DEFINITION, _INPUTS],
        menus=[Menu("authors_measure", "what", list(AUTHORS_NAMES), "measure ")],
        filled=False,
        spread=TRAINED,
        height=60 * (1 + len(conditions_of(table))),
    )


def _last_windows(table: pd.DataFrame, what: str, ours: str | None, authors: str) -> pd.DataFrame:
    """The rows of one measure of windows at the last layer, by the way in which it is taken."""
    masked = means(table, f"pooled_{authors}", axis=MASKED, numeric=False)
    ways = [masked.assign(way=_INPUTS)]
    for metric, way in ((ours, _HERE), (authors, _DEFINITION)):
        if metric is not None:
            layers = means(table, f"pooled_{metric}", axis="layer", numeric=False)
            ways.append(layers[layers["x"] == masked["x"].iloc[0]].assign(way=way))
    return pd.concat(ways).assign(what=what)


def layer_cka_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Debiased linear CKA between the layers of one member (mean over members), of tokens."""
    rows = summaries(rows_of(table, "layer_cka", axis="layers", numeric=False))
    rows["first"], rows["second"] = zip(*(map(layer_name, x.split("|")) for x in rows["x"]), strict=True)
    rows["shown"] = rows["condition"].map(chart_names(conditions_of(rows))) + ", " + rows["state"]
    order = list(dict.fromkeys([*rows["first"], *rows["second"]]))
    menu = Menu("layers_of", "shown", list(dict.fromkeys(rows["shown"])), "models ")
    base = chosen(rows[["condition", "state", "shown", "first", "second", "value"]], menu).encode(
        x=alt.X("first:N", title=None, sort=order, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("second:N", title=None, sort=order),
        tooltip=["condition", "state", "first", "second", *tooltips("value")],
    )
    scale = alt.Scale(domain=[0, 1], range=HEAT, clamp=True)
    cell = base.mark_rect().encode(color=alt.Color("value:Q", title="CKA of two layers", scale=scale))
    text = base.mark_text(fontSize=13).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.when("datum.value > 0.6").then(alt.value("white")).otherwise(alt.value("black")),
    )
    return finished([cell, text], 40 * len(order), menu)
