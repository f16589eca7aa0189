"""The answer of each chapter in sentences, every number taken from the run's own result tables.

A sentence says what was measured, its interval and its control; it compares, and claims nothing that the
numbers of this run do not show.
"""

from gfm_utils.book.answers.atlas import atlas_answer
from gfm_utils.book.answers.causal import causal_answer
from gfm_utils.book.answers.models import (
    contextual_answer,
    disagreement_answer,
    fisher_answer,
    static_answer,
    strand_answer,
)
from gfm_utils.book.answers.shared import recorded_differences, with_recorded_runs
from gfm_utils.book.answers.tasks import task_answer
