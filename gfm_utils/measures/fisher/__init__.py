"""Fisher information: exact squares of gradients of single examples, by group of parameters."""

from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import paper_fisher, squared_gradients
from gfm_utils.measures.fisher.information import (
    fisher_flow,
    fisher_information,
    fisher_rescaling,
)
from gfm_utils.measures.fisher.parameter_perturbation import fisher_jolts

__all__ = [
    "MaskedTokens",
    "fisher_flow",
    "fisher_information",
    "fisher_jolts",
    "fisher_rescaling",
    "paper_fisher",
    "squared_gradients",
]
