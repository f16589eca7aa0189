"""Functions of distributions over a vocabulary: entropy and divergences."""

import numpy as np
import torch

LOG2 = float(np.log(2))


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits along the last axis; 0 log 0 = 0."""
    return torch.special.entr(p).sum(-1) / LOG2


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
