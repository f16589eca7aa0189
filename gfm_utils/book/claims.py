"""The claims table of the front page: this run's verdicts, beside those of a recorded run if there is one."""

from pathlib import Path

import pandas as pd

from gfm_utils.analyses import recorded_doses
from gfm_utils.book.answers import causal_verdicts
from gfm_utils.errors import GfmError
from gfm_utils.figures.claims import claims_table
from gfm_utils.provenance import recorded
from gfm_utils.tables import read_tables

#: Name of the recorded run (``gfm build --profile gpu --record data/results/gpu``).
RECORDED = "gpu"


def front_page_claims(results_dir: Path) -> str:
    """Markdown table of the paper's claims.

    Args:
        results_dir: folder of the run's result tables.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    try:
        frame, about = recorded(RECORDED)
    except GfmError:
        return claims_table(rows, link="chapters")
    title = f"Recorded on {about['device'].rpartition('; ')[2]}"
    return claims_table(rows, {title: frame}, link="chapters")


def front_page_verdicts() -> str:
    """Markdown table of the causal test, from its recorded run; a sentence if that is not there."""
    try:
        frame, _ = recorded_doses()
    except GfmError:
        return "The causal test is not recorded yet: `python benchmarks/dose_response.py` does it.\n"
    return causal_verdicts(frame)
