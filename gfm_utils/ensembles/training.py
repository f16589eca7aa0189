"""Training members: matched in everything but what their specification lets them differ by."""

import platform
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from gfm_utils.ensembles.batches import batches, masked_windows
from gfm_utils.ensembles.learners import Inputs, learner
from gfm_utils.ensembles.records import Diverged, Record, Writer
from gfm_utils.ensembles.specification import EnsembleSpec, Seeds
from gfm_utils.ensembles.states import SavedStates
from gfm_utils.ensembles.tasks import Task, is_trained, log_spaced, measured_steps, partial_path
from gfm_utils.files import locked
from gfm_utils.tokens import TokenStore

#: Validation windows that are read before a state is saved between two measurements: is its loss a number?
LOOKED_AT = 128
#: A state is saved this often at most, and no more than this share of the time goes into saving.
SAVE_SECONDS = 30.0
SAVE_SHARE = 0.02
#: A member whose loss is this many times that of guessing all tokens equally has diverged.
HOPELESS = 10
#: Steps between two looks at the loss: reading it waits for the GPU.
LOOK = 20
#: Steps whose data a GPU is given at once.
BLOCK = 16
Report = Callable[[int, int, float], None]
Notice = Callable[[str], None]


def train_member(
    spec: EnsembleSpec,
    store: TokenStore,
    seed: int,
    path: Path,
    device: str,
    report: Report | None = None,
    notice: Notice | None = None,
) -> None:
    """Train one member and write its directory: ``train_group`` of one.

    Raises:
        Diverged: the loss is no longer a number or beyond hope; the last good state is kept as a checkpoint.
    """
    for diverged in train_group([Task(spec, store, seed, Path(path))], device, report, notice):
        raise diverged


def train_group(
    tasks: Sequence[Task],
    device: str,
    report: Report | None = None,
    notice: Notice | None = None,
    compiled: bool = False,
) -> list[Diverged]:
    """Train members of one ensemble, as one program when there are several, and write their directories.

    Written are ``config.json``, ``model.safetensors`` and the tokenizer, ``untrained/`` (the initial state
    as a checkpoint of its own), ``checkpoints/step-<step>/`` (weights at log-spaced steps), ``spec.json``,
    ``metrics.parquet`` (step, tokens, training and validation loss in bits per token, seconds) and
    ``provenance.json`` (versions, hardware, seconds of training, members trained in the same program, steps
    at which it was resumed, and the step whose weights are kept: the last one, or the one with the lowest
    validation loss after a step, the first of equals).

    Until it is complete, all of a member stands in ``.<name>.partial`` beside it, with saved states: a run
    that ends early, however it does, continues from the last of these when it is started again. On a CPU the
    weights are then, bit for bit, those of a run without interruption. A member that is there is left alone;
    one that another process is training is waited for.

    Args:
        tasks: members of the same specification.
        device: ``cpu`` or ``cuda``.
        report: called with (place of the member in ``tasks``, step, training loss in bits per token) every few
            steps.
        notice: called with a sentence for people when a member's training does not start from the beginning,
            or when a saved state is damaged.
        compiled: compile the steps, which takes a minute.

    Returns:
        Of each member whose loss is no longer a number or beyond hope, why and what is kept of it.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        for path in sorted(task.path for task in tasks):  # in one order, so that no two runs wait for each other
            stack.enter_context(locked(path.with_name(f".{path.name}")))
        for task in tasks:
            if is_trained(task.path):
                shutil.rmtree(partial_path(task.path), ignore_errors=True)  # of a run killed right after it
        places = [place for place, task in enumerate(tasks) if not is_trained(task.path)]
        if not places:
            return []
        try:
            missing = [tasks[place] for place in places]
            return Training(missing, device, _placed(report, places), notice, compiled).run()
        finally:
            torch.set_num_threads(threads)


def _placed(report: Report | None, places: Sequence[int]) -> Report | None:
    return None if report is None else lambda index, step, loss: report(places[index], step, loss)


class Training:
    """Members in training, and all that decides their further course; nothing is written before ``run``.

    Takes what ``train_group`` takes.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        device: str,
        report: Report | None = None,
        notice: Notice | None = None,
        compiled: bool = False,
    ) -> None:
        self.spec, self.store, self.device = tasks[0].spec, tasks[0].store, device
        self.report, self.notice = report, notice
        self.seeds = [self.spec.seeds(task.seed) for task in tasks]
        self.records = [Record(task) for task in tasks]
        self.learner = learner(self.spec, [seeds.init for seeds in self.seeds], device, compiled)
        self.writer = Writer(beside=self.learner.on_gpu)
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
        self.learner.model.train()
        with self.writer:
            for inputs in self.inputs():
                self._keep()
                if not self.going:
                    break
                self.learn(inputs)
            self._keep()
        for record in self.going:
            last = self.learner.state(self.records.index(record))["weights"]
            took = {
                "seconds": time.perf_counter() - self.began, "together": len(self.records),
                "compiled": self.learner.compiled,
            }  # fmt: skip
            record.finish(self.learner.filled, last, provenance(self.device) | took)
        return [record.diverged for record in self.records if record.diverged is not None]

    @property
    def going(self) -> list[Record]:
        """The members that have not diverged."""
        return [record for record in self.records if record.diverged is None]

    def inputs(self) -> Generator[Inputs]:
        """What the members read from this step on, on the device; for a GPU a process beside this prepares it."""
        source = _Inputs(self.store, self.spec, self.seeds, self.step)
        if not self.learner.on_gpu:
            yield from source
            return
        own = torch.Generator()  # the loader draws a seed: not from the generator that dropout draws from
        pinned = torch.cuda.is_available()
        for blocks in DataLoader(
            _Blocks(source), batch_size=None, num_workers=1, pin_memory=pinned, prefetch_factor=2, generator=own
        ):
            ids, positions, targets = (block.to(self.device, non_blocking=True) for block in blocks)
            yield from zip(ids, positions, targets, strict=True)

    def learn(self, inputs: Inputs) -> None:
        """Take one step; every ``LOOK`` steps, see whether a loss is no number or beyond hope."""
        self.learner.learn(self.step, inputs)
        self.step += 1
        if self.step % LOOK == 0 or self.step == self.spec.steps:
            losses = self.learner.loss.tolist()
            self._check(losses)
            for place, (record, loss) in enumerate(zip(self.records, losses, strict=True)):
                if self.report is not None and record.diverged is None:
                    self.report(place, self.step, loss)

    def _begin(self) -> None:
        """Continue from the newest good state that all members have, or start from the initial weights."""
        found, damaged = _common([record.states for record in self.records])
        if not found:
            for record in self.records:
                record.start()
            torch.manual_seed(self.seeds[0].init)
            self.began = time.perf_counter()
        else:
            self.learner.load(found, found[0]["step"])
            for record, saved in zip(self.records, found, strict=True):
                record.resume(saved)
            self.step = found[0]["step"]
            self.learner.loss.copy_(torch.tensor([saved["loss"] for saved in found]))
            self.began = time.perf_counter() - found[0]["seconds"]
            torch.set_num_threads(found[0]["threads"])  # sums in another order would give other bits
            torch.set_rng_state(found[0]["generator"])
            if self.learner.on_gpu and found[0]["cuda_generator"] is not None:
                torch.cuda.set_rng_state(found[0]["cuda_generator"])
        if self.notice is None:
            return
        begins = f"continues at step {self.step} of {self.spec.steps}" if found else "starts from the beginning"
        for record, names in zip(self.records, damaged, strict=True):
            if found or names:
                unused = f"saved states not used, damaged: {', '.join(names)}; " if names else ""
                self.notice(f"{record.task}: {unused}{begins}")

    def _keep(self) -> None:
        """At the steps for it measure, and keep weights; then, and every now and again, save the state."""
        rows = self.going[0].rows if self.going else []
        measured = self.step in self.measured_at and (not rows or rows[-1]["step"] < self.step)
        if not measured and time.monotonic() < self.save_at:
            return
        began = time.monotonic()
        held_out = self.held_out if measured else [tensor[:LOOKED_AT] for tensor in self.held_out]
        validation = self.learner.validation_losses(held_out)
        self._check(validation)
        seconds = time.perf_counter() - self.began
        common = {
            "step": self.step, "seconds": seconds, "threads": torch.get_num_threads(),
            "generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state() if self.learner.on_gpu else None,
        }  # fmt: skip
        for place, record in enumerate(self.records):
            if record.diverged is not None:
                continue
            loss = float(self.learner.loss[place])
            state: dict[str, Any] = {**common, **self.learner.state(place), "loss": loss}
            if measured:
                record.measure(self.step, loss, validation[place], seconds, state["weights"])
            state["best"] = record.best
            self.writer.do(partial(self._write, record, state, list(record.rows), measured))
        now = time.monotonic()
        self.save_at = now + max(SAVE_SECONDS, (now - began) / SAVE_SHARE)

    def _write(self, record: Record, state: dict[str, Any], rows: list[dict[str, float]], measured: bool) -> None:
        if measured and state["step"] in self.checkpoints and state["step"] < self.spec.steps:
            record.write_checkpoint(state["step"], self.learner.filled(state["weights"]))
        record.save(state, rows)

    def _check(self, losses: Sequence[float]) -> None:
        """Stop the members whose loss (bits per token) is no number or beyond hope."""
        for record, loss in zip(self.records, losses, strict=True):
            if record.diverged is None and not loss <= HOPELESS * np.log2(self.spec.vocabulary):
                self.writer.wait()  # the last good state must be there
                record.diverge(self.step, loss, self.learner.filled)


