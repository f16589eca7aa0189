"""What longer training changes: every primary measure at the checkpoints that members keep of their training.

A member's learning rate falls to zero by the end of its run. A checkpoint from the middle of it was taken at a
high rate, and has a higher loss than a member that was trained for just so long and whose rate had fallen by then:
curves along one run lie above the curve through the ends of runs of different lengths, and meet it at the end.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import special

from gfm_utils import tables
from gfm_utils.claims.dose import GAIN, live_windows
from gfm_utils.claims.learning import loss_rows
from gfm_utils.ensembles import Ensemble, State, masked_windows, predictions_of
from gfm_utils.measures.counting import Counting, counting_levels
from gfm_utils.measures.disagreement import disagreement_rows, disagreement_sums
from gfm_utils.measures.estimates import measure_rows
from gfm_utils.measures.fisher.examples import masked_tokens
from gfm_utils.measures.fisher.measuring import EMPIRICAL, each, group_rows
from gfm_utils.measures.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance
from gfm_utils.measures.output import output_moments, output_rows
from gfm_utils.measures.registry import chosen
from gfm_utils.measures.rows import Row, members_of, pair_matrix, pair_rows
from gfm_utils.measures.static import BAND_K, compared_tokens, input_embeddings
from gfm_utils.profiles import Profile
from gfm_utils.provenance import those_recorded

Mask = npt.NDArray[np.bool_]
#: More than all tokens: the nulls of the disagreement are computed of one token.
_NO_NULLS = 2**40
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
    settings = [setting for _, setting in runs]
    return max(settings, key=lambda setting: (settings.count(setting), setting.budget))


def tokens_of(table: pd.DataFrame, condition: str, setting: Setting) -> list[int]:
    """Tokens read at the checkpoints of a run, ascending, at which there is a context gain."""
    rows = table[(table["metric"] == GAIN) & (table["axis"] == AXIS).fillna(False)]
    positions = (position(x) for x in set(rows.loc[rows["condition"] == condition, "x"]))
    return sorted(tokens for tokens, setting_of in positions if setting_of == setting)


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
    return along_training(ensembles, live_windows(profile, LIVE_WINDOWS), seed, LIVE_EVERY, LIVE_SINCE)


def recorded_training(live: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The recorded run of ``benchmarks/along_training.py`` and its provenance; this run where none is recorded.

    Args:
        live: of ``live_training``.
    """
    for table, provenance in those_recorded(RECORDED):
        return table, [provenance]
    return live, []


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
            rows += _levels(counting_levels(ensemble.store, ensemble.spec.window, profile, seed))
        setting = Setting.of(ensemble)
        rows += ({**row, "axis": AXIS, "x": setting.x(row["x"])} for row in loss_rows(ensemble, "trained"))
        for step in kept_steps(ensemble, every, since):
            x = setting.x(step * ensemble.spec.batch * ensemble.spec.window)
            read = tables.table(primary_rows(ensemble, step, profile, seed))
            base = {"condition": ensemble.condition, "axis": AXIS, "x": x}
            rows += measure_rows(base, FOLLOWED, read, ensemble.seeds)
    return tables.table(rows)


def _levels(counting: Counting) -> Iterator[Row]:
    """The levels without a network, by a name of their own: the chapter on predictions reads other windows."""
    for row in counting.rows():
        level = row.get("x") if row["metric"] == "ngram_nll" else LEVEL_OF.get(row["metric"])
        if level is not None:
            yield {**row, "metric": LEVEL_NLL, "axis": "level", "x": level}


def primary_rows(
    ensemble: Ensemble, state: State | int, profile: Profile, seed: int, types: Mask | None = None,
    scored: Mask | None = None,
) -> Iterator[Row]:  # fmt: skip
    """The primary measures of members, read as cheaply as they can be: no nulls, no untrained members.

    Rows of ``output_distributions`` and ``disagreement``, ``topk_overlap_corrected`` at ``BAND_K`` (where there
    are tokens enough, and all places count), and traces and shares of ``fisher_information`` (where all tokens
    count).

    Args:
        ensemble: whose members.
        state: of theirs, or the step after which they are read.
        profile: its ``test_windows``, ``test_mask``, ``fisher_windows`` and ``fisher_mask`` say what is read.
        seed: of the masks.
        types: tokens of the vocabulary that count where they are the true one, and whose neighbours (among all)
            are compared, shape (vocabulary,); None: all.
        scored: tokens of the test part that count, shape (tokens of the part,); None: all.
    """
    models, base = list(ensemble.models(state)), {"condition": ensemble.condition, "state": "trained"}
    yield from _prediction_rows(base, ensemble, models, profile, seed, types, scored)
    tokens, _ = compared_tokens(ensemble)
    if scored is None and len(tokens) > BAND_K + 1:
        near = compare_neighbours([input_embeddings(model)[tokens] for model in models], [BAND_K], spearman=False)
        overlap = near.overlap[:, 0, slice(None) if types is None else types[tokens]].mean(axis=1)
        shared = pair_matrix(chance_corrected(overlap, topk_overlap_chance(len(tokens), BAND_K)))
        one = {**base, "metric": "topk_overlap_corrected", "unit": "share", "axis": "k", "x": BAND_K}
        yield from pair_rows(one, ensemble.seeds, shared, len(tokens))
    if scored is None and types is None:
        examples = EMPIRICAL.read(masked_tokens(ensemble, profile.fisher_windows, profile.fisher_mask, seed))
        traces = each(lambda model: EMPIRICAL.trace(model, examples), models)
        yield from group_rows(base, ensemble.seeds, traces, examples.tokens)


