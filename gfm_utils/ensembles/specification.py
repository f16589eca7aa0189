"""What an ensemble depends on, in one immutable object; its hash is the name of the directory."""

from pydantic import BaseModel, ConfigDict

from gfm_utils.files import digest
from gfm_utils.profiles import Profile
from gfm_utils.tokens import TokenStore

#: Bump when the same specification gives other weights than before.
FORMAT = 1
_FROM_PROFILE = (
    "preset", "window", "steps", "batch", "learning_rate", "warmup", "schedule", "betas", "weight_decay",
    "clip", "train_mask", "corruption",
)  # fmt: skip


class EnsembleSpec(BaseModel):
    """Everything that the members of an ensemble share; they differ by the seed of their initial weights.

    Dropout, where a preset has it, is drawn from the member's seed too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    condition: str
    tokens: str  # digest of the token store's key: corpus, split, tokenizer
    vocabulary: int
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
    train_mask: float
    corruption: tuple[float, float, float]
    data_seed: int  # of the order of the windows and of the masks, the same for all members
    format: int = FORMAT

    @classmethod
    def of(cls, store: TokenStore, profile: Profile, data_seed: int = 42) -> "EnsembleSpec":
        """The specification for the tokens of one condition at the size of a profile."""
        return cls(
            condition=store.condition,
            tokens=digest(store.about["key"]),
            vocabulary=store.vocabulary,
            data_seed=data_seed,
            **{name: getattr(profile, name) for name in _FROM_PROFILE},
        )

    @property
    def key(self) -> str:
        """Hash of the whole specification, 16 hexadecimal digits."""
        return digest(self.model_dump(mode="json"))

    @property
    def tokens_seen(self) -> int:
        """Tokens that each member reads in training."""
        return self.steps * self.batch * self.window
