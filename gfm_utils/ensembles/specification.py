"""What an ensemble depends on, in one immutable object; its hash is the name of the directory."""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from gfm_utils.ensembles.presets import PRESETS
from gfm_utils.files import digest
from gfm_utils.profiles import Profile, Vary
from gfm_utils.tokens import Condition, TokenStore, is_condition, masked_per_window, most_masked

#: Bump when the same specification gives other weights than before.
FORMAT = 4
_FROM_PROFILE = (
    "vary", "preset", "window", "batch", "learning_rate", "warmup", "schedule", "betas", "weight_decay",
    "clip", "dropout", "precision", "train_mask", "corruption", "independent_masks", "special_replacements",
    "drop_last", "keep", "validation_every", "validation_windows", "matrix_rate",
)  # fmt: skip


class Seeds(NamedTuple):
    """Seeds of one member: what two members have in common here is the same for both.

    Attributes:
        init: of the initial weights, and of dropout where the profile has it.
        order: of the order of the windows.
        masks: of the positions that are predicted and of what is shown there.
    """

    init: int
    order: int
    masks: int


class EnsembleSpec(BaseModel):
    """Everything that the members of an ensemble share; they differ by what ``vary`` names, by their seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    condition: str
    tokens: str  # digest of the token store's key: corpus, split, tokenizer
    vocabulary: int
    vary: Vary
    preset: str
    window: int
    steps: int
    batch: int
    learning_rate: float
    warmup: float
    schedule: str
    betas: tuple[float, float]
    weight_decay: float
    clip: float
    dropout: float
    precision: str
    train_mask: float
    corruption: tuple[float, float, float]
    data_seed: int  # of all that the members share: order of the windows and masks, unless these vary
    format: int = FORMAT
    independent_masks: bool = False
    special_replacements: bool = False
    drop_last: bool = True
    keep: Literal["last", "best"] = "last"
    validation_every: int | None = None
    validation_windows: int = 128
    matrix_rate: float | None = None

    @classmethod
    def of(cls, store: TokenStore, profile: Profile, data_seed: int = 42) -> "EnsembleSpec":
        """The specification for the tokens of one condition at the size of a profile.

        Raises:
            GfmError: the profile gives both a number of steps and one of tokens, or neither.
        """
        return cls(
            condition=store.condition,
            tokens=digest(store.about["key"]),
            vocabulary=store.vocabulary,
            data_seed=data_seed,
            steps=profile.steps_taken,
            **{name: getattr(profile, name) for name in _FROM_PROFILE},
        )

    @property
    def key(self) -> str:
        """Hash of the whole specification, 16 hexadecimal digits.

        A field that has a default is younger than the format, and its default is what was done before there was a
        choice: it counts only where it is something else, and so the ensembles of before keep their keys. The same
        holds for the first shape that a preset had.
        """
        revision = PRESETS[self.preset].revision if self.preset in PRESETS else 1
        shape = {"revision": revision} if revision > 1 else {}
        return digest(self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format} | shape)

    @property
    def tokens_seen(self) -> int:
        """Tokens that each member reads in training, those that lack in a smaller batch included."""
        return self.steps * self.batch * self.window

    @property
    def places(self) -> int:
        """Places of a training window for tokens to predict; where masks are independent, not all are needed."""
        count = most_masked if self.independent_masks else masked_per_window
        return count(self.window, self.train_mask)

    def seeds(self, member: int) -> Seeds:
        """The seeds of a member: its own for what varies, those of the whole ensemble for the rest.

        Each corpus with its tokenizer has initial weights of its own, so that members of two of them are
        independent. What transforms make of it has the same, member by member, so that the effect of a transform
        is seen beside equal initial weights.

        Args:
            member: seed of the member, 1 or more.
        """
        varied = ("init", "order", "masks") if self.vary == "all" else self.vary.split("+")
        name = self.condition
        if is_condition(name):
            name = str(Condition.parse(name).transformed(None))
        of_condition = int(digest(name), 16)

        def drawn(number: int) -> tuple[int, int]:
            source = np.random.SeedSequence([self.data_seed, of_condition, number])
            init, other = source.generate_state(2, np.uint64).tolist()
            return init, other

        (init, data), (common, _) = drawn(member), drawn(0)
        return Seeds(
            init=init if "init" in varied else common,
            order=data if "order" in varied else self.data_seed,
            masks=data if "masks" in varied else self.data_seed,
        )
