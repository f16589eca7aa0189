"""What else may make the difference between text and DNA: for each confound an experiment that changes it.

An experiment trains (or reads) the three conditions of a run, one of text, one of DNA cut as text is and one of
DNA as k-mers, with one thing changed; a condition that it does not name stays as it is in the run that it is
compared with. What counts is the difference between text and DNA in the primary measures: whether it keeps its
sign, and how much of it is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.claims import OUTPUT, TOKEN, Measure, Term, estimate, of_uniform
from gfm_utils.analyses.dose import GAIN, KL, MEASURES, estimate_rows
from gfm_utils.analyses.intervals import difference
from gfm_utils.analyses.primary import Chosen, fisher_rows, neighbour_rows, prediction_rows, trained_models
from gfm_utils.analyses.rates import entropy_rate
from gfm_utils.analyses.rows import Row
from gfm_utils.ensembles import Ensemble, plan_ensembles, train_planned, without_layers
from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, Condition, TokenStore

#: The conditions of a run: text, DNA cut as text is, DNA as k-mers.
TEXT, DNA, KMERS = "text", "dna", "kmers"
ROLES = (TEXT, DNA, KMERS)
STANDARD = "standard"
#: Axis of the rows: name of the experiment and what the condition stands for in it, like ``windows256|text``.
AXIS = "experiment|role"
#: Test windows and windows for the Fisher information, of ``READ_WINDOW`` tokens: half of what the chapters read.
READ, READ_WINDOW = {"test_windows": 256, "fisher_windows": 48}, 64
#: Name in the result table -> what is measured: the primary measure of each claim, and the context gain.
MEASURED: dict[str, Measure] = {
    GAIN: MEASURES[GAIN],
    "nll_share": Measure(
        "loss on hidden tokens, share of log2 V", "predictions", (Term("nll", unit=TOKEN), OUTPUT, KL), True,
        of_uniform, percent=True,
    ),
    **{name: MEASURES[name] for name in (
        "output_entropy_share", "js_distance", "topk_overlap_corrected", "fisher_share"
    )},
}  # fmt: skip
#: Shares of tokens that differ by no more than this factor are taken for the same.
AS_COMMON = 1.1
STAYS, GONE, TURNS, NONE_BEFORE = "stays", "gone", "turns", "none before"
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
        conditions: role -> condition, with ``{corpus}``, ``{tokenizer}`` and ``{window}`` of the run; other roles
            are those of the run that it is compared with.
        profile: fields of the profile that change; of a longer window there are fewer, a step and a test.
        steps: factor of the steps.
        members: of each ensemble; None: the profile's.
        bare: whether the models have no layers.
        scored: which hidden tokens count.
        beside: name of the run that it is compared with.
        against: roles that text is compared with.
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

    def named(self, roles: Mapping[str, str], size: Profile) -> dict[str, str]:
        """Role -> condition, of those that it changes.

        Args:
            roles: role -> condition of the run.
            size: of the run.
        """
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
            _every("{corpus}+within{window}@{tokenizer}"),
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
        Experiment("bare", "what needs no context", "models without layers", bare=True),
        Experiment(
            "noise", "(for the next row)", "30 % of the tokens mixed, in training and at test",
            _every("{corpus}+noise0.3@{tokenizer}"),
        ),
        Experiment(
            "noise-left-alone", "what noise itself hides",
            "the same models, hidden tokens scored only where noise left them alone",
            _every("{corpus}+noise0.3@{tokenizer}"), scored="left alone", beside="noise",
        ),
        *(
            Experiment(
                name, "how much there is to learn", f"DNA from a Markov chain of known entropy rate, {words}",
                {KMERS: f"{{corpus}}+{transform}@{{tokenizer}}"}, against=(KMERS,),
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
    found: dict[str, str] = {}
    for store in stores:
        kmers = Condition.parse(store.condition).tokenizer.startswith("kmer")
        found.setdefault(TEXT if store.kind == "text" else KMERS if kmers else DNA, store.condition)
    return found


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
    or, if that is less, that the training part has it), and of sources with a known entropy rate
    ``attainable_gain`` (bits/token): unigram entropy less the rate per token, what a reader from left to right can
    gain.

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
        for name, measure in MEASURED.items():
            own = estimate(measure, found)
            if own is not None:
                unit = "share" if measure.percent else TOKEN if "bits" in measure.text else "1"
                named = {**base, "state": "trained", "metric": name, "unit": unit}
                rows += estimate_rows(named, ensemble.seeds, own)
        unigram = float(found.loc[(found["metric"] == "unigram_nll").fillna(False), "value"].iloc[0])
        rows += _known(base, ensemble, unigram)
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
    models = trained_models(ensemble)
    scored = ensemble.store.moved("test") if experiment.scored == "left alone" else None
    yield from prediction_rows(ensemble, models, size, seed, types, None if scored is None else ~scored)
    if scored is None:
        yield from neighbour_rows(ensemble, models, types)
    if experiment.scored == "all":
        yield from fisher_rows(ensemble, models, size, seed)


def _known(base: Row, ensemble: Ensemble, unigram: float) -> Iterator[Row]:
    """What is known of a condition without a model."""
    store, spec = ensemble.store, ensemble.spec
    yield {**base, "metric": "unigram_nll", "value": unigram, "unit": TOKEN}
    read = min(spec.tokens_seen, store.about["parts"]["train"]["tokens"])
    yield {**base, "metric": "occurrences", "value": read / (store.vocabulary - len(SPECIAL)), "unit": "1"}
    if "entropy_rate" in store.about:
        rate = entropy_rate(store)
        if rate.exact:
            yield {**base, "metric": "attainable_gain", "value": unigram - rate.per_token, "unit": TOKEN}


def members_of(table: pd.DataFrame, experiment: str, role: str, metric: str) -> npt.NDArray[np.float64]:
    """One number a member, shape (members,); empty where there is none.

    Args:
        table: of ``confound_table``, of several experiments one below the other.
        experiment: its name.
        role: one of ``ROLES``.
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
        ``TURNS`` (with the other), ``GONE`` (not told from 0 any more), or ``NONE_BEFORE`` (it was not before).
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
        outcome = NONE_BEFORE
    elif not told_new:
        outcome = GONE
    else:
        outcome = STAYS if np.sign(new.value) == np.sign(old.value) else TURNS
    ends = {name: getattr(new, name) for name in ("value", "low", "high")}
    earlier = {f"before_{name}": getattr(old, name) for name in ("value", "low", "high")}
    return {**ends, **earlier, "left": new.value / old.value if told_old else np.nan, "outcome": outcome}


def at_read(size: Profile) -> Profile:
    """A profile that reads no more than ``READ`` in tests, whatever its window."""
    most = {name: max(2, number * READ_WINDOW // size.window) for name, number in READ.items()}
    return size.model_copy(update={name: min(number, getattr(size, name)) for name, number in most.items()})
