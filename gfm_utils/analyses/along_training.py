"""What longer training changes: every primary measure at the checkpoints that members keep of their training.

A member's learning rate falls to zero by the end of its run. A checkpoint from the middle of it was taken at a
high rate, and has a higher loss than a member that was trained for just so long and whose rate had fallen by then:
curves along one run lie above the curve through the ends of runs of different lengths, and meet it at the end.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.counting import Counting, counting_levels
from gfm_utils.analyses.dose import GAIN, measure_rows
from gfm_utils.analyses.learning import loss_rows
from gfm_utils.analyses.measures import chosen
from gfm_utils.analyses.primary import fisher_rows, neighbour_rows, prediction_rows
from gfm_utils.analyses.rows import Row
from gfm_utils.ensembles import Ensemble
from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.provenance import recorded

#: Axis of the rows: tokens that a member has read, its model, its optimiser, and the tokens of its whole run, like
#: ``876544|modernbert-2x64|muon|16384000``.
AXIS = "tokens|preset|optimiser|budget"
LOSS, LOSS_SHARE = "nll", "nll_share"
#: The loss in bits, the primary measure of each claim, and whether two members choose the same token.
FOLLOWED = chosen(
    LOSS, LOSS_SHARE, GAIN, "output_entropy_share", "js_distance", "top1_agreement", "topk_overlap_corrected",
    "fisher_share",
)  # fmt: skip
VALIDATION = "validation_nll"
RECORDED = "along-training"
#: Levels without a network: token frequencies, n-grams of the tokens before and of both sides, and the best code
#: that looks no further than a window.
LEVEL_NLL, LEVELS = "level_nll", ("unigram", "left", "both", "code")
LEVEL_OF = {"unigram_nll": "unigram", "window_code_nll": "code"}
#: Share of a profile's windows that the chapter's live run reads, and which of the checkpoints: every so-manieth,
#: counted from the last.
LIVE_WINDOWS, LIVE_EVERY = 1 / 4, 2
#: Checkpoints before this share of the steps are left out of it: nothing is learned yet.
LIVE_SINCE = 0.01


class Setting(NamedTuple):
    """How members were trained.

    Attributes:
        preset: architecture and size.
        optimiser: ``muon`` (of the matrices between embeddings and decoder) or ``adamw`` (of all).
        budget: tokens that a member reads in its whole run.
    """

    preset: str
    optimiser: str
    budget: int

    @classmethod
    def of(cls, ensemble: Ensemble) -> "Setting":
        """The setting of an ensemble."""
        spec = ensemble.spec
        optimiser = "adamw" if spec.matrix_rate is None else "muon"
        return cls(spec.preset, optimiser, spec.tokens_seen)

    def x(self, tokens: int) -> str:
        """The position on ``AXIS`` after so many tokens."""
        return "|".join(map(str, (tokens, *self)))


def position(x: str) -> tuple[int, Setting]:
    """Tokens read, and the setting, of a position on ``AXIS``."""
    tokens, preset, optimiser, budget = x.split("|")
    return int(tokens), Setting(preset, optimiser, int(budget))


def settings_of(table: pd.DataFrame) -> list[tuple[str, Setting]]:
    """Each condition with each of its settings, in the order of a table of ``along_training``."""
    rows = table[(table["axis"] == AXIS).fillna(False)].drop_duplicates(["condition", "x"])
    return list(dict.fromkeys((str(row["condition"]), position(row["x"])[1]) for _, row in rows.iterrows()))


def main_setting(runs: Iterable[tuple[str, Setting]]) -> Setting:
    """Of runs, as ``settings_of`` gives them, the setting of most conditions, and of these the longest."""
    found = [setting for _, setting in runs]
    return max(found, key=lambda setting: (found.count(setting), setting.budget))


def tokens_of(table: pd.DataFrame, condition: str, setting: Setting) -> list[int]:
    """Tokens read at the checkpoints of a run, ascending, at which there is a context gain."""
    rows = table[(table["metric"] == GAIN) & (table["axis"] == AXIS).fillna(False)]
    found = (position(x) for x in set(rows.loc[rows["condition"] == condition, "x"]))
    return sorted(tokens for tokens, own in found if own == setting)


def members_of(table: pd.DataFrame) -> dict[tuple[str, str, str], pd.Series]:
    """(condition, position on ``AXIS``, measure) -> seed -> value of each member."""
    rows = table[(table["axis"] == AXIS).fillna(False) & table["member"].notna()].sort_values("member")
    found = rows.groupby(["condition", "x", "metric"], sort=False)
    return {
        (str(condition), str(x), str(metric)): own.set_index("member")["value"]
        for (condition, x, metric), own in found
    }


def kept_steps(ensemble: Ensemble, every: int = 1, since: float = 0.0) -> list[int]:
    """Steps whose weights all members have, from the untrained to the last.

    Args:
        ensemble: trained.
        every: take one of so many, counted from the last.
        since: leave out those before this share of all steps.
    """
    steps = sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members)))
    return [step for step in steps[::-1][::every][::-1] if step >= since * steps[-1]]


def live_training(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """``along_training`` of a part of the checkpoints and windows, small enough for a chapter.

    Args:
        ensembles: of the run.
        profile: of the run.
        seed: of the masks.
    """
    fewer = {
        name: max(2, round(LIVE_WINDOWS * getattr(profile, name))) for name in ("test_windows", "fisher_windows")
    }
    return along_training(ensembles, profile.model_copy(update=fewer), seed, LIVE_EVERY, LIVE_SINCE)


def recorded_training(live: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The recorded run of ``benchmarks/along_training.py`` and its provenance; this run where none is recorded.

    Args:
        live: of ``live_training``.
    """
    try:
        table, about = recorded(RECORDED)
    except GfmError:
        return live, []
    return table, [about]


