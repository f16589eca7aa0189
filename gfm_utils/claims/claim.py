"""The paper's claims with the measures that speak of them, and whether models have learned enough to be judged.

Each claim has one *primary* measure, chosen before the run whose numbers it judges; all others are *robustness*:
they are shown and change no verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from gfm_utils.measures.estimates import estimate, kinds, rows_read
from gfm_utils.measures.registry import (
    COUNTING,
    GAIN,
    MEASURES,
    TOKEN,
    UNIGRAM,
    WINDOW_CODE,
    Measure,
    Term,
    chosen,
)
from gfm_utils.tokens import is_control

NOT_TESTED = "not tested"
FOR, AGAINST, UNDECIDED = "for", "against", "undecided"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: what it says, and its measures, of which the first is the primary one."""

    text: str
    measures: tuple[Measure, ...]

    @property
    def name(self) -> str:
        """That of its primary measure."""
        return next(name for name, measure in MEASURES.items() if measure == self.primary)

    @property
    def terms(self) -> Iterator[Term]:
        """All that its measures and their nulls are computed of."""
        for measure in self.measures:
            yield from (*measure.terms, *(measure.null[1] if measure.null else ()))

    @property
    def primary(self) -> Measure:
        """The measure that its verdict rests on."""
        return self.measures[0]


def _claim(text: str, *names: str) -> Claim:
    return Claim(text, tuple(chosen(*names).values()))


CLAIMS = (
    _claim(
        "Hidden tokens of DNA have high entropy, those of text have not",
        "nll_share", "nll_of_frequencies", "entropy_share",
    ),
    _claim(
        "Predictions on DNA are near-uniform",
        "output_entropy_share", "effective_tokens", "kl_uniform_authors", "top_probability",
    ),
    _claim(
        "Models of DNA disagree more",
        "js_distance", "js_distance_authors", "js_distance_half", "js_distance_head", "js_distance_above_null",
        "mutual_information", "mutual_information_per_gain", "top1_agreement", "rank_biased_overlap",
    ),
    _claim(
        "Static embeddings of DNA are less stable",
        "topk_overlap_corrected", "local_spearman", "procrustes_disparity", "linear_cka_debiased",
    ),
    _claim(
        "Models of DNA keep more of their Fisher information out of the encoder",
        "fisher_share", "fisher_share_paper", "fisher_share_invariant", "embeddings_share_paper", "input_share",
        "output_share", "head_share",
    ),
    _claim(
        "Models of DNA do not use the tokens around a hidden one", "context_gain_of_layers", "context_gain_share"
    ),
    _claim(
        "Training on sequence alone does not suit DNA: it is worth no more in tasks than counting", "task_gain"
    ),
)  # fmt: skip


#: A condition whose members gain less than this share of what can be saved has learned too little.
ENOUGH = 0.5


@dataclass(frozen=True)
class Learned:
    """What members save over token frequencies on test windows, and what else does, in bits per token.

    Attributes:
        gain: the members' mean context gain.
        counting: of counting on both sides (interpolated n-grams of the best order); NaN where the table does not
            say.
        code: of the best code that looks no further than a window; NaN likewise.
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
    """Condition that is no control, with a context gain -> what its members have learned."""
    of_condition = rows_read(rows, (UNIGRAM, GAIN, COUNTING, WINDOW_CODE))
    every = chain.from_iterable(kinds(rows).values())
    names = [name for name in every if name in of_condition and not is_control(name)]
    found = {}
    for name in names:
        unigram, gain, *others = (_level(of_condition[name], of) for of in (UNIGRAM, GAIN, COUNTING, WINDOW_CODE))
        if not np.isnan(gain):
            found[name] = Learned(gain, *(unigram - other for other in others))
    return found


def _level(rows: pd.DataFrame, term: Term) -> float:
    level = estimate(Measure("", TOKEN, "", (term,), null=None), rows)
    return np.nan if level is None else level.interval.value


def learned_share(rows: pd.DataFrame) -> float:
    """Mean over a run's conditions of the members' gain as a share of what counting on both sides saves.

    A share is 1 at most, so that a condition with next to nothing to be counted does not outweigh the others. NaN
    where no condition has both numbers.
    """
    every = [one for one in learned(rows).values() if not np.isnan(one.counting)]
    shares = [1.0 if one.gain >= one.counting else max(0.0, one.gain / one.counting) for one in every]
    return float(np.mean(shares)) if shares else np.nan


def tokens_read(rows: pd.DataFrame) -> int:
    """Tokens that a member of a run has read by the end of its training, the most of all conditions, or 0."""
    of_training = (rows["metric"] == "validation_nll") & (rows["axis"] == "tokens") & (rows["state"] == "trained")
    read = rows.loc[of_training.fillna(False), "x"]
    return int(read.astype("float64").max()) if len(read) else 0
