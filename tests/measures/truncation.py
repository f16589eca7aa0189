"""Truncation of distributions to their likeliest tokens, one plain step after the other: the slow truth."""

import torch


def top_p(p: torch.Tensor, mass: float) -> torch.Tensor:
    """The fewest likeliest tokens that hold ``mass``, renormalised: the one that crosses it is kept.

    Holtzman et al. (2020). Of equally likely tokens the one with the lower id comes first.
    """
    return p if mass >= 1 else _truncated(p, mass, crossing=True)


def top_p_authors(p: torch.Tensor, mass: float) -> torch.Tensor:
    """As in the paper's code: the token that crosses ``mass`` is dropped, but for the likeliest token."""
    return p if mass >= 1 else _truncated(p, mass, crossing=False)


def _truncated(p: torch.Tensor, mass: float, crossing: bool) -> torch.Tensor:
    ordered, order = torch.sort(p, dim=-1, descending=True, stable=True)
    total = ordered.cumsum(-1)
    inside = total.roll(1, -1) < mass if crossing else total <= mass
    inside[..., 0] = True
    kept = torch.zeros_like(p).scatter(-1, order, ordered.where(inside, torch.zeros_like(ordered)))
    return kept / kept.sum(-1, keepdim=True)
