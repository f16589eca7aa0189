"""Static embeddings (the input embedding matrix): do members place the same tokens near each other?"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gfm_utils import tables
from gfm_utils.analyses.rows import Row, pair_rows
from gfm_utils.ensembles import STATES, Ensemble
from gfm_utils.tokens import SPECIAL

Matrix = npt.NDArray[np.float64]
#: The paper's neighbourhood sizes; those that a vocabulary is too small for are left out.
TOP_K = (1, 3, 5, 10, 20, 50, 100, 1000, 4000)


def neighbours(embeddings: Matrix, k: int) -> npt.NDArray[np.int64]:
    """The k nearest other rows of each row by cosine similarity, nearest first, shape (tokens, k)."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True).clip(1e-300)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


def topk_overlap(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float:
    """Mean Jaccard index of two tables of neighbours, |A ∩ B| / |A ∪ B|; both of shape (tokens, k)."""
    tokens, k = first.shape
    member = np.zeros((tokens, tokens), bool)
    rows = np.arange(tokens)[:, None]
    member[rows, first] = True
    shared = member[rows, second].sum(1)
    return float((shared / (2 * k - shared)).mean())


def topk_overlap_chance(tokens: int, k: int) -> float:
    """Expected Jaccard index of two independent random sets of k of the ``tokens - 1`` other tokens, exactly.

    The intersection is hypergeometric; the paper's scale k / (2V - k) is the first-order approximation.
    """
    shared = np.arange(k + 1)
    return float(stats.hypergeom.pmf(shared, tokens - 1, k, k) @ (shared / (2 * k - shared)))


def procrustes_disparity(first: Matrix, second: Matrix) -> float:
    """What is left after the best shift, scale and rotation, as a share of the variance: 0 same, 1 unrelated.

    ``1 - (Σ σ_i)²`` with σ the singular values of AᵀB, A and B centred and of unit Frobenius norm
    (Schönemann, 1966; the same as ``scipy.spatial.procrustes``).
    """
    a, b = _standard(first), _standard(second)
    return float(1 - np.linalg.svd(a.T @ b, compute_uv=False).sum() ** 2)


def linear_cka(first: Matrix, second: Matrix) -> float:
    """Linear centred kernel alignment, ``|AᵀB|² / (|AᵀA| |BᵀB|)`` of centred A, B (Kornblith et al., 2019).

    Between 0 and 1; even unrelated matrices of few rows and many columns score above 0, so read it beside
    the untrained members.
    """
    a, b = _standard(first), _standard(second)
    own = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.square(a.T @ b).sum() / own)


def _standard(matrix: Matrix) -> Matrix:
    centred = matrix - matrix.mean(axis=0)
    return centred / np.linalg.norm(centred)


def static_embeddings(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Result table of the stability of static embeddings over pairs of members, trained and untrained.

    Read are the ordinary tokens that occur in the training part: special tokens and tokens never trained
    on would only dilute the comparison.

    Metrics: ``topk_overlap`` and ``topk_overlap_chance`` (axis ``k``), ``procrustes_disparity``,
    ``linear_cka``; one row a pair, and the mean with its interval over members.

    Args:
        ensembles: one a condition.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        counts = ensemble.store.counts("train")
        seen = np.flatnonzero(counts)
        seen = seen[seen >= len(SPECIAL)]
        for state in STATES:
            matrices = [_embeddings(member.model(state))[seen] for member in ensemble.members]
            rows += embedding_rows({"condition": ensemble.condition, "state": state}, ensemble.seeds, matrices)
    return tables.table(rows)


def _embeddings(model: Any) -> Matrix:
    """The input embedding matrix, shape (vocabulary, hidden)."""
    matrix: Matrix = model.get_input_embeddings().weight.detach().double().numpy()
    return matrix


def embedding_rows(base: Row, seeds: Sequence[int], matrices: Sequence[Matrix]) -> list[Row]:
    """The rows of one ensemble in one state; ``matrices`` are (tokens, hidden), one a member."""
    tokens = len(matrices[0])
    sizes = [k for k in TOP_K if k < tokens - 1]
    near = [neighbours(matrix, sizes[-1]) for matrix in matrices]
    rows: list[Row] = []
    for k in sizes:
        axis = {**base, "unit": "share", "axis": "k", "x": k}
        matrix = _pairs([table[:, :k] for table in near], topk_overlap)
        rows += pair_rows({**axis, "metric": "topk_overlap"}, seeds, matrix, tokens)
        chance = topk_overlap_chance(tokens, k)
        rows.append({**axis, "metric": "topk_overlap_chance", "value": chance, "n": tokens})
    for metric, measure in (("procrustes_disparity", procrustes_disparity), ("linear_cka", linear_cka)):
        matrix = _pairs(matrices, measure)
        rows += pair_rows({**base, "metric": metric, "unit": "share"}, seeds, matrix, tokens)
    return rows


def _pairs(found: Sequence[Any], measure: Callable[[Any, Any], float]) -> Matrix:
    """Symmetric matrix of a measure of every two members' things."""
    matrix = np.zeros((len(found), len(found)))
    for i, j in combinations(range(len(found)), 2):
        matrix[i, j] = matrix[j, i] = measure(found[i], found[j])
    return matrix
