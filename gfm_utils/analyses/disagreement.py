"""Disagreement between the members of an ensemble about the same masked tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.analyses import intervals
from gfm_utils.analyses.rows import Row, pair_rows
from gfm_utils.ensembles import STATES, Ensemble, predictions
from gfm_utils.profiles import Profile

LOG2 = float(np.log(2))
#: Shares of probability mass at which the distributions are compared.
TOP_P = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Shannon entropy in bits along the last axis; 0 log 0 = 0."""
    return torch.special.entr(p).sum(-1) / LOG2


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence in bits along the last axis, H((p + q) / 2) - (H(p) + H(q)) / 2; from 0 to 1.

    Rounding can put the difference below zero for equal distributions; it is 0 there, not NaN after a root.
    Give float64: the difference of two entropies near log2 V has an absolute error of about 1e-15 then.

    Source: J. Lin, IEEE Transactions on Information Theory 37 (1991).
    """
    return _js(p, q, entropy(p), entropy(q))


def _js(p: torch.Tensor, q: torch.Tensor, of_p: torch.Tensor, of_q: torch.Tensor) -> torch.Tensor:
    return (entropy((p + q) / 2) - (of_p + of_q) / 2).clamp(0, 1)


def top_p(p: torch.Tensor, mass: float, order: torch.Tensor | None = None) -> torch.Tensor:
    """Nucleus truncation along the last axis: the fewest likeliest tokens that hold ``mass``, renormalised.

    The token that crosses ``mass`` is kept (Holtzman et al., 2020). ``mass`` 1 leaves ``p`` as it is.

    Args:
        p: distributions, shape (..., vocabulary).
        mass: share of the probability to keep.
        order: indices that sort ``p`` in descending order, if they are known.
    """
    if mass >= 1:
        return p
    order = p.argsort(-1, descending=True) if order is None else order
    ordered = p.gather(-1, order)
    before = ordered.cumsum(-1) - ordered
    kept = ordered.where(before < mass, torch.zeros_like(ordered))
    truncated = torch.zeros_like(p).scatter(-1, order, kept)
    return truncated / truncated.sum(-1, keepdim=True)


@dataclass
class DisagreementSums:
    """Sums over tokens, for members m and the grid ``TOP_P``.

    Attributes:
        js: summed Jensen-Shannon distances, shape (top_p, members, members).
        mismatched: the same between predictions for *different* tokens, the level of unrelated predictions.
        agree: tokens on which two members' likeliest predictions are the same, shape (members, members).
        first: how often each token is a member's likeliest prediction, shape (members, vocabulary).
        entropy: summed entropies of the members in bits, shape (members,).
        mixture: summed entropy in bits of the mean of all members, and of all but member i in place i + 1.
        tokens: number of tokens.
    """

    js: np.ndarray
    mismatched: np.ndarray
    agree: np.ndarray
    first: np.ndarray
    entropy: np.ndarray
    mixture: np.ndarray
    tokens: int


def disagreement_sums(batches: Iterable[torch.Tensor]) -> DisagreementSums:
    """Accumulate over batches of natural log-probabilities, each (members, ..., vocabulary)."""
    sums: DisagreementSums | None = None
    for log_p in batches:
        p = log_p.flatten(1, -2).exp()  # (members, tokens, vocabulary)
        part = _batch_sums(p)
        if sums is None:
            sums = part
        else:
            for name in ("js", "mismatched", "agree", "first", "entropy", "mixture", "tokens"):
                setattr(sums, name, getattr(sums, name) + getattr(part, name))
    if sums is None:
        raise ValueError("no batch of predictions")
    return sums


def _batch_sums(p: torch.Tensor) -> DisagreementSums:
    members, tokens, vocabulary = p.shape
    js = np.zeros((len(TOP_P), members, members))
    mismatched = np.zeros_like(js)
    order = p.argsort(-1, descending=True)
    for row, mass in enumerate(TOP_P):
        q = top_p(p, mass, order)
        own = entropy(q)
        other, of_other = q.roll(tokens // 2, dims=1), own.roll(tokens // 2, dims=1)
        for i, j in combinations(range(members), 2):
            js[row, i, j] = js[row, j, i] = _js(q[i], q[j], own[i], own[j]).sqrt().sum()
            apart = _js(q[i], other[j], own[i], of_other[j]).sqrt().sum()
            mismatched[row, i, j] = mismatched[row, j, i] = apart
    first = p.argmax(-1)  # (members, tokens)
    total = p.sum(0)
    mixtures = [total / members, *((total - p[i]) / (members - 1) for i in range(members))]
    return DisagreementSums(
        js=js,
        mismatched=mismatched,
        agree=(first[:, None] == first[None]).sum(-1).double().numpy(),
        first=torch.nn.functional.one_hot(first, vocabulary).sum(1).double().numpy(),
        entropy=entropy(p).sum(1).numpy(),
        mixture=np.array([float(entropy(q.clamp_min(0)).sum()) for q in mixtures]),
        tokens=tokens,
    )


def disagreement(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of disagreement, for trained and untrained members.

    Metrics:
        ``js_distance`` (square root of the Jensen-Shannon divergence in bits, so between 0 and 1; Endres and
        Schindelin, 2003), one row a pair and position on the axis ``top_p``, and its value at full mass
        without an axis; ``js_distance_mismatched``, the same with the second member's predictions taken from
        other tokens: how far apart unrelated predictions of this ensemble are.
        ``mutual_information`` (bits/token) between prediction and member: entropy of the members' mean
        minus the mean of their entropies, the generalised Jensen-Shannon divergence; and its two terms,
        ``total_entropy`` and ``mean_entropy``.
        ``top1_agreement`` (share of tokens) and ``top1_agreement_chance``, the agreement of two members
        that make their likeliest predictions as often as they do, but independently.

    Args:
        ensembles: one a condition, of two members at least.
        profile: its ``test_windows`` and ``test_mask`` say what is predicted.
        seed: of the masks.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        for state in STATES:
            stream = predictions(ensemble, state, profile.test_windows, profile.test_mask, seed)
            sums = disagreement_sums(batch.log_p for batch in stream)
            base = {"condition": ensemble.condition, "state": state}
            rows += disagreement_rows(base, ensemble.seeds, sums)
    return tables.table(rows)


def disagreement_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> list[Row]:
    """The rows of one ensemble in one state."""
    rows: list[Row] = []
    n = sums.tokens
    for metric, values in (("js_distance", sums.js), ("js_distance_mismatched", sums.mismatched)):
        one = {**base, "metric": metric, "unit": "distance"}
        for mass, matrix in zip(TOP_P, values / n, strict=True):
            rows += pair_rows({**one, "axis": "top_p", "x": mass}, seeds, matrix, n)
        rows += pair_rows(one, seeds, values[-1] / n, n)
    frequency = sums.first / n
    share = {**base, "unit": "share"}
    rows += pair_rows({**share, "metric": "top1_agreement"}, seeds, sums.agree / n, n)
    rows += pair_rows({**share, "metric": "top1_agreement_chance"}, seeds, frequency @ frequency.T, n)
    bits = {**base, "unit": "bits/token", "n": n}
    total, without = sums.mixture[0] / n, sums.mixture[1:] / n
    mean = sums.entropy.mean() / n
    mean_without = (sums.entropy.sum() - sums.entropy) / (len(seeds) - 1) / n
    for metric, value, left in (
        ("total_entropy", total, without),
        ("mean_entropy", mean, mean_without),
        ("mutual_information", total - mean, without - mean_without),
    ):
        rows.append({**bits, "metric": metric, **intervals.over_members_jackknife(float(value), left)._asdict()})
    return rows
