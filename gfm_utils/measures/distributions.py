"""Distributions over a vocabulary: entropy, divergences, and agreement of the rankings of two members."""

import numpy as np
import torch
from numpy.typing import NDArray

LOG2 = float(np.log(2))


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits along the last axis; 0 log 0 = 0."""
    return torch.special.entr(p).sum(-1) / LOG2


def kl_uniform_authors(log_p: torch.Tensor) -> torch.Tensor:
    """KL(uniform || p) = -log2 V - mean of log2 p in bits along the last axis, as the paper's code computes it.

    It weighs all tokens alike and so mostly says how small the smallest probabilities are. Given are natural
    log-probabilities.
    """
    return -float(np.log2(log_p.shape[-1])) - log_p.mean(-1) / LOG2


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence in bits along the last axis, H((p + q) / 2) - (H(p) + H(q)) / 2; from 0 to 1.

    Computed as the mean of KL(p || m) and KL(q || m) with m = (p + q) / 2, so that nearly equal distributions
    lose no digits; rounding below zero is 0. Source: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    m = (p + q) / 2
    safe = m.where(m > 0, torch.ones_like(m))
    parts = torch.special.xlogy(p, p / safe) + torch.special.xlogy(q, q / safe)
    return (parts.sum(-1) / (2 * LOG2)).clamp(0, 1)


Floats = NDArray[np.float64]
#: Numbers of likeliest tokens that are compared as sets.
TOP_K = (1, 2, 5, 10, 20, 50)
#: Persistence p of rank-biased overlap, the probability that a reader goes on to the next rank: the
#: first ten ranks carry 86 % of the weight.
PERSISTENCE = 0.9


def rank_biased_overlap(shared: Floats) -> Floats:
    """Extrapolated rank-biased overlap of two rankings known to a depth D, from 0 to 1.

    ``RBO_ext = (X_D / D) p^D + (1 - p) / p Σ_(d=1..D) (X_d / d) p^d`` along the last axis, where X_d is the number
    of tokens among the first d of both (Webber, Moffat and Zobel, ACM Transactions on Information Systems 28,
    2010, equation 30, for lists of equal length). Linear in X, so it may be given means.
    """
    depth = np.arange(1, shared.shape[-1] + 1)
    agreement, weight = shared / depth, PERSISTENCE**depth
    rest: Floats = agreement[..., -1] * weight[-1]
    return rest + (1 - PERSISTENCE) / PERSISTENCE * (agreement @ weight)


def expected_shared(counts: NDArray[np.int64]) -> Floats:
    """X_d of two members that name tokens as often as they do, but independently of each other.

    ``E X_d = Σ_v f_i(v, d) f_j(v, d)``, (members, members, depth), where f(v, d) is how often v is among a
    member's first d; given is how often each token has each rank, (members, depth, vocabulary).
    """
    among = counts.cumsum(axis=1) / counts[:, 0].sum(axis=-1)[:, None, None]
    expected: Floats = np.einsum("idv,jdv->ijd", among, among, optimize=True)
    return expected


def matched_null(p: Floats, numbers: NDArray[np.int64]) -> Floats:
    """Distributions as certain as the given ones, whose ranking of the tokens is noise.

    Each distribution keeps its probabilities, and with them its entropy, its rank-probability curve and the size
    of every nucleus, but they go to tokens by a permutation drawn independently for every member and place: the
    logits are noise with exactly the histogram that the model's logits have. Two members whose curve is no lower
    than this share no preference for any token.

    Args:
        p: shape (members, tokens, vocabulary).
        numbers: of the tokens in the whole, shape (tokens,): a token's permutations depend on its number alone.

    Returns:
        The same shape.
    """
    out = np.empty_like(p)
    for place, number in enumerate(numbers.tolist()):
        np.random.default_rng([1, number]).permuted(p[:, place], axis=-1, out=out[:, place])
    return out
