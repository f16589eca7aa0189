"""Training members: matched in everything but what their specification lets them differ by."""

import gc
import platform
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from gfm_utils.ensembles.batches import batches, masked_windows
from gfm_utils.ensembles.member_job import (
    Callback,
    MemberJob,
    is_trained,
    log_spaced,
    measured_steps,
    partial_path,
    too_large,
    work,
)
from gfm_utils.ensembles.member_writer import Diverged, MemberWriter
from gfm_utils.ensembles.specification import EnsembleSpec, Seeds
from gfm_utils.ensembles.train_step import Inputs, Trainer, is_gpu
from gfm_utils.errors import first_line
from gfm_utils.files import locked
from gfm_utils.tokens import TokenStore

#: Validation windows that are read before a state is saved between two measurements: is its loss a number?
LOOKED_AT = 128
#: A state is saved this often at most, and no more than this share of the time goes into saving.
SAVE_SECONDS = 30.0
SAVE_SHARE = 0.02
#: A member whose loss is this many times that of guessing all tokens equally has diverged.
DIVERGED_FACTOR = 10
#: Steps between two looks at the loss: reading it waits for the GPU.
LOOK = 20
#: Least time between two calls of the callback for a member.
CALLBACK_SECONDS = 0.5
#: Steps whose data a GPU is given at once.
BLOCK = 16
#: Steps on a GPU are compiled where so many floating-point operations are left: compiling takes a minute, in which
#: an H100 does about a tenth of this, and saves about a third of what follows.
COMPILED_WORK = 5e16


def silent(*_: object) -> None:
    """A callback that does nothing."""


