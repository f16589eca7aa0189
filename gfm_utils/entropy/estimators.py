"""Entropy in bits from counts of counts: the plug-in and its bias corrections.

Notation: N observations, n_i of them of block i, p_i = n_i / N, K blocks seen, f_1 of them seen once.
Every estimator costs as much as there are *different* counts, whatever the number of blocks.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from scipy.special import digamma

from gfm_utils.entropy.counts import Multiplicities


class Estimator(StrEnum):
    """Which formula turns counts into bits; the value is the name in result tables."""

    PLUGIN = "plugin"
    """Entropy of the observed frequencies: too low, by about (K − 1) / 2N nats."""
    MILLER_MADOW = "miller_madow"
    """The plug-in plus that first-order term: good while nearly every block has been seen."""
    GRASSBERGER = "grassberger"
    """Digamma-like correction of each count: the default, best of these when many blocks are rare."""
    CHAO_SHEN = "chao_shen"
    """Coverage-adjusted Horvitz–Thompson sum: guesses at the blocks that were never seen."""


def plugin(seen: Multiplicities) -> float:
    """Plug-in (maximum likelihood) entropy, −Σ p_i log2 p_i, in bits.

    Source: C. Shannon, Bell System Technical Journal 27 (1948).
    """
    n = seen.observations
    mean_log = float(seen.species @ (seen.times * np.log2(seen.times))) / n
    return max(0.0, np.log2(n) - mean_log)


def miller_madow(seen: Multiplicities) -> float:
    """Plug-in + (K − 1) / (2 N ln 2), in bits.

    Source: G. Miller, "Note on the bias of information estimates" (1955).
    """
    return plugin(seen) + (seen.distinct - 1.0) / (2.0 * seen.observations * np.log(2.0))


def grassberger(seen: Multiplicities) -> float:
    """log2 N − (1/N) Σ n_i G(n_i) / ln 2, in bits; slightly below 0 is possible and left as it is.

    G(n) = ψ(n) + (−1)^n/2 · [ψ((n+1)/2) − ψ(n/2)], which obeys G(1) = −γ − ln 2, G(2) = 2 + G(1),
    G(2m+1) = G(2m) and G(2m+2) = G(2m) + 2/(2m+1).
    This is the published form, with log N; ψ(N) in its place would take away a bias of 1 / (2 N ln 2) bits.
    The constant sequence is exactly 0 by definition (the formula's own value tends to 0 as 1/N).

    Source: P. Grassberger, "Entropy estimates from insufficient samplings", arXiv physics/0307138 (2003).
    """
    if seen.distinct == 1:
        return 0.0
    n, times = seen.observations, seen.times
    sign = 1.0 - 2.0 * (times % 2)
    g = digamma(times) + 0.5 * sign * (digamma((times + 1) / 2) - digamma(times / 2))
    return float((np.log(n) - (seen.species @ (times * g)) / n) / np.log(2.0))


def chao_shen(seen: Multiplicities) -> float:
    """−Σ C p_i log2(C p_i) / (1 − (1 − C p_i)^N), with the coverage C = 1 − f_1 / N, in bits.

    Where every observation is a singleton, f_1 = N − 1 is used, so that C stays above 0.

    Source: A. Chao and T.-J. Shen, Environmental and Ecological Statistics 10 (2003), eq. 8.
    """
    n = seen.observations
    coverage = 1.0 - min(seen.singletons, n - 1.0) / n
    p = coverage * seen.times / n
    # (1 − p)^N = exp(N log(1 − p)); at p = 1 it is 0
    missed = np.exp(n * np.log1p(-np.minimum(p, 1.0 - 1e-15)))
    return float(-(seen.species @ (p * np.log2(p) / (1.0 - missed)))) + 0.0


_FORMULAS: dict[Estimator, Callable[[Multiplicities], float]] = {
    Estimator.PLUGIN: plugin,
    Estimator.MILLER_MADOW: miller_madow,
    Estimator.GRASSBERGER: grassberger,
    Estimator.CHAO_SHEN: chao_shen,
}


def entropy(seen: Multiplicities, estimator: Estimator = Estimator.GRASSBERGER) -> float:
    """Entropy in bits of what was counted, by the estimator of that name."""
    return _FORMULAS[estimator](seen)
