"""Charts of static embeddings and of hidden states: how stable they are, their shape, and a list of neighbours."""

import altair as alt
import pandas as pd

from gfm_utils.figures.forms import (
    Menu,
    chosen,
    condition_colour,
    finished,
    lines,
    logarithmic,
    points_in_rows,
    tooltips,
)
from gfm_utils.figures.names import chart_names, layer_name
from gfm_utils.figures.palette import HEAT
from gfm_utils.figures.select import conditions_of, means, named_means
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
    "linear_cka": "linear CKA",
    "linear_cka_debiased": "linear CKA, debiased",
    "rbf_cka_debiased": "RBF CKA, debiased",
}
#: Names for people of what can be shown at each layer.
LAYER_NAMES = {
    "linear_cka_debiased": "linear CKA, debiased (chance 0)",
    "neighbour_alignment_corrected": "neighbours shared, beyond chance",
    "effective_rank": "effective rank",
    "participation_ratio": "participation ratio",
    "anisotropy": "anisotropy (mean cosine)",
    "uniformity": "uniformity (lower: more even)",
    "pairwise_dist_std": "spread of distances",
}
#: Axis of result tables -> the rows of the embedding matrix that are compared.
_OVER = {None: "tokens that occur", "all_rows": "all rows of the matrix"}
_LEVELS = {"": "tokens", "pooled_": "windows"}
_LEVEL, _EDGE = alt.Axis(labelAngle=0), alt.Scale(type="point", padding=0.02)
_ENDS = tooltips("value", "low", "high")


def overlap_chart(table: pd.DataFrame, baseline: pd.DataFrame) -> alt.LayerChart:
    """Nearest neighbours of ten that two members share; filled: trained, open: untrained, tick: chance.

    Both are from ``measures.static_embeddings``, the baseline of members trained on tokens in random order.
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
        rows,
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

    The baseline, of members trained on tokens in random order, is drawn as a condition more.
    """
    both = table if baseline is None else pd.concat([table, baseline[baseline["state"] == "trained"]])
    rows = named_means(both, NEIGHBOURHOOD_NAMES, "k", numeric=True)
    return lines(
        rows,
        alt.X("x:Q", title="nearest neighbours compared", **logarithmic(rows["x"])),
        alt.Y("value:Q", title=None),
        conditions_of(both),
        ["condition", "state", alt.Tooltip("x:Q", title="neighbours"), *_ENDS],
        menus=[Menu("neighbourhood_measure", "what", list(dict.fromkeys(rows["what"])), "measure ")],
        faint=0.1,
    )


def band_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A measure by token frequency, chosen from a list; dashed: untrained."""
    near = {name: NEIGHBOURHOOD_NAMES[name] for name in ("topk_overlap_corrected", "local_spearman")}
    rows = pd.concat([named_means(table, near, f"band_at_k{BAND_K}"), named_means(table, SHAPE_NAMES, "band")])
    return lines(
        rows,
        alt.X("x:N", title="tokens, by how often they occur", sort=list(BANDS), axis=_LEVEL, scale=_EDGE),
        alt.Y("value:Q", title=None),
        conditions_of(table),
        ["condition", "state", "what", "x", *_ENDS],
        menus=[Menu("band_measure", "what", list(dict.fromkeys(rows["what"])), "measure ")],
        height=300,
    )


def alignment_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Procrustes and CKA of pairs, of the tokens that occur or of all rows; filled: trained, open: untrained."""
    rows = pd.concat([named_means(table, SHAPE_NAMES, axis).assign(over=over) for axis, over in _OVER.items()])
    return points_in_rows(
        rows,
        "what",
        alt.X("value:Q", title="1: the same (disparity: 0)"),
        conditions_of(table),
        ["condition", "state", "what", *_ENDS],
        order=list(SHAPE_NAMES.values()),
        menus=[Menu("aligned_over", "over", list(dict.fromkeys(rows["over"])), "compare ")],
        filled=False,
        height=20 * len(SHAPE_NAMES) * (1 + rows["condition"].nunique()),
    )


def neighbour_explorer(nearest: pd.DataFrame) -> alt.LayerChart:
    """The nearest neighbours of a token, chosen from a list, in each member; shaded: how many members share them.

    From `gfm_utils.measures.nearest_tokens`.
    """
    ranks = list(range(1, 1 + len(nearest["neighbours"].iloc[0])))
    names = nearest["condition"].map(chart_names(list(dict.fromkeys(nearest["condition"]))))
    rows = nearest.assign(label=names + ": " + nearest["token"], rank=[ranks] * len(nearest))
    menu = Menu("token", "label", list(dict.fromkeys(rows["label"])), "token ")
    base = chosen(rows, menu).transform_flatten(["neighbours", "cosines", "shared", "rank"]).encode(
        x=alt.X("member:O", title="member", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("rank:O", title="nearest neighbours"),
        tooltip=[
            "condition:N", "token:N", alt.Tooltip("count:Q", title="occurrences", format=","), "member:O",
            "neighbours:N", *tooltips("cosines"), alt.Tooltip("shared:Q", title="members that share it"),
        ],
    )  # fmt: skip
    scale = alt.Scale(domain=[1, nearest["member"].nunique()], range=HEAT[:3])
    legend = alt.Legend(tickMinStep=1, format="d")
    shared = alt.Color("shared:Q", title="members that share it", scale=scale, legend=legend)
    text = base.mark_text(fontSize=13, font="monospace").encode(text="neighbours:N")
    return finished([base.mark_rect(stroke="white").encode(color=shared), text], 30 * len(ranks), menu)


def layer_chart(table: pd.DataFrame) -> alt.LayerChart:
    """The shape of the hidden states at each layer, and how far members agree; dashed: untrained.

    Two lists choose the measure, and whether it is of tokens or of windows.
    """
    rows = pd.concat([
        named_means(table, {f"{level}{name}": text for name, text in LAYER_NAMES.items()}, "layer").assign(of=of)
        for level, of in _LEVELS.items()
    ])  # fmt: skip
    rows["x"] = rows["x"].map(layer_name)
    return lines(
        rows,
        alt.X("x:N", title="layer", sort=list(dict.fromkeys(rows["x"])), axis=_LEVEL, scale=_EDGE),
        alt.Y("value:Q", title=None),
        conditions_of(table),
        ["condition", "state", "what", "of", "x", *_ENDS],
        menus=[
            Menu("layer_measure", "what", list(dict.fromkeys(rows["what"])), "measure "),
            Menu("layer_of", "of", list(_LEVELS.values()), "of "),
        ],
    )
