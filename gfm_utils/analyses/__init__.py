"""Analyses of corpora and ensembles: each gives a result table; models have untrained members as a control."""

from gfm_utils.analyses.along_training import along_training, live_training, outliers, recorded_training
from gfm_utils.analyses.checkpoints import analyse_models
from gfm_utils.analyses.confounds import recorded_confounds
from gfm_utils.analyses.contextual import contextual_embeddings
from gfm_utils.analyses.controls import no_layers_control, shuffled_control
from gfm_utils.analyses.datasets import corpus_table, token_table
from gfm_utils.analyses.disagreement import along_windows, disagreement
from gfm_utils.analyses.dose import dose_response, live_doses
from gfm_utils.analyses.effects import (
    all_gap_parts,
    dose_effects,
    gap_parts,
    recorded_doses,
    verdict_setting,
)
from gfm_utils.analyses.entropy import corpus_entropies
from gfm_utils.analyses.extrapolation import extrapolations
from gfm_utils.analyses.fisher import (
    fisher_flow,
    fisher_information,
    fisher_jolts,
    fisher_rescaling,
)
from gfm_utils.analyses.learning import learning_curves, position_curves
from gfm_utils.analyses.one_curve import equal_gains, equal_tokens
from gfm_utils.analyses.output import output_distributions
from gfm_utils.analyses.paper import deviations, paper_costs
from gfm_utils.analyses.static import nearest_tokens, static_embeddings
from gfm_utils.analyses.strands import strand_disagreement

__all__ = [
    "all_gap_parts",
    "along_training",
    "along_windows",
    "analyse_models",
    "contextual_embeddings",
    "corpus_entropies",
    "corpus_table",
    "deviations",
    "disagreement",
    "dose_effects",
    "dose_response",
    "equal_gains",
    "equal_tokens",
    "extrapolations",
    "fisher_flow",
    "fisher_information",
    "fisher_jolts",
    "fisher_rescaling",
    "gap_parts",
    "learning_curves",
    "live_doses",
    "live_training",
    "nearest_tokens",
    "no_layers_control",
    "outliers",
    "output_distributions",
    "paper_costs",
    "position_curves",
    "recorded_confounds",
    "recorded_doses",
    "recorded_training",
    "shuffled_control",
    "static_embeddings",
    "strand_disagreement",
    "token_table",
    "verdict_setting",
]
