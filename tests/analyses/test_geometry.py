"""Shapes of clouds of vectors against plain numpy in float64, and on clouds whose shape is known."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.analyses.geometry import (
    Moments,
    effective_rank,
    effective_rank_authors,
    pairwise_distance_spread,
    participation_ratio,
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


def test_the_authors_anisotropy_of_few_random_directions_is_that_of_a_random_walk():
    found = [moments_of(RNG.normal(size=(25, 16)), 1).anisotropy_authors() ** 2 for _ in range(60)]
    assert np.mean(found) == pytest.approx(1 / 25, abs=5 * np.std(found) / np.sqrt(60))


@pytest.mark.parametrize("directions", [1, 4, 8])
def test_equal_directions_are_counted(directions):
    spectrum = np.r_[np.zeros(8 - directions), np.full(directions, 2.5)]
    assert effective_rank(spectrum) == pytest.approx(directions)
    assert effective_rank_authors(spectrum) == pytest.approx(directions)
    assert participation_ratio(spectrum) == pytest.approx(directions)


def test_vectors_of_one_direction():
    same = np.outer(RNG.uniform(1, 2, 20), [1.0, 2.0, 3.0])
    assert moments_of(same).anisotropy() == pytest.approx(1)
    assert moments_of(same).anisotropy_authors() == pytest.approx(1)
    assert uniformity(same) == pytest.approx(0, abs=1e-12)
    assert effective_rank(moments_of(same).spectrum()) == pytest.approx(1)


def test_random_directions_have_no_mean_cosine():
    found = [moments_of(RNG.normal(size=(100, 16))).anisotropy() for _ in range(40)]
    assert np.mean(found) == pytest.approx(0, abs=5 * np.std(found) / np.sqrt(40))


@given(st.integers(0, 2**31), st.floats(0.01, 100))
@settings(max_examples=20)
def test_bounds_and_invariance_to_rotation_and_scale(seed, scale):
    rotation = stats.ortho_group.rvs(5, random_state=seed)
    turned = scale * X @ rotation
    plain, moved = moments_of(X), moments_of(turned, parts=2)
    for measure in (effective_rank, effective_rank_authors, participation_ratio):
        assert measure(moved.spectrum()) == pytest.approx(measure(plain.spectrum()), rel=1e-9)
    assert moved.anisotropy() == pytest.approx(plain.anisotropy(), abs=1e-12)
    assert moved.anisotropy_authors() == pytest.approx(plain.anisotropy_authors(), abs=1e-12)
    assert uniformity(turned) == pytest.approx(uniformity(X), abs=1e-12)
    assert pairwise_distance_spread(turned + 3) == pytest.approx(scale * pairwise_distance_spread(X), rel=1e-9)
    spectrum = np.random.default_rng(seed).exponential(size=7) ** 3
    ranks = participation_ratio(spectrum), effective_rank(spectrum), effective_rank_authors(spectrum)
    assert 1 <= ranks[0] <= ranks[1] + 1e-9 <= ranks[2] + 2e-9 <= 7 + 1e-8
