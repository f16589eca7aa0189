"""Ensembles on disk: found, or trained first."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from tqdm import tqdm
from transformers import AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

from gfm_utils.ensembles import cluster, multiprocess
from gfm_utils.ensembles.cost import Cost, expected, measure
from gfm_utils.ensembles.member_job import (
    Callback,
    MemberJob,
    batch_members,
    checkpoint_path,
    log_spaced,
    missing_of,
)
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.ensembles.shrink_profile import shrink_profile
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.errors import GfmError, unknown
from gfm_utils.files import write_json
from gfm_utils.profiles import Profile, profile
from gfm_utils.tokens import FEWEST_WINDOWS, Condition, TokenStore, prepare, random_store

transformers_logging.disable_progress_bar()  # a bar for every file read or written would tear our own

State = Literal["trained", "untrained"]
STATES: tuple[State, ...] = ("trained", "untrained")
#: What trains members, by name: this machine alone, or a Ray cluster.
ENGINES: dict[str, Callable[[Sequence[MemberJob], Callback], list[Diverged]]] = {
    "local": multiprocess.train, "ray": cluster.train,
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One trained model in its directory."""

    path: Path
    seed: int

    def model(self, state: State | int = "trained", where: str = "cpu") -> Any:
        """The Hugging Face model in evaluation mode, on a device.

        Its ``state`` is as trained (the weights that were kept), as initialised, or after one of ``checkpoints``.

        Raises:
            GfmError: there is no checkpoint of that step.
        """
        if isinstance(state, int):
            if state not in self.checkpoints:
                known = ", ".join(map(str, self.checkpoints))
                raise GfmError(f"{self.path} has no checkpoint of step {state}, only of the steps {known}")
            path = checkpoint_path(self.path, state, self.kept_step)
        else:
            path = self.path if state == "trained" else self.path / "untrained"
        loaded = AutoModelForMaskedLM.from_pretrained(
            path, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
        return loaded.eval().to(where)

    @cached_property
    def checkpoints(self) -> list[int]:
        """Steps after which there is a checkpoint, from 0 (untrained) to the last."""
        return log_spaced(int(self.metrics["step"].iloc[-1]))

    @cached_property
    def kept_step(self) -> int:
        """Steps after which it has the weights of the trained member: the last, unless the best are kept."""
        return int(self.provenance.get("kept_step", self.checkpoints[-1]))

    @property
    def validation_loss(self) -> float:
        """Validation loss of the trained member, bits per token."""
        return float(self.metrics.set_index("step")["validation_loss"][self.kept_step])

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Losses along the way: step, tokens, train_loss and validation_loss (bits/token), seconds."""
        return pd.read_parquet(self.path / "metrics.parquet")

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, hardware, date and wall time of the training."""
        return dict(json.loads((self.path / "provenance.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Ensemble:
    """The members of one condition."""

    spec: EnsembleSpec
    store: TokenStore
    members: tuple[Member, ...]
    notes: tuple[str, ...] = ()  # how the profile was fitted to the corpus, a sentence each

    @property
    def condition(self) -> str:
        """The condition, ``corpus@tokenizer``."""
        return self.spec.condition

    @property
    def seeds(self) -> list[int]:
        """The seeds of the members."""
        return [member.seed for member in self.members]

    @property
    def training_seconds(self) -> float:
        """Time of training, added up over members; those that were trained as one program share its time."""
        return sum(float(one.metrics["seconds"].iloc[-1]) / one.provenance["together"] for one in self.members)

    @property
    def jobs(self) -> list[MemberJob]:
        """The members as they are to be trained."""
        return [MemberJob(self.spec, self.store, member.seed, member.path) for member in self.members]

    def models(self, state: State | int = "trained") -> Iterator[Any]:
        """Every member's model in a state, or after a step, on the device; loaded when it is asked for."""
        return (member.model(state, multiprocess.device()) for member in self.members)


def plan_ensembles(
    conditions: Sequence[str | Condition],
    size: Profile | str,
    runs_dir: Path,
    seed: int = 42,
    members: int | None = None,
) -> list[Ensemble]:
    """What ``train_ensembles`` with the same arguments would train: tokens are made, models are not.

    A profile that the corpus cannot fill is fitted to it, see :mod:`gfm_utils.ensembles.shrink_profile`.

    Raises:
        GfmError: a corpus cannot be had, read or split, or is too small for a meaningful answer.
    """
    size = profile(size) if isinstance(size, str) else size
    ensembles = []
    for condition in [Condition.of(given) for given in conditions]:
        store = prepare(condition, size, runs_dir, seed)
        shrunk, notes = shrink_profile(store, size)
        spec = EnsembleSpec.of(store, shrunk, seed)
        folder = Path(runs_dir) / f"{condition.slug}-{spec.key}"
        count = size.members if members is None else members
        members_planned = tuple(Member(folder / f"member-{index:02d}", index + 1) for index in range(count))
        ensembles.append(Ensemble(spec, store, members_planned, notes))
    return ensembles


def engine_named(name: str) -> Callable[[Sequence[MemberJob], Callback], list[Diverged]]:
    """The engine of that name, a function of the members of a run and of a callback; else a ``GfmError``."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]


def train_ensembles(
    conditions: Sequence[str | Condition],
    size: Profile | str,
    runs_dir: Path,
    seed: int = 42,
    members: int | None = None,
    progress: bool = True,
    engine: str = "local",
) -> list[Ensemble]:
    """Ensembles of the given conditions; members that are already there are not trained again.

    Members that an earlier run left unfinished continue where they were. Members have the seeds 1, 2, ... and
    stand in ``<runs_dir>/<condition>-<key>/member-00``, ``member-01``, ...

    Args:
        conditions: ``corpus@tokenizer`` each; texts as a user types them (see ``prepare``).
        size: a profile or its name.
        runs_dir: where token arrays and ensembles stand.
        seed: of the split, the order of the windows and the masks; shared by all members.
        members: how many, instead of the profile's number.
        progress: show a progress bar.
        engine: one of ``ENGINES``.

    Returns:
        One ensemble a condition, in their order.

    Raises:
        GfmError: there is no such engine, a corpus cannot be used, or a member diverged (the others are
            trained); the message says which and why.
    """
    engine_named(engine)  # a wrong name is refused before any work
    ensembles = plan_ensembles(conditions, size, runs_dir, seed, members)
    train_planned(ensembles, progress, engine)
    return ensembles


def train_planned(ensembles: Sequence[Ensemble], progress: bool = True, engine: str = "local") -> None:
    """Train the members that are not trained yet, all as one run, whatever their profiles.

    Takes what ``plan_ensembles`` gave, and raises what ``train_ensembles`` raises.
    """
    for ensemble in ensembles:
        write_json(ensemble.members[0].path.parent / "spec.json", ensemble.spec.model_dump(mode="json"))
    notes = [f"{ensemble.condition}: {note}" for ensemble in ensembles for note in ensemble.notes]
    train_jobs([job for ensemble in ensembles for job in ensemble.jobs], progress, engine, notes)


def train_jobs(
    jobs: Sequence[MemberJob], progress: bool = True, engine: str = "local", notes: Sequence[str] = ()
) -> None:
    """Train those of all members of a run that are not trained yet; ``notes`` are sentences that are shown first.

    Raises:
        GfmError: there is no such engine, or a member diverged (the others are trained).
    """
    train, missing = engine_named(engine), missing_of(jobs)
    if not missing:
        return
    with training_bar(missing, progress) as callback:
        for note in notes if progress else ():
            callback(note)
        diverged = train(jobs, callback)
    if diverged:
        listed = "; ".join(map(str, diverged))
        raise GfmError(f"{listed} (members that diverged: {len(diverged)} of {len(jobs)})")


@contextmanager
def training_bar(jobs: Sequence[MemberJob], shown: bool) -> Iterator[Callback]:
    """A bar of members in training on standard error: tokens per second, time left, and the newest loss.

    Yields the callback that moves it; sentences are shown in any case.
    """
    by_path = {job.path.resolve(): job for job in jobs}
    steps = dict.fromkeys(by_path, 0)
    with tqdm(
        total=sum(job.spec.tokens_seen for job in jobs), unit="tok", unit_scale=True,
        desc=f"training {len(jobs)} members", disable=not shown, mininterval=2,
    ) as bar:  # fmt: skip

        def callback(what: Path | str, step: int = 0, loss: float = 0.0) -> None:
            if isinstance(what, str):
                tqdm.write(what, file=sys.stderr)
                return
            path = what.resolve()
            job = by_path[path]
            bar.update((step - steps[path]) * job.spec.batch * job.spec.window)
            steps[path] = step
            bar.set_postfix_str(f"{job}: {loss:.2f} bits/token", refresh=False)

        yield callback


def expected_costs(
    conditions: Sequence[str | Condition],
    size: Profile | str,
    runs_dir: Path,
    seed: int = 42,
    members: int | None = None,
    devices: int = 1,
) -> list[Cost]:
    """What ``train_ensembles`` would cost: time, memory, disk, device-hours, from the speed of some steps.

    Takes what ``train_ensembles`` takes, and the number of devices like this one (GPUs, or machines) for which the
    time is given too. Tokens are made if they are not there; nothing is trained, and members that are trained cost
    nothing.

    Returns:
        The cost of each condition, and of all together when there are several.
    """
    ensembles = plan_ensembles(conditions, size, runs_dir, seed, members)
    jobs = [job for ensemble in ensembles for job in ensemble.jobs]
    speeds, workers = multiprocess.measured_speeds(jobs)
    return expected(batch_members(jobs, multiprocess.device()), speeds, workers, devices)


def expected_cost(size: Profile | str, vocabulary: int, devices: int = 1) -> Cost:
    """What one condition would cost at a profile, on this machine, whatever the corpus.

    From some steps in this process, with all cores or the GPU, as if members were trained one after the other
    without compiling. ``vocabulary`` counts special tokens too.
    """
    size = profile(size) if isinstance(size, str) else size
    with tempfile.TemporaryDirectory() as folder:
        store = random_store(Path(folder) / "tokens", vocabulary, size.window * max(size.batch, FEWEST_WINDOWS))
        spec, where = EnsembleSpec.of(store, size), multiprocess.device()
        paths = [Path(folder) / f"member-{index:02d}" for index in range(size.members)]
        groups = batch_members([MemberJob(spec, store, seed, path) for seed, path in enumerate(paths, 1)], where)
        return expected(groups, {spec.key: measure(groups[0], where)}, 1, devices)[0]
