"""Every chart and table for people, drawn from the result tables of small real ensembles."""

from itertools import combinations

import numpy as np
import pytest
from drawing import data_of, drawn

from gfm_utils import claims, corpora, figures, measures, tables
from gfm_utils.errors import GfmError
from gfm_utils.figures.select import rows_of, value_of
from gfm_utils.measures.static import embedding_rows


@pytest.fixture(scope="module")
def results(trained, smoke, measured):
    found = [corpora.load(ensemble.condition.rpartition("@")[0]) for ensemble in trained]
    stores = [ensemble.store for ensemble in trained]
    return {
        "found": found,
        "data": measures.corpus_table(found, smoke),
        "tokens": measures.token_table(stores),
        "entropy": measures.corpus_entropies(found, stores, smoke, progress=False)[0],
        "learning": claims.learning_curves(trained),
        "output": measured("predictions"),
        "disagreement": measured("disagreement"),
        "strands": measures.strand_disagreement(trained, smoke),
        "along": measures.along_windows(trained, smoke),
        "static": measured("static_embeddings"),
        "nearest": measures.nearest_tokens(trained),
        "contextual": measured("contextual_embeddings"),
        "fisher": measured("fisher"),
        "flow": measures.fisher_flow(trained, smoke),
        "rescaling": measures.fisher_rescaling(trained, smoke),
        "perturbations": measures.fisher_perturbations(trained, smoke),
    }


#: Chart -> the result that it draws; with what it is given beside that, where it can be given more.
CHARTS = {
    "token_frequency_chart": "tokens",
    "learning_chart": "learning", "uncertainty_chart": "output", "rank_probability_chart": "output",
    "context_chart": "output", "reliability_chart": "output", "top_p_chart": "disagreement",
    "rank_agreement_chart": "disagreement", "strata_chart": "disagreement", "guess_strip": "along",
    "pair_chart": "disagreement", "alignment_chart": "static",
    "neighbourhood_chart": "static", "band_chart": "static", "neighbour_explorer": "nearest",
    "layer_chart": "contextual",
    "share_chart": "fisher", "gain_chart": "fisher", "flow_chart": "flow", "trace_chart": "flow",
    "perturbation_chart": "perturbations", "rescaling_chart": "rescaling",
}  # fmt: skip
WITH_MORE = [
    ("share_chart", "fisher", {"split_embeddings": True}),
    ("share_chart", "fisher", {"metric": "fisher_share_paper"}),
]  # fmt: skip


@pytest.mark.parametrize(("chart", "result", "more"), [*((*one, {}) for one in CHARTS.items()), *WITH_MORE])
def test_charts_draw_every_condition_without_complaint(results, trained, chart, result, more):
    spec, svg, rows = drawn(getattr(figures, chart)(results[result], **more))
    assert spec["width"] == "container" and len(rows) < 5000 and svg.count("<path") > 5
    conditions = {row["condition"] for row in rows if "condition" in row}
    assert {ensemble.condition for ensemble in trained} <= conditions


def test_every_pair_has_a_cell_in_the_square_of_its_condition(results, trained):
    rows = data_of(figures.pair_chart(results["disagreement"]))
    for ensemble in trained:
        whole = [r for r in rows if r["condition"] == ensemble.condition and r["kept"] == "100%"]
        assert len(whole) == len(ensemble.members) * (len(ensemble.members) - 1)  # in both orders
        assert {frozenset((r["member"], r["other"])) for r in whole} == set(
            map(frozenset, combinations(ensemble.seeds, 2))
        )


def test_neighbours_shared_stand_beside_chance_untrained_members_and_the_baseline(results, trained):
    table = results["static"]
    baseline = table[table["condition"] == trained[0].condition].assign(condition="news+shuffle@bpe64")
    rows = data_of(figures.overlap_chart(table, baseline))
    for condition, state, metric in (
        (trained[1].condition, "untrained", "topk_shared"), ("news+shuffle@bpe64", "trained", "topk_shared"),
        (trained[1].condition, "chance", "topk_shared_chance"),
    ):  # fmt: skip
        (shown,) = (row["value"] for row in rows if (row["condition"], row["state"]) == (condition, state))
        of = trained[0].condition if "shuffle" in condition else condition
        state = "trained" if state == "chance" else state
        assert shown == value_of(table, of, metric, state=state, axis="k", x="10")["value"]


