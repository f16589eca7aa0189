"""Analyses of ensembles: each gives a result table, with the untrained members as a control."""

from gfm_utils.analyses.disagreement import disagreement
from gfm_utils.analyses.fisher import fisher_information
from gfm_utils.analyses.output import output_distributions
from gfm_utils.analyses.static import static_embeddings

__all__ = ["disagreement", "fisher_information", "output_distributions", "static_embeddings"]
