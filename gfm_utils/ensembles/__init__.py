"""Ensembles of matched masked language models: specification, training, checkpoints, prediction streams."""

from gfm_utils.ensembles.batches import masked_windows
from gfm_utils.ensembles.cost import Cost, duration
from gfm_utils.ensembles.ensemble import (
    ENGINES,
    STATES,
    Ensemble,
    Member,
    State,
    engine_named,
    expected_cost,
    expected_costs,
    plan_ensembles,
    train_ensembles,
    train_planned,
)
from gfm_utils.ensembles.member_job import log_spaced
from gfm_utils.ensembles.multiprocess import device
from gfm_utils.ensembles.predictions import (
    Predictions,
    masked_test_tokens,
    predictions,
    predictions_of,
)
from gfm_utils.ensembles.presets import (
    PRESETS,
    build_model,
    masked_features,
    masked_logits,
    without_layers,
)
from gfm_utils.ensembles.specification import EnsembleSpec

__all__ = [
    "ENGINES",
    "PRESETS",
    "STATES",
    "Cost",
    "Ensemble",
    "EnsembleSpec",
    "Member",
    "Predictions",
    "State",
    "build_model",
    "device",
    "duration",
    "engine_named",
    "expected_cost",
    "expected_costs",
    "log_spaced",
    "masked_features",
    "masked_logits",
    "masked_test_tokens",
    "masked_windows",
    "plan_ensembles",
    "predictions",
    "predictions_of",
    "train_ensembles",
    "train_planned",
    "without_layers",
]
