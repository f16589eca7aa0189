"""What longer training changes: every primary measure at the checkpoints that members keep of their training."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import product
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
from gfm_utils.measures.fisher.measuring import each, group_rows, trace
from gfm_utils.measures.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance
from gfm_utils.measures.output import output_moments, output_rows
from gfm_utils.measures.registry import chosen
from gfm_utils.measures.rows import Row, members_of, pair_matrix, pair_rows
from gfm_utils.measures.static import BAND_K, compared_tokens, input_embeddings
from gfm_utils.profiles import Profile

Mask = npt.NDArray[np.bool_]
#: Step between the tokens of which the nulls of the disagreement are computed: larger than any number of tokens.
_NO_NULLS = 2**40
#: Axis of the rows, like ``876544|modernbert-2x64|muon|16384000``; the last is the tokens of the whole run.
AXIS = "tokens|preset|optimiser|budget"
LOSS, LOSS_SHARE = "nll", "nll_share"
FOLLOWED = chosen(
    LOSS, LOSS_SHARE, GAIN, "output_entropy_share", "js_distance", "top1_agreement", "topk_overlap_corrected",
    "fisher_share",
)  # fmt: skip
VALIDATION = "validation_nll"
LEVEL_NLL, LEVEL_OF = "level_nll", {"unigram_nll": "unigram", "window_code_nll": "code"}
#: Of the chapter's live run: share of the profile's windows; every second checkpoint, counted from the last; and
#: the share of the steps before which there are none, as nothing is learned yet.
LIVE_WINDOWS, LIVE_EVERY, LIVE_SINCE = 1 / 4, 2, 0.01


class Setting(NamedTuple):
    """How members were trained: optimiser ``muon`` or ``adamw``, and the tokens of a member's whole run."""

    preset: str
    optimiser: str
    budget: int

    @classmethod
    def of(cls, ensemble: Ensemble) -> "Setting":
        """The setting of an ensemble."""
        optimiser = "adamw" if ensemble.spec.matrix_rate is None else "muon"
        return cls(ensemble.spec.preset, optimiser, ensemble.spec.tokens_seen)

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
    """Steps whose weights all members have: of ``every`` so many the last, from the share ``since`` of all on."""
    steps = sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members)))
    return [step for step in steps[::-1][::every][::-1] if step >= since * steps[-1]]


def live_training(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """``along_training`` of a part of a run's checkpoints and windows, small enough for a chapter."""
    return along_training(ensembles, live_windows(profile, LIVE_WINDOWS), seed, LIVE_EVERY, LIVE_SINCE)


def along_training(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, every: int = 1, since: float = 0.0
) -> pd.DataFrame:
    """Result table of ``FOLLOWED`` at the checkpoints of ensembles, one a condition and setting.

    Axis ``AXIS``: a row a member (of pairs: its jackknife pseudo-value), and the mean with its interval over
    members. Units: bits/token, share, or 1 (a distance). A measure that a checkpoint does not have (an agreement
    beyond chance where all members predict one token; neighbours in too small a vocabulary) has no rows there.
    ``validation_nll`` (bits/token) is the loss on the validation windows, at every step at which it was measured
    in training.

    ``level_nll`` (bits/token and bits/base or bits/character; axis ``level``, no state): what the same hidden
    tokens cost without a network, by token frequencies (``unigram``), n-grams of the tokens before (``left``) and
    of both sides (``both``), and the best code that looks no further than a window (``code``).

    Args:
        ensembles: trained; of several settings of one condition the levels are those of the first.
        profile: how much is read at each checkpoint, the same at all.
        seed: of the masks.
        every: as of ``kept_steps``.
        since: likewise.
    """
    rows: list[Row] = []
    for place, ensemble in enumerate(ensembles):
        if ensemble.condition not in [before.condition for before in ensembles[:place]]:
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
    """The levels under another name: the chapter on predictions reads other windows."""
    for row in counting.rows():
        level = row.get("x") if row["metric"] == "ngram_nll" else LEVEL_OF.get(row["metric"])
        if level is not None:
            yield {**row, "metric": LEVEL_NLL, "axis": "level", "x": level}


def primary_rows(
    ensemble: Ensemble, state: State | int, profile: Profile, seed: int, types: Mask | None = None,
    scored: Mask | None = None,
) -> Iterator[Row]:  # fmt: skip
    """The primary measures of members, without nulls and untrained members.

    Rows of ``output_distributions`` and ``disagreement``, ``topk_overlap_corrected`` at ``BAND_K`` (where there
    are tokens enough, and all places count), and traces and shares of ``fisher_information`` (where all tokens
    count).

    Args:
        ensemble: whose members.
        state: of theirs, or the step after which they are read.
        profile: how much is read.
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
        examples = masked_tokens(ensemble, profile, seed).thinned()
        traces = each(partial(trace, examples=examples), models)
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


#: What is checked: the loss, and the distance, whose pseudo-values grow with a member's mean distance to the
#: others.
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
    deviation = sample - sample.mean(-1, keepdims=True)
    apart = deviation * count / (count - 1)
    of_others = np.square(deviation).sum(-1, keepdims=True) - deviation * apart
    error = np.sqrt(np.maximum(of_others, 0.0) / (count - 2) * count / (count - 1))
    return np.divide(apart, error, out=np.zeros_like(apart), where=error > 0)


def score_limit(members: int, checks: int) -> float:
    """The score that like members exceed in at most ``RATE`` of tables of so many checks (Bonferroni)."""
    return float(special.stdtrit(members - 2, 1 - RATE / (2 * members * checks)))


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """Members that lie apart from the others of their ensemble at the end of ``along_training``.

    Returns:
        One row a condition, setting, measure of ``CHECKED`` and member: ``condition``, ``setting``, ``metric``,
        ``member``, ``value``, ``score``, ``limit`` and ``outlier``.
    """
    rows, numbers = [], members_of(table, AXIS)
    checks = {
        (condition, setting, metric): numbers.get((condition, setting.x(setting.budget), metric), pd.Series())
        for (condition, setting), metric in product(settings_of(table), CHECKED)
    }
    checks = {check: values for check, values in checks.items() if len(values) > 2}
    for (condition, setting, metric), values in checks.items():
        about = {"condition": condition, "setting": setting, "metric": metric}
        limit = score_limit(len(values), len(checks))
        for (member, value), score in zip(values.items(), studentised(values), strict=True):
            judged = {"score": float(score), "limit": limit, "outlier": abs(score) > limit}
            rows.append({**about, "member": member, "value": float(value), **judged})
    columns = ["condition", "setting", "metric", "member", "value", "score", "limit", "outlier"]
    return pd.DataFrame(rows, columns=columns)
