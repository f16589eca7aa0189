"""Functions of distributions over a vocabulary: entropy, divergences and nucleus truncation."""

import numpy as np
import torch

LOG2 = float(np.log(2))


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits along the last axis; 0 log 0 = 0."""
    return torch.special.entr(p).sum(-1) / LOG2


def kl_from_uniform(p: torch.Tensor) -> torch.Tensor:
    """KL(p || uniform) = log2 V - H(p) in bits along the last axis; from 0 to log2 V."""
    return float(np.log2(p.shape[-1])) - entropy(p)


def kl_uniform_authors(log_p: torch.Tensor) -> torch.Tensor:
    """KL(uniform || p) = -log2 V - mean of log2 p in bits along the last axis, as the paper's code computes it.

    It weighs all tokens alike and so mostly says how small the smallest probabilities are; it has no upper
    bound, and is infinite where a token has probability 0.

    Args:
        log_p: natural log-probabilities, shape (..., vocabulary).
    """
    return -float(np.log2(log_p.shape[-1])) - log_p.mean(-1) / LOG2


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence in bits along the last axis, H((p + q) / 2) - (H(p) + H(q)) / 2; from 0 to 1.

    Computed as the mean of KL(p || m) and KL(q || m) with m = (p + q) / 2, so that nearly equal distributions
    lose no digits and equal ones give exactly 0; rounding below zero is 0, not NaN after a root.

    Source: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    m = (p + q) / 2
    safe = m.where(m > 0, torch.ones_like(m))
    parts = torch.special.xlogy(p, p / safe) + torch.special.xlogy(q, q / safe)
    return (parts.sum(-1) / (2 * LOG2)).clamp(0, 1)


def top_p(p: torch.Tensor, mass: float) -> torch.Tensor:
    """Nucleus truncation along the last axis: the fewest likeliest tokens that hold ``mass``, renormalised.

    The token that crosses ``mass`` is kept (Holtzman et al., 2020). ``mass`` 1 leaves ``p`` as it is. Of
    equally likely tokens the one with the lower id comes first.

    Args:
        p: distributions, shape (..., vocabulary).
        mass: share of the probability to keep.
    """
    return p if mass >= 1 else _truncated(p, mass, crossing=True)


def top_p_authors(p: torch.Tensor, mass: float) -> torch.Tensor:
    """Truncation as in the paper's code: tokens whose cumulated probability is at most ``mass``, renormalised.

    The token that crosses ``mass`` is dropped, but for the likeliest token, which is always kept: where it alone
    exceeds ``mass`` it gets all of the probability.

    Args:
        p: distributions, shape (..., vocabulary).
        mass: share of the probability to keep.
    """
    return p if mass >= 1 else _truncated(p, mass, crossing=False)


def _truncated(p: torch.Tensor, mass: float, crossing: bool) -> torch.Tensor:
    ordered, order = torch.sort(p, dim=-1, descending=True, stable=True)
    total = ordered.cumsum(-1)
    inside = total.roll(1, -1) < mass if crossing else total <= mass
    inside[..., 0] = True
    kept = torch.zeros_like(p).scatter(-1, order, ordered.where(inside, torch.zeros_like(ordered)))
    return kept / kept.sum(-1, keepdim=True)
