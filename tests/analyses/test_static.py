import numpy as np
import pytest

from gfm_utils.analyses import static_embeddings
from gfm_utils.analyses.static import compared_tokens, frequency_bands


@pytest.fixture(scope="module")
def table(trained):
    return static_embeddings(trained)


def test_bands_hold_a_third_of_the_occurrences_each():
    counts = np.array([1, 9, 2, 8, 1, 3, 9, 8, 1, 5, 5, 3, 1, 8, 9, 2] * 20)
    bands = frequency_bands(counts)
    assert list(bands) == ["frequent", "middle", "rare"]
    assert sorted(np.concatenate(list(bands.values()))) == list(range(len(counts)))
    for tokens in bands.values():
        assert counts[tokens].sum() / counts.sum() == pytest.approx(1 / 3, abs=0.03)
    assert counts[bands["frequent"]].min() >= counts[bands["middle"]].max() >= counts[bands["rare"]].min()


def test_a_band_of_too_few_tokens_is_left_out():
    assert list(frequency_bands(np.array([1000, 10, 10, 10, 10, 10]))) == ["rare"]


def test_untrained_members_share_what_chance_has_them_share(table):
    overlap = table[(table["metric"] == "topk_overlap") & table["member"].isna() & (table["axis"] == "k")]
    chance = table[table["metric"] == "topk_overlap_chance"].set_index(["condition", "state", "x"])["value"]
    untrained = overlap[overlap["state"] == "untrained"]
    assert len(untrained)
    for _, row in untrained.iterrows():
        expected = chance[(row["condition"], "untrained", row["x"])]
        assert row["value"] == pytest.approx(expected, abs=0.06)
    near_zero = table["metric"].isin(["linear_cka_debiased", "rbf_cka_debiased"]) & table["axis"].isna()
    rows = table[near_zero & (table["state"] == "untrained")]
    assert len(rows) and rows["value"].abs().max() < 0.2


def test_every_metric_stands_on_its_axes(table, trained):
    shapes = {
        "procrustes_disparity", "aligned_cosine", "linear_cka", "linear_cka_debiased", "rbf_cka",
        "rbf_cka_debiased",
    }  # fmt: skip
    near = {"topk_overlap", "topk_overlap_corrected", "local_spearman"}
    axes = table["axis"].fillna("none")
    assert set(table.loc[axes == "none", "metric"]) == shapes | {"symbols_per_token"}
    assert set(table.loc[axes == "band", "metric"]) == shapes
    assert set(table.loc[axes == "k", "metric"]) == near | {"topk_overlap_chance", "local_spearman_authors"}
    assert set(table.loc[axes == "band_at_k10", "metric"]) == near
    assert table["value"].notna().all()
    assert (table.loc[table["metric"] != "symbols_per_token", "n"] <= 64).all()
    for ensemble in trained:
        seen, bands = compared_tokens(ensemble)
        own = table[(table["condition"] == ensemble.condition) & (axes == "band")]
        assert set(own["x"]) == set(bands)
        assert (ensemble.store.counts("train")[seen] > 0).all()


def test_correction_is_of_the_overlap_that_stands_beside_it(table):
    wide = table[(table["axis"] == "k") & table["member"].isna()].pivot_table(
        index=["condition", "state", "x"], columns="metric", values="value"
    )
    chance = wide["topk_overlap_chance"]
    expected = (wide["topk_overlap"] - chance) / (1 - chance)
    np.testing.assert_allclose(wide["topk_overlap_corrected"], expected, atol=1e-12)
