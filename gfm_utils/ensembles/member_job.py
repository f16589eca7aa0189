"""Members that are to be trained: what, with which seed, and where everything of theirs stands."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gfm_utils.ensembles.presets import parameters_of
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.errors import GfmError
from gfm_utils.tokens import TokenStore

BITS = 1 / math.log(2)
#: Members whose steps take more floating-point operations than this are not trained as one program on a GPU: one
#: of them keeps it busy (an H100 for ten milliseconds or more).
LARGE_STEP = 1e13
#: Is called with progress: the directory of a member, its step and training loss (bits per token); or a sentence.
Callback = Callable[..., None]


def log_spaced(steps: int) -> list[int]:
    """Steps at which a checkpoint is kept, at most 12: 0, the first, the last, log-evenly between these."""
    return sorted({0, *np.geomspace(1, steps, 11).round().astype(int).tolist()})


def measured_steps(spec: EnsembleSpec) -> list[int]:
    """Steps at which the validation loss is measured: log-spaced, and at regular intervals if there are such."""
    every = spec.validation_every or spec.steps
    return sorted({*log_spaced(spec.steps), *range(every, spec.steps + 1, every)})


def checkpoint_path(member: Path, step: int, kept: int) -> Path:
    """Where a member has its weights after some steps, as a Hugging Face checkpoint.

    Those after ``kept`` steps stand in its directory itself.
    """
    between = member / "checkpoints" / f"step-{step:09d}"
    return {0: member / "untrained", kept: member}.get(step, between)


def is_trained(path: Path) -> bool:
    """Whether a member's directory is complete; it appears whole or not at all."""
    return (path / "spec.json").exists()


def partial_path(path: Path) -> Path:
    """Where a member is while it is trained: ``.member-00.partial`` in the same folder."""
    return path.with_name(f".{path.name}.partial")


def step_of(state: Path) -> int:
    """Step of a saved state, ``state-<step>-<checksum>.pt``, going by its name."""
    return int(state.name.split("-")[1])


@dataclass(frozen=True)
class MemberJob:
    """One member to train."""

    spec: EnsembleSpec  # what all members of its ensemble share
    store: TokenStore
    seed: int  # 1 or more
    path: Path  # its directory

    def __str__(self) -> str:
        return f"{self.spec.condition}, member with seed {self.seed}"

    @property
    def steps_left(self) -> int:
        """Steps that are still to be taken, after those of the newest saved state if there is one."""
        if is_trained(self.path):
            return 0
        return self.spec.steps - max(map(step_of, partial_path(self.path).glob("state-*-*.pt")), default=0)


def missing_of(jobs: Sequence[MemberJob]) -> list[MemberJob]:
    """The members that are not trained yet, or of which a killed run left something."""
    return [job for job in jobs if not is_trained(job.path) or partial_path(job.path).exists()]


def batch_members(jobs: Sequence[MemberJob], device: str, devices: int = 1) -> list[list[MemberJob]]:
    """The jobs in groups, each of which one process trains, in the order of their first members.

    On a CPU each member is by itself: processes keep the cores busy, and its weights do not depend on the others.
    On a GPU members of one specification without large steps and without dropout, which would draw other numbers,
    are a group if they are equally far; on several GPUs (``devices``) as many groups.
    """
    programs: dict[tuple[Path, str, int, int], list[MemberJob]] = {}
    for job in jobs:
        small = work(job.spec, job.spec.batch * job.spec.window) < LARGE_STEP
        alone = 0 if device != "cpu" and job.spec.dropout == 0 and small else job.seed
        programs.setdefault((job.path.parent, job.spec.key, alone, job.steps_left), []).append(job)
    groups = []
    for program in programs.values():
        size = -(-len(program) // max(1, devices))
        groups += [program[begin : begin + size] for begin in range(0, len(program), size)]
    return groups


def work(spec: EnsembleSpec, tokens: int) -> float:
    """Floating-point operations of training, 6 for each parameter and token (Kaplan et al., arXiv 2001.08361)."""
    return 6.0 * parameters_of(spec.preset, spec.vocabulary, spec.window) * tokens


def too_large(job: MemberJob, where: str = "the device") -> GfmError:
    """The error that a step of a member needs more memory than a device has."""
    spec = job.spec
    return GfmError(
        f"training {spec.condition!r} needs more memory than {where} has: give a smaller batch ({spec.batch}), "
        f"window ({spec.window}) or preset ({spec.preset}) in the profile"
    )