class _Inputs(IterableDataset[Inputs]):
    """What members with the given seeds read, step after step, on the CPU."""

    def __init__(self, store: TokenStore, spec: EnsembleSpec, seeds: Sequence[Seeds], start: int) -> None:
        self.store, self.spec, self.start = store, spec, start
        shared = len({(own.order, own.masks) for own in seeds}) == 1
        self.seeds = seeds[:1] if shared else seeds

    def __iter__(self) -> Iterator[Inputs]:
        for step in zip(*(batches(self.store, self.spec, seeds, self.start) for seeds in self.seeds), strict=True):
            if len(step) == 1:
                yield step[0].inputs()
            else:
                places = max(batch.positions.shape[1] for batch in step)
                yield _stacked([batch.filled(self.spec.batch, places).inputs() for batch in step])


class _Blocks(IterableDataset[Inputs]):
    """The same, ``BLOCK`` steps at a time along a first dimension: each handing over costs as much as a step.

    A block is shorter before a step of other shapes.
    """

    def __init__(self, source: _Inputs) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Inputs]:
        for _, alike in groupby(self.source, lambda step: step[1].shape):
            while block := list(islice(alike, BLOCK)):
                yield _stacked(block)


def _stacked(given: Sequence[Inputs]) -> Inputs:
    """Inputs of one shape along a first dimension."""
    ids, positions, targets = map(torch.stack, zip(*given, strict=True))
    return ids, positions, targets


def _common(states: Sequence[SavedStates]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The newest good state of the same step of each, or none; and the names of damaged states of each."""
    found, damaged = map(list, zip(*(each.newest() for each in states), strict=True))
    while len(steps := {-1 if saved is None else saved["step"] for saved in found}) > 1:
        found = [each.newest(min(steps))[0] for each in states]
    return [saved for saved in found if saved is not None], damaged


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
