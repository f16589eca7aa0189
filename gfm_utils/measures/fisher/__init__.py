"""Fisher information: exact squares of gradients of single examples, by group of parameters."""

from gfm_utils.measures.fisher.information import fisher_flow, fisher_information
from gfm_utils.measures.fisher.parameter_perturbation import fisher_perturbations, fisher_rescaling

__all__ = ["fisher_flow", "fisher_information", "fisher_perturbations", "fisher_rescaling"]
