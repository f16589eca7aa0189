"""What an ensemble depends on, in one immutable object; its hash is the name of the directory."""

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from gfm_utils.ensembles.presets import PRESETS
from gfm_utils.files import digest
from gfm_utils.profiles import Profile, Vary
from gfm_utils.tokens import Condition, TokenStore, is_condition, masked_per_window, most_masked

#: Bump when the same specification gives other weights than before.
FORMAT = 4


class Seeds(NamedTuple):
    """Seeds of one member: what two members have in common here is the same for both."""

    init: int  # of the initial weights, and of dropout where the profile has it
    order: int  # of the order of the windows
    masks: int  # of the positions that are predicted and of what is shown there


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
        """The specification for the tokens of one condition; what it does not say is as in the profile."""
        own: dict[str, Any] = {
            "condition": store.condition, "tokens": digest(store.about["key"]), "vocabulary": store.vocabulary,
            "data_seed": data_seed, "steps": profile.steps_taken,
        }  # fmt: skip
        return cls(**{name: getattr(profile, name) for name in cls.model_fields if hasattr(profile, name)} | own)

    @property
    def key(self) -> str:
        """Hash of the whole specification, 16 hexadecimal digits.

        A field with a default is younger than the format, and its default is what was done before there was a
        choice: it counts only where it is something else, so that older ensembles keep their keys. The same holds
        for the first shape that a preset had.
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
        """The seeds of a member (1, 2, ...): its own for what varies, those of the whole ensemble for all else.

        Each corpus with its tokenizer has initial weights of its own, so that members of two of them are
        independent. A transformed corpus has those of the original, member by member, so that the effect of a
        transform is seen at equal initial weights.
        """
        varied = ("init", "order", "masks") if self.vary == "all" else self.vary.split("+")
        name = self.condition
        if is_condition(name):
            name = str(Condition.parse(name).transformed(None))
        of_condition = int(digest(name), 16)
        sources = (np.random.SeedSequence([self.data_seed, of_condition, number]) for number in (member, 0))
        (init, data), (common, _) = (source.generate_state(2, np.uint64).tolist() for source in sources)
        return Seeds(
            init=init if "init" in varied else common,
            order=data if "order" in varied else self.data_seed,
            masks=data if "masks" in varied else self.data_seed,
        )
