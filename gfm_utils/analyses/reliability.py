"""Calibration of predictions: is the likeliest token right as often as its probability says?"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Bins of equal numbers of tokens; bins of equal width would hold nearly all tokens of DNA in the first one.
BINS = 15


class Reliability(NamedTuple):
    """What the bins say.

    Attributes:
        confidence: mean probability of the likeliest token in each bin, shape (bins,).
        accuracy: share of hits in each bin, shape (bins,).
        tokens: in each bin, shape (bins,).
        error: expected calibration error, Σ_b n_b / n |accuracy_b - confidence_b|.
        chance: its expectation if every token were a hit with the probability that the model gives.
    """

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]
    error: float
    chance: float


def reliability(confidence: npt.ArrayLike, hit: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Reliability diagram and expected calibration error over bins that hold equally many tokens.

    Sources: Naeini, Cooper and Hauskrecht, AAAI 2015; equal-mass bins as in Nguyen and O'Connor, EMNLP 2015. The
    error of a finite sample is above 0 even for a calibrated model; ``chance`` says by how much, with the
    binomial noise of a bin taken as normal, E|N(0, s²)| = s sqrt(2 / pi).

    Args:
        confidence: probability of the likeliest token, shape (tokens,).
        hit: whether it was the true one, shape (tokens,).
        bins: at most so many; fewer when there are fewer tokens.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(hit, np.float64)
    order = np.argsort(sure, kind="stable")
    edges = np.linspace(0, len(sure), min(bins, len(sure)) + 1).round().astype(np.int64)
    sizes = np.diff(edges)

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(values[order], edges[:-1]) / sizes

    said, was = mean(sure), mean(right)
    share = sizes / len(sure)
    noise = np.sqrt(mean(sure * (1 - sure)) / sizes)
    error = float(share @ np.abs(was - said))
    return Reliability(said, was, sizes, error, float(share @ noise) * float(np.sqrt(2 / np.pi)))
