"""The stream of predictions: all members on the same masked test tokens, a bounded batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.ensembles.batches import masked_windows
from gfm_utils.ensembles.ensemble import Ensemble, State
from gfm_utils.ensembles.local import device
from gfm_utils.ensembles.presets import masked_logits

#: Largest number of float64 values that one batch of distributions holds (members x tokens x vocabulary).
BUDGET = 2**23


@dataclass(frozen=True)
class Predictions:
    """Distributions of all members at the masked tokens of some test windows.

    Attributes:
        log_p: natural log-probabilities, float64, shape (members, windows, m, vocabulary).
        targets: the true tokens, shape (windows, m).
    """

    log_p: torch.Tensor
    targets: torch.Tensor


@torch.inference_mode()
def predictions(
    ensemble: Ensemble, state: State | int, windows: int, rate: float, seed: int = 42
) -> Iterator[Predictions]:
    """Predictions of every member at seeded ``[MASK]`` positions of test windows.

    The tokens and the masks are the same for all members, both states and every rerun.

    Args:
        ensemble: whose members predict.
        state: ``trained``, ``untrained``, or the step of a checkpoint.
        windows: test windows, spread evenly over the test part.
        rate: share of tokens masked.
        seed: of the masks.
    """
    spec = ensemble.spec
    where = device()
    shown, positions, targets, _ = masked_windows(ensemble.store, "test", spec.window, windows, rate, seed)
    models = [member.model(state, where) for member in ensemble.members]
    per_window = len(models) * positions.shape[1] * spec.vocabulary
    step = max(1, BUDGET // per_window)
    for begin in range(0, len(shown), step):
        part = slice(begin, begin + step)
        ids, chosen = (torch.from_numpy(array[part]).to(where) for array in (shown, positions))
        logits = torch.stack([masked_logits(model, ids, chosen) for model in models])
        yield Predictions(logits.double().log_softmax(-1).cpu(), torch.from_numpy(targets[part].astype(np.int64)))


def masked_test_tokens(ensemble: Ensemble, windows: int, rate: float, seed: int = 42) -> npt.NDArray[np.int64]:
    """The true tokens that ``predictions`` with the same arguments asks for, shape (windows, m)."""
    return masked_windows(ensemble.store, "test", ensemble.spec.window, windows, rate, seed)[2]
