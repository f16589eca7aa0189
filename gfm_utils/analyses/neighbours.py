"""Neighbours of tokens by cosine similarity, and how far several models agree on them, token by token.

Tokens are taken a block at a time: similarities of a block to all tokens, one sort a model, and then for every
pair of models one pass over the sorted neighbours that gives all neighbourhood sizes at once. Memory is bounded
by the block, not by the square of the vocabulary.

**Ties.** Similarities are compared in steps of 2**-44 (6e-14, well above the rounding of a product in float64):
closer ones count as equal. Which of equally near tokens belong to the k nearest is settled by the order of the
tokens; their ranks are averaged.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, pairwise

import numba
import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from gfm_utils.errors import GfmError

Matrix = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]
#: A key holds the distance in steps of 1 / _STEPS above _BITS bits of the token's number, so that a plain sort of
#: integers sorts by distance and then by token.
_STEPS = 2.0**44
_BITS = 17
_TOKEN = (1 << _BITS) - 1
_LAST = np.iinfo(np.int64).max
#: Bytes of keys that a block of tokens takes, for all models together.
BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Neighbourhoods:
    """Agreement of every two models about the neighbours of each token; shapes (pairs, sizes, tokens).

    Attributes:
        pairs: places of the two models of each pair.
        sizes: neighbourhood sizes k, ascending.
        overlap: Jaccard index |A ∩ B| / |A ∪ B| of the sets A and B of the k nearest tokens in both models.
        spearman: Spearman correlation of the two models' similarities to the tokens of A, and to those of B,
            averaged; ties have average ranks; NaN where it is not defined (k = 1, or all equal).
        spearman_authors: the paper's reference code, whose half "from B" reads what was gathered for A: it is
            the correlation over A alone, of ranks by position (ties in the order of tokens, not averaged), and
            depends on which model of the pair comes first.
    """

    pairs: list[tuple[int, int]]
    sizes: npt.NDArray[np.int64]
    overlap: Matrix
    spearman: Matrix
    spearman_authors: Matrix


def compare_neighbours(matrices: Sequence[Matrix], sizes: Sequence[int]) -> Neighbourhoods:
    """Agreement of models about the neighbours of each token, at several neighbourhood sizes.

    Args:
        matrices: embeddings of the same tokens, one a model, each of shape (tokens, hidden).
        sizes: neighbourhood sizes, ascending, from 1 to tokens - 1.

    Raises:
        ValueError: sizes are not ascending or not in that range.
        GfmError: there are more than 131,072 tokens.
    """
    tokens = len(matrices[0])
    grid = np.asarray(sizes, np.int64)
    if not len(grid) or grid[0] < 1 or grid[-1] > tokens - 1 or (np.diff(grid) <= 0).any():
        raise ValueError(f"sizes {list(sizes)} must ascend from 1 or more to {tokens - 1} at most")
    units = [_unit(matrix) for matrix in matrices]
    pairs = list(combinations(range(len(units)), 2))
    overlap, spearman, authors = np.empty((3, len(pairs), len(grid), tokens))
    threads = torch.get_num_threads()
    rows = max(threads, BLOCK_BYTES // (8 * tokens * len(units)))
    with ThreadPoolExecutor(threads) as pool:

        def compare(part: slice, keys: Keys) -> None:
            keys.sort(axis=-1)
            _compare(keys, grid, *(array[:, :, part] for array in (overlap, spearman, authors)))

        for begin in range(0, tokens, rows):
            end = min(begin + rows, tokens)
            keys = np.stack([_keys(unit, begin, end) for unit in units])
            cuts = np.linspace(begin, end, threads + 1).round().astype(int)
            parts = [slice(low, high) for low, high in pairwise(cuts)]
            list(pool.map(compare, parts, [keys[:, part.start - begin : part.stop - begin] for part in parts]))
    return Neighbourhoods(pairs, grid, overlap, spearman, authors)


def neighbours(embeddings: Matrix, k: int) -> npt.NDArray[np.int64]:
    """The k nearest other rows of each row by cosine similarity, nearest first, shape (tokens, k).

    Raises:
        GfmError: there are more than 131,072 tokens.
    """
    unit = _unit(embeddings)
    rows = max(1, BLOCK_BYTES // (8 * len(unit)))
    blocks = [
        np.sort(_keys(unit, begin, min(begin + rows, len(unit))), axis=1)[:, :k] & _TOKEN
        for begin in range(0, len(unit), rows)
    ]
    return np.concatenate(blocks)


def topk_overlap_chance(tokens: int, k: int) -> float:
    """Expected Jaccard index of two independent random sets of k of the ``tokens - 1`` other tokens, exactly.

    The intersection is hypergeometric; the paper's scale k / (2V - k) is the first-order approximation.
    """
    shared = np.arange(k + 1)
    return float(stats.hypergeom.pmf(shared, tokens - 1, k, k) @ (shared / (2 * k - shared)))


def chance_corrected(overlap: Matrix, chance: float) -> Matrix:
    """The overlap on a scale where chance is 0 and the same sets are 1: (overlap - chance) / (1 - chance)."""
    return (overlap - chance) / (1 - chance)


def _unit(matrix: Matrix) -> Matrix:
    """Rows of length 1 (a row of zeros stays as it is)."""
    if len(matrix) > _TOKEN + 1:
        raise GfmError(f"{len(matrix):,} tokens are too many to compare neighbours: {_TOKEN + 1:,} at most")
    rows = np.ascontiguousarray(matrix, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-300)


def _keys(unit: Matrix, begin: int, end: int) -> Keys:
    """Sortable keys of the similarities of some rows to all; a row's key of itself is the last."""
    keys: Keys = _keys_of(unit[begin:end] @ unit.T, begin)
    return keys


