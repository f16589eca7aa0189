"""The estimator of Nemenman, Shafee and Bialek (NSB): the posterior mean of the entropy.

A Dirichlet prior of concentration β over the K blocks that can occur, seen or not, fixes the entropy almost
surely, long before any data, so NSB mixes over β such that the expected entropy ξ(β) = ψ(Kβ + 1) − ψ(β + 1) is
uniform:

    E[H | n] = ∫ E[H | n, β] ρ(n | β) ξ'(β) dβ / ∫ ρ(n | β) ξ'(β) dβ,
    ρ(n | β) = Γ(Kβ) / Γ(N + Kβ) · Π_i Γ(n_i + β) / Γ(β).

With a_i = n_i + β over all K blocks and A = Σ a_i, the mean at fixed β is in nats (Wolpert and Wolf)

    E[H | n, β] = ψ(A + 1) − Σ a_i / A ψ(a_i + 1).

The integral runs over log β between the points where the integrand has fallen by a factor e^36 from its mode, by
Gauss–Legendre rules of doubling size on each side of the mode until the mean stands still.

Source: I. Nemenman, F. Shafee and W. Bialek, "Entropy and inference, revisited", NIPS 14 (2002);
D. Wolpert and D. Wolf, Physical Review E 52 (1995).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln, zeta

from gfm_utils.entropy.counts import Multiplicities

_DROP = 36.0  # nats below the mode where the integral ends: e^-36 is the rounding of float64
_STIRLING = 20.0
_SERIES = 1e3
_NODES = (16, 32, 64, 128)
_TOLERANCE = 1e-12  # nats
_AT_ONCE = 2**21  # numbers in a temporary array
_GAUSS_LEGENDRE = lru_cache(np.polynomial.legendre.leggauss)

Floats = NDArray[np.float64]


def nsb(seen: Multiplicities, support: float) -> float:
    """Posterior mean of the entropy in bits; ``support`` is K, how many different blocks there can be."""
    if support == 1:
        return 0.0
    logs, weights = _concentrations(seen, float(support))
    return float(weights @ dirichlet_mean(seen, float(support), np.exp(logs))) / math.log(2.0)


def _concentrations(seen: Multiplicities, support: float) -> tuple[Floats, Floats]:
    """Nodes log β and weights, both of shape (b,), whose sum stands for the integral over the posterior of β."""

    def height(logs: Floats) -> Floats:
        return _log_evidence(seen, support, logs) + _log_prior(support, logs)

    lowest, mode, highest = _range(height, seen.observations, support)
    top = float(height(np.array([mode]))[0])
    mean, logs, weights = math.inf, np.zeros(0), np.zeros(0)
    for nodes in _NODES:
        places, shares = _GAUSS_LEGENDRE(nodes)
        logs = np.concatenate([
            (end - start) / 2 * places + (start + end) / 2 for start, end in ((lowest, mode), (mode, highest))
        ])  # fmt: skip
        widths = np.concatenate([shares * (mode - lowest), shares * (highest - mode)])
        weights = widths * np.exp(height(logs) - top)
        weights /= weights.sum()
        before, mean = mean, float(weights @ dirichlet_mean(seen, support, np.exp(logs)))
        if abs(mean - before) <= _TOLERANCE:
            break
    kept = weights > 1e-18
    return logs[kept], weights[kept]


def dirichlet_mean(seen: Multiplicities, support: float, betas: Floats) -> Floats:
    """E[H | n, β] in nats, shape (b,), for concentrations of shape (b,)."""
    total = seen.observations + support * betas
    unseen = (support - seen.distinct) * (betas * digamma(betas + 1.0))
    weighted = _added(unseen, seen, lambda n: (n + betas) * digamma(n + betas + 1.0))
    return digamma(total + 1.0) - weighted / total


def _added(total: Floats, seen: Multiplicities, f: Callable[[Floats], Floats]) -> Floats:
    """``total``, shape (b,), and Σ f(n_i) over the blocks seen; f of counts of shape (r, 1) is of shape (r, b)."""
    step = max(1, _AT_ONCE // len(total))
    for start in range(0, len(seen.times), step):
        part = slice(start, start + step)
        total = total + seen.species[part] @ f(seen.times[part, None])
    return total


def _log_evidence(seen: Multiplicities, support: float, logs: Floats) -> Floats:
    """Log ρ(n | β) at log β of shape (b,)."""
    betas = np.exp(logs)
    seen_part = _added(np.zeros(len(betas)), seen, lambda n: _log_rising(betas, n))
    return seen_part - _log_rising(support * betas, np.array([[seen.observations]]))[0]


def _log_rising(x: Floats, m: Floats) -> Floats:
    """Log Γ(x + m) / Γ(x), shape (r, b), for x of shape (b,) and m of shape (r, 1).

    For x of 20 and more by Stirling's series, whose large terms are subtracted on paper, which keeps an error of
    1e-7 at N = 10**7 and K = 4**13; below, log Γ(x) is small and nothing cancels.
    """
    result = np.empty((len(m), len(x)))
    large = x >= _STIRLING
    if large.any():
        z = x[large]
        result[:, large] = (
            (z - 0.5) * np.log1p(m / z) + m * np.log(m + z) - m + _stirling_rest(m + z) - _stirling_rest(z)
        )
    if not large.all():
        z = x[~large]
        result[:, ~large] = gammaln(m + z) - gammaln(z)
    return result


def _stirling_rest(x: Floats) -> Floats:
    """Log Γ(x) − [(x − 1/2) log x − x + log(2π) / 2], to 1e-15 for x >= 20."""
    square = 1.0 / (x * x)
    return (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x


def _log_prior(support: float, logs: Floats) -> Floats:
    """Log of ξ'(β) β, the prior's density over log β; ξ'(β) = K ψ'(Kβ + 1) − ψ'(β + 1)."""
    betas = np.exp(logs)
    small = np.minimum(betas, _SERIES)
    slope = support * zeta(2.0, support * small + 1.0) - zeta(2.0, small + 1.0)
    large = np.maximum(betas, _SERIES)  # ψ'(z + 1) = 1/z − 1/2z² + 1/6z³ − …
    rest = (1.0 - 1.0 / support) / 2.0 - (1.0 - 1.0 / support**2) / (6.0 * large)
    return np.where(betas < _SERIES, np.log(slope) + logs, np.log(rest) - logs)


