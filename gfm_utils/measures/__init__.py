"""Measures of corpora and ensembles: each gives a result table, with untrained members as a control."""

from gfm_utils.measures.contextual import contextual_embeddings
from gfm_utils.measures.controls import no_layers_control, shuffled_control
from gfm_utils.measures.datasets import corpus_table, token_table
from gfm_utils.measures.disagreement import disagreement
from gfm_utils.measures.entropy import corpus_entropies
from gfm_utils.measures.estimates import estimate_of
from gfm_utils.measures.fisher import fisher_flow, fisher_information, fisher_perturbations, fisher_rescaling
from gfm_utils.measures.guessing import along_windows, guessing_games
from gfm_utils.measures.output import output_distributions
from gfm_utils.measures.static import nearest_tokens, static_embeddings
from gfm_utils.measures.strands import strand_disagreement
from gfm_utils.measures.tasks import task_performance

__all__ = [
    "along_windows",
    "contextual_embeddings",
    "corpus_entropies",
    "corpus_table",
    "disagreement",
    "estimate_of",
    "fisher_flow",
    "fisher_information",
    "fisher_perturbations",
    "fisher_rescaling",
    "guessing_games",
    "nearest_tokens",
    "no_layers_control",
    "output_distributions",
    "shuffled_control",
    "static_embeddings",
    "strand_disagreement",
    "task_performance",
    "token_table",
]
