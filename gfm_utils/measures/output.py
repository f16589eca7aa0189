"""Output distributions at masked tokens: entropy, loss, accuracy, calibration and the rank-probability curve."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble, predictions
from gfm_utils.measures.controls import states_of
from gfm_utils.measures.counting import Counting, counting_levels
from gfm_utils.measures.distributions import LOG2, entropy, kl_uniform_authors
from gfm_utils.measures.rows import Row, member_rows, sequence_row
from gfm_utils.profiles import Profile

Floats = npt.NDArray[np.float32]
#: Bins of equal numbers of tokens; bins of equal width would hold nearly all tokens of DNA in the first one.
BINS = 15


class OutputMoments(NamedTuple):
    """What each member's distributions say of each token, (members, tokens), and of ranks."""

    ranked: npt.NDArray[np.float64]  # mean probability of the r-th likeliest token, (members, vocabulary)
    entropy: Floats  # Shannon entropy H(p) in bits
    nll: Floats  # negative log-likelihood of the true token in bits
    authors_kl: Floats  # KL(uniform || p) in bits
    confidence: Floats  # probability of the likeliest token
    hit: npt.NDArray[np.bool_]  # whether that is the true one


def output_moments(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> OutputMoments:
    """Read batches of natural log-probabilities (members, ..., vocabulary) and true tokens (...), one by one."""
    parts: list[tuple[torch.Tensor, ...]] = []
    ranked: npt.NDArray[np.float64] | float = 0.0
    for log_p, targets in batches:
        log_p = log_p.flatten(1, -2)  # (members, tokens, vocabulary)
        truth = targets.flatten()
        p = log_p.exp()
        likeliest, first = log_p.max(-1)
        parts.append((
            entropy(p).float(),
            (-log_p[:, torch.arange(len(truth)), truth] / LOG2).float(),
            kl_uniform_authors(log_p).float(),
            likeliest.exp().float(),
            first == truth,
        ))  # fmt: skip
        ordered = p.numpy()
        ordered.sort(axis=-1)  # in place: nobody reads p again
        ranked = ranked + ordered.sum(1)[:, ::-1]
    columns = [torch.cat(column, dim=1).numpy() for column in zip(*parts, strict=True)]
    return OutputMoments(ranked / columns[0].shape[1], *columns)


def output_distributions(
    ensembles: Sequence[Ensemble],
    profile: Profile,
    seed: int = 42,
    no_layers: Sequence[Ensemble] = (),
    counting: bool = True,
) -> pd.DataFrame:
    """Result table of the output distributions of trained and untrained members, and of a control without layers.

    Metrics, one row a member and a mean with its interval over members: ``output_entropy`` and ``nll`` (bits/token
    and bits/base or bits/character), ``kl_from_uniform`` (KL(p || uniform) = log2 V - H(p)) and
    ``kl_uniform_authors`` (KL(uniform || p)), both in bits/token, ``accuracy`` (share),
    ``expected_calibration_error`` and ``expected_calibration_error_chance`` (see ``reliability``), and
    ``rank_probability`` (axis ``rank``). ``context_gain`` is ``unigram_nll`` minus nll, per token and per symbol;
    on the axis ``against`` the gain over n-gram models that see the ``left`` side or ``both``. The means of
    ``output_entropy``, ``nll``, ``context_gain`` and ``accuracy`` come again with an interval over test sequences
    (axis ``interval_over``). ``reliability_accuracy`` and ``reliability_confidence`` (axis ``bin``): the bins of
    all members' predictions. Without a state, of the same masked tokens: ``unigram_nll``, ``ngram_nll`` and
    ``ngram_order`` (axis ``sides``), ``window_code_nll``, see :mod:`gfm_utils.measures.counting`; and
    ``majority_accuracy``, of always predicting the commonest training token.

    Args:
        ensembles: one a condition.
        profile: its ``test_windows`` and ``test_mask`` say what is predicted.
        seed: of the masks.
        no_layers: of ``no_layers_control``.
        counting: also the rows of n-gram models and of the code, whose counts take seconds.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        levels = counting_levels(ensemble.store, ensemble.spec.window, profile, seed, counting)
        rows += levels.rows()
        for state, shown, weights in states_of(ensemble, no_layers):
            stream = predictions(shown, weights, profile.test_windows, profile.test_mask, seed)
            moments = output_moments((batch.log_p, batch.targets) for batch in stream)
            base = {"condition": ensemble.condition, "state": state}
            rows += output_rows(base, shown.seeds, moments, levels)
    return tables.table(rows)


def output_rows(base: Row, seeds: Sequence[int], moments: OutputMoments, counting: Counting) -> Iterator[Row]:
    """The rows of some members in one state, from their predictions and the levels of the same tokens."""
    n, vocabulary = moments.hit.shape[1], moments.ranked.shape[1]
    nll, uncertainty = (values.mean(1, dtype=np.float64) for values in (moments.nll, moments.entropy))
    for metric, values in (
        ("kl_from_uniform", np.log2(vocabulary) - uncertainty),
        ("kl_uniform_authors", moments.authors_kl.mean(1, dtype=np.float64)),
    ):
        yield from member_rows({**base, "metric": metric, "unit": "bits/token"}, seeds, values, n)
    accuracy = {**base, "metric": "accuracy", "unit": "share"}
    yield from member_rows(accuracy, seeds, moments.hit.mean(1), n)
    yield sequence_row(accuracy, _by_window(moments.hit, counting).mean(1))
    for unit, symbols in (("bits/token", np.ones_like(counting.lengths)), (counting.unit, counting.lengths)):
        per_token = float(symbols.mean())
        for metric, each in (
            ("output_entropy", moments.entropy),
            ("nll", moments.nll),
            ("context_gain", counting.unigram.ravel() - moments.nll),
        ):
            one = {**base, "metric": metric, "unit": unit}
            yield from member_rows(one, seeds, each.mean(1, dtype=np.float64) / per_token, n)
            yield sequence_row(one, _by_window(each, counting).sum(1), symbols.sum(1))
        for side, (_, bits) in counting.ngram.items():
            one = {**base, "metric": "context_gain", "unit": unit, "axis": "against", "x": side}
            yield from member_rows(one, seeds, (bits.mean() - nll) / per_token, n)
    yield from _calibration_rows(base, seeds, moments)
    for rank in np.unique(np.geomspace(1, vocabulary, 40).round().astype(int)).tolist():
        one = {**base, "metric": "rank_probability", "unit": "probability", "axis": "rank", "x": str(rank)}
        yield from member_rows(one, seeds, moments.ranked[:, rank - 1], n)


def _by_window(values: npt.NDArray, counting: Counting) -> npt.NDArray[np.float64]:
    """Means over members, shape (windows, m), of (members, tokens)."""
    return values.mean(0, dtype=np.float64).reshape(counting.lengths.shape)


def reliability(confidence: npt.ArrayLike, hit: npt.ArrayLike) -> tuple[float, float, npt.NDArray[np.float64]]:
    """Reliability diagram and expected calibration error over bins that hold equally many tokens.

    Sources: Naeini, Cooper and Hauskrecht, AAAI 2015; equal-mass bins as in Nguyen and O'Connor, EMNLP 2015.

    Args:
        confidence: probability of the likeliest token, (tokens,).
        hit: whether it was the true one, (tokens,).

    Returns:
        The expected calibration error, Σ_b n_b / n |accuracy_b - confidence_b|; its expectation if every token
        were a hit with the probability that the model gives, with the binomial noise of a bin taken as normal,
        E|N(0, s²)| = s sqrt(2 / pi); and of each bin the mean confidence, the share of hits and the number of
        tokens, (3, bins), of ``BINS`` or of fewer tokens so many.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(hit, np.float64)
    order = np.argsort(sure, kind="stable")
    edges = np.linspace(0, len(sure), min(BINS, len(sure)) + 1).round().astype(np.int64)
    sizes = np.diff(edges)

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(values[order], edges[:-1]) / sizes

    expected, accuracy, share = mean(sure), mean(right), sizes / len(sure)
    noise = np.sqrt(mean(sure * (1 - sure)) / sizes)
    chance = float(share @ noise) * float(np.sqrt(2 / np.pi))
    return float(share @ np.abs(accuracy - expected)), chance, np.stack([expected, accuracy, sizes])


def _calibration_rows(base: Row, seeds: Sequence[int], moments: OutputMoments) -> Iterator[Row]:
    errors = np.array(
        [reliability(*of_member)[:2] for of_member in zip(moments.confidence, moments.hit, strict=True)]
    )
    for metric, values in zip(("", "_chance"), errors.T, strict=True):
        one = {**base, "metric": f"expected_calibration_error{metric}", "unit": "share"}
        yield from member_rows(one, seeds, values, moments.hit.shape[1])
    *_, bins = reliability(moments.confidence.ravel(), moments.hit.ravel())
    for number, (confidence, accuracy, size) in enumerate(bins.T.tolist(), 1):
        one = {**base, "unit": "share", "axis": "bin", "x": number, "n": int(size)}
        yield {**one, "metric": "reliability_confidence", "value": confidence}
        yield {**one, "metric": "reliability_accuracy", "value": accuracy}
