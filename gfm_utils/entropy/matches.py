"""Entropy from the lengths of matches with the past (Lempel–Ziv), and why it fails on genomes.

Λ_i is the length of the shortest block at position i that does not begin at any earlier position;
in a stationary ergodic source log2(i) / Λ_i tends to the entropy rate h (Wyner and Ziv 1989).
Two averages over i = 2 … n, in bits per symbol:

    harmonic:   ĥ = n / Σ Λ_i / log2(i)     (Grassberger 1989; Kontoyiannis et al. 1998, eq. 3)
    arithmetic: ĥ = (1/n) Σ log2(i) / Λ_i   (Kontoyiannis et al. 1998, eq. 4), never below the harmonic one

**Why it fails.** A copy of ℓ bases costs its coder about log2(n) bits once, but adds ℓ²/2 to Σ Λ_i: few positions
in long copies carry most of the harmonic form's sum. The arithmetic form leans on the short matches. Of both the
bias falls only like 1 / log n even without repeats, with a sign that depends on the source
(`gfm_utils.entropy.calibration`): no row of these is marked as trusted.

Source: P. Grassberger, IEEE Trans. Inf. Theory 35 (1989); I. Kontoyiannis, P. Algoet, Yu. Suhov and A. Wyner,
IEEE Trans. Inf. Theory 44 (1998).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import longest_previous_factor

from gfm_utils.entropy.blocks import jackknife_error, means_without_chunks

#: Most symbols that `corpus_entropy` matches: 40 bytes each, 8 GB.
MOST_SYMBOLS = 200_000_000


class Matching(StrEnum):
    """How match lengths are averaged; the value is the name in result tables (column ``estimator``)."""

    HARMONIC = "match_length_harmonic"
    ARITHMETIC = "match_length_arithmetic"


def match_entropies(lengths: NDArray[np.int32]) -> dict[Matching, tuple[float, float]]:
    """Both forms from Λ of shape (n,), n >= 2: bits per symbol and the standard error, which ignores the bias.

    The error is a jackknife over 20 contiguous chunks, NaN of fewer than 40 symbols.
    """
    ratios = lengths[1:] / np.log2(np.arange(2.0, len(lengths) + 1.0))  # Λ_i / log2(i)
    harmonic = 1.0 / ratios.mean(), jackknife_error(1.0 / means_without_chunks(ratios))
    arithmetic = (1.0 / ratios).mean(), jackknife_error(means_without_chunks(1.0 / ratios))
    return {Matching.HARMONIC: harmonic, Matching.ARITHMETIC: arithmetic}


def longest_share(lengths: NDArray[np.int32]) -> float:
    """Share of Σ Λ_i / log2(i) that the longest 1 % of the matches carry, 0 to 1; Λ of shape (n,), n >= 2."""
    ratios = lengths[1:] / np.log2(np.arange(2.0, len(lengths) + 1.0))
    count = max(1, round(0.01 * len(ratios)))
    top = np.argpartition(lengths[1:], len(ratios) - count)[len(ratios) - count :]
    return float(ratios[top].sum() / ratios.sum())


def match_lengths(segments: Sequence[NDArray[np.integer[Any]]], alphabet: int) -> NDArray[np.int32]:
    """Λ_i of every position, shape (n,), segments one after another: 1 + the longest match with the past.

    By a suffix array (pydivsufsort), in linear time and at most 40 bytes a symbol. A match may overlap the
    position that it serves, and ends with its segment. Segments are not empty, of symbols below ``alphabet``.
    """
    # the end of a segment is one symbol more, at which matches are cut
    kind = np.min_scalar_type(alphabet)
    text = np.concatenate([np.append(segment.astype(kind), kind.type(alphabet)) for segment in segments])
    left = np.concatenate([np.arange(len(segment), -1, -1, dtype=np.int32) for segment in segments])
    matches: NDArray[np.int32] = np.minimum(longest_previous_factor(text), left)
    return matches[left > 0] + np.int32(1)
