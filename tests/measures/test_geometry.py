"""Shapes of clouds of vectors, Procrustes and CKA, against SciPy and plain numpy in float64."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import spatial, stats
from scipy.linalg import orthogonal_procrustes

from gfm_utils.measures import geometry as module
from gfm_utils.measures.geometry import (
    Moments,
    direction_distance,
    effective_rank,
    effective_rank_authors,
    linear_cka,
    pairwise_distance_spread,
    participation_ratio,
    procrustes,
    rbf_cka,
    uniformity,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)) * [3, 1, 1, 0.5, 0.1] + [1, 0, 0, 2, 0]


def moments_of(vectors, parts=3):
    moments = Moments(vectors.shape[1])
    for part in np.array_split(vectors, parts):
        moments.add(torch.from_numpy(part))
    return moments


def cosine(x, y):
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


def test_streamed_moments_against_plain_numpy():
    moments = moments_of(X)
    expected = np.linalg.eigvalsh(np.cov(X.T, bias=True))
    np.testing.assert_allclose(moments.spectrum(), expected, atol=1e-10)
    cosines = [cosine(x, y) for x, y in combinations(X, 2)]
    assert moments.anisotropy() == pytest.approx(np.mean(cosines), abs=1e-12)


def test_rank_ratio_and_uniformity_against_plain_numpy():
    spectrum = np.linalg.eigvalsh(np.cov(X.T, bias=True))
    share = spectrum / spectrum.sum()
    assert effective_rank(spectrum) == pytest.approx(np.exp(stats.entropy(share)), abs=1e-12)
    assert participation_ratio(spectrum) == pytest.approx(1 / np.square(share).sum(), abs=1e-12)
    unit = [x / np.linalg.norm(x) for x in X]
    kernel = [np.exp(-2 * np.square(x - y).sum()) for x, y in combinations(unit, 2)]
    assert uniformity(X) == pytest.approx(np.log(np.mean(kernel)), abs=1e-12)


def test_the_authors_definitions_against_plain_numpy():
    moments = moments_of(X)
    singular = np.linalg.svd(X - X.mean(0), compute_uv=False)
    expected = np.exp(stats.entropy(singular / singular.sum()))
    assert effective_rank_authors(moments.spectrum()) == pytest.approx(expected, abs=1e-9)
    mean = sum(x / np.linalg.norm(x) for x in X) / len(X)
    assert moments.anisotropy_authors() == pytest.approx(np.sqrt(sum(mean**2)), abs=1e-12)
    assert moments.anisotropy_authors() ** 2 == pytest.approx((1 + 59 * moments.anisotropy()) / 60, abs=1e-12)
    distances = [np.sqrt(sum((x - y) ** 2)) for x, y in combinations(X, 2)]
    middle = sum(distances) / len(distances)
    variance = sum((distance - middle) ** 2 for distance in distances) / (len(distances) - 1)
    assert pairwise_distance_spread(X) == pytest.approx(np.sqrt(variance), abs=1e-12)


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
def test_cka_against_kernel_matrices(measure, kernel, name, criterion):
    models = [A + 5, A @ RNG.normal(size=(7, 3)), C]
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


def test_procrustes_is_scipys():
    standard = [(m - m.mean(0)) / np.linalg.norm(m - m.mean(0)) for m in (A, B)]
    turned = standard[0] @ orthogonal_procrustes(*standard)[0]
    cosines = 1 - np.array([spatial.distance.cosine(x, y) for x, y in zip(turned, standard[1], strict=True)])
    assert procrustes(A, B) == pytest.approx((spatial.procrustes(A, B)[2], cosines.mean()), abs=1e-10)
    assert procrustes(A, B) == pytest.approx(procrustes(B, A), abs=1e-12)


def test_distances_of_directions_against_a_plain_loop():
    u, v = ([row / np.linalg.norm(row) for row in matrix] for matrix in (A, B))
    expected = np.mean([sum((x - y) ** 2) for x, y in zip(u, v, strict=True)])
    assert direction_distance(A, B) == pytest.approx(expected)
    assert direction_distance(A, -A) == pytest.approx(4) and direction_distance(A, A) == 0
