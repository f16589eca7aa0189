"""Disagreement between the members of an ensemble about the same masked tokens."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gfm_utils import tables
from gfm_utils.analyses import intervals
from gfm_utils.analyses.controls import states_of
from gfm_utils.analyses.datasets import symbols_per_token
from gfm_utils.analyses.distributions import entropy
from gfm_utils.analyses.nucleus import DEPTH, TOP_P, VARIANTS, js_distances, nuclei, shared_ranks
from gfm_utils.analyses.ranking import TOP_K, expected_shared, matched_null, rank_biased_overlap
from gfm_utils.analyses.rows import WITHOUT, Row, pair_matrix, pair_rows, sequence_row
from gfm_utils.analyses.strata import Bands, bands_of, stratum_rows
from gfm_utils.ensembles import Ensemble, Predictions, masked_test_tokens, predictions
from gfm_utils.profiles import Profile

Floats = NDArray[np.float64]
#: About so many tokens, spread evenly, are read for the nulls.
NULL_TOKENS = 16_384
#: What is compared: the members on the same tokens, on different tokens, and as certain as they are at random.
KINDS = ("", "_mismatched", "_matched_null")
#: Numbers of a batch (members x tokens x vocabulary) that are worked on at once.
_AT_ONCE = 2**21


@dataclass(frozen=True)
class TokenDisagreement:
    """Numbers of each masked token, for strata and test sequences.

    Attributes:
        js: Jensen-Shannon distances of pairs at full mass, shape (tokens, pairs).
        js_null: the same of the matched null, shape (tokens, pairs); NaN where it was not computed.
        agree: whether the likeliest tokens are the same, shape (tokens, pairs).
        entropy: mean of the members' entropies in bits, shape (tokens,).
        information: mutual information between prediction and member in bits, shape (tokens,).
    """

    js: NDArray[np.float32]
    js_null: NDArray[np.float32]
    agree: NDArray[np.bool_]
    entropy: NDArray[np.float32]
    information: NDArray[np.float32]


@dataclass
class DisagreementSums:
    """Sums over tokens; pairs in the order of ``itertools.combinations``.

    Attributes:
        js: summed Jensen-Shannon distances by ``KINDS``, shape (kinds, variants, top_p, pairs).
        compared: tokens in those sums by ``KINDS``, shape (kinds,).
        shared: summed numbers of tokens among both members' first d, shape (depth, pairs).
        ranks: how often each token has each rank, shape (members, depth, vocabulary).
        entropy: summed entropies of the members in bits, shape (members,).
        mixture: summed entropy in bits of the mean of all members, and of all but member i in place i + 1.
        tokens: number of tokens.
        each: numbers of each token.
    """

    js: Floats
    compared: NDArray[np.int64]
    shared: NDArray[np.int64]
    ranks: NDArray[np.int64]
    entropy: Floats
    mixture: Floats
    tokens: int
    each: TokenDisagreement


def disagreement_sums(batches: Iterable[torch.Tensor], null_stride: int = 1) -> DisagreementSums:
    """Read batches of natural log-probabilities, one after the other.

    How the tokens are put into batches changes nothing: the matched null of a token is drawn by the token's
    number, and the unrelated token is the one in the same place of the window before (for the first, of the last).

    Args:
        batches: each (members, windows, places, vocabulary), the same places in each; or (members, tokens,
            vocabulary), every token a window of its own. Two windows at least in all, or the nulls are 0.
        null_stride: the nulls read every so-manieth token.

    Raises:
        ValueError: there is no batch.
    """
    sums: DisagreementSums | None = None
    parts: list[TokenDisagreement] = []
    for log_p in batches:
        flat = log_p.flatten(1, -2)
        members, tokens, vocabulary = flat.shape
        if sums is None:
            sums = _empty(members, vocabulary)
            unrelated = _Unrelated(flat, log_p.shape[2] if log_p.ndim > 3 else 1, null_stride)
        step = max(1, _AT_ONCE // (members * vocabulary))
        chosen = np.arange(-sums.tokens % null_stride, tokens, null_stride)
        null = np.full((tokens, members * (members - 1) // 2), np.nan, np.float32)
        for begin in range(0, len(chosen), step):
            here = chosen[begin : begin + step]
            null[here] = _add_matched(sums, flat[:, here].exp().numpy(), sums.tokens + here)
            unrelated.add(sums, flat, here)
        unrelated.keep(flat)
        for begin in range(0, tokens, step):
            parts.append(_batch_sums(sums, flat[:, begin : begin + step].exp(), null[begin : begin + step]))
        sums.tokens += tokens
    if sums is None:
        raise ValueError("no batch of predictions")
    unrelated.close(sums)
    columns = zip(
        *([getattr(part, name) for name in TokenDisagreement.__annotations__] for part in parts), strict=True
    )
    sums.each = TokenDisagreement(*map(np.concatenate, columns))
    return sums


class _Unrelated:
    """Compares tokens with those in the same places of the window before, across the ends of batches."""

    def __init__(self, log_p: torch.Tensor, places: int, stride: int) -> None:
        self.places = places
        self.of_window = np.arange(0, places, stride)  # the first window's tokens that the nulls read
        self.first = log_p[:, self.of_window].clone()
        self.before: torch.Tensor | None = None

    def add(self, sums: DisagreementSums, log_p: torch.Tensor, here: NDArray[np.int64]) -> None:
        """Add these tokens of a batch; those of the very first window wait for the last one."""
        earlier = here - self.places
        if self.before is None:
            here, earlier = here[earlier >= 0], earlier[earlier >= 0]
        partner = log_p[:, earlier[earlier >= 0]]
        if self.before is not None:
            partner = torch.cat([self.before[:, earlier[earlier < 0]], partner], 1)
        _add_mismatched(sums, log_p[:, here], partner)

    def keep(self, log_p: torch.Tensor) -> None:
        """Keep the last window of a batch for the next."""
        self.before = log_p[:, -self.places :].clone()

    def close(self, sums: DisagreementSums) -> None:
        """Add the tokens of the first window."""
        if self.before is not None:
            _add_mismatched(sums, self.first, self.before[:, self.of_window])


def _empty(members: int, vocabulary: int) -> DisagreementSums:
    pairs, depth = members * (members - 1) // 2, min(DEPTH, vocabulary)
    shape = (len(KINDS), len(VARIANTS), len(TOP_P), pairs)
    nothing = TokenDisagreement(*(np.zeros(0) for _ in TokenDisagreement.__annotations__))  # type: ignore[arg-type]
    return DisagreementSums(
        np.zeros(shape), np.zeros(len(KINDS), np.int64), np.zeros((depth, pairs), np.int64),
        np.zeros((members, depth, vocabulary), np.int64), np.zeros(members), np.zeros(members + 1), 0, nothing,
    )  # fmt: skip


def _add(sums: DisagreementSums, kind: str, distances: Floats) -> None:
    place = KINDS.index(kind)
    sums.js[place] += distances.sum(axis=0)
    sums.compared[place] += len(distances)


def _add_mismatched(sums: DisagreementSums, own: torch.Tensor, other: torch.Tensor) -> None:
    """Add the distances between first members' predictions for some tokens and second members' for others."""
    own_nuclei, other_nuclei = (nuclei(log_p.exp().numpy()) for log_p in (own, other))
    _add(sums, "_mismatched", js_distances(own_nuclei, other_nuclei))


def _add_matched(sums: DisagreementSums, own: Floats, numbers: NDArray[np.int64]) -> Floats:
    """Add the distances of the matched null of tokens of these numbers; at full mass, shape (tokens, pairs)."""
    noise = nuclei(matched_null(own, numbers))
    distances = js_distances(noise, noise)
    _add(sums, "_matched_null", distances)
    return distances[:, 0, -1]


def _batch_sums(sums: DisagreementSums, p: torch.Tensor, null: NDArray[np.float32]) -> TokenDisagreement:
    members, _, vocabulary = p.shape
    found = nuclei(p.numpy())
    distances = js_distances(found, found)
    _add(sums, "", distances)
    shared = shared_ranks(found.first, vocabulary)
    sums.shared += shared.sum(axis=0)
    for member in range(members):
        for rank in range(found.first.shape[-1]):
            sums.ranks[member, rank] += np.bincount(found.first[member, :, rank], minlength=vocabulary)
    own, total = entropy(p), p.sum(0)
    mixture = entropy(total / members)
    sums.entropy += own.sum(1).numpy()
    sums.mixture[0] += float(mixture.sum())
    for member in range(members):
        sums.mixture[1 + member] += float(entropy(((total - p[member]) / (members - 1)).clamp_min(0)).sum())
    mean = own.mean(0)
    information = (mixture - mean).clamp_min(0)
    return TokenDisagreement(
        distances[:, 0, -1].astype(np.float32), null, shared[:, 0] > 0, mean.float().numpy(),
        information.float().numpy(),
    )  # fmt: skip


def disagreement(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, no_layers: Sequence[Ensemble] = ()
) -> pd.DataFrame:
    """Result table of disagreement, for trained and untrained members, and for a control without layers.

    Metrics:
        ``js_distance`` (square root of the Jensen-Shannon divergence in bits, so between 0 and 1; Endres and
        Schindelin, 2003), one row a pair and position on the axis ``top_p``, and its value at full mass
        without an axis. ``js_distance_mismatched``: the second member's predictions are those for other tokens;
        ``js_distance_matched_null``: see :func:`gfm_utils.analyses.ranking.matched_null`. Each again with
        ``_authors`` for the truncation of the paper's code, which drops the token that crosses p, but never the
        likeliest one.
        ``mutual_information`` (bits/token) between prediction and member: entropy of the members' mean
        minus the mean of their entropies, the generalised Jensen-Shannon divergence; and its two terms,
        ``total_entropy`` and ``mean_entropy``; on the axis ``without`` (a seed), of all members but that one.
        ``top1_agreement`` (share of tokens), ``topk_agreement`` (share of the k likeliest tokens that two members
        have in common, axis ``k``) and ``rank_biased_overlap``, each with ``_chance``: the level of two members
        that rank tokens high as often as they do, but independently.
        On the axes ``token_frequency``, ``output_entropy``, ``gc`` and ``soft_masked``: ``js_distance``,
        ``js_distance_matched_null``, ``top1_agreement`` and ``mutual_information`` by stratum.
        On the axis ``interval_over``: with intervals over test sequences. ``symbols_per_token``.

    Args:
        ensembles: one a condition, of two members at least.
        profile: its ``test_windows`` and ``test_mask`` say what is predicted.
        seed: of the masks.
        no_layers: of ``no_layers_control``.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        truth = masked_test_tokens(ensemble, profile.test_windows, profile.test_mask, seed)
        bands = bands_of(ensemble, profile, seed)
        rows.append(symbols_per_token(ensemble.store))
        for state, shown, weights in states_of(ensemble, no_layers):
            stream = predictions(shown, weights, profile.test_windows, profile.test_mask, seed)
            base = {"condition": ensemble.condition, "state": state}
            rows += all_rows(base, shown.seeds, stream, truth.shape, bands)
    return tables.table(rows)


