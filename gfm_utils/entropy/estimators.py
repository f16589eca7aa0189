"""Entropy in bits from counts of counts: the plug-in and its bias corrections.

Notation: N observations, n_i of them of block i, p_i = n_i / N, K blocks seen, f_1 of them seen once and f_2
twice.
Every estimator costs as much as there are *different* counts, whatever the number of blocks.
NSB, which also reads how many blocks there can be, stands in `gfm_utils.entropy.nsb`.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np
from scipy.special import digamma, exp1

from gfm_utils.entropy.counts import Multiplicities
from gfm_utils.entropy.nsb import nsb

_FIRST_TERMS = 1000


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
        result += ones / n * _logarithm_tail(1.0 - rare, n)
    return result / math.log(2.0)


def _logarithm_tail(q: float, n: float) -> float:
    """q^(1−n) Σ_{r>=n} q^r / r = Σ_{s>=0} q^(s+1) / (n + s) for 0 <= q < 1, without underflow.

    The first terms are added up; if they leave a rest, q is close to 1, and Euler's and Maclaurin's formula gives
    it: the integral of exp(−λs) / (n + s) is exp(λn) E_1(λn) with λ = −log q.
    """
    terms = np.arange(_FIRST_TERMS)
    total = float((q ** (terms + 1.0) / (n + terms)).sum())
    left = q ** (_FIRST_TERMS + 1.0)
    if left < 1e-20:
        return total
    start, decay = n + _FIRST_TERMS, -math.log1p(q - 1.0)
    # derivatives of f(s) = exp(−λs) / (n + s) at 0, times (−1)^j n: Σ_i j!/(j−i)! λ^(j−i) / n^i
    first = decay + 1.0 / start
    third = decay**3 + 3.0 * decay**2 / start + 6.0 * decay / start**2 + 6.0 / start**3
    fifth = sum(math.perm(5, i) * decay ** (5 - i) / start**i for i in range(6))
    rest = 0.5 + first / 12.0 - third / 720.0 + fifth / 30240.0
    return total + left * (_scaled_exp1(decay * start) + rest / start)


def _scaled_exp1(x: float) -> float:
    """exp(x) E_1(x), by its continued fraction where exp(x) would overflow."""
    if x < 50.0:
        return math.exp(x) * float(exp1(x))
    fraction = 0.0
    for k in range(40, 0, -1):
        fraction = k * k / (x + 2.0 * k + 1.0 - fraction)
    return 1.0 / (x + 1.0 - fraction)


#: All but NSB, which also reads how many blocks there can be.
_FROM_COUNTS: dict[Estimator, Callable[[Multiplicities], float]] = {
    Estimator.PLUGIN: plugin,
    Estimator.MILLER_MADOW: miller_madow,
    Estimator.GRASSBERGER: grassberger,
    Estimator.CHAO_SHEN: chao_shen,
    Estimator.CHAO_WANG_JOST: chao_wang_jost,
}


def entropy(seen: Multiplicities, estimator: Estimator, support: float) -> float:
    """Entropy in bits of what was counted, by the estimator of that name.

    Args:
        seen: counts of counts.
        estimator: the formula.
        support: how many different blocks there can be, seen or not, which only NSB reads.
    """
    return nsb(seen, support) if estimator is Estimator.NSB else _FROM_COUNTS[estimator](seen)
