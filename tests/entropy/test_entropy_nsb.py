"""NSB against integrals in many digits, simulated posteriors and the sources that it assumes."""

import functools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfm_utils.entropy.counts import Multiplicities, multiplicities
from gfm_utils.entropy.nsb import (
    _log_evidence,
    _log_rising,
    nsb,
)

CASES = [([3, 2, 1], 10), ([10, 0, 5, 1, 1], 5), ([1, 1, 1, 1], 100), ([20], 4), ([5, 5, 5, 5], 4)]


def of(counts):
    return multiplicities(np.array(counts))


@pytest.mark.parametrize(("counts", "support"), CASES)
def test_the_integral_over_concentrations(counts, support):
    seen = of(counts)
    positive = [c for c in counts if c]
    n = sum(positive)

    @functools.cache  # both integrals take the same points
    def weight(t):
        b = mpmath.exp(t)
        evidence = mpmath.loggamma(support * b) - mpmath.loggamma(n + support * b)
        evidence += mpmath.fsum(mpmath.loggamma(c + b) - mpmath.loggamma(b) for c in positive)
        return mpmath.exp(evidence + t) * (support * mpmath.psi(1, support * b + 1) - mpmath.psi(1, b + 1))

    def mean(t):
        b = mpmath.exp(t)
        total = n + support * b
        inner = mpmath.fsum((c + b) * mpmath.digamma(c + b + 1) for c in positive)
        inner += (support - len(positive)) * b * mpmath.digamma(b + 1)
        return mpmath.digamma(total + 1) - inner / total

    with mpmath.workdps(20):
        pieces = [-40, -25, -15, -8, -4, *range(-2, 15), *range(16, 32, 2), 34, 40]
        norm = mpmath.quad(weight, pieces)
        exact = mpmath.quad(lambda t: weight(t) * mean(t), pieces) / norm / mpmath.log(2)
    assert nsb(seen, support) == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize("x", [1e-12, 0.3, 19.99, 20.0, 1e3, 1e9, 1e17])
@pytest.mark.parametrize("m", [1.0, 1e4, 1e7])
def test_ratios_of_gamma_functions(x, m):
    with mpmath.workdps(50):
        exact = float(mpmath.loggamma(mpmath.mpf(x) + m) - mpmath.loggamma(x))
    assert _log_rising(np.array([x]), np.array([[m]]))[0, 0] == pytest.approx(exact, rel=1e-14, abs=1e-13)


def test_a_large_sample_keeps_its_digits():
    """Log ρ at N = 10**7 and K = 4**13, against 40 digits: an error of 1e-6 would not move the mean."""
    seen = Multiplicities(np.array([1.0, 2.0, 3.0, 1000.0]), np.array([4e6, 2e6, 5e5, 500.0]))
    for log in (-5.0, 0.0, 6.0):
        with mpmath.workdps(40):
            b, size, n = mpmath.exp(mpmath.mpf(log)), 4**13, int(seen.observations)
            exact = mpmath.loggamma(size * b) - mpmath.loggamma(n + size * b)
            for m, f in zip(seen.times, seen.species, strict=True):
                exact += int(f) * (mpmath.loggamma(int(m) + b) - mpmath.loggamma(b))
        assert _log_evidence(seen, float(4**13), np.array([log]))[0] == pytest.approx(float(exact), abs=1e-6)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(0, 10**9))
def test_bounds(counts, more):
    support = len(counts) + more
    assert 0.0 <= nsb(of(counts), support) <= math.log2(support) + 1e-12
