"""Disagreement between the members of an ensemble about the same masked tokens."""

import math
from collections.abc import Iterable, Iterator, Sequence
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
from gfm_utils.measures.nucleus import TOP_P, js_distances, nuclei, shared_ranks
from gfm_utils.measures.rows import WITHOUT, Row, pair_matrix, pair_rows, sequence_row
from gfm_utils.measures.strata import Bands, bands_of, quarters
from gfm_utils.profiles import Profile

Floats = NDArray[np.float64]
#: About so many tokens, spread evenly, are read for the matched null.
NULL_TOKENS = 16_384
#: Numbers of a batch (members x tokens x vocabulary) that are worked on at once.
_AT_ONCE = 2**21


class TokenDisagreement(NamedTuple):
    """Numbers of each masked token, for strata and test sequences."""

    js: NDArray[np.float32]  # Jensen-Shannon distances at full mass, (tokens, pairs)
    js_null: NDArray[np.float32]  # the same of the matched null, NaN where it was not computed
    agree: NDArray[np.bool_]  # whether the likeliest tokens are the same, (tokens, pairs)
    entropy: NDArray[np.float32]  # mean of the members' entropies in bits, (tokens,)
    information: NDArray[np.float32]  # between prediction and member in bits, (tokens,)


class DisagreementSums(NamedTuple):
    """Sums over tokens; pairs in the order of ``itertools.combinations``.

    Where there are two kinds, they are the members' distributions and their matched null.
    """

    each: TokenDisagreement
    js: Floats  # Jensen-Shannon distances, (kinds, variants, top_p, pairs)
    compared: NDArray[np.int64]  # tokens in those sums, (kinds,)
    shared: NDArray[np.int64]  # tokens among both members' first d, (depth, pairs)
    ranks: NDArray[np.int64]  # how often each token has each rank, (members, depth, vocabulary)
    entropy: Floats  # of the members in bits, (members,)
    mixture: Floats  # entropy in bits of the mean of all members, then of all but each, (1 + members,)


