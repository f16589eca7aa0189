"""What else may make the difference between text and DNA: for each confound an experiment that changes it.

An experiment trains (or reads) the three conditions of a run, one of text, one of DNA cut as text is and one of
DNA as k-mers, with one thing changed; a condition that it does not name stays as it is in the run that it is
compared with. What counts is the difference between text and DNA in the primary measures: whether it keeps its
sign, and how much of it is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.along_training import LOSS_SHARE
from gfm_utils.analyses.dose import GAIN, measure_rows
from gfm_utils.analyses.experiments import DNA, EXPERIMENTS, STANDARD, TEXT, Experiment
from gfm_utils.analyses.intervals import difference
from gfm_utils.analyses.measures import TOKEN, chosen
from gfm_utils.analyses.primary import Chosen, fisher_rows, neighbour_rows, prediction_rows
from gfm_utils.analyses.rates import between_neighbours
from gfm_utils.analyses.rows import Row
from gfm_utils.ensembles import Ensemble, plan_ensembles, train_planned
from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.provenance import recorded
from gfm_utils.tokens import SPECIAL, Condition

#: The recorded run.
RECORDED = "confounds"
#: Axis of the rows: name of the experiment and what the condition stands for in it, like ``windows256|text``.
AXIS = "experiment|role"
#: Test windows and windows for the Fisher information, of ``READ_WINDOW`` tokens: half of what the chapters read.
READ, READ_WINDOW = {"test_windows": 256, "fisher_windows": 48}, 64
#: Name in the result table -> what is measured: the primary measure of each claim, and the context gain.
MEASURED = chosen(
    GAIN, LOSS_SHARE, "output_entropy_share", "js_distance", "topk_overlap_corrected", "fisher_share"
)
#: Shares of tokens that differ by no more than this factor are taken for the same.
AS_COMMON = 1.1
STAYS, GONE, TURNS, APPEARS, NONE = "stays", "gone", "turns round", "appears", "none"


def planned(
    experiment: Experiment, roles: Mapping[str, str], size: Profile, runs_dir: Path, seed: int = 42
) -> dict[str, Ensemble]:
    """Role -> what an experiment reads, trained or not.

    Args:
        experiment: which.
        roles: role -> condition of the run.
        size: of the run, see ``READ``.
        runs_dir: where tokens and ensembles are found or made.
        seed: of splits, order of the windows, masks and transforms.
    """
    changed, names = experiment.sized(size), experiment.named(roles, size)
    members = experiment.members
    return {
        role: plan_ensembles([Condition.parse(name)], changed, runs_dir, seed, members)[0]
        for role, name in names.items()
    }


def confound_table(
    experiment: Experiment, roles: Mapping[str, str], size: Profile, runs_dir: Path, seed: int = 42
) -> pd.DataFrame:
    """Result table of ``MEASURED`` under an experiment; what is not trained yet is trained.

    Axis ``AXIS``: each measure of the trained members, a row a member (of what only pairs have: its jackknife
    pseudo-value, so that members are independent) and the mean with its interval. Measures that an experiment does
    not touch, because it only chooses what is scored, have no rows. Without an interval: ``unigram_nll``
    (bits/token, of the hidden tokens that count), ``occurrences`` (times that a member has read a type on average,
    or, if that is less, that the training part has it), and of sources whose entropy is known
    ``attainable_gain`` (bits/token): ``unigram_nll`` less the entropy of a token between known neighbours.

    Args:
        experiment: which.
        roles: role -> condition of the run.
        size: of the run, see ``READ``.
        runs_dir: where tokens and ensembles are found or made.
        seed: of splits, order of the windows, masks and transforms.

    Raises:
        GfmError: no token has a partner that is as common.
    """
    ensembles = planned(experiment, roles, size, runs_dir, seed)
    train_planned(list(ensembles.values()))
    types = _types(experiment, ensembles)
    rows: list[Row] = []
    for role, ensemble in ensembles.items():
        found = tables.table(_found(experiment, ensemble, experiment.sized(size), seed, types.get(role)))
        base: Row = {"condition": ensemble.condition, "axis": AXIS, "x": f"{experiment.name}|{role}"}
        rows += measure_rows({**base, "state": "trained"}, MEASURED, found, ensemble)
        unigram = float(found.loc[(found["metric"] == "unigram_nll").fillna(False), "value"].iloc[0])
        rows += _known(base, ensemble, unigram, experiment.sized(size))
    return tables.table(rows)


def _types(experiment: Experiment, ensembles: Mapping[str, Ensemble]) -> dict[str, Chosen]:
    """Role -> tokens of the vocabulary that count; empty where all do."""
    if experiment.scored != "as common":
        return {}
    counts = [ensembles[role].store.counts("train") for role in (TEXT, DNA)]
    chosen = as_common(*counts)
    if not chosen[0].any():
        raise GfmError("no token of the text has a partner in DNA that is as common: give larger vocabularies")
    return dict(zip((TEXT, DNA), chosen, strict=True))


def as_common(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[Chosen, Chosen]:
    """Tokens of two vocabularies in pairs that make up the same share of their corpus, or nearly so.

    From the commonest to the rarest, the next of both are a pair if their shares differ by ``AS_COMMON`` at most;
    else the commoner one is left out.

    Args:
        first: counts of one corpus's tokens, special ones included, shape (vocabulary,).
        second: the same of the other.

    Returns:
        Which tokens of each have a partner.
    """
    shares = [counts / counts.sum() for counts in (first, second)]
    for share in shares:
        share[: len(SPECIAL)] = 0
    orders = [np.argsort(-share, kind="stable") for share in shares]
    chosen = tuple(np.zeros(len(share), np.bool_) for share in shares)
    at = [0, 0]
    while all(place < np.count_nonzero(share) for place, share in zip(at, shares, strict=True)):
        tokens = [order[place] for order, place in zip(orders, at, strict=True)]
        ratio = shares[0][tokens[0]] / shares[1][tokens[1]]
        if 1 / AS_COMMON <= ratio <= AS_COMMON:
            for own, token in zip(chosen, tokens, strict=True):
                own[token] = True
        at[0] += ratio >= 1 / AS_COMMON
        at[1] += ratio <= AS_COMMON
    return chosen[0], chosen[1]


def _found(
    experiment: Experiment, ensemble: Ensemble, size: Profile, seed: int, types: Chosen | None
) -> Iterator[Row]:
    """The rows that ``MEASURED`` needs, of the trained members."""
    models = list(ensemble.models())
    scored = ensemble.store.moved("test") if experiment.scored == "left alone" else None
    yield from prediction_rows(ensemble, models, size, seed, types, None if scored is None else ~scored)
    if scored is None:
        yield from neighbour_rows(ensemble, models, types)
    if experiment.scored == "all":
        yield from fisher_rows(ensemble, models, size, seed)


def _known(base: Row, ensemble: Ensemble, unigram: float, size: Profile) -> Iterator[Row]:
    """What is known of a condition without a model."""
    store, spec = ensemble.store, ensemble.spec
    yield {**base, "metric": "unigram_nll", "value": unigram, "unit": TOKEN}
    read = min(spec.tokens_seen, store.about["parts"]["train"]["tokens"])
    yield {**base, "metric": "occurrences", "value": read / (store.vocabulary - len(SPECIAL)), "unit": "1"}
    least = between_neighbours(store, size)
    if least is not None:
        yield {**base, "metric": "attainable_gain", "value": unigram - least, "unit": TOKEN}


def members_of(table: pd.DataFrame, experiment: str, role: str, metric: str) -> npt.NDArray[np.float64]:
    """One number a member, shape (members,); empty where there is none.

    Args:
        table: of ``confound_table``, of several experiments one below the other.
        experiment: its name.
        role: one of ``experiments.ROLES``.
        metric: one of ``MEASURED``.
    """
    here = (table["x"] == f"{experiment}|{role}") & (table["metric"] == metric) & table["member"].notna()
    return table[here.fillna(False)].sort_values("member")["value"].to_numpy("float64")


def confound_effects(table: pd.DataFrame) -> pd.DataFrame:
    """What each experiment makes of the difference between text and DNA.

    Args:
        table: of ``confound_table``, of several experiments one below the other.

    Returns:
        One row an experiment, role of DNA and measure that the table has: ``experiment``, ``role``, ``metric``;
        ``value``, ``low`` and ``high`` of the difference text - DNA under the experiment (Welch's interval over
        members); the same with ``before_`` in front of the run that it is compared with; ``left``, their ratio
        (NaN where there was no difference); and ``outcome``: ``STAYS`` (told from 0, with the same sign),
        ``TURNS`` (with the other), ``GONE`` (not told from 0 any more), ``APPEARS`` (told from 0, and not before),
        or ``NONE`` (neither now nor before).
    """
    found = []
    for experiment in (one for one in EXPERIMENTS.values() if one.name != STANDARD):
        for role in experiment.against:
            for metric in MEASURED:
                before = [members_of(table, experiment.beside, name, metric) for name in (TEXT, role)]
                after = [members_of(table, experiment.name, name, metric) for name in (TEXT, role)]
                if not len(after[0]) and not len(after[1]):
                    continue
                after = [own if len(own) else old for own, old in zip(after, before, strict=True)]
                if all(len(values) > 1 for values in (*before, *after)):
                    found.append({
                        "experiment": experiment.name, "role": role, "metric": metric, **_change(before, after)
                    })  # fmt: skip
    columns = ["experiment", "role", "metric", *_change([np.zeros(2)] * 2, [np.zeros(2)] * 2)]
    return pd.DataFrame(found, columns=columns)


def _change(before: Sequence[npt.NDArray[np.float64]], after: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    old, new = difference(*before), difference(*after)
    told_old, told_new = (one.low > 0 or one.high < 0 for one in (old, new))
    if not told_old:
        outcome = APPEARS if told_new else NONE
    elif not told_new:
        outcome = GONE
    else:
        outcome = STAYS if np.sign(new.value) == np.sign(old.value) else TURNS
    ends = {name: getattr(new, name) for name in ("value", "low", "high")}
    earlier = {f"before_{name}": getattr(old, name) for name in ("value", "low", "high")}
    return {**ends, **earlier, "left": new.value / old.value if told_old else np.nan, "outcome": outcome}


def recorded_confounds() -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The recorded experiments as one table of ``confound_table``, and their provenance; empty without any."""
    try:
        frame, about = recorded(RECORDED)
    except GfmError:
        return tables.table([]), []
    return frame, [about]


def at_read(size: Profile) -> Profile:
    """A profile that reads no more than ``READ`` in tests, whatever its window."""
    most = {name: max(2, number * READ_WINDOW // size.window) for name, number in READ.items()}
    return size.model_copy(update={name: min(number, getattr(size, name)) for name, number in most.items()})