def _prediction_rows(
    base: Row, ensemble: Ensemble, models: Sequence[Any], profile: Profile, seed: int, types: Mask | None,
    scored: Mask | None,
) -> Iterator[Row]:  # fmt: skip
    store, spec = ensemble.store, ensemble.spec
    shown, positions, targets, starts = masked_windows(
        store, "test", spec.window, profile.test_windows, profile.test_mask, seed
    )
    counts = np.ones(targets.shape, np.bool_) if types is None else types[targets]
    if scored is not None:
        counts &= scored[starts[:, None] + positions]

    def counted() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What counts of each batch: never all distributions are in memory."""
        begin = 0
        for batch in predictions_of(models, shown, positions, targets, spec.vocabulary):
            mask = counts[begin : begin + len(batch.targets)]
            begin += len(mask)
            if mask.any():
                yield batch.log_p[:, mask], batch.targets[mask]

    truth = targets[counts][:, None]  # every token a window of its own
    level = Counting(
        base["condition"], f"bits/{store.unit}", store.counts("train"), truth, store.token_lengths[truth]
    )
    yield from output_rows(base, ensemble.seeds, output_moments(counted()), level)
    sums = disagreement_sums((log_p for log_p, _ in counted()), _NO_NULLS)
    yield from disagreement_rows(base, ensemble.seeds, sums)
    yield from (row for row in level.rows() if row["metric"] == "unigram_nll")


#: What is looked at: the loss, and the Jensen-Shannon distance, of whose pseudo-values a member's is, but for
#: place and scale, its mean distance to the others.
CHECKED = (LOSS, "js_distance")
#: False alarms of all checks of a table together.
RATE = 0.05


def studentised(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far each value is from the others, in standard errors of that distance (Grubbs, 1950).

    Args:
        values: one number a member, shape (..., members), of three members or more.

    Returns:
        ``(x_i - mean of the others) / (s of the others sqrt(1 + 1 / (m - 1)))``: Student's t with m - 2 degrees of
        freedom where all are normal with one mean and spread; 0 where the others are all the same.
    """
    sample = np.asarray(values, np.float64)
    count = sample.shape[-1]
    apart = (sample - sample.mean(-1, keepdims=True)) * count / (count - 1)
    within = np.square(sample - sample.mean(-1, keepdims=True)).sum(-1, keepdims=True)
    spread = np.sqrt(np.maximum(within - apart**2 * (count - 1) / count, 0.0) / (count - 2))
    return np.divide(apart, spread * np.sqrt(count / (count - 1)), out=np.zeros_like(apart), where=spread > 0)


def score_limit(members: int, checks: int) -> float:
    """The score that members alike exceed in no more than ``RATE`` of tables of so many checks (Bonferroni).

    Args:
        members: of an ensemble, three or more.
        checks: of a table.
    """
    return float(special.stdtrit(members - 2, 1 - RATE / (2 * members * checks)))


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Members that lie apart from the others of their ensemble after their whole training.

    Args:
        table: of ``along_training``.

    Returns:
        One row a condition, setting, measure of ``CHECKED`` and member: ``condition``, ``setting`` (text after the
        tokens on its axis), ``metric``, ``member``, ``value``, ``score``, ``limit`` and ``outlier``.
    """
    rows, numbers = [], members_of(table, AXIS)
    for condition, setting in settings_of(table):
        for metric in CHECKED:
            values = numbers.get((condition, setting.x(setting.budget), metric))
            if values is not None and len(values) > 2:
                scores = studentised(values.to_numpy("float64"))
                rows += [
                    {"condition": condition, "setting": setting, "metric": metric, "member": int(member),
                     "value": float(value), "score": float(score), "members": len(values)}
                    for (member, value), score in zip(values.items(), scores, strict=True)
                ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["condition", "setting", "metric", "member", "value", "score", "members"])
    checks = len(frame.drop_duplicates(["condition", "setting", "metric"]))
    frame["limit"] = [score_limit(int(members), checks) for members in frame["members"]]
    return frame.assign(outlier=frame["score"].abs() > frame["limit"]).drop(columns="members")
