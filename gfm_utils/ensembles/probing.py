"""What a step of training costs on this device, measured in seconds before the whole is paid.

On a GPU this also decides how members are trained, as ``Plan`` says: all of a group as one program or in parts,
compiled or not. Each way is tried on some steps if it can be expected to save more than trying it costs.
"""

import gc
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from tqdm import tqdm

from gfm_utils.ensembles.learners import PLAIN_STEPS, Inputs
from gfm_utils.ensembles.packing import split
from gfm_utils.ensembles.records import Diverged
from gfm_utils.ensembles.tasks import Task
from gfm_utils.ensembles.training import Notice, Report, Training, train_group
from gfm_utils.errors import GfmError, first_line

#: A probe takes about this long at most, once its process runs, and less after this many steps.
SECONDS = 3.0
STEPS = 10
#: On a CPU a probe holds no more than this for the backward pass, and reads fewer windows a step if it must.
CPU_BYTES = 2**30
#: Seconds that it takes to try another number of members in a program on a GPU, and to compile a step.
TRIAL_SECONDS = 5.0
COMPILE_SECONDS = 60.0
#: Share of a step that compiling is expected to save: most kernels of a step read and write memory, and the
#: compiler makes one of several. What it does save is measured before it is used.
COMPILED_SAVING = 0.4


@dataclass(frozen=True)
class Plan:
    """How the members of a group are trained.

    Attributes:
        together: members in one program, at most.
        compiled: whether steps are compiled.
    """

    together: int = 1
    compiled: bool = False


@dataclass(frozen=True)
class Probe:
    """Measured cost of training the members of a group.

    Attributes:
        step_seconds: time of a step of all of them.
        weight_bytes: memory of the weights of one.
        memory_bytes: device memory of what is in training at once: of one program.
        memory_measured: whether ``memory_bytes`` is what was reserved at the most (CUDA), or estimated: on a CPU
            weights, gradients and two moments, and what the forward pass of a batch keeps for the backward pass;
            on a GPU that has not enough memory, from part of a batch.
        plan: how they are trained.
    """

    step_seconds: float
    weight_bytes: int
    memory_bytes: int
    memory_measured: bool
    plan: Plan = Plan()

    @classmethod
    def mean(cls, probes: Sequence["Probe"]) -> "Probe":
        """Of probes of the same thing that ran at once: the mean time of a step."""
        return replace(probes[0], step_seconds=sum(probe.step_seconds for probe in probes) / len(probes))


#: What this process has measured on a GPU: keys of the specification and number of members -> probe.
_measured: dict[tuple[str, int], Probe] = {}


def measure(
    group: Sequence[Task], device: str, seconds: float = SECONDS, brief: bool = False, where: str = "the device"
) -> Probe:
    """Take some steps of the training of some members, and write nothing.

    A batch that is too large for a probe is replaced by part of it, and the time scaled by the windows, but for
    the optimiser's part.

    Args:
        group: members that one process trains.
        device: ``cpu`` or ``cuda``.
        seconds: that it takes, about; on a GPU for each way of training that is tried.
        brief: on a GPU compile nothing, and where memory lacks for one member's batch take part of it.
        where: what the device is called in an error.

    Raises:
        GfmError: a step needs more memory than the device has.
    """
    try:
        if device == "cpu":
            return _on_cpu(group, seconds)
        key = (group[0].spec.key, len(group))
        if brief or key not in _measured:
            found = _fastest(group, device, seconds, brief)
            _freed()
            if brief:
                return found
            _measured[key] = found
        return _measured[key]
    except torch.OutOfMemoryError as error:
        raise _too_large(group[0], where) from error


def _too_large(task: Task, where: str) -> GfmError:
    """The error that a step of a member needs more memory than there is."""
    spec = task.spec
    return GfmError(
        f"training {spec.condition!r} needs more memory than {where} has: give a smaller batch ({spec.batch}), "
        f"window ({spec.window}) or preset ({spec.preset}) in the profile"
    )


