"""Result table -> chart, or table for people."""

from gfm_utils.figures.along_training import (
    equal_gain_table,
    equal_tokens_table,
    extrapolation_table,
    levels_table,
    one_curve_chart,
    training_chart,
)
from gfm_utils.figures.calibration import calibration_chart, nsb_overview
from gfm_utils.figures.claims import claims_overview
from gfm_utils.figures.confounds import (
    confounds_numbers,
    confounds_sentence,
    confounds_table,
    sources_table,
)
from gfm_utils.figures.contextual import authors_chart, layer_agreement_chart, layer_cka_chart, layer_shape_chart
from gfm_utils.figures.data import (
    corpus_overview,
    cost_overview,
    deviation_overview,
    leak_overview,
    learning_chart,
    position_chart,
    shared_overview,
    summary_of_training,
    token_frequency_chart,
)
from gfm_utils.figures.disagreement import (
    agreement_chart,
    along_chart,
    pair_chart,
    rank_agreement_chart,
    strand_chart,
    strata_chart,
    top_p_chart,
)
from gfm_utils.figures.dose import (
    dose_chart,
    effects_table,
    gap_table,
    gaps_over_training,
    main_chart,
    sweep_chart,
)
from gfm_utils.figures.entropy import (
    conditional_entropy_chart,
    estimators_chart,
    rate_overview,
    trust_overview,
    unigram_chart,
)
from gfm_utils.figures.fisher import (
    encoder_chart,
    flow_chart,
    gain_chart,
    jolt_chart,
    share_chart,
    trace_chart,
)
from gfm_utils.figures.output import context_chart, rank_probability_chart, reliability_chart, uncertainty_chart
from gfm_utils.figures.overview import overview, provenance_note
from gfm_utils.figures.profile import feature_chart, profile_chart, separation_chart
from gfm_utils.figures.recipe import recipe_table
from gfm_utils.figures.static import (
    alignment_chart,
    all_rows_chart,
    band_chart,
    neighbour_explorer,
    neighbourhood_chart,
    overlap_chart,
)

__all__ = [
    "agreement_chart",
    "alignment_chart",
    "all_rows_chart",
    "along_chart",
    "authors_chart",
    "band_chart",
    "calibration_chart",
    "claims_overview",
    "conditional_entropy_chart",
    "confounds_numbers",
    "confounds_sentence",
    "confounds_table",
    "context_chart",
    "corpus_overview",
    "cost_overview",
    "deviation_overview",
    "dose_chart",
    "effects_table",
    "encoder_chart",
    "equal_gain_table",
    "equal_tokens_table",
    "estimators_chart",
    "extrapolation_table",
    "feature_chart",
    "flow_chart",
    "gain_chart",
    "gap_table",
    "gaps_over_training",
    "jolt_chart",
    "layer_agreement_chart",
    "layer_cka_chart",
    "layer_shape_chart",
    "leak_overview",
    "learning_chart",
    "levels_table",
    "main_chart",
    "neighbour_explorer",
    "neighbourhood_chart",
    "nsb_overview",
    "one_curve_chart",
    "overlap_chart",
    "overview",
    "pair_chart",
    "position_chart",
    "profile_chart",
    "provenance_note",
    "rank_agreement_chart",
    "rank_probability_chart",
    "rate_overview",
    "recipe_table",
    "reliability_chart",
    "separation_chart",
    "share_chart",
    "shared_overview",
    "sources_table",
    "strand_chart",
    "strata_chart",
    "summary_of_training",
    "sweep_chart",
    "token_frequency_chart",
    "top_p_chart",
    "trace_chart",
    "training_chart",
    "trust_overview",
    "uncertainty_chart",
    "unigram_chart",
]
