"""What measures say of the paper's claims: verdicts, doses, confounds, and the course of training."""

from gfm_utils.claims.along_training import along_training, live_training, outliers
from gfm_utils.claims.atlas import atlas_points, slopes
from gfm_utils.claims.checkpoints import analyse_models
from gfm_utils.claims.dose import dose_response, live_doses
from gfm_utils.claims.effects import all_gap_parts, dose_effects, gap_parts, recorded_doses, verdict_setting
from gfm_utils.claims.extrapolation import extrapolations
from gfm_utils.claims.forecast import forecast_rows, forecasts, left_out
from gfm_utils.claims.learning import learning_curves, position_curves
from gfm_utils.claims.one_curve import equal_gains, equal_tokens
from gfm_utils.claims.paper import deviations, paper_costs
from gfm_utils.claims.tasks import live_tasks, recorded_tasks
