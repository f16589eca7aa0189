"""Disagreement between the members of an ensemble about the same masked tokens."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble, Predictions, masked_test_tokens, predictions
from gfm_utils.measures import intervals
from gfm_utils.measures.controls import states_of
from gfm_utils.measures.datasets import symbols_per_token
from gfm_utils.measures.distributions import TOP_K, entropy, expected_shared, matched_null, rank_biased_overlap
from gfm_utils.measures.nucleus import DEPTH, TOP_P, VARIANTS, Nuclei, js_distances, nuclei, shared_ranks
from gfm_utils.measures.rows import WITHOUT, Row, pair_matrix, pair_rows, sequence_row
from gfm_utils.measures.strata import Bands, bands_of, quarters
from gfm_utils.profiles import Profile

Floats = NDArray[np.float64]
#: About so many tokens, spread evenly, are read for the nulls.
NULL_TOKENS = 16_384
#: What is compared: the members on the same tokens, on different tokens, and as certain as they are at random.
KINDS = ("", "_mismatched", "_matched_null")
#: Numbers of a batch (members x tokens x vocabulary) that are worked on at once.
_AT_ONCE = 2**21


class TokenDisagreement(NamedTuple):
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
        places = log_p.shape[2] if log_p.ndim > 3 else 1
        if sums is None:
            sums, before = _empty(members, vocabulary), flat[:, :0]
            first = flat[:, :places:null_stride].clone()
        chosen = np.arange(-sums.tokens % null_stride, tokens, null_stride)
        step = max(1, _AT_ONCE // (members * vocabulary))
        null = np.full((tokens, members * (members - 1) // 2), np.nan, np.float32)
        shown = torch.cat([before, flat], 1)  # with the window before, but for the very first
        for begin in range(0, len(chosen), step):
            numbers = chosen[begin : begin + step]
            noise = nuclei(matched_null(flat[:, numbers].exp().numpy(), sums.tokens + numbers))
            null[numbers] = _add(sums, "_matched_null", noise, noise)[:, 0, -1]
            numbers = numbers[numbers + before.shape[1] >= places]
            unrelated = shown[:, numbers + before.shape[1] - places]
            _add(sums, "_mismatched", nuclei(flat[:, numbers].exp().numpy()), nuclei(unrelated.exp().numpy()))
        before = flat[:, -places:].clone()
        for begin in range(0, tokens, step):
            parts.append(_batch_sums(sums, flat[:, begin : begin + step].exp(), null[begin : begin + step]))
        sums.tokens += tokens
    if sums is None:
        raise ValueError("no batch of predictions")
    _add(sums, "_mismatched", nuclei(first.exp().numpy()), nuclei(before[:, ::null_stride].exp().numpy()))
    sums.each = TokenDisagreement(*map(np.concatenate, zip(*parts, strict=True)))
    return sums


def _empty(members: int, vocabulary: int) -> DisagreementSums:
    pairs, depth = members * (members - 1) // 2, min(DEPTH, vocabulary)
    nothing = TokenDisagreement(*[np.zeros(0)] * len(TokenDisagreement._fields))  # type: ignore[arg-type]
    return DisagreementSums(
        np.zeros((len(KINDS), len(VARIANTS), len(TOP_P), pairs)), np.zeros(len(KINDS), np.int64),
        np.zeros((depth, pairs), np.int64), np.zeros((members, depth, vocabulary), np.int64), np.zeros(members),
        np.zeros(members + 1), 0, nothing,
    )  # fmt: skip


def _add(sums: DisagreementSums, kind: str, first: Nuclei, second: Nuclei) -> Floats:
    """Add the distances between first members' distributions and second members'; shape as ``js_distances``."""
    distances, place = js_distances(first, second), KINDS.index(kind)
    sums.js[place] += distances.sum(axis=0)
    sums.compared[place] += len(distances)
    return distances


def _batch_sums(sums: DisagreementSums, p: torch.Tensor, null: NDArray[np.float32]) -> TokenDisagreement:
    members, _, vocabulary = p.shape
    sorted_p = nuclei(p.numpy())
    distances = _add(sums, "", sorted_p, sorted_p)
    shared = shared_ranks(sorted_p.first, vocabulary)
    sums.shared += shared.sum(axis=0)
    for member in range(members):
        for rank in range(sorted_p.first.shape[-1]):
            sums.ranks[member, rank] += np.bincount(sorted_p.first[member, :, rank], minlength=vocabulary)
    of_member, total = entropy(p), p.sum(0)
    mixture = entropy(total / members)
    sums.entropy += of_member.sum(1).numpy()
    sums.mixture[0] += float(mixture.sum())
    for member in range(members):
        sums.mixture[1 + member] += float(entropy(((total - p[member]) / (members - 1)).clamp_min(0)).sum())
    mean = of_member.mean(0)
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
        ``js_distance_matched_null``: see :func:`gfm_utils.measures.distributions.matched_null`. Each again with
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
    """The rows of some members in one state, from what they predict: shape (windows, masked tokens a window)."""
    sums = disagreement_sums((batch.log_p for batch in stream), -(-math.prod(shape) // NULL_TOKENS))
    yield from disagreement_rows(base, seeds, sums)
    for metric, unit, values in (
        ("js_distance", "distance", sums.each.js.mean(1)),
        ("top1_agreement", "share", sums.each.agree.mean(1)),
        ("mutual_information", "bits/token", sums.each.information),
    ):
        windows = values.reshape(shape).mean(1, dtype=np.float64)
        yield sequence_row({**base, "metric": metric, "unit": unit}, windows)
    yield from _stratum_rows(base, sums.each, bands)


def disagreement_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> list[Row]:
    """The rows of one ensemble in one state, but for strata and test sequences."""
    rows: list[Row] = []
    n = sums.tokens
    for place, kind in enumerate(KINDS):
        for variant, suffix in enumerate(("", "_authors")):
            one = {**base, "metric": f"js_distance{kind}{suffix}", "unit": "distance"}
            compared = int(sums.compared[place])
            for mass, total in zip(TOP_P, sums.js[place, variant], strict=True):
                mean = pair_matrix(total / compared)
                rows += pair_rows({**one, "axis": "top_p", "x": mass}, seeds, mean, compared)
            rows += pair_rows(one, seeds, mean, compared)  # at full mass
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


def _stratum_rows(base: Row, each: TokenDisagreement, bands: Bands) -> Iterator[Row]:
    """Means over the tokens and pairs of every stratum, with intervals over members where pairs allow one.

    Quarters by the members' mean output entropy are added to the bands.
    """
    for axis, labels in (*bands.items(), ("output_entropy", quarters(each.entropy))):
        for name in sorted(set(labels.tolist())):
            mask = labels == name
            one = {**base, "axis": axis, "x": name}
            for metric, unit, values in (
                ("js_distance", "distance", each.js[mask]),
                ("js_distance_matched_null", "distance", each.js_null[mask & ~np.isnan(each.js_null[:, 0])]),
                ("top1_agreement", "share", each.agree[mask]),
            ):
                if len(values):
                    mean = intervals.over_pairs(pair_matrix(values.mean(0, dtype=np.float64)))
                    yield {**one, "metric": metric, "unit": unit, **mean._asdict(), "n": len(values)}
            bits = {"value": float(each.information[mask].mean(dtype=np.float64)), "n": int(mask.sum())}
            yield {**one, "metric": "mutual_information", "unit": "bits/token", **bits}
