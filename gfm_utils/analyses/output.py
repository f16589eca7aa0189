"""Output distributions at masked tokens: entropy, loss, accuracy and the rank-probability curve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.analyses.disagreement import LOG2, entropy
from gfm_utils.analyses.rows import Row, member_rows
from gfm_utils.ensembles import STATES, Ensemble, State, masked_test_tokens, predictions
from gfm_utils.profiles import Profile


@dataclass(frozen=True)
class OutputMoments:
    """Means over tokens of what each member's distributions say.

    Attributes:
        entropy: Shannon entropy H(p) in bits per token, shape (members,).
        nll: negative log-likelihood of the true token in bits per token, shape (members,).
        accuracy: share of tokens whose likeliest prediction is true, shape (members,).
        ranked: mean probability of the r-th likeliest token, shape (members, vocabulary).
        tokens: number of masked tokens.
    """

    entropy: np.ndarray
    nll: np.ndarray
    accuracy: np.ndarray
    ranked: np.ndarray
    tokens: int


def output_moments(batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> OutputMoments:
    """Accumulate the moments over batches.

    Args:
        batches: natural log-probabilities (members, ..., vocabulary) and true tokens (...).
    """
    sums: list[torch.Tensor] = []
    count = 0
    for log_p, targets in batches:
        log_p = log_p.flatten(1, -2)  # (members, tokens, vocabulary)
        truth = targets.flatten()
        p = log_p.exp()
        uncertainty = entropy(p)
        nll = -log_p[:, torch.arange(len(truth)), truth] / LOG2
        hit = (log_p.argmax(-1) == truth).double()
        ranked = p.sort(-1, descending=True).values
        batch = [uncertainty.sum(1), nll.sum(1), hit.sum(1), ranked.sum(1)]
        sums = batch if not sums else [total + part for total, part in zip(sums, batch, strict=True)]
        count += len(truth)
    entropies, losses, hits, curves = ((total / count).numpy() for total in sums)
    return OutputMoments(entropies, losses, hits, curves, count)


def output_distributions(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of the output distributions of trained and untrained members.

    Metrics, one row a member and a mean with its interval over members:
    ``output_entropy``, ``nll`` (bits/token and bits/base or bits/character), ``kl_from_uniform``
    (KL(p || uniform) = log2 V - H(p), bits/token), ``accuracy`` (share), ``context_gain`` (``unigram_nll``
    minus nll, bits/token and per symbol) and ``rank_probability`` (axis ``rank``).
    Without a state: ``unigram_nll``, the cross-entropy of the same masked tokens under the training part's
    token frequencies, and ``majority_accuracy``, the accuracy of always predicting the commonest training
    token (the chance level of ``accuracy``).

    Args:
        ensembles: one a condition.
        profile: its ``test_windows`` and ``test_mask`` say what is predicted.
        seed: of the masks.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        truth = masked_test_tokens(ensemble, profile.test_windows, profile.test_mask, seed)
        train = ensemble.store.counts("train")
        # Add-one smoothing over the vocabulary: a test token never seen in training has a finite cost.
        unigram = float(-np.log2((train[truth] + 1) / (train + 1).sum()).mean())
        per_token = float(ensemble.store.token_lengths[truth].mean())
        base = {"condition": ensemble.condition, "n": truth.size}
        majority = float((truth == train.argmax()).mean())
        rows.append({**base, "metric": "unigram_nll", "unit": "bits/token", "value": unigram})
        rows.append({**base, "metric": "majority_accuracy", "unit": "share", "value": majority})
        for state in STATES:
            rows += _model_rows(ensemble, state, profile, seed, unigram, per_token)
    return tables.table(rows)


def _model_rows(
    ensemble: Ensemble, state: State, profile: Profile, seed: int, unigram: float, per_token: float
) -> Iterator[Row]:
    stream = predictions(ensemble, state, profile.test_windows, profile.test_mask, seed)
    moments = output_moments((batch.log_p, batch.targets) for batch in stream)
    base = {"condition": ensemble.condition, "state": state}
    most = np.log2(ensemble.spec.vocabulary)
    unit = f"bits/{ensemble.store.unit}"
    for metric, value, name in (
        ("output_entropy", moments.entropy, "bits/token"),
        ("kl_from_uniform", most - moments.entropy, "bits/token"),
        ("nll", moments.nll, "bits/token"),
        ("nll", moments.nll / per_token, unit),
        ("context_gain", unigram - moments.nll, "bits/token"),
        ("context_gain", (unigram - moments.nll) / per_token, unit),
        ("accuracy", moments.accuracy, "share"),
    ):
        yield from member_rows({**base, "metric": metric, "unit": name}, ensemble.seeds, value, moments.tokens)
    for rank in _log_ranks(ensemble.spec.vocabulary):
        yield from member_rows(
            {**base, "metric": "rank_probability", "unit": "probability", "axis": "rank", "x": rank},
            ensemble.seeds,
            moments.ranked[:, rank - 1],
            moments.tokens,
        )


def _log_ranks(vocabulary: int) -> list[int]:
    """About forty ranks from 1 to the vocabulary's size, evenly spaced on a logarithmic axis."""
    return sorted({round(rank) for rank in np.geomspace(1, vocabulary, 40)})
