"""Neighbours against plain loops in float64, with and without ties, and against chance."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from gfm_utils.measures import neighbours as module
from gfm_utils.measures.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance

RNG = np.random.default_rng(0)
A, B, C = RNG.normal(size=(3, 40, 7))
SIZES = (1, 2, 3, 10, 30, 39)


def cosines(matrix):
    """Rounded far below any difference that is one, so that equal vectors are equally near."""
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.round(unit @ unit.T, 12)


def nearest(similarity, token, k):
    others = [other for other in range(len(similarity)) if other != token]
    return sorted(others, key=lambda other: (-similarity[token, other], other))[:k]


def correlation(first, second):
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return spearmanr(first, second).statistic


def plain(first, second, k):
    """Overlap, local Spearman and the authors' of every token."""
    a, b = cosines(first), cosines(second)
    found = []
    for token in range(len(a)):
        near_a, near_b = nearest(a, token, k), nearest(b, token, k)
        sets = set(near_a), set(near_b)
        halves = [correlation(a[token, near], b[token, near]) for near in (near_a, near_b)]
        by_b = [other for other in nearest(b, token, len(b) - 1) if other in sets[0]]
        places = [by_b.index(other) for other in near_a]
        authors = np.corrcoef(np.arange(k), places)[0, 1] if k > 1 else np.nan
        found.append((len(sets[0] & sets[1]) / len(sets[0] | sets[1]), np.mean(halves), authors))
    return np.array(found).T


def with_ties(seed):
    """Embeddings of small whole numbers, some of them the same: similarities tie often."""
    matrix = np.random.default_rng(seed).integers(-1, 2, (25, 3)).astype(float)
    matrix[(matrix == 0).all(axis=1)] = 1.0
    return matrix


def check(matrices, sizes):
    found = compare_neighbours(matrices, sizes)
    for pair, (i, j) in enumerate(combinations(range(len(matrices)), 2)):
        for at, k in enumerate(sizes):
            expected = plain(matrices[i], matrices[j], k)
            for ours, theirs in zip(
                (found.overlap, found.spearman, found.spearman_authors), expected, strict=True
            ):
                np.testing.assert_allclose(ours[pair, at], theirs, atol=1e-9)


def test_three_models_against_plain_loops():
    check([A, B, C], SIZES)
    check([with_ties(3), A[:25, :3]], (4, 24))  # ties in one model only


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_ties_against_plain_loops(seed):
    check([with_ties(seed), with_ties(seed + 1)], (1, 2, 5, 13, 24))


def test_neither_blocks_nor_leaving_correlations_out_change_overlaps(monkeypatch):
    whole, part = compare_neighbours([A, B], SIZES), compare_neighbours([A, B], SIZES, spearman=False)
    np.testing.assert_array_equal(whole.overlap, part.overlap)
    assert np.isnan(part.spearman).all() and np.isnan(part.spearman_authors).all()
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 40 * 2 * 7)  # seven tokens a block
    parts = compare_neighbours([A, B], SIZES)
    for name in ("overlap", "spearman", "spearman_authors"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


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
    assert chance_corrected(np.array([0.2, 1.0]), 0.2) == pytest.approx([0, 1])
