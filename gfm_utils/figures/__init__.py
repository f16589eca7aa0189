"""Result table -> chart, or table for people."""

from gfm_utils.figures.along_training import (
    equal_gain_table,
    equal_tokens_table,
    extrapolation_table,
    levels_table,
    one_curve_chart,
    outliers_table,
    training_chart,
    training_words,
)
from gfm_utils.figures.atlas import (
    atlas_chart,
    atlas_map,
    atlas_numbers,
    atlas_table,
    contrasts_table,
    corpus_reports,
    dogma_table,
    forecast_chart,
    forecasts_table,
    judged_table,
    residuals_table,
    spread_table,
)
from gfm_utils.figures.claims import claims_overview
from gfm_utils.figures.confounds import confounds_table, differences_kept, sources_table
from gfm_utils.figures.data import (
    corpus_overview,
    cost_table,
    deviation_overview,
    leak_overview,
    learning_chart,
    position_chart,
    shared_overview,
    summary_of_training,
    token_frequency_chart,
)
from gfm_utils.figures.dose import (
    dose_chart,
    effects_table,
    gap_table,
    gaps_over_training,
    sweep_chart,
)
from gfm_utils.figures.embeddings import (
    alignment_chart,
    band_chart,
    layer_chart,
    neighbour_explorer,
    neighbourhood_chart,
    overlap_chart,
)
from gfm_utils.figures.entropy import (
    calibration_chart,
    calibration_overview,
    conditional_entropy_chart,
    entropy_words,
    nsb_overview,
    rate_overview,
    trust_overview,
    unigram_overview,
)
from gfm_utils.figures.fisher import (
    flow_chart,
    gain_chart,
    perturbation_chart,
    rescaling_chart,
    share_chart,
    trace_chart,
)
from gfm_utils.figures.guessing import guess_strip, guessing_game
from gfm_utils.figures.hero import gap_numbers, hero_figure
from gfm_utils.figures.predictions import (
    along_chart,
    context_chart,
    pair_chart,
    rank_agreement_chart,
    rank_probability_chart,
    reliability_chart,
    strand_chart,
    strata_chart,
    top_p_chart,
    uncertainty_chart,
)
from gfm_utils.figures.profile import feature_overview, profile_chart, separation_table
from gfm_utils.figures.summary_table import overview, provenance_note, recipe_table
from gfm_utils.figures.tasks import (
    disruption_chart,
    task_agreement,
    task_chart,
    task_counts,
    task_examples_chart,
    task_gain_chart,
    task_layer_chart,
)
