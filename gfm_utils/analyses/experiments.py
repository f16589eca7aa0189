"""Experiments on confounds, as data: what else may differ between text and DNA, and what is changed to see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gfm_utils.ensembles import without_layers
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, TokenStore

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
        conditions: role -> condition, with ``{corpus}``, ``{tokenizer}`` and ``{window}`` of the run; other roles
            are those of the run that it is compared with.
        profile: fields of the profile that change; of a longer window there are fewer, a step and a test.
        steps: factor of the steps.
        members: of each ensemble; None: the profile's.
        bare: whether the models have no layers.
        scored: which hidden tokens count.
        beside: name of the run that it is compared with.
        against: roles that text is compared with.
        predictability: whether it changes how much there is to learn from context; no confound then, but what the
            differences are thought to come from.
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
    found: dict[str, str] = {}
    for store in (store for store in stores if store.kind == "text" or store.genome):
        kmers = Condition.parse(store.condition).tokenizer.startswith("kmer")
        found.setdefault(TEXT if store.kind == "text" else KMERS if kmers else DNA, store.condition)
    return found
