"""Neighbours of tokens by cosine similarity, and how far several models agree on them, token by token.

Tokens are taken a block at a time: similarities of a block to all tokens, one sort a model, and then for every
pair of models one pass over the sorted neighbours that gives all neighbourhood sizes at once.
Similarities closer than 2**-44 (6e-14, well above the rounding of a product in float64) count as equal. Which of
equally near tokens belong to the k nearest is settled by the order of the tokens; their ranks are averaged.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from gfm_utils.errors import GfmError
from gfm_utils.measures.geometry import unit_rows

Matrix = npt.NDArray[np.float64]
#: A key holds the distance in steps of 1 / _STEPS above _BITS bits of the token's number, so that a plain sort of
#: integers sorts by distance and then by token.
_STEPS = 2.0**44
_BITS = 17
_TOKEN = (1 << _BITS) - 1
_LAST = np.iinfo(np.int64).max
#: Bytes of keys that the blocks of tokens of all threads take, for all models together.
BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Neighbourhoods:
    """Agreement of every two models about the neighbours of each token; shapes (pairs, sizes, tokens).

    Pairs are in the order of ``itertools.combinations``; A and B are the sets of the k nearest in both models.

    Attributes:
        sizes: neighbourhood sizes k, ascending.
        overlap: Jaccard index |A ∩ B| / |A ∪ B|.
        spearman: Spearman correlation of the two models' similarities to the tokens of A, and to those of B,
            averaged; ties have average ranks; NaN where it is not defined (k = 1, or all equal) or not asked for.
        spearman_authors: of the paper's reference code: over A alone, of ranks by position, so that it depends on
            which model comes first.
    """

    sizes: npt.NDArray[np.int64]
    overlap: Matrix
    spearman: Matrix
    spearman_authors: Matrix


def compare_neighbours(matrices: Sequence[Matrix], sizes: Sequence[int], spearman: bool = True) -> Neighbourhoods:
    """Agreement of models about the neighbours of each token, at several neighbourhood sizes.

    Args:
        matrices: embeddings of the same tokens, one a model, each of shape (tokens, hidden).
        sizes: neighbourhood sizes, ascending, from 1 to tokens - 1.
        spearman: also the correlations; without them it takes two thirds of the time.

    Raises:
        GfmError: there are more than 131,072 tokens.
    """
    tokens = len(matrices[0])
    grid = np.asarray(sizes, np.int64)
    if tokens > _TOKEN + 1:
        raise GfmError(f"{tokens:,} tokens are too many to compare neighbours: {_TOKEN + 1:,} at most")
    units = [unit_rows(matrix) for matrix in matrices]
    overlap, ours, authors = np.full((3, math.comb(len(units), 2), len(grid), tokens), np.nan)
    threads = torch.get_num_threads()
    rows = max(1, min(-(-tokens // threads), BLOCK_BYTES // (8 * tokens * len(units) * threads)))

    def compare(low: int) -> None:
        part = slice(low, min(low + rows, tokens))
        keys = np.empty((len(units), part.stop - low, tokens), np.int64)
        for unit, own in zip(units, keys, strict=True):
            _fill(unit[part] @ unit.T, low, own)
        keys.sort(axis=-1)
        _compare(keys, grid, spearman, *(array[:, :, part] for array in (overlap, ours, authors)))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(compare, range(0, tokens, rows)))
    return Neighbourhoods(grid, overlap, ours, authors)


def topk_overlap_chance(tokens: int, k: int) -> float:
    """Expected Jaccard index of two independent random sets of k of the ``tokens - 1`` other tokens, exactly.

    The intersection is hypergeometric; the paper's scale k / (2V - k) is the first-order approximation.
    """
    shared = np.arange(k + 1)
    return float(stats.hypergeom.pmf(shared, tokens - 1, k, k) @ (shared / (2 * k - shared)))


def chance_corrected(overlap: Matrix, chance: float) -> Matrix:
    """The overlap on a scale where chance is 0 and the same sets are 1: (overlap - chance) / (1 - chance)."""
    return (overlap - chance) / (1 - chance)


def topk_shared(overlap: Matrix, k: int) -> Matrix:
    """|A ∩ B| of sets of k tokens from the Jaccard index of each token, not of a mean over tokens."""
    return 2 * k * overlap / (1 + overlap)


@numba.njit(cache=True, nogil=True)
def _fill(similarity, begin, keys):  # type: ignore[no-untyped-def]
    """Sortable keys of the similarities of the rows from ``begin`` on; a row's key of itself is the last."""
    rows, tokens = similarity.shape
    for row in range(rows):
        for token in range(tokens):
            distance = (1.0 - similarity[row, token]) * _STEPS + 0.5
            keys[row, token] = (np.int64(distance) << _BITS) | token
        keys[row, begin + row] = _LAST


