"""Profiles: one named size of everything, from a test of seconds to the paper's own run."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gfm_utils.errors import GfmError, unknown

#: What the members of an ensemble differ by: initial weights, order of the windows, masks, two of these, or all.
Vary = Literal["init", "order", "masks", "init+masks", "all"]
VARY: tuple[Vary, ...] = get_args(Vary)
#: What byte-pair encoding of text merges.
TextSymbols = Literal["bytes", "characters"]
DEFAULT_CONDITIONS = ("news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4")


class Profile(BaseModel):
    """Sizes and hyperparameters of one run.

    What decides weights is part of an ensemble's key, see ``gfm_utils.ensembles.EnsembleSpec``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    # corpus
    max_symbols: int | None  # characters or bases used of a corpus; None: all of it
    tokenizer_symbols: int | None  # of the training part that BPE learns from; None: all, of DNA what fits
    text_symbols: TextSymbols = "bytes"  # of BPE: bytes with white space, or characters between it (it is lost)
    rows: int | None = Field(default=None, ge=1)  # of a stream, the first window of each trains; None: all windows
    # model and windows
    preset: str  # architecture and size, see gfm_utils.ensembles.presets
    window: int = Field(ge=8)  # tokens a window
    # training
    members: int = Field(ge=2)  # models an ensemble
    vary: Vary = "init"  # what the members differ by
    steps: int | None = Field(default=None, ge=1)  # optimiser steps a member; either this or tokens
    tokens: int | None = Field(default=None, ge=1)  # that a member reads; either this or steps
    budget_given: bool = False  # the budget was asked for, so that no small corpus may lower it
    batch: int = Field(ge=1)  # windows a step
    drop_last: bool = True  # leave out the windows of an epoch that fill no batch; else a smaller batch at its end
    dropout: float = Field(default=0.0, ge=0, lt=1)  # probability, everywhere in the model
    precision: Literal["float32", "bfloat16"] = "float32"  # between weights and loss, when training on a GPU
    learning_rate: float
    matrix_rate: float | None = None  # of Muon, for the matrices between embeddings and decoder; None: AdamW
    warmup: float  # share of the steps with a rising learning rate
    schedule: Literal["cosine", "linear"] = "cosine"  # how the learning rate falls to zero
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 0.5  # largest norm of the gradient
    train_mask: float = 0.15  # share of the tokens of a training window that are predicted
    independent_masks: bool = False  # each token with that probability by itself; else so many of a window
    special_replacements: bool = False  # a random token may be one of the special ones, too
    corruption: tuple[float, float, float] = (0.8, 0.1, 0.1)  # predicted tokens: [MASK], a random token, unchanged
    keep: Literal["last", "best"] = "last"  # weights of the last step, or of the lowest validation loss
    validation_every: int | None = Field(default=None, ge=1)  # steps between validation losses; None: log-spaced
    validation_windows: int = Field(default=128, ge=1)
    # analysis
    test_windows: int = Field(ge=2)  # that the analyses read
    test_mask: float = 0.15  # share of their tokens masked for distributions, all by [MASK]
    fisher_windows: int = Field(ge=2)  # test windows for the Fisher information
    fisher_mask: float = 0.15  # share of their tokens masked, all by [MASK]
    fisher_batch: int | None = Field(default=None, ge=1)  # windows, in the paper's form; None: those of a step
    # corpus entropy
    entropy_order: int = Field(ge=1)  # largest block length in symbols
    entropy_symbols: int | None = None  # first symbols that are counted; None: all
    code_symbols: int | None  # first symbols that the code lengths read; None: all

    @model_validator(mode="after")
    def _one_budget(self) -> "Profile":
        _ = self.steps_taken
        return self

    @property
    def steps_taken(self) -> int:
        """Optimiser steps a member: as given, or the number nearest to the budget of tokens, at least 1.

        Raises:
            GfmError: both a number of steps and one of tokens are given, or neither.
        """
        if self.steps is not None and self.tokens is None:
            return self.steps
        if self.tokens is not None and self.steps is None:
            return max(1, round(self.tokens / (self.batch * self.window)))
        given = "both steps and tokens" if self.steps is not None else "neither steps nor tokens"
        raise GfmError(f"profile {self.name!r} gives {given} as the budget of a member: give one of the two")

    def changed(
        self,
        vary: str | None = None,
        steps: int | None = None,
        tokens: int | None = None,
        preset: str | None = None,
        window: int | None = None,
    ) -> "Profile":
        """This profile with other values; None leaves a thing as it is, and no small corpus lowers a budget.

        Raises:
            GfmError: an unknown variant, or both budgets.
        """
        if vary is not None and vary not in VARY:
            raise unknown("variant", vary, VARY)
        given = {"vary": vary, "preset": preset, "window": window}
        update: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if steps is not None or tokens is not None:
            update |= {"steps": steps, "tokens": tokens, "budget_given": True}
        return Profile.model_validate(self.model_dump() | update)