def train_group(
    jobs: Sequence[MemberJob], device: str, callback: Callback = silent, compiled: bool = False
) -> list[Diverged]:
    """Train members of one specification, as one program when there are several, and write their directories.

    Written are ``config.json``, ``model.safetensors`` and the tokenizer, ``untrained/`` (the initial state
    as a checkpoint of its own), ``checkpoints/step-<step>/`` (weights at log-spaced steps), ``spec.json``,
    ``metrics.parquet`` (step, tokens, training and validation loss in bits per token, seconds) and
    ``provenance.json`` (versions, hardware, seconds of training, members trained in the same program, steps
    at which it was resumed, and the step whose weights are kept: the last one, or the one with the lowest
    validation loss after a step, the first of equals).

    Until it is complete, a member stands in ``.<name>.partial`` in the same folder, with saved states: a run
    that ends early continues from the last of these when it is started again. On a CPU the weights are then, bit
    for bit, those of a run without interruption. A member that is there is left alone; one that another process is
    training is waited for.

    Args:
        jobs: the members.
        device: ``cpu`` or ``cuda``.
        callback: is called for each member every few steps, and with a sentence when its training does not start
            from the beginning, or when a saved state is damaged.
        compiled: compile the steps, which takes a minute.

    Returns:
        For each member that diverged, why and what is kept of it.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        for path in sorted(job.path for job in jobs):  # in one order, so that no two runs wait for each other
            stack.enter_context(locked(path.with_name(f".{path.name}")))
        for job in jobs:
            if is_trained(job.path):
                shutil.rmtree(partial_path(job.path), ignore_errors=True)  # of a run killed right after it
        missing = [job for job in jobs if not is_trained(job.path)]
        try:
            return Training(missing, device, callback, compiled).run() if missing else []
        finally:
            torch.set_num_threads(threads)


def train_members(
    jobs: Sequence[MemberJob],
    device: str,
    callback: Callback = silent,
    where: str = "the device",
    compiled: bool | None = None,
) -> list[Diverged]:
    """Train the members of a group: as ``train_group`` does, and in parts where they do not fit in one program.

    The group is halved for as long as it needs more memory than there is. What cannot be compiled, or trained as
    one program, is trained without. ``where`` names the device in an error; with ``compiled`` None the steps of
    long trainings on a GPU are compiled.

    Raises:
        GfmError: a step of one member needs more memory than the device has.
    """
    if compiled is None:
        spec = jobs[0].spec
        left = sum(job.steps_left for job in jobs) * spec.batch * spec.window
        compiled = is_gpu(device) and work(spec, left) >= COMPILED_WORK
    try:
        return train_group(jobs, device, callback, compiled)
    except torch.OutOfMemoryError as error:
        if len(jobs) == 1:
            raise too_large(jobs[0], where) from error
        reason, size = "members are trained in parts: not enough memory", -(-len(jobs) // 2)
    except RuntimeError as error:  # of the compiler, or of attention that has no form for several models
        if len(jobs) == 1 and not compiled:
            raise
        size = len(jobs) if compiled else 1
        how = "steps are not compiled" if compiled else "members are trained one by one"
        reason, compiled = f"{how}: {first_line(error)}", False
    callback(reason)
    gc.collect()
    torch.cuda.empty_cache()
    parts = (jobs[begin : begin + size] for begin in range(0, len(jobs), size))
    return [one for part in parts for one in train_members(part, device, callback, where, compiled)]


class Training:
    """Members in training, and all that decides their further course; nothing is written before ``run``.

    Takes what ``train_group`` takes.
    """

    def __init__(
        self, jobs: Sequence[MemberJob], device: str, callback: Callback = silent, compiled: bool = False
    ) -> None:
        self.spec, self.store, self.device = jobs[0].spec, jobs[0].store, device
        self.callback, self.callback_at = callback, 0.0
        self.seeds = [self.spec.seeds(job.seed) for job in jobs]
        self.members = [MemberWriter(job) for job in jobs]
        self.trainer = Trainer(self.spec, [seeds.init for seeds in self.seeds], device, compiled)
        shown, positions, targets, _ = masked_windows(
            self.store, "validation", self.spec.window, self.spec.validation_windows, self.spec.train_mask,
            self.spec.data_seed,
        )  # fmt: skip
        self.held_out = [torch.from_numpy(array).to(device) for array in (shown, positions, targets)]
        self.measured_at, self.checkpoints = set(measured_steps(self.spec)), set(log_spaced(self.spec.steps))
        self.step = 0

    def run(self) -> list[Diverged]:
        """Train from the newest good state, or the beginning, to the end, and write the members' directories."""
        self._begin()
        self.save_at = time.monotonic() + SAVE_SECONDS
        self.trainer.model.train()
        for inputs in self.inputs():
            self._keep()
            if not self.going:
                break
            self.learn(inputs)
        self._keep()
        for place, member in self.going:
            took = {
                "seconds": time.perf_counter() - self.began, "together": len(self.members),
                "compiled": self.trainer.compiled,
            }  # fmt: skip
            last = self.trainer.state(place)["weights"]
            member.finish(self.trainer.filled, last, provenance(self.device) | took)
        return [member.diverged for member in self.members if member.diverged is not None]

    @property
    def going(self) -> list[tuple[int, MemberWriter]]:
        """The members that have not diverged, with their places in the trainer."""
        return [(place, member) for place, member in enumerate(self.members) if member.diverged is None]

    def inputs(self) -> Generator[Inputs]:
        """What the members read from this step on, on the device; for a GPU another process prepares it."""
        steps = partial(step_inputs, self.store, self.spec, self.seeds, self.step)
        if not self.trainer.on_gpu:
            yield from steps()
            return
        generator = torch.Generator()  # the loader draws a seed: not from the generator that dropout draws from
        loader = DataLoader(
            StepBlocks(steps), batch_size=None, num_workers=1, pin_memory=torch.cuda.is_available(),
            prefetch_factor=2, generator=generator,
        )  # fmt: skip
        for blocks in loader:
            ids, positions, targets = (block.to(self.device, non_blocking=True) for block in blocks)
            yield from zip(ids, positions, targets, strict=True)

    def learn(self, inputs: Inputs) -> None:
        """Take one step; every ``LOOK`` steps, see whether a loss is no number or far too high."""
        self.trainer.learn(self.step, inputs)
        self.step += 1
        over = self.step == self.spec.steps
        if self.step % LOOK and not over:
            return
        losses = self.trainer.loss.tolist()
        self._check(losses)
        if over or time.monotonic() >= self.callback_at:
            self.callback_at = time.monotonic() + CALLBACK_SECONDS
            for place, member in self.going:
                self.callback(member.job.path, self.step, losses[place])

    def _begin(self) -> None:
        """Continue from the newest good state that all members have, or start from the initial weights."""
        states, damaged = _common(self.members)
        begins = "starts from the beginning"
        self.began = time.perf_counter()
        if states:
            common = states[0]
            self.step = common["step"]
            begins = f"continues at step {self.step} of {self.spec.steps}"
            self.trainer.load(states, self.step)
            self.trainer.loss.copy_(torch.tensor([state["loss"] for state in states]))
            self.measured_at -= {row["step"] for row in common["rows"]}
            self.began -= common["seconds"]
            torch.set_num_threads(common["threads"])  # sums in another order would give other bits
            torch.set_rng_state(common["generator"])
            if self.trainer.on_gpu and common["cuda_generator"] is not None:
                torch.cuda.set_rng_state(common["cuda_generator"])
            for member, state in zip(self.members, states, strict=True):
                member.resume(state)
        else:
            torch.manual_seed(self.seeds[0].init)
            for member in self.members:
                member.start()
        for member, names in zip(self.members, damaged, strict=True):
            if states or names:
                unused = f"saved states not used, damaged: {', '.join(names)}; " if names else ""
                self.callback(f"{member.job}: {unused}{begins}")

    def _keep(self) -> None:
        """At the steps for it measure, and keep weights; then, and every now and again, save the state."""
        measured = self.step in self.measured_at
        if not measured and time.monotonic() < self.save_at:
            return
        began = time.monotonic()
        held_out = self.held_out if measured else [tensor[:LOOKED_AT] for tensor in self.held_out]
        validation = self.trainer.validation_losses(held_out)
        self._check(validation)
        common: dict[str, Any] = {
            "step": self.step, "seconds": time.perf_counter() - self.began, "threads": torch.get_num_threads(),
            "generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state() if self.trainer.on_gpu else None,
        }  # fmt: skip
        for place, member in self.going:
            state = {**common, **self.trainer.state(place), "loss": float(self.trainer.loss[place])}
            if measured:
                member.measure(state, validation[place])
                if self.step in self.checkpoints and self.step < self.spec.steps:
                    member.write_checkpoint(self.step, self.trainer.filled(state["weights"]))
            member.save(state)
        self.measured_at.discard(self.step)
        now = time.monotonic()
        self.save_at = now + max(SAVE_SECONDS, (now - began) / SAVE_SHARE)

    def _check(self, losses: Sequence[float]) -> None:
        """Stop the members whose loss (bits per token) is no number or far too high."""
        for place, member in self.going:
            if not losses[place] <= DIVERGED_FACTOR * np.log2(self.spec.vocabulary):
                member.diverge(self.step, losses[place], self.trainer.filled)


