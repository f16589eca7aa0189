"""Jensen-Shannon distances of pairs of truncated distributions, for all top-p at once.

Plainly, each p costs a truncation of every distribution and a pass with two logarithms over every pair. Here the
distributions are sorted once, each token gets the first position on the grid at which it is kept (its level), and
each pair is read once. With P, Q the mass kept of p and q at some position, α = 1/P, β = 1/Q = α (1 + ε) and
s = q / (p + q), the divergence is

    ½ (1 - α Σ p) + ½ (1 - β Σ q) + 1/(2 ln 2) [α Σ p ln(2p/(p+q)) + β Σ q ln(2q/(p+q)) + β ln(1+ε) Σ q
    - Σ (α p + β q) ln(1 + ε s)],

all sums over the tokens that both keep. Only the last one ties ε to the tokens. Nuclei hold about the same mass,
so |ε| is small, and the series ln(1 + εs) = Σ (-1)^(j+1) (εs)^j / j turns it into sums of (p + q) s^j, which are
collected by level and added up over levels; the error is below ``_SMALL**(_TERMS + 1)``, 2e-13. Where |ε| is
above ``_SMALL`` (the likeliest token holds much of the mass) the sum is taken over the tokens kept.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise
from typing import NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray

#: Shares of probability mass at which the distributions are compared.
TOP_P = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
#: Standard truncation keeps the token that crosses p; the authors' drops it, unless it is the likeliest.
VARIANTS = ("standard", "authors")
#: Of the ranking so many first tokens are compared.
DEPTH = 50
_SMALL = 0.025
_TERMS = 7
#: A divergence in bits below this is 0: the sums of many tokens are no more exact.
_ROUNDING = 1e-12
Floats = NDArray[np.float64]


class Nuclei(NamedTuple):
    """What sorting says of some distributions."""

    p: Floats  # (members, tokens, vocabulary)
    level: NDArray[np.uint8]  # first position on ``TOP_P`` that keeps a token, (variants, *p.shape)
    mass: Floats  # probability kept, (variants, members, tokens, top_p)
    first: NDArray[np.int32]  # the likeliest ``DEPTH`` tokens (or all), likeliest first, (members, tokens, depth)


def nuclei(p: Floats) -> Nuclei:
    """Sort distributions, (members, tokens, vocabulary), of equals the lower id first; what each top-p keeps."""
    p = np.ascontiguousarray(p, np.float64)
    members, tokens, vocabulary = p.shape
    level = np.empty((len(VARIANTS), *p.shape), np.uint8)
    mass = np.empty((len(VARIANTS), members, tokens, len(TOP_P)))
    first = np.empty((members, tokens, min(DEPTH, vocabulary)), np.int32)

    def work(part: slice) -> None:
        for member in range(members):
            order = np.argsort(-p[member, part], axis=-1, kind="stable")
            first[member, part] = order[:, : first.shape[-1]]
            total = np.take_along_axis(p[member, part], order, -1).cumsum(-1)
            for variant, kept in enumerate(_kept(total)):
                held = np.take_along_axis(total, kept - 1, -1)
                mass[variant, member, part] = np.where(np.array(TOP_P) < 1, held, 1.0)
                levels = (np.arange(vocabulary) >= kept[..., None]).sum(1, dtype=np.uint8)
                np.put_along_axis(level[variant, member, part], order, levels, -1)

    _threads(work, tokens)
    return Nuclei(p, level, mass, first)


def _kept(total: Floats) -> Iterator[NDArray[np.int64]]:
    """How many of the likeliest tokens each variant keeps, (tokens, top_p), from their summed probabilities."""
    vocabulary = total.shape[-1]
    for crosses in (np.less, np.less_equal):
        below = np.stack([crosses(total, mass).sum(-1) for mass in TOP_P], axis=-1)
        kept = below + 1 if crosses is np.less else np.maximum(below, 1)  # never empty
        yield np.where(np.array(TOP_P) < 1, np.minimum(kept, vocabulary), vocabulary)


def js_distances(of: Nuclei) -> Floats:
    """Jensen-Shannon distances of every two members' truncated distributions.

    Returns:
        Shape (tokens, variants, top_p, pairs), pairs in the order of ``itertools.combinations``.
    """
    members, tokens, _ = of.p.shape
    out = np.empty((tokens, len(VARIANTS), len(TOP_P), members * (members - 1) // 2))

    def work(part: slice) -> None:
        _distances(of.p[:, part], of.level[:, :, part], of.mass[:, :, part], out[part])

    _threads(work, tokens)
    return out


def shared_ranks(first: NDArray[np.int32], vocabulary: int) -> NDArray[np.int32]:
    """How many of the d likeliest tokens two members share, shape (tokens, depth, pairs).

    Args:
        first: likeliest tokens of each member, shape (members, tokens, depth).
        vocabulary: number of possible tokens.
    """
    members, tokens, depth = first.shape
    rank = np.full((members, tokens, vocabulary), depth, np.int32)
    np.put_along_axis(rank, first, np.arange(depth, dtype=np.int32), -1)
    out = np.zeros((tokens, depth + 1, members * (members - 1) // 2), np.int32)
    for pair, (i, j) in enumerate(combinations(range(members), 2)):
        worse = np.maximum(np.arange(depth), np.take_along_axis(rank[j], first[i], -1))
        np.add.at(out[..., pair], (np.arange(tokens)[:, None], worse), 1)  # a token that only one has: at the end
    return out.cumsum(1, dtype=np.int32)[:, :-1]


def _threads(work: Callable[[slice], None], count: int) -> None:
    """Do the work on slices of the tokens, in as many threads as PyTorch uses; the kernels release the lock."""
    workers = max(1, min(torch.get_num_threads(), count))
    edges = np.linspace(0, count, workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, [slice(a, b) for a, b in pairwise(edges)]))


@numba.njit(cache=True, nogil=True)
def _distances(p: Floats, level: NDArray[np.uint8], mass: Floats, out: Floats) -> None:  # pragma: no cover
    members, tokens, vocabulary = p.shape
    variants, steps = out.shape[1], out.shape[2]
    # By level: Σ p ln(2p/(p+q)), Σ q ln(2q/(p+q)), then Σ (p+q) s^j for j = 0, 1, ...: of the tokens whose level
    # is the same in both variants (last), and of the others by variant.
    sums = np.empty((variants + 1, steps, _TERMS + 4))
    for t in range(tokens):
        pair = -1
        for i in range(members):
            for j in range(i + 1, members):
                pair += 1
                one, two = p[i, t], p[j, t]
                sums[:] = 0.0
                for v in range(vocabulary):
                    x = one[v] + two[v]
                    if x <= 0:
                        continue
                    u, s = one[v] / x, two[v] / x  # exactly ½ where p = q, so that both logarithms are 0
                    of_p = one[v] * np.log(2 * u) if u > 0 else 0.0
                    of_q = two[v] * np.log(2 * s) if s > 0 else 0.0
                    k = max(level[0, i, t, v], level[0, j, t, v])
                    other = max(level[1, i, t, v], level[1, j, t, v])
                    begin, end = (variants, variants + 1) if k == other else (0, variants)
                    for row in range(begin, end):
                        at = other if row == 1 else k
                        sums[row, at, 0] += of_p
                        sums[row, at, 1] += of_q
                        if at < steps - 1:  # nobody reads the rest where all tokens are kept
                            power = x
                            for term in range(2, _TERMS + 4):
                                sums[row, at, term] += power
                                power *= s
                for variant in range(variants):
                    for k in range(steps):
                        sums[variant, k] += sums[variants, k]
                        if k:
                            sums[variant, k] += sums[variant, k - 1]
                        if k == steps - 1:
                            divergence = (sums[variant, k, 0] + sums[variant, k, 1]) / 2
                        else:
                            divergence = _truncated(
                                sums[variant, k], mass[variant, i, t, k], mass[variant, j, t, k], one, two,
                                level[variant, i, t], level[variant, j, t], k,
                            )  # fmt: skip
                        divergence /= np.log(2.0)
                        out[t, variant, k, pair] = np.sqrt(min(divergence, 1.0)) if divergence > _ROUNDING else 0.0


@numba.njit(cache=True, nogil=True)
def _truncated(
    sums: Floats, mass_p: float, mass_q: float, one: Floats, two: Floats, level_p: NDArray[np.uint8],
    level_q: NDArray[np.uint8], k: int,
) -> float:  # pragma: no cover - compiled  # fmt: skip
    """The divergence in nats at one position of the grid."""
    a, b = 1 / mass_p, 1 / mass_q
    of_q = sums[3]
    of_p = sums[2] - of_q
    alone = 2 - a * of_p - b * of_q
    epsilon = b / a - 1
    last = 0.0
    if abs(epsilon) <= _SMALL:
        power = epsilon
        for term in range(1, _TERMS + 1):  # Σ p s^j = U_j - U_(j+1) and Σ q s^j = U_(j+1), U_j = Σ (p+q) s^j
            last += power / term * (a * (sums[term + 2] - sums[term + 3]) + b * sums[term + 3])
            power *= -epsilon
    else:
        for v in range(len(one)):
            x = one[v] + two[v]
            if x > 0 and level_p[v] <= k and level_q[v] <= k:
                last += (a * one[v] + b * two[v]) * np.log(1 + epsilon * two[v] / x)
    return (alone * np.log(2.0) + a * sums[0] + b * sums[1] + b * np.log(b / a) * of_q - last) / 2
