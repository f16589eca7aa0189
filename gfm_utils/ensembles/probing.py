"""What a step of training costs on this device, measured in seconds before the whole is paid."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gfm_utils.ensembles.learners import PLAIN_STEPS, Inputs
from gfm_utils.ensembles.tasks import Task
from gfm_utils.ensembles.training import Training
from gfm_utils.errors import GfmError

#: A probe takes about this long at most, once its process runs, and less after this many steps.
SECONDS = 3.0
STEPS = 10
#: On a CPU a probe holds no more than this for the backward pass, and reads fewer windows a step if it must.
CPU_BYTES = 2**30


@dataclass(frozen=True)
class Probe:
    """Measured cost of training the members of a program.

    Attributes:
        step_seconds: time of a step of all of them.
        weight_bytes: memory of the weights of one.
        memory_bytes: device memory of all of them in training.
        memory_measured: whether ``memory_bytes`` is the measured peak (CUDA), or estimated: weights, gradients
            and two moments, and what the forward pass of a batch keeps for the backward pass.
    """

    step_seconds: float
    weight_bytes: int
    memory_bytes: int
    memory_measured: bool

    @classmethod
    def mean(cls, probes: Sequence["Probe"]) -> "Probe":
        """Of probes of the same thing that ran at once: the mean time of a step."""
        return replace(probes[0], step_seconds=sum(probe.step_seconds for probe in probes) / len(probes))


def measure(program: Sequence[Task], device: str, seconds: float = SECONDS) -> Probe:
    """Take some steps of the training of some members, and write nothing.

    A batch that is too large for a probe is replaced by part of it, and the time scaled by the windows, but for
    the optimiser's part.

    Args:
        program: members that are trained as one program.
        device: ``cpu`` or ``cuda``.
        seconds: that it takes, about.

    Raises:
        GfmError: a step needs more memory than the device has.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # of probes of other conditions in this process
    try:
        return _measure(program, device, seconds)
    except torch.OutOfMemoryError as error:
        spec = program[0].spec
        raise GfmError(
            f"training {spec.condition!r} needs more memory than the device has: give a smaller batch "
            f"({spec.batch}), window ({spec.window}) or preset ({spec.preset}) in the profile"
        ) from error


def _measure(program: Sequence[Task], device: str, seconds: float) -> Probe:
    spec = program[0].spec
    endless = spec.model_copy(update={"steps": 10 * STEPS + spec.steps})  # a probe never comes to an end
    training = Training([replace(task, spec=endless) for task in program], device)
    training.learner.model.train()
    stream = iter(training.inputs())
    weights = sum(p.numel() * p.element_size() for p in training.learner.model.parameters())
    windows = spec.batch
    if device == "cpu":
        kept, one = _kept_bytes(training, stream)
        windows = max(1, min(windows, CPU_BYTES // kept, int(seconds / 3 / one)))
        memory = 4 * weights * len(program) + kept * spec.batch
    elif device == "cuda":
        for _ in range(PLAIN_STEPS + 1):  # until a step is recorded
            _seconds(training, stream, windows)
    taken = [_seconds(training, stream, windows)]
    if sum(taken) < seconds:
        taken = []  # that was to bring up what the first whole step needs once
    while sum(taken) < seconds / 3 or (len(taken) < STEPS and sum(taken) < seconds):
        taken.append(_seconds(training, stream, windows))
    step = sum(taken) / len(taken)
    if windows < spec.batch:  # what does not depend on the batch must not be scaled with it
        fixed = _update_seconds(training)
        step = fixed + max(step - fixed, 0.0) * spec.batch / windows
    return Probe(
        step_seconds=step,
        weight_bytes=weights,
        memory_bytes=torch.cuda.max_memory_allocated() if device == "cuda" else memory,
        memory_measured=device == "cuda",
    )


def _seconds(training: Training, stream: Iterator[Inputs], windows: int) -> float:
    """Time of one step on so many windows of the next batch, its data included."""
    began = time.perf_counter()
    inputs = next(stream)
    if windows < training.spec.batch:
        ids, positions, targets = (tensor[..., :windows, :].clone() for tensor in inputs)
        inputs = (ids, positions, targets)
    training.learner.learn(training.step, inputs)
    training.step += 1
    if training.learner.on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _update_seconds(training: Training) -> float:
    """Time of the optimiser's part of a step."""
    for parameter in training.learner.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    began = time.perf_counter()
    training.learner.update()
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
        seconds = _seconds(training, stream, 1)
    return max(1, sum(kept.values())), seconds