def disagreement_sums(batches: Iterable[torch.Tensor], null_stride: int = 1) -> DisagreementSums:
    """Read batches of natural log-probabilities, (members, ..., vocabulary) each, one after the other.

    How the tokens are put into batches changes nothing: the null of a token is drawn by the token's number, and
    made of every ``null_stride``-th token.
    """
    sums: list[NDArray] = []
    parts: list[TokenDisagreement] = []
    done = 0
    for log_p in batches:
        flat = log_p.flatten(1, -2)
        for part in flat.split(max(1, _AT_ONCE // (flat.shape[0] * flat.shape[2])), dim=1):
            numbers = np.arange(done, done + part.shape[1])
            added, tokens = _part_sums(part.exp(), numbers, numbers % null_stride == 0)
            sums = [whole + one for whole, one in zip(sums, added, strict=True)] if sums else added
            parts.append(tokens)
            done += len(numbers)
    return DisagreementSums(TokenDisagreement(*map(np.concatenate, zip(*parts, strict=True))), *sums)


def _part_sums(
    p: torch.Tensor, numbers: NDArray[np.int64], with_null: NDArray[np.bool_]
) -> tuple[list[NDArray], TokenDisagreement]:
    """The sums over some tokens, and what ``TokenDisagreement`` says of each."""
    members, tokens, vocabulary = p.shape
    own = nuclei(p.numpy())
    noise = nuclei(matched_null(p.numpy()[:, with_null], numbers[with_null]))
    distances, of_null = js_distances(own), js_distances(noise)
    js_null = np.full((tokens, distances.shape[-1]), np.nan, np.float32)
    js_null[with_null] = of_null[:, 0, -1]
    shared = shared_ranks(own.first, vocabulary)
    ranks = [[np.bincount(ids, minlength=vocabulary) for ids in first.T] for first in own.first]
    total, of_member = p.sum(0), entropy(p)
    others = ((total - p) / (members - 1)).clamp_min(0)
    mixture = entropy(torch.cat([total[None] / members, others]))
    information = (mixture[0] - of_member.mean(0)).clamp_min(0)
    return [
        np.stack([distances.sum(0), of_null.sum(0)]), np.array([tokens, with_null.sum()]), shared.sum(0),
        np.array(ranks), of_member.sum(1).numpy(), mixture.sum(1).numpy(),
    ], TokenDisagreement(
        distances[:, 0, -1].astype(np.float32), js_null, shared[:, 0] > 0, of_member.mean(0).float().numpy(),
        information.float().numpy(),
    )  # fmt: skip


def disagreement(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, no_layers: Sequence[Ensemble] = ()
) -> pd.DataFrame:
    """Result table of disagreement, for trained and untrained members, and for a control without layers.

    Metrics:
        ``js_distance`` (square root of the Jensen-Shannon divergence in bits, so between 0 and 1; Endres and
        Schindelin, 2003), one row a pair and position on the axis ``top_p``, and its value at full mass without an
        axis; ``js_distance_matched_null``: see :func:`gfm_utils.measures.distributions.matched_null`. Both again
        with ``_authors`` for the truncation of the paper's code (:mod:`gfm_utils.measures.nucleus`).
        ``mutual_information`` (bits/token) between prediction and member: entropy of the members' mean minus the
        mean of their entropies; on the axis ``without`` (a seed), of all members but that one.
        ``top1_agreement`` (share of tokens), ``topk_agreement`` (share of the k likeliest tokens that two members
        have in common, axis ``k``) and ``rank_biased_overlap``, each with ``_chance``: the level of two members
        that rank tokens high as often as they do, but independently.
        On the axes ``token_frequency``, ``output_entropy``, ``gc`` and ``soft_masked``: ``js_distance`` and
        ``js_distance_matched_null`` by stratum; on ``interval_over``: with intervals over test sequences.
        ``symbols_per_token``.

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


def disagreement_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> Iterator[Row]:
    """The rows of one ensemble in one state, but for strata and test sequences."""
    n = int(sums.compared[0])
    for kind, js, compared in zip(("", "_matched_null"), sums.js, sums.compared.tolist(), strict=True):
        for suffix, of_variant in zip(("", "_authors"), js, strict=True):
            one = {**base, "metric": f"js_distance{kind}{suffix}", "unit": "distance"}
            means = pair_matrix(of_variant / compared)
            for mass, mean in zip(TOP_P, means, strict=True):
                yield from pair_rows({**one, "axis": "top_p", "x": mass}, seeds, mean, compared)
            yield from pair_rows(one, seeds, means[-1], compared)  # at full mass
    shared = np.moveaxis(pair_matrix(sums.shared / n), 0, -1)  # (members, members, depth)
    for suffix, values in (("", shared), ("_chance", expected_shared(sums.ranks))):
        share = {**base, "unit": "share"}
        yield from pair_rows({**share, "metric": f"top1_agreement{suffix}"}, seeds, values[..., 0], n)
        for k in (k for k in TOP_K if k <= values.shape[-1]):
            one = {**share, "metric": f"topk_agreement{suffix}", "axis": "k", "x": k}
            yield from pair_rows(one, seeds, values[..., k - 1] / k, n)
        overlap = rank_biased_overlap(values)
        yield from pair_rows({**share, "metric": f"rank_biased_overlap{suffix}"}, seeds, overlap, n)
    yield from _information_rows(base, seeds, sums)


def _information_rows(base: Row, seeds: Sequence[int], sums: DisagreementSums) -> Iterator[Row]:
    n = int(sums.compared[0])
    bits = {**base, "metric": "mutual_information", "unit": "bits/token", "n": n}
    value = (sums.mixture[0] - sums.entropy.mean()) / n
    if len(seeds) < 3:  # one member alone has no disagreement
        yield {**bits, "value": float(value)}
        return
    without = (sums.mixture[1:] - (sums.entropy.sum() - sums.entropy) / (len(seeds) - 1)) / n
    yield {**bits, **intervals.over_members(intervals.jackknife_values(value, without))._asdict()}
    for seed, left in zip(seeds, without, strict=True):
        yield {**bits, "axis": WITHOUT, "x": seed, "value": float(left)}


def _stratum_rows(base: Row, each: TokenDisagreement, bands: Bands) -> Iterator[Row]:
    """Means over the tokens and pairs of every stratum, with intervals over members where pairs allow one.

    Quarters by the members' mean output entropy are added to the bands.
    """
    for axis, labels in (*bands.items(), ("output_entropy", quarters(each.entropy))):
        for name in np.unique(labels).tolist():
            one = {**base, "axis": axis, "x": name, "unit": "distance"}
            for metric, values in (("js_distance", each.js), ("js_distance_matched_null", each.js_null)):
                read = values[(labels == name) & ~np.isnan(values[:, 0])]
                if len(read):
                    mean = intervals.over_pairs(pair_matrix(read.mean(0, dtype=np.float64)))
                    yield {**one, "metric": metric, **mean._asdict(), "n": len(read)}
