"""Entropy from the lengths of matches with the past (Lempel–Ziv), and why it fails on genomes.

Λ_i is the length of the shortest block at position i that does not begin at any earlier position;
in a stationary ergodic source log2(i) / Λ_i tends to the entropy rate h (Wyner and Ziv 1989).
Two averages of it over i = 2 … n, in bits per symbol, both with the whole past as the database:

    harmonic:   ĥ = n / Σ Λ_i / log2(i)     (Grassberger 1989; Kontoyiannis et al. 1998, eq. 3)
    arithmetic: ĥ = (1/n) Σ log2(i) / Λ_i   (Kontoyiannis et al. 1998, eq. 4), never below the harmonic one

**Why it fails.** Λ_i grows with log2(i) / h only while the past holds matches of that length by chance.
A position inside a copied stretch of length ℓ has Λ_i up to ℓ: kilobases, where chance gives a dozen bases.
Few such positions carry most of the harmonic form's sum, so that it measures how much was copied lately
(transposons, duplications, satellites), not what a base costs: a copy of ℓ bases costs its coder about
log2(n) bits once, but adds ℓ²/2 to Σ Λ_i.
``longest_share`` is the share of Σ Λ_i / log2(i) that the longest 1 % of the matches carry.
The arithmetic form hardly sees the long matches and leans on the short ones; on the genome it lies near the
truth only because its bias from the slow convergence and the repeats' happen to be of opposite signs.
For both the bias falls only like 1 / log n even on sources without repeats, with a sign and a constant that
depend on the source (`gfm_utils.entropy.calibration`): no row of these is marked as trusted.

**How.** Longest earlier matches by pydivsufsort: suffix array by libdivsufsort, longest common prefixes by Kasai's
algorithm, and the matches by one pass over both (Crochemore and Ilie 2008).
Linear in n, at most 40 bytes a symbol; a million symbols take about half a second of one core.
A match may overlap the position that it serves, and ends with its segment.

Source: P. Grassberger, IEEE Trans. Inf. Theory 35 (1989); I. Kontoyiannis, P. Algoet, Yu. Suhov and A. Wyner,
IEEE Trans. Inf. Theory 44 (1998); T. Kasai et al., CPM 2001; M. Crochemore and L. Ilie, Information Processing
Letters 106 (2008).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import longest_previous_factor

from gfm_utils.entropy.blocks import CHUNKS, chunk_sums, jackknife_error

LONGEST = 0.01
#: Most symbols that `corpus_entropy` matches: 40 bytes each, 8 GB.
MOST_SYMBOLS = 200_000_000


class Matching(StrEnum):
    """How match lengths are averaged; the value is the name in result tables (column ``estimator``)."""

    HARMONIC = "match_length_harmonic"
    """n / Σ Λ_i / log2(i): ruled by the long matches."""
    ARITHMETIC = "match_length_arithmetic"
    """(1/n) Σ log2(i) / Λ_i: ruled by the short ones."""


@dataclass(frozen=True)
class MatchEntropy:
    """One form of the estimator.

    Attributes:
        estimator: which average.
        value: bits per symbol.
        se: its standard error (jackknife over 20 contiguous chunks), or None for fewer than 40 symbols;
            it knows nothing of the bias.
        longest_share: share of Σ Λ_i / log2(i) that the longest 1 % of the matches carry, 0 to 1.
        symbols: n, the positions averaged over.
    """

    estimator: Matching
    value: float
    se: float | None
    longest_share: float
    symbols: int


def match_entropies(segments: Sequence[NDArray[np.integer[Any]]], alphabet: int) -> list[MatchEntropy]:
    """Both forms, in the order of `Matching`.

    Args:
        segments: arrays of shape (length,) of symbols from 0 to ``alphabet`` − 1, at least two in all.
        alphabet: number of possible symbols.

    Raises:
        ValueError: a symbol is outside the alphabet.
    """
    lengths = match_lengths(segments, alphabet)
    ratios = lengths[1:] / np.log2(np.arange(2.0, len(lengths) + 1.0))  # Λ_i / log2(i)
    count = max(1, round(LONGEST * len(ratios)))
    top = np.argpartition(lengths[1:], len(ratios) - count)[len(ratios) - count :]
    share = float(ratios[top].sum() / ratios.sum())
    entropies = []
    for estimator, terms in ((Matching.HARMONIC, ratios), (Matching.ARITHMETIC, 1.0 / ratios)):
        mean = float(terms.mean())
        se = None
        if len(terms) >= 2 * CHUNKS:
            sums, sizes = chunk_sums(terms)
            rest = (terms.sum() - sums) / (len(terms) - sizes)
            se = jackknife_error(1.0 / rest if estimator is Matching.HARMONIC else rest)
        value = 1.0 / mean if estimator is Matching.HARMONIC else mean
        entropies.append(MatchEntropy(estimator, value, se, share, len(terms)))
    return entropies


def match_lengths(segments: Sequence[NDArray[np.integer[Any]]], alphabet: int) -> NDArray[np.int32]:
    """Λ_i of every position, shape (n,), segments one after another: 1 + the longest match with the past.

    Args:
        segments: arrays of shape (length,) of symbols from 0 to ``alphabet`` − 1; no match crosses an end.
        alphabet: number of possible symbols.

    Raises:
        ValueError: a symbol is outside the alphabet.
    """
    kept = [np.asarray(segment) for segment in segments if len(segment)]
    if not kept:
        return np.zeros(0, np.int32)
    if min(int(part.min()) for part in kept) < 0 or max(int(part.max()) for part in kept) >= alphabet:
        raise ValueError(f"symbols must lie between 0 and {alphabet - 1}")
    # the end of a segment is one symbol more, at which matches are cut
    kind = np.uint8 if alphabet <= 255 else np.uint16 if alphabet <= 65535 else np.uint32
    text: NDArray[Any] = np.full(sum(map(len, kept)) + len(kept) - 1, alphabet, kind)
    left = np.zeros(len(text), np.int32)  # symbols to the end of the segment; 0 for the end itself
    start = 0
    for part in kept:
        text[start : start + len(part)] = part
        left[start : start + len(part)] = np.arange(len(part), 0, -1)
        start += len(part) + 1
    matches: NDArray[np.int32] = np.minimum(longest_previous_factor(text), left)
    return matches[left > 0] + np.int32(1)