def all_rows(
    base: Row, seeds: Sequence[int], stream: Iterable[Predictions], shape: tuple[int, ...], bands: Bands
) -> Iterator[Row]:
    """The rows of some members in one state.

    Args:
        base: condition and state.
        seeds: of the members.
        stream: their predictions.
        shape: of what they predict: windows, masked tokens a window.
        bands: of these tokens, see :mod:`.strata`.
    """
    sums = disagreement_sums((batch.log_p for batch in stream), -(-math.prod(shape) // NULL_TOKENS))
    yield from disagreement_rows(base, seeds, sums)
    yield from sequence_rows(base, sums.each, shape)
    yield from stratum_rows(base, sums.each, bands)


def disagreement_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> list[Row]:
    """The rows of one ensemble in one state, but for strata and test sequences."""
    rows: list[Row] = []
    n = sums.tokens
    for place, kind in enumerate(KINDS):
        for variant, suffix in enumerate(("", "_authors")):
            one = {**base, "metric": f"js_distance{kind}{suffix}", "unit": "distance"}
            rows += _curve_rows(one, seeds, sums.js[place, variant], int(sums.compared[place]))
    expected = expected_shared(sums.ranks)
    shared = np.moveaxis(pair_matrix(sums.shared / n), 0, -1)  # (members, members, depth)
    share = {**base, "unit": "share"}
    for suffix, values in (("", shared), ("_chance", expected)):
        rows += pair_rows({**share, "metric": f"top1_agreement{suffix}"}, seeds, values[..., 0], n)
        for k in (k for k in TOP_K if k <= values.shape[-1]):
            one = {**share, "metric": f"topk_agreement{suffix}", "axis": "k", "x": k}
            rows += pair_rows(one, seeds, values[..., k - 1] / k, n)
        one = {**base, "metric": f"rank_biased_overlap{suffix}", "unit": "share"}
        rows += pair_rows(one, seeds, rank_biased_overlap(values), n)
    return rows + list(_information_rows(base, seeds, sums))


def _curve_rows(one: Row, seeds: Sequence[int], js: Floats, n: int) -> Iterator[Row]:
    """A curve over top-p, and its end without an axis."""
    for row, mass in enumerate(TOP_P):
        mean = pair_matrix(js[row] / n)
        yield from pair_rows({**one, "axis": "top_p", "x": mass}, seeds, mean, n)
        if mass >= 1:
            yield from pair_rows(one, seeds, mean, n)


def _information_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> Iterator[Row]:
    n = sums.tokens
    bits = {**base, "unit": "bits/token", "n": n}
    total, without = sums.mixture[0] / n, sums.mixture[1:] / n
    mean = sums.entropy.mean() / n
    mean_without = (sums.entropy.sum() - sums.entropy) / (len(seeds) - 1) / n
    for metric, value, left in (
        ("total_entropy", total, without),
        ("mean_entropy", mean, mean_without),
        ("mutual_information", total - mean, without - mean_without),
    ):
        if len(seeds) < 3:  # one member alone has no disagreement
            yield {**bits, "metric": metric, "value": float(value)}
        else:
            whole = intervals.over_members(intervals.jackknife_values(value, left))
            yield {**bits, "metric": metric, **whole._asdict()}
            for seed, rest in zip(seeds, left, strict=True):
                yield {**bits, "metric": metric, "axis": WITHOUT, "x": seed, "value": float(rest)}


def sequence_rows(base: Row, each: TokenDisagreement, shape: tuple[int, ...]) -> Iterator[Row]:
    """The means over pairs again, with intervals over test sequences.

    Args:
        base: condition and state.
        each: numbers of the tokens.
        shape: (windows, masked tokens a window).
    """
    for metric, unit, values in (
        ("js_distance", "distance", each.js.mean(1)),
        ("top1_agreement", "share", each.agree.mean(1)),
        ("mutual_information", "bits/token", each.information),
    ):
        windows = values.reshape(shape).mean(1, dtype=np.float64)
        yield sequence_row({**base, "metric": metric, "unit": unit}, windows)
