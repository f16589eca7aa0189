"""Every chart and table for people, drawn from the result tables of small real ensembles."""

import numpy as np
import pandas as pd
import pytest
from drawing import data_of, drawn

from gfm_utils import analyses, corpora, figures, tables
from gfm_utils.analyses.static import embedding_rows
from gfm_utils.book import answers
from gfm_utils.errors import GfmError
from gfm_utils.figures.numbers import percentage
from gfm_utils.figures.select import rows_of, value_of


@pytest.fixture(scope="module")
def results(trained, smoke, measured):
    found = [corpora.load(ensemble.condition.rpartition("@")[0]) for ensemble in trained]
    stores = [ensemble.store for ensemble in trained]
    return {
        "found": found,
        "data": analyses.corpus_table(found, smoke),
        "tokens": analyses.token_table(stores),
        "entropy": analyses.corpus_entropies(found, stores, smoke, progress=False).table,
        "learning": analyses.learning_curves(trained),
        "output": measured("predictions"),
        "disagreement": measured("disagreement"),
        "strands": analyses.strand_disagreement(trained, smoke),
        "along": analyses.along_windows(trained, smoke),
        "static": measured("static_embeddings"),
        "nearest": analyses.nearest_tokens(trained),
        "contextual": measured("contextual_embeddings"),
        "fisher": measured("fisher"),
        "flow": analyses.fisher_flow(trained, smoke),
        "rescaling": analyses.fisher_rescaling(trained, smoke),
        "jolts": analyses.fisher_jolts(trained, smoke),
    }