# What small models learn most from per second of two cores (benchmarks/recipe.py measures it): many small
# batches; 30 % of the tokens masked, as in ModernBERT; Muon for the matrices between embeddings and decoder; a
# learning rate that falls in a line. Longer trainings take half the rates.
_COMMON: dict[str, Any] = {
    "preset": "modernbert-2x64",
    "window": 64,
    "batch": 16,
    "learning_rate": 6e-3,
    "matrix_rate": 0.01,
    "warmup": 0.1,
    "schedule": "linear",
    "train_mask": 0.3,
}
_LONGER: dict[str, Any] = {**_COMMON, "learning_rate": 3e-3, "matrix_rate": 0.005}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(  # seconds: does everything run?
            name="smoke", max_symbols=200_000, tokenizer_symbols=100_000, members=2, steps=20,
            test_windows=16, fisher_windows=4, entropy_order=6, entropy_symbols=100_000, code_symbols=50_000,
            **_COMMON,
        ),
        Profile(  # the default book, on two cores
            name="quick", max_symbols=12_000_000, tokenizer_symbols=2_000_000, members=5, steps=900,
            test_windows=256, fisher_windows=64, entropy_order=12, code_symbols=2_000_000, **_COMMON,
        ),
        Profile(  # many corpora on equal terms: as ``quick``, of each corpus as much as the smallest has
            name="atlas", max_symbols=1_500_000, tokenizer_symbols=None, members=5, steps=900,
            test_windows=256, fisher_windows=64, entropy_order=3, entropy_symbols=1_500_000,
            code_symbols=1_500_000, **_COMMON,
        ),
        Profile(  # the recorded run that the verdicts rest on: two cores, an hour or two
            name="long", max_symbols=None, tokenizer_symbols=2_000_000, members=5, steps=16_000,
            test_windows=1024, fisher_windows=192, entropy_order=12, code_symbols=4_000_000, **_LONGER,
        ),
        Profile(  # one small GPU
            name="colab", max_symbols=30_000_000, tokenizer_symbols=4_000_000, members=5, steps=8000,
            test_windows=2048, fisher_windows=256, entropy_order=12, code_symbols=4_000_000,
            **_LONGER | {"preset": "modernbert-4x128", "batch": 64},
        ),
        Profile(  # one large GPU
            name="gpu", max_symbols=2_000_000_000, tokenizer_symbols=8_000_000, members=5, steps=10_000,
            test_windows=4096, fisher_windows=512, entropy_order=13, code_symbols=None,
            precision="bfloat16", **_LONGER | {"preset": "modernbert-6x256", "window": 128, "batch": 256},
        ),
        # The paper's table and its code: 2M sequences of 512 tokens, 5 epochs of 20,834 steps (96 sequences each,
        # 32 in the last), BERT of 90M parameters. The training part (0.8) of 8e9 bases holds 1.02e9 6-mers in
        # windows of 512, gaps and incomplete windows left out. Its BPE is bpe4091, with special tokens on top.
        # What differs: gfm_utils.claims.paper.
        Profile(
            name="paper", max_symbols=8_000_000_000, tokenizer_symbols=None, text_symbols="characters",
            rows=2_000_000, members=5, steps=104_170,
            test_windows=10_000, fisher_windows=1000, entropy_order=13, code_symbols=None,
            preset="bert-90m", window=512, batch=96, drop_last=False, vary="init+masks",
            learning_rate=1e-4, warmup=0.1, betas=(0.9, 0.999), weight_decay=0.0, dropout=0.1,
            independent_masks=True, special_replacements=True,
            keep="best", validation_every=1000, validation_windows=10_000,
            test_mask=0.10, fisher_mask=0.15, fisher_batch=8,
        ),
    )
}  # fmt: skip


def profile(name: str) -> Profile:
    """The profile of that name, else a GfmError with those that there are."""
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]