def along_training(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, every: int = 1, since: float = 0.0
) -> pd.DataFrame:
    """Result table of ``FOLLOWED`` at the checkpoints of ensembles.

    Axis ``AXIS``: each measure of the members, a row a member (of what only pairs have: its jackknife
    pseudo-value, so that members are independent) and the mean with its interval over members. Units: bits/token,
    share, or 1 (a distance). A measure that a checkpoint does not have (an agreement beyond chance where all
    members predict one token; neighbours in too small a vocabulary) has no rows there. ``validation_nll``
    (bits/token) is the loss on the validation windows, at every step at which it was measured in training.

    ``level_nll`` (bits/token and bits/base or bits/character; axis ``level``, no state): what costs the same
    hidden tokens without a network: ``x`` is one of ``LEVELS``.

    Args:
        ensembles: trained, one a condition and setting; of several settings of one condition the levels of
            counting are those of the first.
        profile: its ``test_windows`` and ``fisher_windows`` say what is read at each checkpoint, the same at all.
        seed: of the masks.
        every: as of ``kept_steps``.
        since: likewise.
    """
    rows: list[Row] = []
    counted = set[str]()
    for ensemble in ensembles:
        if ensemble.condition not in counted:
            counted.add(ensemble.condition)
            rows += _levels(counting_levels(ensemble, profile, seed))
        setting = Setting.of(ensemble)
        rows += ({**row, "axis": AXIS, "x": setting.x(row["x"])} for row in loss_rows(ensemble, "trained"))
        for step in kept_steps(ensemble, every, since):
            x = setting.x(step * ensemble.spec.batch * ensemble.spec.window)
            base = {"condition": ensemble.condition, "state": "trained", "axis": AXIS, "x": x}
            rows += measure_rows(base, FOLLOWED, tables.table(_step_rows(ensemble, step, profile, seed)), ensemble)
    return tables.table(rows)


def _levels(counting: Counting) -> Iterator[Row]:
    """The levels without a network, by a name of their own: the chapter on predictions reads other windows."""
    for row in counting.rows():
        level = row.get("x") if row["metric"] == "ngram_nll" else LEVEL_OF.get(row["metric"])
        if level is not None:
            yield {**row, "metric": LEVEL_NLL, "axis": "level", "x": level}


def _step_rows(ensemble: Ensemble, step: int, profile: Profile, seed: int) -> Iterator[Row]:
    """The rows of the chapters' analyses that ``FOLLOWED`` needs, of the members after a step."""
    models = list(ensemble.models(step))
    yield from prediction_rows(ensemble, models, profile, seed)
    yield from neighbour_rows(ensemble, models)
    yield from fisher_rows(ensemble, models, profile, seed)
