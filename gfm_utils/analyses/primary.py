"""The primary measures of an ensemble, read as cheaply as they can be: no nulls, no untrained members."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.analyses.counting import frequency_level
from gfm_utils.analyses.disagreement import disagreement_rows, disagreement_sums
from gfm_utils.analyses.fisher.measuring import EMPIRICAL, each, group_rows, masked_tokens
from gfm_utils.analyses.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance
from gfm_utils.analyses.output import output_moments, output_rows
from gfm_utils.analyses.rows import Row, pair_matrix, pair_rows
from gfm_utils.analyses.static import BAND_K, compared_tokens, input_embeddings
from gfm_utils.ensembles import Ensemble, masked_windows, predictions_of
from gfm_utils.profiles import Profile

Chosen = npt.NDArray[np.bool_]
#: More than all tokens: the nulls of the disagreement are computed of one token.
_NO_NULLS = 2**40


def prediction_rows(
    ensemble: Ensemble, models: Sequence[Any], profile: Profile, seed: int, types: Chosen | None = None,
    scored: Chosen | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Rows of ``output_distributions`` and ``disagreement`` of members, on some of the hidden tokens.

    Args:
        ensemble: whose members predict.
        models: their models, on one device.
        profile: its ``test_windows`` and ``test_mask`` say what is hidden.
        seed: of the masks.
        types: tokens of the vocabulary that count where they are the true one, shape (vocabulary,); None: all.
        scored: tokens of the test part that count, shape (tokens of the part,); None: all.
    """
    store, spec = ensemble.store, ensemble.spec
    shown, positions, targets, starts = masked_windows(
        store, "test", spec.window, profile.test_windows, profile.test_mask, seed
    )
    counts = np.ones(targets.shape, np.bool_)
    if types is not None:
        counts &= types[targets]
    if scored is not None:
        counts &= scored[starts[:, None] + positions]

    def chosen() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What counts of each batch: never all distributions are in memory."""
        begin = 0
        for batch in predictions_of(models, shown, positions, targets, spec.vocabulary):
            here = counts[begin : begin + len(batch.targets)]
            begin += len(here)
            if here.any():
                yield batch.log_p[:, here], batch.targets[here]

    truth = targets[counts][:, None]  # every token a window of its own
    level = frequency_level(
        ensemble.condition, f"bits/{store.unit}", store.counts("train"), truth, store.token_lengths[truth]
    )
    base: Row = {"condition": ensemble.condition, "state": "trained"}
    yield from output_rows(base, ensemble.seeds, output_moments(chosen()), level)
    yield from disagreement_rows(
        base, ensemble.seeds, disagreement_sums((log_p for log_p, _ in chosen()), _NO_NULLS)
    )
    unigram = {"metric": "unigram_nll", "unit": "bits/token", "value": float(level.unigram.mean())}
    yield {"condition": ensemble.condition, **unigram, "n": truth.size}


def neighbour_rows(ensemble: Ensemble, models: Sequence[Any], types: Chosen | None = None) -> Iterator[Row]:
    """``topk_overlap_corrected`` at ``BAND_K`` of ``static_embeddings``, of trained members; none of few tokens.

    Args:
        ensemble: whose tokens.
        models: of its members.
        types: tokens of the vocabulary whose neighbours (among all) are compared; None: all.
    """
    tokens, _ = compared_tokens(ensemble)
    if len(tokens) <= BAND_K + 1:
        return
    near = compare_neighbours([input_embeddings(model)[tokens] for model in models], [BAND_K], spearman=False)
    places = slice(None) if types is None else types[tokens]
    overlap = near.overlap[:, 0, places].mean(axis=1)
    shared = chance_corrected(overlap, topk_overlap_chance(len(tokens), BAND_K))
    base: Row = {"condition": ensemble.condition, "state": "trained", "axis": "k", "x": BAND_K}
    named = {**base, "metric": "topk_overlap_corrected", "unit": "share"}
    yield from pair_rows(named, ensemble.seeds, pair_matrix(shared), len(tokens))


def fisher_rows(ensemble: Ensemble, models: Sequence[Any], profile: Profile, seed: int) -> Iterator[Row]:
    """Traces and shares of ``fisher_information``, token by token, of trained members.

    Args:
        ensemble: whose tokens.
        models: of its members.
        profile: its ``fisher_windows`` and ``fisher_mask`` say what is read.
        seed: of the masks.
    """
    examples = EMPIRICAL.read(masked_tokens(ensemble, profile.fisher_windows, profile.fisher_mask, seed))
    traces = each(lambda model: EMPIRICAL.trace(model, examples), models)
    base: Row = {"condition": ensemble.condition, "state": "trained"}
    return group_rows(base, ensemble.seeds, traces, examples.tokens)
