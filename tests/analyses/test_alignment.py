"""Procrustes and CKA against scipy and plain kernel matrices in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import spatial
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from gfm_utils.analyses import alignment as module
from gfm_utils.analyses.alignment import direction_distance, linear_cka, procrustes, rbf_cka

RNG = np.random.default_rng(0)
A, B, C = RNG.normal(size=(3, 40, 7))


def linear_kernel(matrix):
    return matrix @ matrix.T


def rbf_kernel(matrix):
    distances = spatial.distance.pdist(matrix)
    return np.exp(-spatial.distance.squareform(distances**2) / (2 * np.median(distances**2)))


def rbf_kernel_authors(matrix):
    """The median of all entries, the zeros of the diagonal too; of an even number the lower one in the middle."""
    squares = [[sum((x - y) ** 2) for x in matrix] for y in matrix]
    ordered = sorted(entry for row in squares for entry in row)
    return np.exp(-np.array(squares) / (2 * ordered[(len(ordered) - 1) // 2]))


def biased(k, loss):
    centre = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ centre @ loss @ centre)


def unbiased(k, other):
    k, other, n = k - np.diag(np.diag(k)), other - np.diag(np.diag(other)), len(k)
    one = np.ones(n)
    whole = (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ other) + whole - 2 / (n - 2) * one @ k @ other @ one) / (n * (n - 3))


def expected(kernel, criterion, first, second):
    k, other = kernel(first), kernel(second)
    return criterion(k, other) / np.sqrt(criterion(k, k) * criterion(other, other))


@pytest.mark.parametrize(("measure", "kernel"), [(linear_cka, linear_kernel), (rbf_cka, rbf_kernel)])
@pytest.mark.parametrize(("name", "criterion"), [("cka", biased), ("debiased", unbiased)])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_cka_against_kernel_matrices(measure, kernel, name, criterion, shift):
    models = [A + shift, A @ RNG.normal(size=(7, 3)), C]
    found = getattr(measure(models), name)
    for i, first in enumerate(models):
        for j, second in enumerate(models):
            assert found[i, j] == pytest.approx(expected(kernel, criterion, first, second), abs=1e-9)


@pytest.mark.parametrize("tokens", [4, 5, 11, 40])
def test_the_authors_rbf_cka_has_the_diagonal_in_the_median(tokens):
    first, second = A[:tokens], B[:tokens]
    found = rbf_cka([first, second], authors=True)
    for name, criterion in (("cka", biased), ("debiased", unbiased)):
        wanted = expected(rbf_kernel_authors, criterion, first, second)
        assert getattr(found, name)[0, 1] == pytest.approx(wanted, abs=1e-9)
    assert found.cka[0, 1] != pytest.approx(rbf_cka([first, second]).cka[0, 1], abs=1e-5)


def test_blocks_change_nothing(monkeypatch):
    whole = rbf_cka([A, B, C])
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 40 * 3 * 7)  # seven tokens a block
    for ours, theirs in zip(rbf_cka([A, B, C]), whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_median_of_many_tokens_is_that_of_evenly_spaced_ones(monkeypatch):
    monkeypatch.setattr(module, "MEDIAN_TOKENS", 20)
    chosen = np.linspace(0, 39, 20).round().astype(int)

    def kernel(matrix):
        squares = spatial.distance.squareform(spatial.distance.pdist(matrix)) ** 2
        return np.exp(-squares / (2 * np.median(spatial.distance.pdist(matrix[chosen]) ** 2)))

    assert rbf_cka([A, B]).cka[0, 1] == pytest.approx(expected(kernel, biased, A, B), abs=1e-9)


def test_procrustes_is_scipys():
    standard = [(m - m.mean(0)) / np.linalg.norm(m - m.mean(0)) for m in (A, B)]
    turned = standard[0] @ orthogonal_procrustes(*standard)[0]
    cosines = 1 - np.array([spatial.distance.cosine(x, y) for x, y in zip(turned, standard[1], strict=True)])
    assert procrustes(A, B).disparity == pytest.approx(spatial.procrustes(A, B)[2], abs=1e-10)
    assert procrustes(A, B).cosine == pytest.approx(cosines.mean(), abs=1e-10)
    assert procrustes(A, B) == pytest.approx(procrustes(B, A), abs=1e-12)


def test_distances_of_directions_against_plain_loops():
    u, v = ([row / np.linalg.norm(row) for row in matrix] for matrix in (A, B))
    turned = np.array(u) @ orthogonal_procrustes(np.array(u), np.array(v))[0]
    found = direction_distance(A, B)
    assert found.authors == pytest.approx(np.mean([sum((x - y) ** 2) for x, y in zip(u, v, strict=True)]))
    assert found.rotated == pytest.approx(np.mean([sum((x - y) ** 2) for x, y in zip(turned, v, strict=True)]))
    assert found == pytest.approx(direction_distance(B, A), abs=1e-12)
    assert direction_distance(A, -A).authors == pytest.approx(4) and direction_distance(A, A).authors == 0


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_only_the_rotated_distance_of_directions_does_not_feel_a_rotation(seed):
    rng, rotation = np.random.default_rng(seed), ortho_group.rvs(7, random_state=seed)
    moved = rng.uniform(0.1, 10, (40, 1)) * A @ rotation
    assert direction_distance(A, moved).rotated == pytest.approx(0, abs=1e-9)
    assert direction_distance(moved, B).rotated == pytest.approx(direction_distance(A, B).rotated, abs=1e-9)
    assert direction_distance(A, moved).authors > 0.3
    other = rng.normal(size=(40, 7))
    assert 0 <= direction_distance(A, other).rotated <= direction_distance(A, other).authors <= 4


def test_models_of_different_width_have_a_distance_after_rotation_alone():
    wide = np.c_[A, np.zeros((40, 3))] @ ortho_group.rvs(10, random_state=0)
    assert direction_distance(A, wide).rotated == pytest.approx(0, abs=1e-9)
    assert np.isnan(direction_distance(A, wide).authors)


@given(st.integers(0, 2**31), st.floats(0.1, 10))
@settings(max_examples=15)
def test_rotation_shift_scale_and_permutation_change_nothing(seed, scale):
    rotation = ortho_group.rvs(7, random_state=seed)
    order = np.random.default_rng(seed).permutation(40)
    moved = scale * A @ rotation + 3
    assert procrustes(A, moved) == pytest.approx((0, 1), abs=1e-9)
    assert procrustes(moved, B) == pytest.approx(procrustes(A, B), abs=1e-9)
    assert procrustes(A[order], B[order]) == pytest.approx(procrustes(A, B), abs=1e-9)
    for measure in (linear_cka, rbf_cka):
        whole = measure([A, B])
        turned, permuted = measure([moved, A, B]), measure([A[order], B[order]])
        for name in ("cka", "debiased"):
            assert getattr(turned, name)[0, 1] == pytest.approx(1, abs=1e-9)
            assert getattr(turned, name)[0, 2] == pytest.approx(getattr(whole, name)[0, 1], abs=1e-9)
            np.testing.assert_allclose(getattr(permuted, name), getattr(whole, name), atol=1e-9)


def test_bounds():
    for measure in (linear_cka, rbf_cka):
        found = measure([A, B, C])
        assert ((found.cka >= 0) & (found.cka <= 1 + 1e-12)).all() and (found.debiased <= 1 + 1e-12).all()
        np.testing.assert_allclose(np.diag(found.cka), 1)
        np.testing.assert_allclose(found.debiased, found.debiased.T, atol=1e-12)


@pytest.mark.parametrize("measure", [linear_cka, rbf_cka])
def test_unrelated_models_score_zero_only_when_debiased(measure):
    biased_, debiased_ = [], []
    for _ in range(60):
        found = measure(list(RNG.normal(size=(2, 30, 20))))
        biased_.append(found.cka[0, 1])
        debiased_.append(found.debiased[0, 1])
    assert np.mean(debiased_) == pytest.approx(0, abs=5 * np.std(debiased_) / np.sqrt(60))
    assert np.mean(biased_) > 0.3


def test_too_few_tokens_are_refused():
    with pytest.raises(ValueError, match="3 tokens are too few"):
        linear_cka([A[:3], B[:3]])
