"""Estimators against closed forms, slow sums and exact expectations."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.entropy.counts import multiplicities
from gfm_utils.entropy.estimators import (
    Estimator,
    chao_shen,
    chao_wang_jost,
    entropy,
    grassberger,
    logarithm_tail,
    miller_madow,
    plugin,
)

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=30).filter(any)


def of(counts):
    return multiplicities(np.array(counts))


def slow_plugin(counts):
    n = sum(counts)
    return -sum(c / n * math.log2(c / n) for c in counts if c)


def slow_g(n):
    """Grassberger's G by its recursion, in nats."""
    g = -np.euler_gamma - math.log(2.0)
    if n == 1:
        return g
    g += 2.0
    for even in range(2, n - n % 2, 2):
        g += 2.0 / (even + 1)
    return g


def slow_chao_shen(counts):
    counts = [c for c in counts if c]
    n, ones = sum(counts), counts.count(1)
    coverage = 1 - (ones if ones < n else n - 1) / n
    p = [coverage * c / n for c in counts]
    return -sum(x * math.log2(x) / (1 - (1 - x) ** n) for x in p)


def slow_chao_wang_jost(counts):
    """Equation 7 of the paper, term by term, in 60 digits because (1 − A)^(1 − n) amplifies rounding."""
    counts = [c for c in counts if c]
    n, ones, twos = sum(counts), counts.count(1), counts.count(2)
    first = math.fsum(c / n * math.fsum(1.0 / k for k in range(c, n)) for c in counts)
    if not ones:
        return first / math.log(2)
    if twos:
        a = Fraction(2 * twos, (n - 1) * ones + 2 * twos)
    else:
        a = Fraction(2, (n - 1) * (ones - 1) + 2)
    if a == 1:
        return first / math.log(2)
    with mpmath.workdps(60):
        q = mpmath.mpf(1) - mpmath.mpf(a.numerator) / a.denominator
        curly = -mpmath.log(1 - q) - sum(q**r / r for r in range(1, n))
        return float((first + mpmath.mpf(ones) / n * q ** (1 - n) * curly) / mpmath.log(2))


@given(COUNTS)
def test_against_slow_formulas(counts):
    seen = of(counts)
    n, distinct = sum(counts), sum(c > 0 for c in counts)
    assert plugin(seen) == pytest.approx(slow_plugin(counts), abs=1e-10)
    assert miller_madow(seen) - plugin(seen) == pytest.approx((distinct - 1) / (2 * n * math.log(2)), abs=1e-10)
    assert chao_shen(seen) == pytest.approx(slow_chao_shen(counts), abs=1e-10)
    assert chao_wang_jost(seen) == pytest.approx(slow_chao_wang_jost(counts), abs=1e-10)
    if distinct > 1:
        slow = (math.log(n) - sum(c * slow_g(c) for c in counts if c) / n) / math.log(2)
        assert grassberger(seen) == pytest.approx(slow, abs=1e-10)


@given(COUNTS, st.randoms())
def test_bounds_and_invariance(counts, random):
    shuffled = [*counts, 0]
    random.shuffle(shuffled)
    assert 0.0 <= plugin(of(counts)) <= math.log2(sum(c > 0 for c in counts)) + 1e-12
    for estimator in Estimator:
        once, again = (entropy(of(c), estimator, len(counts)) for c in (counts, shuffled))
        assert once == pytest.approx(again, abs=1e-12)


@pytest.mark.parametrize("estimator", Estimator)
@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_a_constant_sequence_has_no_entropy(estimator, n):
    assert entropy(of([n]), estimator, 1) == 0.0


@pytest.mark.parametrize("n", [2, 50, 10_000, 10**7])
@pytest.mark.parametrize("rare", [0.9, 0.04, 1e-3, 1e-7, 1e-12])
def test_the_tail_of_the_logarithm(n, rare):
    """Against the integral of q x^(n−1) / (1 − q x) from 0 to 1, with x = exp(−exp(t)), in 30 digits."""
    with mpmath.workdps(30):
        q = 1 - mpmath.mpf(rare)
        exact = mpmath.quad(
            lambda t: q * mpmath.exp(t - n * mpmath.exp(t)) / (1 - q * mpmath.exp(-mpmath.exp(t))),
            [-70, -45, -35, -25, -20, -16, -12, -8, -4, 0, 6],
        )
        assert logarithm_tail(rare, n) == pytest.approx(float(exact), rel=1e-14)
