"""Clouds of vectors: how many directions one fills and how evenly, and how far two have the same shape.

Of one cloud second moments are accumulated, so that a stream of any length takes the memory of one batch and one
square matrix. Every measure of two but ``direction_distance`` is unchanged when one is shifted, rotated or scaled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.tokens import evenly_spaced

Matrix = npt.NDArray[np.float64]
#: Bytes of kernel values that a block of tokens takes, for all models together.
BLOCK_BYTES = 2**26
#: The median distance is that of so many tokens, evenly spaced, where there are more.
MEDIAN_TOKENS = 5000
#: The debiased measures are not defined for fewer tokens.
FEWEST_TOKENS = 4


class Moments:
    """Accumulated count, sum and second moment of vectors, and the sum of their directions, in float64."""

    def __init__(self, width: int) -> None:
        """Nothing yet."""
        self.count = 0
        self.total, self.direction = torch.zeros((2, width), dtype=torch.float64)
        self.second = torch.zeros((width, width), dtype=torch.float64)

    def add(self, vectors: torch.Tensor) -> None:
        """Accumulate more vectors, shape (n, width)."""
        x = vectors.double()
        self.count += len(x)
        # The sums are where the vectors are: a matrix a batch would be much to copy from a GPU.
        self.total = self.total.to(x.device) + x.sum(0)
        directions = torch.nn.functional.normalize(x, dim=1, eps=1e-300)
        self.direction = self.direction.to(x.device) + directions.sum(0)
        self.second = self.second.to(x.device) + x.T @ x

    def spectrum(self) -> Matrix:
        """Eigenvalues of the covariance matrix, ascending, shape (width,)."""
        mean = self.total / self.count
        covariance = self.second / self.count - mean[:, None] * mean
        values: Matrix = torch.linalg.eigvalsh(covariance.cpu()).clamp_min(0).numpy()
        return values

    def anisotropy(self) -> float:
        """Mean cosine of two different vectors, over all pairs (Ethayarajh, 2019): 0 if directions are uniform.

        With u the vectors of length 1 it is ``(|Σ u|² - n) / n(n - 1)``.
        """
        square = float(self.direction.square().sum())
        return (square - self.count) / (self.count * (self.count - 1))

    def anisotropy_authors(self) -> float:
        """``|Σ u| / n``, as the paper's reference code has it: about ``sqrt(1 / n)`` for uniform directions."""
        return float(self.direction.norm()) / self.count