CHARTS = {
    "token_frequency": lambda r: figures.token_frequency_chart(r["tokens"]),
    "entropy": lambda r: figures.conditional_entropy_chart(r["entropy"]),
    "estimators": lambda r: figures.estimators_chart(r["entropy"]),
    "unigram": lambda r: figures.unigram_chart(r["entropy"], "token"),
    "unigram_symbol": lambda r: figures.unigram_chart(r["entropy"], "symbol"),
    "learning": lambda r: figures.learning_chart(r["learning"]),
    "uncertainty": lambda r: figures.uncertainty_chart(r["output"]),
    "rank": lambda r: figures.rank_probability_chart(r["output"]),
    "top_p": lambda r: figures.top_p_chart(r["disagreement"]),
    "top_p_authors": lambda r: figures.top_p_chart(r["disagreement"], authors=True),
    "ranks": lambda r: figures.rank_agreement_chart(r["disagreement"]),
    "strata": lambda r: figures.strata_chart(r["disagreement"]),
    "along": lambda r: figures.along_chart(r["along"]),
    "context": lambda r: figures.context_chart(r["output"]),
    "reliability": lambda r: figures.reliability_chart(r["output"]),
    "agreement": lambda r: figures.agreement_chart(r["disagreement"]),
    "overlap": lambda r: figures.overlap_chart(r["static"]),
    "alignment": lambda r: figures.alignment_chart(r["static"]),
    "neighbourhoods": lambda r: figures.neighbourhood_chart(r["static"]),
    "bands": lambda r: figures.band_chart(r["static"]),
    "explorer": lambda r: figures.neighbour_explorer(r["nearest"]),
    "layer_shape": lambda r: figures.layer_shape_chart(r["contextual"]),
    "layer_agreement": lambda r: figures.layer_agreement_chart(r["contextual"]),
    "layer_cka": lambda r: figures.layer_cka_chart(r["contextual"]),
    "authors": lambda r: figures.authors_chart(r["contextual"]),
    "all_rows": lambda r: figures.all_rows_chart(r["static"]),
    "encoder": lambda r: figures.encoder_chart(r["fisher"]),
    "shares": lambda r: figures.share_chart(r["fisher"]),
    "paths": lambda r: figures.share_chart(r["fisher"], split_embeddings=True),
    "flow": lambda r: figures.flow_chart(r["flow"]),
    "trace": lambda r: figures.trace_chart(r["flow"]),
    "jolts": lambda r: figures.jolt_chart(r["jolts"]),
    "gain": lambda r: figures.gain_chart(r["fisher"]),
    "rescaling": lambda r: figures.share_chart(r["rescaling"], metric="fisher_share_sequence"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_draw_every_condition_without_complaint(results, trained, name):
    spec, svg, rows = drawn(CHARTS[name](results))
    assert spec["width"] == "container" and len(rows) < 5000 and svg.count("<path") > 5
    conditions = {row["condition"] for row in rows if "condition" in row}
    assert {ensemble.condition for ensemble in trained} <= conditions or name in ("entropy", "estimators")


def test_pairs_are_linked_to_the_curve(results, trained):
    spec, svg, _ = drawn(figures.pair_chart(results["disagreement"]))
    assert {"shown", "mass"} <= {param["name"] for param in spec["params"]}
    members = len(trained[0].members)
    assert svg.count('aria-label="seed') >= members * (members - 1)  # the matrix at full mass, in both orders


def test_strands_are_drawn_of_dna_and_their_lack_is_said(results, trained):
    rows = data_of(figures.strand_chart(results["strands"]))
    assert {row["condition"] for row in rows} == {trained[1].condition}
    assert "another seed" in answers.strand_answer(results["strands"]).data
    nothing = results["strands"].iloc[:0]
    assert "no DNA" in figures.strand_chart(nothing).to_json() and "no DNA" in answers.strand_answer(nothing).data


TABLES = {
    "corpora": lambda r: figures.corpus_overview(r["data"], r["found"]),
    "leaks": lambda r: figures.leak_overview(r["data"]),
    "codes": lambda r: figures.rate_overview(r["entropy"]),
    "training": lambda r: figures.summary_of_training(r["learning"]),
    "output": lambda r: figures.overview(r["output"], "nll", "accuracy"),
    "fisher": lambda r: figures.overview(r["fisher"], "fisher_share", axis="group"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_for_people_have_no_holes(results, name):
    html = TABLES[name](results).to_html()
    assert "<td" in html and "nan" not in html.lower().replace("nano", "") and "None" not in html


def test_shared_overview_names_what_members_share(trained):
    html = figures.shared_overview(trained).to_html()
    assert "modernbert-2x64" in html and "1, 2, 3" in html


def test_answers_carry_the_numbers_of_the_tables(results, trained):
    r = results
    texts = {
        "corpora": answers.corpora_answer(pd.concat([r["data"], r["tokens"]], ignore_index=True)),
        "entropy": answers.entropy_answer(r["entropy"]),
        "ensembles": answers.ensembles_answer(r["learning"]),
        "predictions": answers.predictions_answer(r["output"]),
        "disagreement": answers.disagreement_answer(r["disagreement"]),
        "static": answers.static_answer(r["static"]),
        "contextual": answers.contextual_answer(r["contextual"]),
        "fisher": answers.fisher_answer(r["fisher"]),
    }
    for text in texts.values():
        assert "nan" not in text.replace("nano", "")
        assert all(ensemble.condition in text for ensemble in trained)
    condition = trained[0].condition
    nll = value_of(r["output"], condition, "nll", state="trained", unit="bits/token")["value"]
    assert f"loss {nll:.3f} [" in texts["predictions"]
    bare = value_of(r["static"], condition, "topk_overlap_corrected", state="untrained", axis="k", x="10")["value"]
    assert f"beyond chance (untrained {percentage(bare)})" in texts["static"]
    chance = r["disagreement"].query("metric == 'top1_agreement_chance' and state == 'trained'")
    certain = chance.groupby("condition")["value"].max() == 1  # a pair with one choice: nothing is beyond chance
    holes = {"predictions": 0, "disagreement": certain.sum(), "contextual": 0, "fisher": 0}
    for name, expected in holes.items():  # every other slot has its number
        assert texts[name].replace("Jensen–Shannon", "").count("–") == expected


def test_four_tokens_are_enough_for_the_charts_of_static_embeddings():
    matrices = list(np.random.default_rng(0).normal(size=(3, 4, 8)))
    rows = [
        row
        for state in ("trained", "untrained")
        for row in embedding_rows(
            {"condition": "a@kmer1", "state": state}, [1, 2, 3], matrices, {"rare": range(4)}
        )
    ]
    found = tables.table(rows)
    charts = figures.overlap_chart, figures.neighbourhood_chart, figures.alignment_chart, figures.band_chart
    for chart in charts:
        drawn(chart(found))
    assert "in two members is – beyond chance" in answers.static_answer(found)


@pytest.mark.parametrize("chart, table, what, ways", [
    (figures.authors_chart, "contextual", "effective rank (dimensions)", {
        "as in this book": ("pooled_effective_rank", "layer", "encoder.1"),
        "the paper's formula": ("pooled_effective_rank_authors", "layer", "encoder.1"),
        "and 15 % masked": ("pooled_effective_rank_authors", "layer_masked", "encoder.1"),
    }),
    (figures.all_rows_chart, "static", "linear CKA", {
        "tokens that occur": ("linear_cka", None, None), "all rows": ("linear_cka", "all_rows", "vocabulary"),
    }),
])  # fmt: skip
def test_ways_of_measuring_stand_beside_each_other(results, trained, chart, table, what, ways):
    condition, table = trained[0].condition, results[table]
    own = [row for row in data_of(chart(table)) if (row["condition"], row["state"]) == (condition, "trained")]
    shown = {row["way"]: row["value"] for row in own if row["what"] == what}
    for way, (metric, axis, x) in ways.items():
        at = {} if x is None else {"x": str(trained[0].store.vocabulary) if x == "vocabulary" else x}
        expected = value_of(table, condition, metric, state="trained", axis=axis, **at)["value"]
        assert shown[way] == pytest.approx(expected)


def test_split_embeddings_add_up_to_the_embeddings(results, trained):
    rows = data_of(figures.share_chart(results["fisher"], split_embeddings=True))
    for state in ("trained", "untrained", "random_context"):
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
