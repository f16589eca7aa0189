"""Learning curves: what each member's loss did while it was trained."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.rows import Row, member_rows
from gfm_utils.ensembles import Ensemble


def learning_curves(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Result table of the losses at log-spaced steps and of the speed of training.

    Metrics: ``validation_nll`` (bits/token, axis ``tokens``: tokens read so far), measured on the same masked
    windows of the validation part for all members; ``validation_unigram_nll``, the cross-entropy of the
    validation part under the training part's token frequencies; ``training_tokens`` and ``training_speed``
    (tokens per second of one member).

    Args:
        ensembles: one a condition.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        base = {"condition": ensemble.condition}
        train, held_out = ensemble.store.counts("train"), ensemble.store.counts("validation")
        cost = -np.log2((train + 1) / (train + 1).sum())
        unigram = float(held_out @ cost / held_out.sum())
        rows.append({
            **base, "metric": "validation_unigram_nll", "unit": "bits/token", "value": unigram,
            "n": int(held_out.sum()),
        })  # fmt: skip
        curves = np.stack([member.metrics["validation_loss"].to_numpy() for member in ensemble.members])
        curve = {
            **base,
            "state": "trained",
            "metric": "validation_nll",
            "unit": "bits/token",
            "axis": "tokens",
        }
        for place, tokens in enumerate(ensemble.members[0].metrics["tokens"]):
            rows += member_rows({**curve, "x": int(tokens)}, ensemble.seeds, curves[:, place], 1)
        seconds = np.array([member.provenance["seconds"] for member in ensemble.members])
        speed = {**base, "state": "trained", "metric": "training_speed", "unit": "tokens/s"}
        rows += member_rows(speed, ensemble.seeds, ensemble.spec.tokens_seen / seconds, 1)
        rows.append({
            **base, "state": "trained", "metric": "training_tokens", "unit": "tokens", "n": 1,
            "value": ensemble.spec.tokens_seen,
        })  # fmt: skip
    return tables.table(rows)