def effective_rank(spectrum: Matrix) -> float:
    """``exp(-Σ p log p)`` with ``p = λ / Σ λ`` the eigenvalues of the covariance matrix (Roy and Vetterli, 2007).

    From 1, all vectors on a line, to the width: a direction counts by its share of the variance.
    """
    share = spectrum / max(float(spectrum.sum()), 1e-300)
    positive = share[share > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def effective_rank_authors(spectrum: Matrix) -> float:
    """The effective rank of the paper's reference code: ``p = s / Σ s`` of the singular values of the vectors.

    Of the centred vectors, so ``s ~ sqrt(λ)``: a direction counts by its share of the standard deviations, and it
    is never below ``effective_rank``.
    """
    return effective_rank(np.sqrt(spectrum))


def participation_ratio(spectrum: Matrix) -> float:
    """``(Σ λ)² / Σ λ²`` of the eigenvalues of the covariance matrix (Gao et al., 2017); from 1 to the width."""
    return float(spectrum.sum() ** 2 / max(float(np.square(spectrum).sum()), 1e-300))


def uniformity(vectors: Matrix) -> float:
    """``log mean exp(-2 |u - v|²)`` over all pairs of vectors of length 1 (Wang and Isola, 2020).

    0 if all have one direction; the lower, the more evenly they fill the sphere. Natural logarithm.
    """
    squares = torch.pdist(torch.from_numpy(unit_rows(vectors))).square()
    return float((-2 * squares).exp().mean().log())


def pairwise_distance_spread(vectors: Matrix) -> float:
    """Standard deviation of the Euclidean distances of all pairs of vectors, as in the paper's reference code."""
    return float(torch.pdist(torch.from_numpy(np.asarray(vectors, np.float64))).std())


def unit_rows(vectors: Matrix) -> Matrix:
    """The vectors at length 1, shape (n, width); one of zeros stays as it is."""
    rows = np.ascontiguousarray(vectors, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-300)


def procrustes(first: Matrix, second: Matrix) -> tuple[float, float]:
    """The best shift, scale and rotation of one matrix of vectors onto another; both (tokens, hidden).

    The narrower of two counts as if it had further columns of zeros.
    With A and B centred and of unit Frobenius norm and ``AᵀB = U diag(σ) Vᵀ``, the best rotation of A is
    ``R = U Vᵀ`` and the disparity ``1 - (Σ σ_i)²`` (Schönemann, 1966; as ``scipy.spatial.procrustes``).

    Returns:
        The disparity, the share of the variance that is left: 0 the same shape, 1 unrelated; and the mean over
        tokens of the cosine between the rotated vector and its aim, both centred.
    """
    a, b = _standard(first), _standard(second)
    left, values, right = np.linalg.svd(a.T @ b, full_matrices=False)
    turned = a @ (left @ right)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.einsum("td,td->t", turned, b) / norms.clip(1e-300)
    return float(1 - values.sum() ** 2), float(cosine.mean())


def direction_distance(first: Matrix, second: Matrix) -> float:
    """Mean ``|u - v|²`` of the vectors u and v at length 1 of the same tokens, as in the paper's reference code.

    From 0 to 4, of two matrices (tokens, hidden). Neither is rotated or centred: the axes of a trained model are
    arbitrary, so it is about 2 for models that differ by a rotation alone.
    """
    return float(np.square(unit_rows(first) - unit_rows(second)).sum() / len(first))


class Alignments(NamedTuple):
    """Centred kernel alignment of every two models, (models, models) each."""

    cka: Matrix  # biased, from 0 to 1; of few tokens in many dimensions even unrelated models score far above 0
    debiased: Matrix  # around 0 for unrelated models, and so at times below it


def linear_cka(matrices: Sequence[Matrix]) -> Alignments:
    """CKA with the kernel ``<x, y>`` (Kornblith et al., 2019), without any matrix of tokens by tokens.

    ``HSIC(A, B) = |AᵀB|²`` up to a factor, with A and B centred. The unbiased form (Song et al., 2012; Nguyen
    et al., 2021) sets the diagonals of the kernel matrices to zero. Matrices are (tokens, hidden), one a model.

    Raises:
        ValueError: there are fewer than 4 tokens.
    """
    standard = [_standard(matrix) for matrix in matrices]
    count = len(standard)
    products = np.empty((count, count))
    for i, a in enumerate(standard):
        for j in range(i, count):
            products[i, j] = products[j, i] = np.square(a.T @ standard[j]).sum()
    diagonal = np.stack([np.square(a).sum(axis=1) for a in standard])  # (models, tokens)
    # Centred rows sum to zero, so a row of the kernel matrix without its diagonal sums to minus the diagonal.
    debiased = _unbiased(products - diagonal @ diagonal.T, -diagonal)
    return Alignments(_normalised(products), _normalised(debiased))


def rbf_cka(matrices: Sequence[Matrix], authors: bool = False) -> Alignments:
    """CKA with the kernel ``exp(-|x - y|² / 2σ²)``, σ the median distance of two tokens in each model.

    Kernel matrices are made a block of rows at a time. The biased form is
    ``tr KL - 2/n 1ᵀKL1 + (1ᵀK1)(1ᵀL1)/n²``, the trace of the product of the centred matrices.

    Args:
        matrices: one a model, each (tokens, hidden).
        authors: σ as in the paper's reference code: the zeros of the diagonal are in its median, too.

    Raises:
        ValueError: there are fewer than 4 tokens.
    """
    standard = [_standard(matrix) for matrix in matrices]
    squares = np.stack([np.square(a).sum(axis=1) for a in standard])
    scales = [0.5 / max(_median_square(a, authors), 1e-300) for a in standard]
    count, tokens = squares.shape
    traces, sums = np.zeros((count, count)), np.empty((count, tokens))
    step = max(1, BLOCK_BYTES // (8 * count * tokens))
    block = np.empty((count, step, tokens))
    for begin in range(0, tokens, step):
        rows = slice(begin, min(begin + step, tokens))
        part = block[:, : rows.stop - begin]
        for place, (a, square, scale) in enumerate(zip(standard, squares, scales, strict=True)):
            kernel = part[place]
            np.matmul(a[rows], a.T, out=kernel)
            kernel *= 2 * scale
            kernel -= scale * square[rows, None]
            kernel -= scale * square[None]
            np.minimum(kernel, 0, out=kernel)
            np.exp(kernel, out=kernel)
            sums[place, rows] = kernel.sum(axis=1)
        flat = part.reshape(count, -1)
        traces += flat @ flat.T
    total = sums.sum(axis=1)
    biased = traces - 2 / tokens * sums @ sums.T + np.outer(total, total) / tokens**2
    return Alignments(_normalised(biased), _normalised(_unbiased(traces - tokens, sums - 1)))


def _median_square(standard: Matrix, authors: bool) -> float:
    """Median squared distance of two tokens; the authors' is over all n² entries, of two the lower."""
    chosen = standard[evenly_spaced(len(standard), MEDIAN_TOKENS)]
    squares = np.square(chosen).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * (chosen @ chosen.T)
    upper = distances[np.triu_indices(len(chosen), 1)]
    if not authors:
        return float(np.median(upper))
    place = ((len(chosen) ** 2 - 1) // 2 - len(chosen)) // 2
    return float(np.partition(upper, place)[place])


def _unbiased(traces: Matrix, sums: Matrix) -> Matrix:
    """Unbiased HSIC of every two models (Song et al., 2012, eq. 5), up to the factor 1 / n(n - 3).

    ``tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1) / (n-1)(n-2) - 2/(n-2) 1ᵀK̃L̃1``, K̃ and L̃ with zero diagonals; given are the traces,
    (models, models), and the sums ``K̃1``, (models, tokens).
    """
    tokens = sums.shape[1]
    if tokens < FEWEST_TOKENS:
        raise ValueError(f"{tokens} tokens are too few for the unbiased HSIC, which needs {FEWEST_TOKENS}")
    total = sums.sum(axis=1)
    whole = np.outer(total, total) / ((tokens - 1) * (tokens - 2))
    return traces + whole - 2 / (tokens - 2) * sums @ sums.T


def _normalised(criterion: Matrix) -> Matrix:
    """``HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))``; 0 where a model's own is 0 (all tokens alike)."""
    norms = np.sqrt(np.diag(criterion).clip(0))
    return criterion / np.outer(norms, norms).clip(1e-300)


def _standard(matrix: Matrix) -> Matrix:
    """Centred, with unit Frobenius norm."""
    centred = np.asarray(matrix, np.float64) - np.mean(matrix, axis=0, dtype=np.float64)
    return centred / max(float(np.linalg.norm(centred)), 1e-300)