def test_text_and_dna_stand_beside_each_other_along_a_window(results, trained):
    spec, _, rows = drawn(figures.along_chart(results["along"]))
    scales = [part["layer"][0]["encoding"]["color"]["scale"] for part in spec["concat"]]
    assert scales == scales[:1] * len(trained)
    expected = results["along"].query("metric == 'position_js_distance'")["value"]
    assert sorted(row["js_distance"] for row in rows) == pytest.approx(sorted(expected))


def test_strands_are_drawn_of_dna_and_their_lack_is_said(results, trained):
    rows = data_of(figures.strand_chart(results["strands"]))
    assert {row["condition"] for row in rows} == {trained[1].condition}
    assert "no DNA" in figures.strand_chart(results["strands"].iloc[:0]).data


def test_tables_for_people_have_no_holes(results, trained):
    r = results
    tables_for_people = [
        figures.corpus_overview(r["data"], r["found"]), figures.leak_overview(r["data"]),
        figures.rate_overview(r["entropy"]), figures.summary_of_training(r["learning"]),
        figures.overview(r["output"], "nll", "accuracy"),
        figures.overview(r["fisher"], "fisher_share", axis="group"),
    ]  # fmt: skip
    for html in (shown.to_html() for shown in tables_for_people):
        assert "<td" in html and "nan" not in html.lower() and "None" not in html
    shared = figures.shared_overview(trained).to_html()
    assert "modernbert-2x64" in shared and "1, 2, 3" in shared


def test_four_tokens_are_enough_for_the_charts_of_static_embeddings():
    matrices, found = list(np.random.default_rng(0).normal(size=(3, 4, 8))), []
    for state in ("trained", "untrained"):
        found += embedding_rows({"condition": "a@kmer1", "state": state}, [1, 2, 3], matrices, {"rare": range(4)})
    for chart in (figures.neighbourhood_chart, figures.alignment_chart, figures.band_chart):
        drawn(chart(tables.table(found)))


def test_embeddings_are_compared_on_the_tokens_that_occur_and_on_all_rows(results, trained):
    table, condition = results["static"], trained[0].condition
    rows = data_of(figures.alignment_chart(table))
    shown = {(row["what"], row["over"]): row["value"] for row in rows if row["condition"] == condition
             and row["state"] == "trained"}  # fmt: skip
    for axis, over in ((None, "tokens that occur"), ("all_rows", "all rows of the matrix")):
        assert (
            shown["linear CKA", over]
            == value_of(table, condition, "linear_cka", state="trained", axis=axis)["value"]
        )


def test_split_embeddings_add_up_to_the_embeddings(results, trained):
    rows = data_of(figures.share_chart(results["fisher"], split_embeddings=True))
    for state in ("trained", "untrained", "random context"):
        own = [row for row in rows if (row["condition"], row["state"]) == (trained[0].condition, state)]
        assert sum(row["value"] for row in own) == pytest.approx(1)
        assert {"embedding.visible", "embedding.mask", "decoder.weight", "decoder.cross"} <= {
            row["x"] for row in own
        }


def test_the_code_within_a_window_is_a_level_where_it_beats_a_uniform_choice(results, trained):
    table, expected = results["output"], {}
    for ensemble in trained:
        level = value_of(table, ensemble.condition, "window_code_nll", unit="bits/token")["value"]
        if level < np.log2(ensemble.spec.vocabulary):
            expected[ensemble.condition] = level
    rows = data_of(figures.uncertainty_chart(table))
    found = {row["condition"]: row["level"] for row in rows if row["what"] == "code within a window"}
    assert found == pytest.approx(expected) and set(found) == {trained[1].condition}


def test_missing_rows_say_which(results):
    with pytest.raises(GfmError, match="no nonsense"):
        rows_of(results["output"], "nonsense")
    with pytest.raises(GfmError, match="no nll"):
        value_of(results["output"], "other", "nll")
