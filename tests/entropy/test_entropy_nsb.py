"""NSB against integrals in many digits, simulated posteriors and the sources that it assumes."""

import functools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

from gfm_utils.entropy.counts import Multiplicities, multiplicities
from gfm_utils.entropy.estimators import grassberger, plugin
from gfm_utils.entropy.nsb import (
    _log_evidence,
    _log_prior,
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


@pytest.mark.parametrize("support", [2, 64, 4**13])
def test_the_prior_is_flat_in_the_expected_entropy(support):
    """Its integral over log β is log K, all the entropy there is; and its two branches meet."""
    logs = np.linspace(-60, 60, 200_001)
    height = np.exp(_log_prior(float(support), logs))
    assert np.trapezoid(height, logs) == pytest.approx(math.log(support), abs=1e-6)
    near = _log_prior(float(support), np.log([999.999, 1000.001]))
    assert abs(near[1] - near[0]) < 1e-5


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


def test_over_sources_drawn_from_the_prior_it_has_the_least_error():
    rng = np.random.default_rng(3)
    errors = {"nsb": [], "grassberger": [], "plugin": []}
    for _ in range(300):
        # β such that the expected entropy is uniform: by bisection
        target, low, high = rng.uniform(0, math.log(256)), -25.0, 25.0
        for _ in range(50):
            middle = math.exp((low + high) / 2)
            below = digamma(256 * middle + 1) - digamma(middle + 1) < target
            low, high = ((low + high) / 2, high) if below else (low, (low + high) / 2)
        gammas = rng.standard_gamma(max(math.exp(low), 1e-3), 256)
        p = gammas / gammas.sum()
        kept = p[p > 0]
        truth = -float(kept @ np.log2(kept))
        seen = multiplicities(rng.multinomial(100, p))
        for name, value in (("nsb", nsb(seen, 256)), ("grassberger", grassberger(seen)), ("plugin", plugin(seen))):
            errors[name].append(value - truth)
    rms = {name: float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
    assert rms["nsb"] < rms["grassberger"] < rms["plugin"]
    assert abs(np.mean(errors["nsb"])) < 0.02
