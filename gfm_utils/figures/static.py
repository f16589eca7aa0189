"""Charts of the stability of static embeddings, and an explorer of neighbours."""

import altair as alt
import pandas as pd

from gfm_utils.analyses.static import BAND_K, BANDS
from gfm_utils.figures.select import conditions_of, rows_of, summaries, with_span
from gfm_utils.figures.style import condition_colour, dropdown, state_dash, state_fill, themed, tooltips

#: Names for people of measures of neighbourhoods whose level of chance is 0.
NEIGHBOURHOOD_NAMES = {
    "topk_overlap_corrected": "overlap, corrected for chance",
    "local_spearman": "local Spearman",
    "local_spearman_authors": "local Spearman, the paper's code",
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
_OCCURRING, _ALL = "tokens that occur", "all rows"


def overlap_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Overlap of the k nearest neighbours against k; dotted: exact chance; dashed: untrained members."""
    rows = with_span(summaries(rows_of(table, "topk_overlap", axis="k")))
    chance = rows_of(table, "topk_overlap_chance", axis="k")
    chance = chance[chance["state"] == "trained"].assign(state="chance")
    drawn = pd.concat([rows, chance])[["condition", "state", "x", "value", "low", "high"]]
    pick = alt.selection_point(fields=["condition"], bind="legend")
    base = alt.Chart(drawn).encode(
        x=alt.X("x:Q", title="k nearest neighbours", scale=alt.Scale(type="log")),
        color=condition_colour(conditions_of(table)),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.1)),
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="overlap (Jaccard index)"),
        strokeDash=state_dash(drawn["state"]),
        tooltip=[
            "condition", "state", alt.Tooltip("x:Q", title="k"), *tooltips("value", "low", "high"),
        ],
    )  # fmt: skip
    return themed(alt.layer(span, line).add_params(pick).properties(width="container", height=340))


def neighbourhood_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A measure of neighbourhoods against k, chosen from a list: 0 is chance, 1 the same; dashed: untrained."""
    rows = with_span(summaries(_present(table, NEIGHBOURHOOD_NAMES, "k")))
    rows["what"] = rows["metric"].map(NEIGHBOURHOOD_NAMES)
    chosen = dropdown("neighbourhood_measure", list(dict.fromkeys(rows["what"])), "measure ")
    base = (
        alt.Chart(rows[["condition", "state", "what", "x", "value", "low", "high"]])
        .transform_filter("datum.what == neighbourhood_measure")
        .encode(
            x=alt.X("x:Q", title="k nearest neighbours", scale=alt.Scale(type="log")),
            color=condition_colour(conditions_of(table)),
        )
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="agreement (chance 0, the same 1)"),
        strokeDash=state_dash(rows["state"]),
        tooltip=["condition", "state", alt.Tooltip("x:Q", title="k"), *tooltips("value", "low", "high")],
    )
    return themed(alt.layer(span, line).add_params(chosen).properties(width="container", height=300))


def band_chart(table: pd.DataFrame) -> alt.LayerChart:
    """A measure by token frequency, chosen from a list; dashed: untrained."""
    near = {
        name: f"{NEIGHBOURHOOD_NAMES[name]}, k = {BAND_K}" for name in ("topk_overlap_corrected", "local_spearman")
    }
    parts = _present(table, near, f"band_at_k{BAND_K}"), _present(table, SHAPE_NAMES, "band")
    rows = with_span(summaries(pd.concat(parts)))
    rows["what"] = rows["metric"].map(near | SHAPE_NAMES)
    chosen = dropdown("band_measure", list(dict.fromkeys(rows["what"])), "measure ")
    base = (
        alt.Chart(rows[["condition", "state", "what", "x", "value", "low", "high", "n"]])
        .transform_filter("datum.what == band_measure")
        .encode(
            x=alt.X("x:N", title="tokens, by frequency", sort=list(BANDS), axis=alt.Axis(labelAngle=0)),
            color=condition_colour(conditions_of(table)),
        )
    )
    span = base.transform_filter("datum.state == 'trained'").mark_rule().encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title=None),
        strokeDash=state_dash(rows["state"]),
        tooltip=["condition", "state", "what", "x", *tooltips("value", "low", "high")],
    )
    return themed(alt.layer(span, line).add_params(chosen).properties(width="container", height=300))


def _present(table: pd.DataFrame, names: dict[str, str], axis: str) -> pd.DataFrame:
    """Rows of those metrics that a vocabulary is large enough for; the position as a number where it is ``k``."""
    here = set(table.loc[(table["axis"] == axis).fillna(False), "metric"])
    return rows_of(table, *(name for name in names if name in here), axis=axis, numeric=axis == "k")