def step_inputs(store: TokenStore, spec: EnsembleSpec, seeds: Sequence[Seeds], start: int) -> Iterator[Inputs]:
    """What members with the given seeds read, step after step, on the CPU."""
    if len({(member.order, member.masks) for member in seeds}) == 1:
        yield from (batch.inputs() for batch in batches(store, spec, seeds[0], start))
        return
    for step in zip(*(batches(store, spec, own, start) for own in seeds), strict=True):
        places = max(batch.positions.shape[1] for batch in step)
        yield _stacked([batch.filled(spec.batch, places).inputs() for batch in step])


class StepBlocks(IterableDataset[Inputs]):
    """Inputs, ``BLOCK`` steps at a time along a first dimension: each handing over costs as much as a step.

    A block is shorter before a step of other shapes. ``steps`` gives the inputs step by step.
    """

    def __init__(self, steps: Callable[[], Iterator[Inputs]]) -> None:
        self.steps = steps

    def __iter__(self) -> Iterator[Inputs]:
        for _, alike in groupby(self.steps(), lambda step: step[1].shape):
            while block := list(islice(alike, BLOCK)):
                yield _stacked(block)


def _stacked(steps: Sequence[Inputs]) -> Inputs:
    """Inputs of one shape along a first dimension."""
    ids, positions, targets = map(torch.stack, zip(*steps, strict=True))
    return ids, positions, targets


def _common(members: Sequence[MemberWriter]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The newest good state of the same step of each, or none; and the names of damaged states of each."""
    newest, damaged = map(list, zip(*(member.newest_state() for member in members), strict=True))
    while len(steps := {-1 if state is None else state["step"] for state in newest}) > 1:
        newest = [member.newest_state(min(steps))[0] for member in members]
    return [state for state in newest if state is not None], damaged


def provenance(device: str) -> dict[str, Any]:
    """Versions and hardware of this process: what a result must be quoted with."""
    return {
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "device": torch.cuda.get_device_name()
        if device.startswith("cuda")
        else f"cpu, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
