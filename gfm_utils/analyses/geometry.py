"""The shape of a cloud of vectors: how many directions it fills, and how evenly.

Second moments are accumulated, so a stream of any length takes the memory of one batch and one square matrix.
"""

import numpy as np
import numpy.typing as npt
import torch

Matrix = npt.NDArray[np.float64]


class Moments:
    """Accumulated count, sum and second moment of vectors, and the sum of their directions, in float64."""

    def __init__(self, width: int) -> None:
        """Nothing yet.

        Args:
            width: length of the vectors.
        """
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
        """``|Σ u| / n``, the length of the mean vector of length 1, as the paper's reference code has it.

        Its square is the mean cosine over all pairs, those of a vector with itself among them: for few vectors it
        is above 0 even where directions are uniform, about ``sqrt(1 / n)``, and then far above ``anisotropy``.
        """
        return float(self.direction.norm()) / self.count


def effective_rank(spectrum: Matrix) -> float:
    """``exp(-Σ p log p)`` with ``p = λ / Σ λ`` the eigenvalues of the covariance matrix (Roy and Vetterli, 2007).

    From 1, all vectors on a line, to the width. Roy and Vetterli take the singular values of a matrix; here that
    matrix is the covariance, so that a direction counts by its share of the variance.
    """
    share = spectrum / max(float(spectrum.sum()), 1e-300)
    positive = share[share > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def effective_rank_authors(spectrum: Matrix) -> float:
    """The effective rank of the paper's reference code: ``p = s / Σ s`` of the singular values of the vectors.

    They are those of the matrix of centred vectors, so ``s ~ sqrt(λ)``: a direction counts by its share of the
    standard deviations. From 1 to the width, and never below ``effective_rank``.
    """
    return effective_rank(np.sqrt(spectrum))


def participation_ratio(spectrum: Matrix) -> float:
    """``(Σ λ)² / Σ λ²`` of the eigenvalues of the covariance matrix (Gao et al., 2017); from 1 to the width.

    Large eigenvalues weigh more in it than in the effective rank, which it never exceeds.
    """
    return float(spectrum.sum() ** 2 / max(float(np.square(spectrum).sum()), 1e-300))


def uniformity(vectors: Matrix) -> float:
    """``log mean exp(-2 |u - v|²)`` over all pairs of vectors of length 1 (Wang and Isola, 2020).

    0 if all have one direction; the lower, the more evenly they fill the sphere. Natural logarithm.

    Args:
        vectors: shape (n, width).
    """
    unit = unit_rows(vectors)
    cosine = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return float(np.log(np.exp(4 * (cosine - 1)).mean()))


def pairwise_distance_spread(vectors: Matrix) -> float:
    """Standard deviation of the Euclidean distances of all pairs of vectors, as the paper's reference code has it.

    With ``m = n(n - 1) / 2`` distances d it is ``sqrt(Σ (d - mean d)² / (m - 1))``. The vectors have the length
    that the model gives them, so it doubles when they do; only rotations and shifts leave it as it is.

    Args:
        vectors: shape (n, width), three of them at least.
    """
    return float(torch.pdist(torch.from_numpy(np.asarray(vectors, np.float64))).std())


def unit_rows(vectors: Matrix) -> Matrix:
    """The vectors at length 1, shape (n, width); one of zeros stays as it is."""
    rows = np.ascontiguousarray(vectors, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-300)
