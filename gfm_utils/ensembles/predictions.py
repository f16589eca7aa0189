"""The stream of predictions: all members on the same masked test tokens, a bounded batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gfm_utils.ensembles.batches import Integers, masked_windows
from gfm_utils.ensembles.ensemble import Ensemble, State
from gfm_utils.ensembles.presets import masked_logits

#: Largest number of float64 values that one batch of distributions holds (members x tokens x vocabulary).
BUDGET = 2**23


@dataclass(frozen=True)
class Predictions:
    """Distributions of all members at the masked tokens of some test windows."""

    log_p: torch.Tensor  # natural log-probabilities, float64, shape (members, windows, m, vocabulary)
    targets: torch.Tensor  # the true tokens, shape (windows, m)


def predictions(
    ensemble: Ensemble, state: State | int, windows: int, rate: float, seed: int = 42
) -> Iterator[Predictions]:
    """Predictions of every member at seeded ``[MASK]`` positions of test windows, spread evenly over the part.

    The tokens and the masks are the same for all members, both states and every rerun. ``state`` is ``trained``,
    ``untrained``, or the step of a checkpoint; ``rate`` is the share of tokens masked.
    """
    spec = ensemble.spec
    shown, positions, targets, _ = masked_windows(ensemble.store, "test", spec.window, windows, rate, seed)
    return predictions_of(list(ensemble.models(state)), shown, positions, targets, spec.vocabulary)


@torch.inference_mode()
def predictions_of(
    models: Sequence[Any],
    shown: Integers,
    positions: Integers,
    targets: Integers,
    vocabulary: int,
    *,
    to_cpu: bool = True,
) -> Iterator[Predictions]:
    """Predictions of any masked language models at the masked positions of some windows.

    Args:
        models: masked language models of Hugging Face in evaluation mode, all on one device.
        shown: what they see, shape (windows, window).
        positions: places that they predict, shape (windows, m).
        targets: the true tokens there, shape (windows, m).
        vocabulary: tokens that there are; logits beyond them, by which some models are padded, are not read.
        to_cpu: move the distributions to the CPU, or leave them where the models are.
    """
    where, step = models[0].device, max(1, BUDGET // (len(models) * positions.shape[1] * vocabulary))
    ids, places = (torch.from_numpy(array).to(where) for array in (shown, positions))
    for begin in range(0, len(shown), step):
        part = slice(begin, begin + step)
        logits = torch.stack([masked_logits(model, ids[part], places[part])[..., :vocabulary] for model in models])
        log_p = logits.double().log_softmax(-1)
        yield Predictions(log_p.cpu() if to_cpu else log_p, torch.from_numpy(targets[part].astype(np.int64)))


def masked_test_tokens(ensemble: Ensemble, windows: int, rate: float, seed: int = 42) -> Integers:
    """The true tokens that ``predictions`` with the same arguments asks for, shape (windows, m)."""
    return masked_windows(ensemble.store, "test", ensemble.spec.window, windows, rate, seed)[2]
