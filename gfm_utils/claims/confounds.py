"""What else may make the difference between text and DNA: for each confound an experiment that changes it.

An experiment changes one thing in the conditions of a run; those that it does not name stay as they are. What
counts is the difference between text and DNA in the primary measures: whether it keeps its sign, and how much of
it is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils import tables
from gfm_utils.claims.along_training import LOSS_SHARE, Mask, primary_rows
from gfm_utils.claims.dose import GAIN
from gfm_utils.ensembles import Ensemble, plan_ensembles, train_planned, without_layers
from gfm_utils.errors import GfmError
from gfm_utils.measures.entropy import between_neighbours
from gfm_utils.measures.estimates import measure_rows
from gfm_utils.measures.intervals import difference
from gfm_utils.measures.registry import TOKEN, chosen
from gfm_utils.measures.rows import Row, members_of
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, Condition, TokenStore

#: The conditions of a run: text, DNA cut as text is, DNA as k-mers.
TEXT, DNA, KMERS = "text", "dna", "kmers"
ROLES = (TEXT, DNA, KMERS)
STANDARD = "standard"
#: Which hidden tokens count: all, those that noise has left where they were, or those whose type has a partner in
#: the other corpus that is as common there (and the neighbours of these types).
Scored = Literal["all", "left alone", "as common"]
#: Windows that shrink in number as they grow in length, so that as many tokens are read.
_WINDOWS = ("batch", "test_windows", "fisher_windows", "validation_windows")
_PLAIN = "{corpus}@{tokenizer}"


@dataclass(frozen=True)
class Experiment:
    """One thing changed.

    Attributes:
        name: in result tables.
        confound: what else may make the difference, for people.
        change: what is done, for people.
        conditions: role -> condition, with ``{corpus}``, ``{tokenizer}`` and ``{window}`` of the run.
        profile: fields of the profile that change; of a longer window there are fewer, a step and a test.
        steps: factor of the steps.
        members: of each ensemble; None: the profile's.
        bare: whether the models have no layers.
        scored: which hidden tokens count.
        beside: name of the run that it is compared with.
        against: roles that text is compared with.
        predictability: whether it changes how much there is to learn from context; no confound then.
    """

    name: str
    confound: str
    change: str
    conditions: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(ROLES, _PLAIN))
    profile: Mapping[str, Any] = field(default_factory=dict)
    steps: float = 1
    members: int | None = None
    bare: bool = False
    scored: Scored = "all"
    beside: str = STANDARD
    against: Sequence[str] = (DNA, KMERS)
    predictability: bool = False

    def named(self, roles: Mapping[str, str], size: Profile) -> dict[str, str]:
        """Role -> condition, of those that it changes in a run of these conditions and of this profile."""
        parsed = {role: Condition.parse(roles[role]) for role in self.conditions if role in roles}
        return {
            role: self.conditions[role].format(corpus=one.corpus, tokenizer=one.tokenizer, window=size.window)
            for role, one in parsed.items()
        }

    def sized(self, size: Profile) -> Profile:
        """The profile of a run, with what the experiment changes."""
        update = dict(self.profile)
        if "window" in update:
            shorter = size.window / update["window"]
            update |= {name: max(2, round(shorter * getattr(size, name))) for name in _WINDOWS}
        if self.bare:
            update["preset"] = without_layers(size.preset)
        changed = Profile.model_validate(size.model_dump() | update)
        return changed if self.steps == 1 else changed.changed(steps=round(self.steps * size.steps_taken))


def _every(pattern: str) -> dict[str, str]:
    return dict.fromkeys(ROLES, pattern)


#: The experiments, those that say most first; each run is compared with one further up.
EXPERIMENTS: dict[str, Experiment] = {
    one.name: one
    for one in (
        Experiment(STANDARD, "–", "the run that the others are compared with"),
        Experiment(
            "recoded", "alphabet and tokenizer of DNA",
            "English in four letters (three bases a character), read as 4-mers that straddle characters",
            {TEXT: "{corpus}+recoded@kmer4"}, against=(KMERS,),
        ),
        Experiment("adamw", "optimiser", "AdamW for all weights, same budget", profile={"matrix_rate": None}),
        Experiment(
            "masks15", "share of hidden tokens", "15 % hidden in training, as at test",
            profile={"train_mask": 0.15, "test_mask": 0.15, "fisher_mask": 0.15},
        ),
        Experiment(
            "masks30", "share of hidden tokens", "30 % hidden at test, as in training",
            profile={"train_mask": 0.3, "test_mask": 0.3, "fisher_mask": 0.3},
        ),
        Experiment(
            "windows256", "length of windows", "windows of 256 tokens, as many tokens", profile={"window": 256}
        ),
        Experiment(
            "windows512", "length of windows", "windows of 512 tokens, as many tokens", profile={"window": 512}
        ),
        Experiment(
            "vary-all", "what members differ by", "members with other weights, other order and other masks",
            profile={"vary": "all"},
        ),
        Experiment(
            "vary-order", "what members differ by", "members with the same weights, in another order",
            profile={"vary": "order"},
        ),
        Experiment(
            "vary-masks", "what members differ by", "members with the same weights, with other masks",
            profile={"vary": "masks"},
        ),
        Experiment(
            "within", "relations of tokens, or what stands in a window",
            "tokens of each window in random order, in training and at test",
            _every("{corpus}+within{window}@{tokenizer}"), predictability=True,
        ),
        Experiment(
            "vocabulary1024", "size of the vocabulary",
            "1,024 tokens (BPE, 5-mers) instead of 256, all of the corpus, 2.25 times the steps",
            {TEXT: "{corpus}@bpe1024", DNA: "{corpus}@bpe1024", KMERS: "{corpus}@kmer5"}, {"max_symbols": None},
            steps=2.25,
        ),
        Experiment(
            "seeds10", "few members", "ten members of text and of DNA as BPE",
            {TEXT: _PLAIN, DNA: _PLAIN}, members=10, against=(DNA,),
        ),
        Experiment(
            "as-common", "how common tokens are",
            "only types that have a partner as common in the other corpus: hidden tokens and neighbours of these",
            {TEXT: _PLAIN, DNA: _PLAIN}, scored="as common", against=(DNA,),
        ),
        Experiment("bare", "what needs no context", "models without layers", bare=True, predictability=True),
        Experiment(
            "noise", "how predictable a token is", "30 % of the tokens mixed, in training and at test",
            _every("{corpus}+noise0.3@{tokenizer}"), predictability=True,
        ),
        Experiment(
            "noise-left-alone", "what noise itself hides",
            "the same models, hidden tokens scored only where noise left them alone",
            _every("{corpus}+noise0.3@{tokenizer}"), scored="left alone", beside="noise",
            predictability=True,
        ),
        *(
            Experiment(
                name, "how much there is to learn", f"DNA from a Markov chain of known entropy rate, {words}",
                {KMERS: f"{{corpus}}+{transform}@{{tokenizer}}"}, against=(KMERS,), predictability=True,
            )
            for name, transform, words in (
                ("chain-cold", "markov4t0.33", "order 4 at temperature 0.33"),
                ("chain-cool", "markov4t0.5", "order 4 at temperature 0.5"),
                ("chain", "markov4", "order 4"),
            )
        ),
    )
}  # fmt: skip


def roles_of(stores: Sequence[TokenStore]) -> dict[str, str]:
    """Role -> condition: the first text, the first DNA cut by BPE, and the first DNA as k-mers."""
    roles: dict[str, str] = {}
    for store in (store for store in stores if store.kind == "text" or store.genome):
        kmers = Condition.parse(store.condition).tokenizer.startswith("kmer")
        roles.setdefault(TEXT if store.kind == "text" else KMERS if kmers else DNA, store.condition)
    return roles


#: The recorded run.
RECORDED = "confounds"
#: Axis of the rows: name of the experiment and what the condition stands for in it, like ``windows256|text``.
AXIS = "experiment|role"
#: Test windows and windows for the Fisher information, of ``READ_WINDOW`` tokens: half of what the chapters read.
READ, READ_WINDOW = {"test_windows": 256, "fisher_windows": 48}, 64
#: What is measured: the primary measure of each claim, and the context gain.
MEASURED = chosen(
    GAIN, LOSS_SHARE, "output_entropy_share", "js_distance", "topk_overlap_corrected", "fisher_share"
)
#: Shares of tokens that differ by no more than this factor are taken for the same.
AS_COMMON = 1.1
STAYS, GONE, TURNS, APPEARS, NONE = "stays", "gone", "turns round", "appears", "none"


def planned(
    experiment: Experiment, roles: Mapping[str, str], size: Profile, runs_dir: Path, seed: int = 42
) -> dict[str, Ensemble]:
    """Role -> ensemble of an experiment, trained or not; of a run with these conditions (by role) and profile."""
    changed, names = experiment.sized(size), experiment.named(roles, size)
    conditions = [Condition.parse(name) for name in names.values()]
    return dict(zip(names, plan_ensembles(conditions, changed, runs_dir, seed, experiment.members), strict=True))


def confound_table(
    experiment: Experiment, roles: Mapping[str, str], size: Profile, runs_dir: Path, seed: int = 42
) -> pd.DataFrame:
    """Result table of ``MEASURED`` under an experiment; what is not trained yet is trained.

    Axis ``AXIS``: a row a member (of pairs: its jackknife pseudo-value), and the mean with its interval over
    members. Measures that an experiment does not touch, because it only chooses what is scored, have no rows. Of
    sources whose entropy is known ``attainable_gain`` (bits/token, no interval): what token frequencies cost less
    the entropy of a token between known neighbours.

    Raises:
        GfmError: no token has a partner that is as common.
    """
    ensembles, changed = planned(experiment, roles, size, runs_dir, seed), experiment.sized(size)
    train_planned(list(ensembles.values()))
    types: dict[str, Mask] = {}
    if experiment.scored == "as common":
        counts = [ensembles[role].store.counts("train") for role in (TEXT, DNA)]
        types = dict(zip((TEXT, DNA), as_common(*counts), strict=True))
        if not types[TEXT].any():
            raise GfmError("no token of the text has a partner in DNA that is as common: give larger vocabularies")
    rows: list[Row] = []
    for role, ensemble in ensembles.items():
        scored = ~ensemble.store.moved("test") if experiment.scored == "left alone" else None
        read = tables.table(primary_rows(ensemble, "trained", changed, seed, types.get(role), scored))
        base: Row = {"condition": ensemble.condition, "axis": AXIS, "x": f"{experiment.name}|{role}"}
        rows += measure_rows(base, MEASURED, read, ensemble.seeds)
        least = between_neighbours(ensemble.store, changed)
        if least is not None:
            unigram = float(read.loc[(read["metric"] == "unigram_nll").fillna(False), "value"].iloc[0])
            rows.append({**base, "metric": "attainable_gain", "value": unigram - least, "unit": TOKEN})
    return tables.table(rows)


def as_common(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[Mask, Mask]:
    """Which tokens of two vocabularies have a partner that makes up the same share of its corpus, or nearly so.

    From the commonest to the rarest, the next of both are a pair if their shares differ by ``AS_COMMON`` at most;
    else the commoner one is left out.

    Args:
        first: counts of one corpus's tokens, special ones included, shape (vocabulary,).
        second: the same of the other.
    """
    shares = [counts / counts.sum() for counts in (first, second)]
    for share in shares:
        share[: len(SPECIAL)] = 0
    orders = [np.argsort(-share, kind="stable")[: np.count_nonzero(share)] for share in shares]
    masks = [np.zeros(len(share), np.bool_) for share in shares]
    i, j = 0, 0
    while i < len(orders[0]) and j < len(orders[1]):
        one, other = orders[0][i], orders[1][j]
        ratio = shares[0][one] / shares[1][other]
        masks[0][one] = masks[1][other] = 1 / AS_COMMON <= ratio <= AS_COMMON
        i += ratio >= 1 / AS_COMMON
        j += ratio <= AS_COMMON
    return masks[0], masks[1]


def confound_effects(table: pd.DataFrame) -> pd.DataFrame:
    """What each experiment of ``confound_table`` makes of the difference between text and DNA.

    Returns:
        One row an experiment, role of DNA and measure that the table has: ``experiment``, ``role``, ``metric``;
        ``value``, ``low`` and ``high`` of the difference text - DNA (Welch's interval over members); ``left``, its
        ratio to that of the run that it is compared with (NaN where there was none); and ``outcome``: ``STAYS``
        (its interval excludes 0, same sign), ``TURNS`` (with the other), ``GONE`` (includes 0), ``APPEARS``
        (excludes 0, as it did not before), or ``NONE`` (neither now nor before).
    """
    rows, numbers = [], {(x, metric): values for (_, x, metric), values in members_of(table, AXIS).items()}
    for experiment in (one for one in EXPERIMENTS.values() if one.name != STANDARD):
        for role, metric in product(experiment.against, MEASURED):
            before, after = (
                [numbers.get((f"{name}|{one}", metric), ()) for one in (TEXT, role)]
                for name in (experiment.beside, experiment.name)
            )
            changed = [values if len(values) else old for values, old in zip(after, before, strict=True)]
            if any(map(len, after)) and min(map(len, (*before, *changed))) > 1:
                named = {"experiment": experiment.name, "role": role, "metric": metric}
                rows.append({**named, **_change(before, changed)})
    return pd.DataFrame(rows, columns=["experiment", "role", "metric", "value", "low", "high", "left", "outcome"])


def _change(before: Sequence[npt.ArrayLike], after: Sequence[npt.ArrayLike]) -> dict[str, Any]:
    old, new = difference(*before), difference(*after)
    clear_before, clear_now = (one.low > 0 or one.high < 0 for one in (old, new))
    if not clear_before:
        outcome = APPEARS if clear_now else NONE
    elif not clear_now:
        outcome = GONE
    else:
        outcome = STAYS if np.sign(new.value) == np.sign(old.value) else TURNS
    left = new.value / old.value if clear_before else np.nan
    return {"value": new.value, "low": new.low, "high": new.high, "left": left, "outcome": outcome}


def at_read(size: Profile) -> Profile:
    """A profile that reads no more than ``READ`` in tests, whatever its window."""
    most = {name: max(2, number * READ_WINDOW // size.window) for name, number in READ.items()}
    return size.model_copy(update={name: min(number, getattr(size, name)) for name, number in most.items()})