def _range(height: Callable[[Floats], Floats], n: float, support: float) -> tuple[float, float, float]:
    """Where the integrand over log β has fallen to nothing on the left, its mode, and the same on the right.

    Below 1/K the integrand falls at least like β, far above 1 and N² like 1/β, so the first grid holds all of it.
    """
    grid = np.arange(-math.log(support) - 50.0, 2.0 * math.log(n) + 50.0, 2.0, dtype=np.float64)
    heights = height(grid)
    best = int(np.argmax(heights))
    around = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    lowest = minimize_scalar(
        lambda t: -float(height(np.array([t]))[0]), bounds=around, method="bounded", options={"xatol": 1e-7}
    )
    mode = float(lowest.x)
    floor = -float(lowest.fun) - _DROP
    above = grid[heights > floor]
    ends = []
    for side in (-1.0, 1.0):
        reach: Floats = np.exp2(np.arange(-16.0, 7.0))
        below = height(mode + side * reach) < floor
        last = int(np.argmax(below)) if below.any() else len(reach) - 1
        fine = reach[max(last - 1, 0)] + (reach[last] - reach[max(last - 1, 0)]) * np.arange(1, 9) / 8
        short = fine[np.argmax(height(mode + side * fine) < floor)] if below.any() else reach[last]
        far = np.append(side * (above - mode), 0.0).max() if len(above) else 0.0
        ends.append(mode + side * max(float(short), float(far)))
    return ends[0], mode, ends[1]
