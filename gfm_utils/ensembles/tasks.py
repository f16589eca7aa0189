"""Members that are to be trained: what, with which seed, and where everything of theirs stands."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.states import newest_step
from gfm_utils.tokens import TokenStore

BITS = 1 / math.log(2)


def log_spaced(steps: int) -> list[int]:
    """Steps at which the validation loss is measured and a checkpoint is kept.

    At most 12: before the first step, after the first, after the last, and evenly between these on a
    logarithmic scale.
    """
    return sorted({0, *np.geomspace(1, steps, 11).round().astype(int).tolist()})


def measured_steps(spec: EnsembleSpec) -> list[int]:
    """Steps at which the validation loss is measured: log-spaced, and at regular intervals if there are such."""
    every = spec.validation_every
    regular = range(every, spec.steps + 1, every) if every is not None else ()
    return sorted({*log_spaced(spec.steps), *regular})


def checkpoint_path(member: Path, step: int, kept: int) -> Path:
    """Where a member has its weights after some steps, as a Hugging Face checkpoint.

    Args:
        member: its directory.
        step: the steps.
        kept: steps after which it has the weights that stand in the directory itself.
    """
    between = member / "checkpoints" / f"step-{step:09d}"
    return {0: member / "untrained", kept: member}.get(step, between)


def is_trained(path: Path) -> bool:
    """Whether a member's directory is complete; it appears whole or not at all."""
    return (path / "spec.json").exists()


def partial_path(path: Path) -> Path:
    """Where a member is while it is trained: ``.member-00.partial`` beside its directory."""
    return path.with_name(f".{path.name}.partial")


@dataclass(frozen=True)
class Task:
    """One member to train.

    Attributes:
        spec: what all members of its ensemble share.
        store: the tokens.
        seed: of the member, 1 or more.
        path: its directory.
    """

    spec: EnsembleSpec
    store: TokenStore
    seed: int
    path: Path

    def __str__(self) -> str:
        return f"{self.spec.condition}, member with seed {self.seed}"

    @property
    def steps_left(self) -> int:
        """Steps that are still to be taken, after those of the newest saved state if there is one."""
        if is_trained(self.path):
            return 0
        return self.spec.steps - newest_step(partial_path(self.path))