def train_as_planned(
    tasks: Sequence[Task],
    device: str,
    report: Report | None = None,
    notice: Notice | None = None,
    where: str = "the device",
) -> list[Diverged]:
    """Train the members of a group in this process, on a GPU in the way that is fastest there.

    Takes and gives what ``train_group`` does; ``where`` is what the device is called in an error.

    Raises:
        GfmError: a step needs more memory than the device has.
    """
    left = [task for task in tasks if task.steps_left]
    plan = measure(left, device, where=where).plan if left and device != "cpu" else Plan()
    found, begin = [], 0
    for part in split(tasks, plan.together):

        def placed(index: int, step: int, loss: float, first: int = begin) -> None:
            if report is not None:
                report(first + index, step, loss)

        try:
            found += train_group(part, device, placed, notice, plan.compiled)
        except torch.OutOfMemoryError as error:
            raise _too_large(part[0], where) from error
        begin += len(part)
    return found


def _fastest(group: Sequence[Task], device: str, seconds: float, brief: bool) -> Probe:
    """Of the ways to train a group on a GPU, the one that takes least time, what trying it costs included."""
    steps = max(task.steps_left for task in group)
    size, best = len(group), None
    while best is None:
        try:
            best = probe_plan(group, Plan(size), device, seconds)
        except torch.OutOfMemoryError:
            if size == 1 and not brief:
                raise
        except RuntimeError as error:  # as ModernBERT of transformers 5.0, whose attention cannot be chosen
            if size == 1:
                raise
            tqdm.write(f"members are trained one by one: {first_line(error)}", file=sys.stderr)
            size = 1
            continue
        if best is None and size == 1:
            return _part_on_gpu(group, device, seconds)
        if best is None:
            size = -(-size // 2)
    tried = {best.plan: best.step_seconds}
    candidates = [(Plan(1), TRIAL_SECONDS), (Plan(size, True), COMPILE_SECONDS), (Plan(1, True), COMPILE_SECONDS)]
    for plan, costs in candidates[: 1 if brief else None]:
        expected = tried.get(replace(plan, compiled=False), 0.0) * (1 - COMPILED_SAVING * plan.compiled)
        if plan in tried or (best.step_seconds - expected) * steps < 2 * costs:
            continue
        try:
            found = probe_plan(group, plan, device, seconds)
        except torch.OutOfMemoryError:
            continue
        except RuntimeError as error:  # a compiler that does not work is no reason not to train
            tqdm.write(f"steps are not compiled: {first_line(error)}", file=sys.stderr)
            break
        tried[plan] = found.step_seconds
        best = min(best, found, key=lambda probe: probe.step_seconds)
    return best


def probe_plan(group: Sequence[Task], plan: Plan, device: str, seconds: float = SECONDS) -> Probe:
    """Cost of a group if it is trained in a certain way on a GPU; its data is prepared and copied meanwhile.

    Raises:
        torch.OutOfMemoryError: a program needs more memory than the device has.
    """
    _freed()
    torch.cuda.reset_peak_memory_stats()
    training = _endless(group[: plan.together], device, plan.compiled)
    with closing(training.inputs()) as stream:
        step = _step_seconds(training, stream, seconds)
    return Probe(
        step_seconds=step * -(-len(group) // plan.together),
        weight_bytes=_weight_bytes(training),
        memory_bytes=torch.cuda.max_memory_reserved(),
        memory_measured=True,
        plan=plan,
    )


def _part_on_gpu(group: Sequence[Task], device: str, seconds: float) -> Probe:
    """Cost of members one by one, from a step on as many windows of a batch as the GPU has memory for."""
    batch = group[0].spec.batch
    windows = batch
    while windows > 1:
        windows = -(-windows // 2)
        _freed()
        torch.cuda.reset_peak_memory_stats()
        training = _endless(group[:1], device, False)
        with closing(_first(training.inputs(), windows)) as stream:
            try:
                step = _step_seconds(training, stream, seconds)
            except torch.OutOfMemoryError:
                continue
        fixed, weights = _update_seconds(training), _weight_bytes(training)
        kept = max(0, torch.cuda.max_memory_reserved() - 4 * weights)
        return Probe(
            step_seconds=len(group) * (fixed + max(step - fixed, 0.0) * batch / windows),
            weight_bytes=weights,
            memory_bytes=4 * weights + kept * batch // windows,
            memory_measured=False,
        )
    raise _too_large(group[0], "the device")


def _on_cpu(group: Sequence[Task], seconds: float) -> Probe:
    spec, training = group[0].spec, _endless(group, "cpu", False)
    stream: Iterator[Inputs] = training.inputs()
    weights = _weight_bytes(training)
    kept, one = _kept_bytes(training, stream)
    windows = max(1, min(spec.batch, CPU_BYTES // kept, int(seconds / 3 / one)))
    stream = _first(stream, windows)
    taken = [_seconds(training, stream)]
    if sum(taken) < seconds:
        taken = []  # that was to bring up what the first whole step needs once
    while sum(taken) < seconds / 3 or (len(taken) < STEPS and sum(taken) < seconds):
        taken.append(_seconds(training, stream))
    step = sum(taken) / len(taken)
    if windows < spec.batch:  # what does not depend on the batch must not be scaled with it
        fixed = _update_seconds(training)
        step = fixed + max(step - fixed, 0.0) * spec.batch / windows
    return Probe(step, weights, 4 * weights * len(group) + kept * spec.batch, memory_measured=False)


def _endless(program: Sequence[Task], device: str, compiled: bool) -> Training:
    """The training of some members as one program, which never comes to an end."""
    spec = program[0].spec
    endless = spec.model_copy(update={"steps": 10**9 + spec.steps})
    training = Training([replace(task, spec=endless) for task in program], device, compiled=compiled)
    training.learner.model.train()
    return training


def _step_seconds(training: Training, stream: Iterator[Inputs], seconds: float) -> float:
    """Time of a step on a GPU, which is waited for only at the end of many: so it is in training."""
    _seconds(training, stream, PLAIN_STEPS + 2)  # until a step is recorded
    steps, taken = STEPS, _seconds(training, stream, STEPS)
    while taken < seconds / 3:
        steps = min(4 * steps, max(steps + 1, round(steps * seconds / taken / 2)))
        taken = _seconds(training, stream, steps)
    return taken / steps


def _seconds(training: Training, stream: Iterator[Inputs], steps: int = 1) -> float:
    """Time of some steps, their data included."""
    began = time.perf_counter()
    for _ in range(steps):
        training.learner.learn(training.step, next(stream))
        training.step += 1
    if training.learner.on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _first(stream: Iterator[Inputs], windows: int) -> Generator[Inputs]:
    """The first windows of each batch, in memory of their own."""
    for batch in stream:
        ids, positions, targets = (given[..., :windows, :].clone() for given in batch)
        yield ids, positions, targets


def _weight_bytes(training: Training) -> int:
    return sum(p.numel() * p.element_size() for p in training.learner.model.parameters())


def _freed() -> None:
    """Give back what a trial held on the GPU, its recorded step first of all."""
    gc.collect()
    torch.cuda.empty_cache()


def _update_seconds(training: Training) -> float:
    """Time of the optimiser's part of a step."""
    for parameter in training.learner.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    if training.learner.on_gpu:
        torch.cuda.synchronize()
    began = time.perf_counter()
    training.learner.update()
    if training.learner.on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _kept_bytes(training: Training, stream: Iterator[Inputs]) -> tuple[int, float]:
    """Memory that the forward pass of one window keeps for the backward pass, weights apart; and its seconds."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.learner.parameters.values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def give(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        seconds = _seconds(training, _first(stream, 1))
    return max(1, sum(kept.values())), seconds
