"""Entropy in bits from counts of counts: the plug-in and its bias corrections.

Notation: N observations, n_i of them of block i, p_i = n_i / N, K blocks seen, f_1 of them once and f_2 twice.
Every estimator costs as much as there are *different* counts, whatever the number of blocks.
"""

import math
from enum import StrEnum

import numpy as np
from scipy.special import digamma

from gfm_utils.entropy.counts import Multiplicities
from gfm_utils.entropy.nsb import nsb


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
    CHAO_WANG_JOST = "chao_wang_jost"
    """Unbiased for all but what unseen blocks cost, which singletons and doubletons extrapolate."""
    NSB = "nsb"
    """Bayesian, mean over Dirichlet priors of every concentration; knows how many blocks there can be."""


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

    G(n) = ψ(n) + (−1)^n/2 · [ψ((n+1)/2) − ψ(n/2)]. This is the published form, with log N; ψ(N) in its place would
    take away a bias of 1 / (2 N ln 2) bits. The constant sequence is exactly 0 by definition.

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


def chao_wang_jost(seen: Multiplicities) -> float:
    """Chao, Wang and Jost's estimator from the slope of the species accumulation curve, in bits.

    In nats Σ_{n_i < N} n_i/N [ψ(N) − ψ(n_i)] + f_1/N (1 − A)^(1−N) {−log A − Σ_{r<N} (1 − A)^r / r},
    where A = 2 f_2 / ((N − 1) f_1 + 2 f_2), or 2 / ((N − 1)(f_1 − 1) + 2) without doubletons,
    is the mean probability of the blocks that were seen once.
    The second term vanishes without singletons, and at A = 1.

    Source: A. Chao, Y. Wang and L. Jost, Methods in Ecology and Evolution 4 (2013), eq. 7.
    """
    n, times = seen.observations, seen.times
    result = float(seen.species @ np.where(times < n, times * (digamma(n) - digamma(times)), 0.0)) / n
    ones, twos = seen.singletons, float(seen.species[times == 2.0].sum())
    if ones > 0:
        if twos > 0:
            rare = 2.0 * twos / ((n - 1.0) * ones + 2.0 * twos)
        else:
            rare = 2.0 / ((n - 1.0) * (ones - 1.0) + 2.0)
        result += ones / n * logarithm_tail(rare, n)
    return result / math.log(2.0)


def logarithm_tail(rare: float, n: float) -> float:
    """q^(1−n) Σ_{r>=n} q^r / r for q = 1 − ``rare``, 0 < rare <= 1, to rounding.

    It is the integral of q exp(−ny) / (1 − q exp(−y)) over y > 0, by the trapezoidal rule over log ny, where the
    integrand falls at least exponentially to both sides.
    """
    step = 0.25
    ny = np.exp(np.arange(-80.0, 6.0, step))
    terms = ny / n * np.exp(-ny) / (rare - (1.0 - rare) * np.expm1(-ny / n))
    return step * (1.0 - rare) * float(terms.sum())


def entropy(seen: Multiplicities, estimator: Estimator, support: float) -> float:
    """Entropy in bits of what was counted, by the estimator of that name.

    ``support``, which only NSB reads, is how many different blocks there can be, seen or not.
    """
    if estimator is Estimator.NSB:
        return nsb(seen, support)
    return _FROM_COUNTS[estimator](seen)


_FROM_COUNTS = {
    Estimator.PLUGIN: plugin,
    Estimator.MILLER_MADOW: miller_madow,
    Estimator.GRASSBERGER: grassberger,
    Estimator.CHAO_SHEN: chao_shen,
    Estimator.CHAO_WANG_JOST: chao_wang_jost,
}
