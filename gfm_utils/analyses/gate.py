"""Have models learned enough to be judged? What they save over token frequencies, beside what can be saved there.

Models that have learned next to nothing from the tokens around a hidden one are alike in much, whatever they read:
a difference between DNA and text would then be one of training, not of the sequence.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gfm_utils.analyses.estimates import estimate, kinds, rows_read
from gfm_utils.analyses.measures import GAIN, TOKEN, UNIGRAM, Measure, Term
from gfm_utils.tokens import is_control

#: A condition whose members gain less than this share of what can be saved has learned too little.
ENOUGH = 0.5
COUNTING = Term("ngram_nll", "sides", "both", TOKEN)
WINDOW_CODE = Term("window_code_nll", unit=TOKEN)


@dataclass(frozen=True)
class Learned:
    """What the members of a condition save over token frequencies on test windows, and what else does.

    Attributes:
        gain: the members' mean context gain, bits/token.
        counting: what counting on both sides saves (interpolated n-grams of the best order), bits/token; NaN where
            the table does not say.
        code: what the best code saves that looks no further than a window, bits/token; NaN likewise.
    """

    gain: float
    counting: float
    code: float

    @property
    def saving(self) -> float:
        """The larger of the two savings; NaN without any."""
        return float(np.fmax(self.counting, self.code))

    @property
    def enough(self) -> bool | None:
        """Whether the gain is at least ``ENOUGH`` of the saving; None without a saving to compare with."""
        return None if np.isnan(self.saving) else self.gain >= ENOUGH * self.saving


def learned(rows: pd.DataFrame) -> dict[str, Learned]:
    """Condition of text or DNA, but no control, with a context gain -> what its members have learned.

    Args:
        rows: result tables of chapters, one below the other.
    """
    own = rows_read(rows, (UNIGRAM, GAIN, COUNTING, WINDOW_CODE))
    names = [name for of_kind in kinds(rows) for name in of_kind if name in own and not is_control(name)]
    found = {name: _learned(own[name]) for name in names}
    return {name: one for name, one in found.items() if not np.isnan(one.gain)}


def _learned(rows: pd.DataFrame) -> Learned:
    unigram = _level(rows, UNIGRAM)
    return Learned(_level(rows, GAIN), unigram - _level(rows, COUNTING), unigram - _level(rows, WINDOW_CODE))


def _level(rows: pd.DataFrame, term: Term) -> float:
    found = estimate(Measure("", TOKEN, "", (term,), null=None), rows)
    return np.nan if found is None else found.interval.value


def learned_share(rows: pd.DataFrame) -> float:
    """Mean over a run's conditions of the members' gain as a share of what counting on both sides saves.

    A condition whose members save as much as counting or more counts as 1, so that one with next to nothing to be
    counted does not outweigh the rest.

    Args:
        rows: result tables of chapters, one below the other.

    Returns:
        Between 0 and 1; NaN where no condition has both numbers.
    """
    every = [one for one in learned(rows).values() if not np.isnan(one.counting)]
    shares = [1.0 if one.gain >= one.counting else max(0.0, one.gain / one.counting) for one in every]
    return float(np.mean(shares)) if shares else np.nan


def tokens_read(rows: pd.DataFrame) -> int:
    """Tokens that a member of a run has read by the end of its training, the most of all conditions; 0: not said.

    Args:
        rows: result tables of chapters, the ensembles' among them.
    """
    here = (rows["metric"] == "validation_nll") & (rows["axis"] == "tokens") & (rows["state"] == "trained")
    found = rows.loc[here.fillna(False), "x"]
    return int(found.astype("float64").max()) if len(found) else 0