@numba.njit(cache=True, nogil=True)
def _compare(keys, sizes, ordered, overlap, spearman, authors):  # type: ignore[no-untyped-def]
    """All pairs of models and sizes, from sorted keys (models, rows, tokens)."""
    models, rows, tokens = keys.shape
    others = tokens - 1
    order, rank = np.empty((models, others), np.int32), np.empty((models, tokens), np.int32)
    tied = np.empty(models, np.bool_)
    ranks = np.empty(others, np.int32)
    product = np.empty(len(sizes), np.int64)
    for row in range(rows):
        for model in range(models):
            tied[model] = False
            for place in range(others):
                token = keys[model, row, place] & _TOKEN
                order[model, place], rank[model, token] = token, place
                if place and keys[model, row, place - 1] >> _BITS == keys[model, row, place] >> _BITS:
                    tied[model] = True
        pair = 0
        for a in range(models):
            for b in range(a + 1, models):
                for at in range(len(sizes)):
                    shared = 0  # of the nearest in b, those that are nearest in a, too
                    for place in range(sizes[at]):
                        shared += rank[a, order[b, place]] < sizes[at]
                    overlap[pair, at, row] = shared / (2 * sizes[at] - shared)
                pair += 1
                if not ordered:
                    continue
                _products(order[b], rank[a], ranks, sizes, product)
                for at in range(len(sizes)):
                    authors[pair - 1, at, row] = _rho(product[at], sizes[at])
                _products(order[a], rank[b], ranks, sizes, product)
                for at in range(len(sizes)):
                    k = sizes[at]
                    if tied[a] or tied[b]:
                        half = _tied_rho(keys[a, row], rank[a], keys[b, row], k)
                        other = _tied_rho(keys[b, row], rank[b], keys[a, row], k)
                    else:
                        half, other = authors[pair - 1, at, row], _rho(product[at], k)
                    spearman[pair - 1, at, row] = (half + other) / 2


@numba.njit(cache=True, nogil=True)
def _products(order, rank, ranks, sizes, product):  # type: ignore[no-untyped-def]
    """Sums over the k nearest in one model (``rank``) of the products of their ranks there and in ``order``.

    A few large sizes make nearly all the work: each has a loop without branches over what the larger one left.
    """
    left = len(order)
    for place in range(left):
        ranks[place] = rank[order[place]]
    for at in range(len(sizes) - 1, -1, -1):
        k, total, kept = sizes[at], np.int64(0), np.int64(0)
        for place in range(left):
            r = ranks[place]
            inside = np.int64(r < k)
            total += inside * r * kept
            ranks[kept] = r
            kept += inside
        product[at], left = total, int(kept)


@numba.njit(cache=True, nogil=True)
def _rho(product, k):  # type: ignore[no-untyped-def]
    """Spearman correlation of k pairs of different ranks 0, ..., k - 1 from the sum of their products."""
    if k < 2:
        return np.nan
    middle = (k - 1) / 2
    return (product / k - middle * middle) * 12 / (k * k - 1.0)


@numba.njit(cache=True, nogil=True)
def _average_ranks(distances):  # type: ignore[no-untyped-def]
    """Ranks of ascending numbers around their mean; equal ones share theirs."""
    k, begin = len(distances), 0
    ranks = np.empty(k)
    for end in range(1, k + 1):
        if end == k or distances[end] != distances[begin]:
            ranks[begin:end] = (begin + end - k) / 2
            begin = end
    return ranks


@numba.njit(cache=True, nogil=True)
def _tied_rho(own, rank, other, k):  # type: ignore[no-untyped-def]
    """Spearman correlation with average ranks over the k nearest in ``own`` (sorted keys, as ``other``)."""
    places, distances, kept = np.empty(k, np.int64), np.empty(k, np.int64), 0
    for key in other[: len(rank) - 1]:
        if rank[key & _TOKEN] < k:
            places[kept], distances[kept] = rank[key & _TOKEN], key >> _BITS
            kept += 1
    ours, theirs = _average_ranks(own[:k] >> _BITS), _average_ranks(distances)
    squares = (ours**2).sum() * (theirs**2).sum()
    return (ours[places] * theirs).sum() / np.sqrt(squares) if squares > 0.0 else np.nan
