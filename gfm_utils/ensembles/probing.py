"""What a step of training costs on this device, measured in seconds before the whole is paid."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gfm_utils.ensembles.batches import Batch, batches
from gfm_utils.ensembles.training import Task, Training
from gfm_utils.errors import GfmError

#: A probe takes about this long, once its process runs, and this many steps at most.
SECONDS = 1.5
STEPS = 10
#: On a CPU a probe holds no more than this for the backward pass, and reads fewer windows a step if it must.
CPU_BYTES = 2**30


@dataclass(frozen=True)
class Probe:
    """Measured cost of one member's training.

    Attributes:
        step_seconds: time of a step.
        weight_bytes: memory of the weights.
        memory_bytes: device memory of the member in training.
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


def measure(task: Task, device: str) -> Probe:
    """Take some steps of a member's training, and write nothing.

    A batch that is too large for a probe is replaced by part of it, and the time scaled by the windows.

    Args:
        task: the member.
        device: ``cpu`` or ``cuda``.

    Raises:
        GfmError: a step needs more memory than the device has.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # of probes of other conditions in this process
    try:
        return _measure(task, device)
    except torch.OutOfMemoryError as error:
        spec = task.spec
        raise GfmError(
            f"training {spec.condition!r} needs more memory than the device has: give a smaller batch "
            f"({spec.batch}), window ({spec.window}) or preset ({spec.preset}) in the profile"
        ) from error


def _measure(task: Task, device: str) -> Probe:
    spec = task.spec.model_copy(update={"steps": 10 * STEPS + task.spec.steps})  # a probe never comes to an end
    member = Training(spec, task.store, task.seed, task.path, device)
    member.model.train()
    stream = batches(task.store, spec, member.seeds)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in member.model.parameters())

    one = _part(next(stream), 1)
    kept = _kept_bytes(member, one)  # of one window; also brings up what the first step needs once
    windows = spec.batch
    if device == "cpu":
        seconds = _seconds(member, one, device)
        windows = max(1, min(spec.batch, CPU_BYTES // kept, int(SECONDS / 3 / seconds)))
    _seconds(member, _part(next(stream), windows), device)
    taken: list[float] = []
    while len(taken) < STEPS and sum(taken) < SECONDS:
        taken.append(_seconds(member, _part(next(stream), windows), device))
    measured = device == "cuda"
    return Probe(
        step_seconds=sum(taken) / len(taken) * spec.batch / windows,
        weight_bytes=weights,
        memory_bytes=torch.cuda.max_memory_allocated() if measured else 4 * weights + kept * spec.batch,
        memory_measured=measured,
    )


def _part(batch: Batch, windows: int) -> Batch:
    arrays = (batch.windows, batch.ids, batch.positions, batch.targets)
    return Batch(*(array[:windows] for array in arrays))


def _seconds(member: Training, batch: Batch, device: str) -> float:
    """Time of one step."""
    began = time.perf_counter()
    member.learn(batch)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _kept_bytes(member: Training, batch: Batch) -> int:
    """Memory that the forward pass keeps for the backward pass, weights apart."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in member.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def give(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        member.learn(batch)
    return max(1, sum(kept.values()))
