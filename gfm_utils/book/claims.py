"""What the front page says of the claims: verdicts of this run, of recorded ones, and of the causal test."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from gfm_utils.analyses import recorded_doses
from gfm_utils.book.answers import causal_verdicts
from gfm_utils.errors import GfmError
from gfm_utils.figures.claims import claims_table
from gfm_utils.provenance import recorded_gpu_runs
from gfm_utils.tables import read_tables


def front_page_claims(results_dir: Path, profiles: Collection[str] = ()) -> str:
    """Markdown table of the paper's claims, below a warning if the run cannot speak of them.

    Args:
        results_dir: folder of the run's result tables.
        profiles: of the run's chapters.

    Raises:
        GfmError: the folder holds no table.
    """
    rows = pd.concat(list(read_tables(results_dir).values()), ignore_index=True)
    return warning(profiles) + claims_table(rows, recorded_gpu_runs(), link="chapters")


def warning(profiles: Collection[str]) -> str:
    """That models of the profile ``smoke`` have learned nothing, as a note in Markdown; else nothing."""
    if "smoke" not in profiles:
        return ""
    return (
        ":::{warning}\nThis run has the profile `smoke`: its models have read next to nothing. It shows that "
        "everything runs, and its numbers say nothing about a corpus or a claim; `--profile quick` does.\n:::\n\n"
    )


def front_page_verdicts() -> str:
    """Markdown table of the causal test, from its recorded run; a sentence if that is not there."""
    try:
        frame, _ = recorded_doses()
    except GfmError:
        return "The causal test is not recorded yet: `python benchmarks/dose_response.py` does it.\n"
    return causal_verdicts(frame)