def alignment_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Procrustes and CKA of pairs: means with intervals; filled: trained, open: untrained."""
    rows = with_span(summaries(rows_of(table, *SHAPE_NAMES)))
    rows["what"] = rows["metric"].map(SHAPE_NAMES)
    base = alt.Chart(rows[["condition", "state", "what", "value", "low", "high"]]).encode(
        y=alt.Y("what:N", title=None, sort=list(SHAPE_NAMES.values()), axis=alt.Axis(labelLimit=180)),
        color=condition_colour(conditions_of(table)),
        yOffset=alt.YOffset("condition:N"),
        tooltip=["condition", "state", "what", *tooltips("value", "low", "high")],
    )
    span = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    point = base.mark_point(size=90, strokeWidth=2).encode(
        x=alt.X("value:Q", title="1: the same; of the disparity, 0"),
        fillOpacity=state_fill(),
        fill=condition_colour(conditions_of(table)),
    )
    height = 20 * len(SHAPE_NAMES) * (1 + rows["condition"].nunique())
    return themed(alt.layer(span, point).properties(width="container", height=height))


def all_rows_chart(table: pd.DataFrame) -> alt.LayerChart:
    """Agreement on the tokens that occur and on all rows of the matrix, as the paper's code has it.

    A list chooses trained or untrained members.
    """
    largest = max(x for x in rows_of(table, "topk_overlap", axis="k")["x"] if x <= BAND_K)
    parts = []
    for axis, way in ((None, _OCCURRING), ("all_rows", _ALL)):
        near = rows_of(table, "topk_overlap_corrected", axis="k_all_rows" if axis else "k")
        parts.append(near[near["x"] == largest].assign(way=way))
        parts.append(rows_of(table, *list(ROWS_NAMES)[1:], axis=axis, numeric=False).assign(way=way))
    rows = with_span(summaries(pd.concat(parts)))
    rows["what"] = rows["metric"].map(ROWS_NAMES)
    state = dropdown("rows_state", list(dict.fromkeys(rows["state"])), "members ")
    colour = condition_colour(conditions_of(table))
    base = (
        alt.Chart(rows[["condition", "state", "what", "way", "value", "low", "high", "n"]])
        .transform_filter("datum.state == rows_state")
        .encode(
            y=alt.Y("what:N", title=None, sort=list(ROWS_NAMES.values()), axis=alt.Axis(labelLimit=180)),
            color=colour,
            yOffset=alt.YOffset("condition:N"),
        )
    )
    line = base.mark_line(strokeWidth=2).encode(x="value:Q", detail=["condition:N", "what:N"])
    ways = alt.Scale(domain=[_OCCURRING, _ALL], range=["circle", "square"])
    point = base.mark_point(size=80, filled=True, opacity=1).encode(
        x=alt.X("value:Q", title="1: the same; of the disparity, 0"),
        shape=alt.Shape("way:N", title=None, scale=ways),
        tooltip=["condition", "state", "what", "way", *tooltips("value", "low", "high")],
    )
    height = 20 * len(ROWS_NAMES) * (1 + rows["condition"].nunique())
    return themed(alt.layer(line, point).add_params(state).properties(width="container", height=height))


def neighbour_explorer(found: pd.DataFrame) -> alt.LayerChart:
    """The nearest neighbours of a token, chosen from a list, in each member; shaded: how many members share them.

    Args:
        found: of `gfm_utils.analyses.nearest_tokens`.
    """
    rows = found.assign(label=found["condition"] + ": " + found["token"])
    members = found["member"].nunique()
    labels = list(dict.fromkeys(rows["label"]))
    ranks = list(range(1, 1 + len(found["neighbours"].iloc[0])))
    rows["rank"] = [ranks] * len(rows)
    chosen = dropdown("token", labels, "token ")
    base = (
        alt.Chart(rows)
        .transform_filter("datum.label == token")
        .transform_flatten(["neighbours", "cosines", "shared", "rank"])
        .encode(
            x=alt.X("member:O", title="member", axis=alt.Axis(labelAngle=0, orient="top")),
            y=alt.Y("rank:O", title="nearest neighbours"),
            tooltip=[
                "condition:N", "token:N", alt.Tooltip("count:Q", title="occurrences", format=","),
                "member:O", "neighbours:N", alt.Tooltip("cosines:Q", title="cosine"),
                alt.Tooltip("shared:Q", title="members that share it"),
            ],
        )
    )  # fmt: skip
    scale = alt.Scale(domain=[1, members], range=["#f3f3f3", "#f0c27b"])
    cell = base.mark_rect(stroke="white").encode(
        color=alt.Color("shared:Q", title="members that share it", scale=scale,
                        legend=alt.Legend(tickMinStep=1, format="d")),
    )  # fmt: skip
    text = base.mark_text(fontSize=13, font="monospace").encode(text="neighbours:N")
    height = 30 * len(ranks)
    return themed(alt.layer(cell, text).add_params(chosen).properties(width="container", height=height))