@numba.njit(cache=True, nogil=True)
def _keys_of(similarity, begin):  # type: ignore[no-untyped-def]
    rows, tokens = similarity.shape
    keys = np.empty((rows, tokens), np.int64)
    for row in range(rows):
        for token in range(tokens):
            distance = max(0.0, 1.0 - similarity[row, token])
            keys[row, token] = (np.int64(distance * _STEPS + 0.5) << _BITS) | token
        keys[row, begin + row] = _LAST
    return keys


@numba.njit(cache=True, nogil=True)
def _compare(keys, sizes, overlap, spearman, authors):  # type: ignore[no-untyped-def]
    """All pairs of models and sizes, from sorted keys (models, rows, tokens)."""
    models, rows, tokens = keys.shape
    others = tokens - 1
    order, rank = np.empty((models, others), np.int32), np.empty((models, tokens), np.int32)
    tied = np.empty(models, np.bool_)
    smallest = np.searchsorted(sizes, np.arange(others), side="right")  # place of the first size above a rank
    shared, count, product = np.empty((3, len(sizes)), np.int64)
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
                _from(order[b], rank[a], sizes, smallest, shared, count, product)
                for at in range(len(sizes)):
                    overlap[pair, at, row] = shared[at] / (2 * sizes[at] - shared[at])
                    authors[pair, at, row] = _rho(product[at], sizes[at])
                _from(order[a], rank[b], sizes, smallest, shared, count, product)
                for at in range(len(sizes)):
                    k = sizes[at]
                    if tied[a] or tied[b]:
                        half = _tied_rho(keys[a, row], rank[a], keys[b, row], k)
                        other = _tied_rho(keys[b, row], rank[b], keys[a, row], k)
                    else:
                        half, other = authors[pair, at, row], _rho(product[at], k)
                    spearman[pair, at, row] = (half + other) / 2
                pair += 1


@numba.njit(cache=True, nogil=True)
def _from(order, rank, sizes, smallest, shared, count, product):  # type: ignore[no-untyped-def]
    """One pass over the neighbours in one model (``order``), for the sets of the k nearest in another (``rank``).

    Of each set: how many are also among the k first of ``order`` (``shared``), and the sum over its tokens of
    the product of their two ranks within the set (``product``).
    """
    count[:], product[:] = 0, 0
    begin = 0
    for at in range(len(sizes) + 1):
        end = sizes[at] if at < len(sizes) else len(order)
        for place in range(begin, end):
            r = rank[order[place]]
            for inside in range(smallest[r], len(sizes)):
                product[inside] += r * count[inside]
                count[inside] += 1
        if at < len(sizes):
            shared[at] = count[at]
        begin = end


@numba.njit(cache=True, nogil=True)
def _rho(product, k):  # type: ignore[no-untyped-def]
    """Spearman correlation of k pairs of different ranks 0, ..., k - 1 from the sum of their products."""
    if k < 2:
        return np.nan
    middle = (k - 1) / 2
    return (product / k - middle * middle) * 12 / (k * k - 1.0)


@numba.njit(cache=True, nogil=True)
def _tied_rho(own, rank, other, k):  # type: ignore[no-untyped-def]
    """Spearman correlation with average ranks over the k nearest in ``own`` (sorted keys, as ``other``)."""
    middle = (k - 1) / 2
    average = np.empty(k)
    begin, squares, other_squares, products = 0, 0.0, 0.0, 0.0
    while begin < k:
        end = begin + 1
        while end < k and own[end] >> _BITS == own[begin] >> _BITS:
            end += 1
        average[begin:end] = (begin + end - 1) / 2 - middle
        squares += (end - begin) * average[begin] ** 2
        begin = end
    place, before = 0, 0
    while before < k:
        level, group, total = other[place] >> _BITS, 0, 0.0
        while place < len(rank) - 1 and other[place] >> _BITS == level:
            r = rank[other[place] & _TOKEN]
            if r < k:
                group += 1
                total += average[r]
            place += 1
        at = before + (group - 1) / 2 - middle
        products += at * total
        other_squares += group * at * at
        before += group
    if squares == 0.0 or other_squares == 0.0:
        return np.nan
    return products / np.sqrt(squares * other_squares)
