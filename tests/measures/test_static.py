from itertools import combinations

import numpy as np
import pytest

from gfm_utils import tables
from gfm_utils.measures import static as module
from gfm_utils.measures.estimates import estimate, null_of
from gfm_utils.measures.geometry import linear_cka
from gfm_utils.measures.neighbours import compare_neighbours, topk_overlap_chance
from gfm_utils.measures.registry import MEASURES
from gfm_utils.measures.static import (
    all_row_rows,
    compared_tokens,
    embedding_rows,
    frequency_bands,
    input_embeddings,
)


@pytest.fixture(scope="module")
def table(measured):
    return measured("static_embeddings")


def test_bands_hold_a_third_of_the_occurrences_each():
    counts = np.array([1, 9, 2, 8, 1, 3, 9, 8, 1, 5, 5, 3, 1, 8, 9, 2] * 20)
    bands = frequency_bands(counts)
    assert list(bands) == ["frequent", "middle", "rare"]
    assert sorted(np.concatenate(list(bands.values()))) == list(range(len(counts)))
    for tokens in bands.values():
        assert counts[tokens].sum() / counts.sum() == pytest.approx(1 / 3, abs=0.03)
    assert counts[bands["frequent"]].min() >= counts[bands["middle"]].max() >= counts[bands["rare"]].min()


def test_compared_are_tokens_that_occur_and_bands_have_some(table, trained):
    assert list(frequency_bands(np.array([1000, 10, 10, 10, 10, 10]))) == ["rare"]
    assert table["value"].notna().all()
    for ensemble in trained:
        seen, bands = compared_tokens(ensemble)
        own = table[(table["condition"] == ensemble.condition) & table["metric"].eq("linear_cka")]
        assert set(own.loc[own["axis"].eq("band").fillna(False), "x"]) == set(bands)
        assert set(own.loc[own["axis"].isna() & own["member"].notna(), "n"]) == {len(seen)}
        assert (ensemble.store.counts("train")[seen] > 0).all()


def test_all_rows_are_those_of_the_whole_matrix(table, trained):
    ensemble = trained[0]
    matrices = [input_embeddings(member.model("trained")) for member in ensemble.members]
    assert len(matrices[0]) == ensemble.store.vocabulary > len(compared_tokens(ensemble)[0])
    own = table[
        (table["condition"] == ensemble.condition) & (table["state"] == "trained") & table["member"].notna()
    ]
    pairs = own[own["axis"] == "all_rows"].set_index(["metric", "member", "other"])
    first, second = ensemble.seeds[:2]
    assert pairs["value"]["linear_cka", first, second] == pytest.approx(linear_cka(matrices).cka[0, 1])
    assert set(pairs["n"]) == {len(matrices[0])} and set(pairs["x"]) == {str(len(matrices[0]))}
    near = own[(own["axis"] == "k_all_rows") & (own["x"] == "5")].set_index(["metric", "member", "other"])["value"]
    chance = topk_overlap_chance(len(matrices[0]), 5)
    expected = (compare_neighbours(matrices, [5]).overlap[0, 0].mean() - chance) / (1 - chance)
    assert near["topk_overlap_corrected", first, second] == pytest.approx(expected)


def test_neighbours_shared_are_counted_token_by_token():
    """Against sets, for whose mean number no Jaccard index stands in; and chance against random sets."""
    random = np.random.default_rng(0)
    base = random.normal(size=(200, 5))
    matrices = [base + 0.5 * random.normal(size=base.shape) for _ in range(3)]
    nearest = []
    for matrix in matrices:
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -np.inf)
        nearest.append([set(row) for row in np.argsort(-cosines, axis=1)[:, :10]])
    pairs = (zip(*pair, strict=True) for pair in combinations(nearest, 2))
    expected = np.mean([len(one & other) for pair in pairs for one, other in pair])
    rows = tables.table(embedding_rows({"condition": "a@kmer2", "state": "trained"}, [1, 2, 3], matrices))
    measure = MEASURES["topk_shared"]
    assert estimate(measure, rows).interval.value == pytest.approx(expected)
    drawn = random.permuted(np.tile(np.arange(199), (20_000, 1)), axis=1)[:, :10]
    found = (drawn < 10).sum(axis=1)
    error = found.std() / np.sqrt(len(found))
    assert null_of(measure, rows).interval.value == pytest.approx(found.mean(), abs=5 * error)


def test_a_matrix_of_too_many_rows_is_not_compared_whole(monkeypatch):
    monkeypatch.setattr(module, "ALL_ROWS", 9)
    matrices = list(np.random.default_rng(0).normal(size=(3, 10, 4)))
    assert not list(all_row_rows({}, [1, 2, 3], matrices))
    assert list(all_row_rows({}, [1, 2, 3], [matrix[:9] for matrix in matrices]))
