"""Sources whose entropy rate is known exactly, to calibrate estimators and coders on.

Every source but one is a stationary Markov chain (order 0: independent symbols) of rate
h = −Σ_c π(c) Σ_x p(x | c) log2 p(x | c), π the stationary distribution of its contexts, and the conditional block
entropy of every order above the chain's is exactly h.

`repeats` is the exception: a random consensus of P symbols, over and over, each copy with independent
substitutions at rate μ. Given the consensus the symbols are independent, so that
n·h <= H(X_1 … X_n) <= n·h + P·log2 K, and the rate in the limit is exactly h = H_2(μ) + μ log2(K − 1).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A source of K = ``alphabet`` symbols, and ``rate``, its exact entropy in bits per symbol.

    Attributes:
        name: snake case, the condition in result tables.
        order: how many earlier symbols the next one depends on.
        block: the shortest block length k whose H_k − H_{k−1} is the rate; for `repeats` one at which n = 10**7
            still gives trustworthy counts, and which does not see the repeats.
        rows: shape (K**order, K), p(next symbol | context), the oldest symbol of the context most significant.
        contexts: shape (K**order,), their stationary distribution.
        period: P of `repeats`, else 0, like ``mutation``, its μ.
    """

    name: str
    alphabet: int
    order: int
    rate: float
    block: int
    rows: Floats = field(repr=False)
    contexts: Floats = field(repr=False)
    period: int = 0
    mutation: float = 0.0

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """So many symbols, shape (n,), uint8 or uint16; the same for the same seed.

        A longer sample begins with the shorter one.
        """
        rng = np.random.default_rng(seed)
        symbols: NDArray[Any] = np.empty(n, np.uint8 if self.alphabet <= 256 else np.uint16)
        if self.period:
            symbols[:] = np.resize(rng.integers(0, self.alphabet, self.period), n)
            draws = rng.random(n)  # one below μ substitutes, and says by what
            others = self.alphabet - 1
            steps = 1 + (draws / self.mutation * others).astype(np.int64) % others
            return np.where(draws < self.mutation, (symbols + steps) % self.alphabet, symbols).astype(np.uint8)
        cumulative = self.rows.cumsum(axis=1)
        cumulative /= cumulative[:, -1:]
        before = self.contexts.cumsum() <= rng.random()
        context = min(int(before.sum()), len(self.contexts) - 1)
        _walk(cumulative, context, rng.random(n), symbols)
        return symbols


def markov(name: str, rows: Floats, order: int) -> Source:
    """The stationary chain of that order with these rows, shape (K**order, K), each a distribution."""
    alphabet = rows.shape[1]
    contexts = stationary(rows, order)
    rate = float(contexts @ row_entropies(rows))
    return Source(name, alphabet, order, rate, order + 1, rows, contexts)


def random_markov(order: int, alphabet: int = 4, seed: int = 0, concentration: float = 1.0) -> Source:
    """A chain whose rows are drawn from the symmetric Dirichlet distribution of that concentration."""
    rng = np.random.default_rng((seed, order, alphabet))
    gammas = rng.standard_gamma(concentration, (alphabet**order, alphabet)) + 1e-300
    name = f"markov_{order}" if alphabet == 4 else f"markov_{order}_of_{alphabet}"
    return markov(name, gammas / gammas.sum(axis=1, keepdims=True), order)


def uniform() -> Source:
    """Independent and equally likely letters, four of them: 2 bits."""
    return markov("uniform_4", np.full((1, 4), 0.25), 0)


def zipf(alphabet: int = 4096) -> Source:
    """Independent symbols, the r-th most frequent one with probability proportional to 1/r."""
    p = 1.0 / np.arange(1.0, alphabet + 1.0)
    return markov(f"zipf_{alphabet}", p[None] / p.sum(), 0)


def dirichlet(alphabet: int = 4096, concentration: float = 0.5) -> Source:
    """Independent symbols of probabilities drawn from a symmetric Dirichlet distribution: NSB's own assumption."""
    gammas = np.random.default_rng((0, alphabet)).standard_gamma(concentration, alphabet)
    return markov(f"dirichlet_{alphabet}_{concentration:g}", gammas[None] / gammas.sum(), 0)


def near_deterministic(slip: float = 0.01) -> Source:
    """Order 3 over four letters: one next letter, drawn once a context, but for a slip to any of the others."""
    rows = np.full((64, 4), slip / 3.0)
    rows[np.arange(64), np.random.default_rng((0, 3)).integers(0, 4, 64)] = 1.0 - slip
    return markov("near_deterministic", rows, 3)


def repeats(period: int = 100_000, mutation: float = 0.05) -> Source:
    """A consensus of so many uniform letters, repeated with substitutions; what is known: see the module."""
    kept = 1.0 - mutation
    rate = -kept * math.log2(kept) - mutation * math.log2(mutation / 3)
    return Source("repeats", 4, period, rate, 8, np.full((1, 4), 0.25), np.ones(1), period, mutation)


def row_entropies(rows: Floats) -> Floats:
    """Entropy in bits of each row of shape (c, K)."""
    logs = np.log2(rows, where=rows > 0, out=np.zeros_like(rows))
    return -(rows * logs).sum(axis=1)


def stationary(rows: Floats, order: int) -> Floats:
    """Stationary distribution over contexts, shape (K**order,); rows as in `markov`.

    By iteration until it moves by less than 1e-14 in all: a few hundred steps of a chain with positive rows.
    """
    size, alphabet = rows.shape
    now, moved = np.full(size, 1.0 / size), 1.0
    while order > 0 and moved >= 1e-14:
        # the oldest symbol of the context falls out: sum over it
        after = (now[:, None] * rows).reshape(alphabet, -1).sum(axis=0)
        after /= after.sum()
        moved, now = float(np.abs(after - now).sum()), after
    return now


@numba.njit(cache=True)
def _walk(
    cumulative: np.ndarray, context: int, draws: np.ndarray, symbols: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Fill symbols, one a draw."""
    contexts, alphabet = cumulative.shape
    for i in range(len(symbols)):
        low, high = 0, alphabet - 1
        while low < high:
            middle = (low + high) >> 1
            if draws[i] < cumulative[context, middle]:
                high = middle
            else:
                low = middle + 1
        symbols[i] = low
        context = (context * alphabet + low) % contexts
