import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.stats import ortho_group

from gfm_utils.analyses import static_embeddings
from gfm_utils.analyses.static import (
    linear_cka,
    neighbours,
    procrustes_disparity,
    topk_overlap,
    topk_overlap_chance,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 40, 7))


def test_neighbours_and_overlap_against_a_plain_loop():
    def nearest(matrix, token, k):
        cosine = [
            -np.inf if other == token
            else row @ matrix[token] / np.linalg.norm(row) / np.linalg.norm(matrix[token])
            for other, row in enumerate(matrix)
        ]  # fmt: skip
        return np.argsort(cosine)[::-1][:k]

    for k in (1, 5, 38):
        near_a, near_b = neighbours(A, k), neighbours(B, k)
        jaccard = []
        for token in range(40):
            a, b = set(nearest(A, token, k)), set(nearest(B, token, k))
            assert set(near_a[token]) == a and token not in a
            jaccard.append(len(a & b) / len(a | b))
        assert topk_overlap(near_a, near_b) == pytest.approx(np.mean(jaccard), abs=1e-12)


@pytest.mark.parametrize(("tokens", "k"), [(40, 1), (40, 10), (40, 30), (257, 10)])
def test_chance_overlap_by_simulation(tokens, k):
    found = []
    for _ in range(3000):
        a, b = (set(RNG.choice(tokens - 1, k, replace=False)) for _ in range(2))
        found.append(len(a & b) / len(a | b))
    error = np.std(found) / np.sqrt(len(found))
    assert topk_overlap_chance(tokens, k) == pytest.approx(np.mean(found), abs=5 * error + 1e-12)


def test_chance_of_all_is_one_and_close_to_the_papers_scale_for_few():
    assert topk_overlap_chance(40, 39) == pytest.approx(1)
    assert topk_overlap_chance(4096, 10) == pytest.approx(10 / (2 * 4096 - 10), rel=0.06)


def test_procrustes_is_scipys_and_symmetric():
    assert procrustes_disparity(A, B) == pytest.approx(procrustes(A, B)[2], abs=1e-10)
    assert procrustes_disparity(A, B) == pytest.approx(procrustes_disparity(B, A), abs=1e-12)


def test_cka_against_gram_matrices():
    centre = np.eye(40) - 1 / 40
    a, b = (centre @ m @ m.T @ centre for m in (A, B))
    expected = np.trace(a @ b) / np.sqrt(np.trace(a @ a) * np.trace(b @ b))
    assert linear_cka(A, B) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**31), st.floats(0.1, 10))
@settings(max_examples=20)
def test_rotation_shift_and_scale_change_nothing(seed, scale):
    rotation = ortho_group.rvs(7, random_state=seed)
    moved = scale * A @ rotation + 3
    assert procrustes_disparity(A, moved) == pytest.approx(0, abs=1e-10)
    assert linear_cka(A, moved) == pytest.approx(1, abs=1e-10)
    assert linear_cka(B, moved) == pytest.approx(linear_cka(B, A), abs=1e-10)
    assert topk_overlap(neighbours(A, 5), neighbours(scale * A @ rotation, 5)) == 1


def test_permuting_the_tokens_of_both_changes_nothing():
    order = RNG.permutation(40)
    for measure in (procrustes_disparity, linear_cka):
        assert measure(A[order], B[order]) == pytest.approx(measure(A, B), abs=1e-10)
    assert topk_overlap(neighbours(A[order], 5), neighbours(B[order], 5)) == pytest.approx(
        topk_overlap(neighbours(A, 5), neighbours(B, 5))
    )


def test_table_of_real_ensembles(trained):
    table = static_embeddings(trained)
    overlap = table[(table["metric"] == "topk_overlap") & table["member"].isna()]
    chance = table[table["metric"] == "topk_overlap_chance"].set_index(["condition", "state", "x"])["value"]
    untrained = overlap[overlap["state"] == "untrained"]
    for _, row in untrained.iterrows():
        expected = chance[(row["condition"], "untrained", row["x"])]
        assert row["value"] == pytest.approx(expected, abs=0.06)
    assert set(table["metric"]) == {
        "topk_overlap",
        "topk_overlap_chance",
        "procrustes_disparity",
        "linear_cka",
    }
    assert (table["n"] <= 64).all()
