"""What training costs: the speed of some steps on this device, measured in seconds, and what follows from it."""

import gc
import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import torch

from gfm_utils.ensembles.member_job import MemberJob, log_spaced, measured_steps, too_large
from gfm_utils.ensembles.member_writer import KEPT
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.train_step import PLAIN_STEPS, Inputs, is_gpu
from gfm_utils.ensembles.training import Training

#: The speed of one condition is measured for about so long.
SECONDS = 3.0
#: On a CPU a measurement holds no more than this for the backward pass, and reads fewer windows a step if it must.
CPU_BYTES = 2**30
#: A forward pass is about this share of a step (forward, backward, and the optimiser's update).
FORWARD_SHARE = 1 / 3


class Speed(NamedTuple):
    """Measured cost of training the members of a group."""

    step_seconds: float  # of a step of all of them
    weight_bytes: int  # of the weights of one
    memory_bytes: int  # device memory of what is in training at once
    # Whether that was reserved (CUDA), or is estimated: on a CPU weights, gradients, two moments and what the
    # forward pass of a batch keeps for the backward pass; on a GPU with too little memory, from part of a batch.
    memory_measured: bool


class Cost(NamedTuple):
    """Expected cost of the members of one condition, or of ``all``, that are not trained yet.

    A device is a GPU, or a machine with the cores of this one.
    """

    condition: str
    members: int  # that are to be trained
    tokens: int  # that each of them reads
    seconds: float  # on one device like this
    devices: int
    seconds_on_devices: float  # on that many
    device_seconds: float  # of all members, added up over devices
    memory_bytes: int  # of one program in training: of one member, or of several small ones
    memory_measured: bool  # or estimated, see ``Speed``
    disk_bytes: int  # weights, checkpoints, and the saved states of the members in training


def measure(group: Sequence[MemberJob], device: str, seconds: float = SECONDS) -> Speed:
    """Take some steps of the training of some members, for about so many seconds, and write nothing.

    Where a GPU has no memory for all of them as one program, they are taken in parts; where it has none for the
    batch of one, or where a CPU would take too long over it, a part of the batch is read and the time scaled by
    the windows (the optimiser's part, a few percent, with it). Steps are not compiled.

    Raises:
        GfmError: a step of one window needs more memory than the device has.
    """
    members, windows = len(group), group[0].spec.batch
    while True:
        try:
            speed = measure_program(group[:members], device, seconds, windows)
            return speed._replace(step_seconds=speed.step_seconds * -(-len(group) // members))
        except torch.OutOfMemoryError as error:
            if members == windows == 1:
                raise too_large(group[0]) from error
        members, windows = (-(-members // 2), windows) if members > 1 else (1, -(-windows // 2))
        gc.collect()
        torch.cuda.empty_cache()


def measure_program(
    program: Sequence[MemberJob], device: str, seconds: float, windows: int, compiled: bool = False
) -> Speed:
    """The speed of members as one program, whose steps read so many windows of each batch.

    Raises:
        torch.OutOfMemoryError: a step needs more memory than the device has.
    """
    spec = program[0].spec
    endless = spec.model_copy(update={"steps": 10**9 + spec.steps})
    training = Training([replace(job, spec=endless) for job in program], device, compiled=compiled)
    training.trainer.model.train()
    on_gpu, batch = is_gpu(training.device), spec.batch
    weights = sum(parameter.nbytes for parameter in training.trainer.model.parameters())
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with closing(training.inputs()) as stream:
        kept = 0
        if not on_gpu:
            kept, one = _kept_bytes(training, stream)
            windows = max(1, min(windows, CPU_BYTES // kept, int(seconds / 3 / one)))
        if on_gpu or windows > 1:  # what is done once for steps of one size
            _step_seconds(training, stream, windows, PLAIN_STEPS + 2 if on_gpu else 1)
        steps, step = 1, _step_seconds(training, stream, windows, 1)
        while step * steps < seconds / 3:
            steps *= 2
            step = _step_seconds(training, stream, windows, steps)
    memory = 4 * weights * len(program) + kept * batch
    if on_gpu:
        peak = torch.cuda.max_memory_reserved()
        memory = peak + max(0, peak - 4 * weights) * (batch - windows) // windows
    return Speed(step * batch / windows, weights, memory, memory_measured=on_gpu and windows == batch)


def _step_seconds(training: Training, stream: Iterator[Inputs], windows: int, steps: int) -> float:
    """Time of a step on the first windows of each batch; a GPU is waited for at the end of all, as in training."""
    began = time.perf_counter()
    for _ in range(steps):
        inputs = next(stream)
        if windows < inputs[0].shape[-2]:
            ids, positions, targets = (tensor[..., :windows, :].clone() for tensor in inputs)
            inputs = ids, positions, targets
        training.trainer.learn(training.step, inputs)
        training.step += 1
    if is_gpu(training.device):
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def _kept_bytes(training: Training, stream: Iterator[Inputs]) -> tuple[int, float]:
    """Memory that the forward pass of one window keeps for the backward pass, weights apart; and its seconds."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.trainer.parameters.values()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        seconds = _step_seconds(training, stream, 1, 1)
    return max(1, sum(kept.values())), seconds


def remaining_seconds(program: Sequence[MemberJob], speeds: Mapping[str, Speed]) -> float:
    """Time to train the members of a program, which are equally far, to their end."""
    spec, left = program[0].spec, program[0].steps_left
    measured = sum(step > spec.steps - left for step in measured_steps(spec))
    validation = measured * FORWARD_SHARE * spec.validation_windows / spec.batch
    return (left + validation) * speeds[spec.key].step_seconds


def schedule(seconds: Sequence[float], workers: int) -> float:
    """Time until all is done when each worker takes the next job as soon as it is free."""
    free = [0.0] * workers
    for taken in seconds:
        heapq.heappush(free, heapq.heappop(free) + taken)
    return max(free)


def expected(
    programs: Sequence[Sequence[MemberJob]], speeds: Mapping[str, Speed], workers: int, devices: int
) -> list[Cost]:
    """Cost of each condition by itself, and of all together when there are several.

    Args:
        programs: all members of a run, in the groups that are trained as one program; those that are trained
            already cost nothing.
        speeds: key of the specification -> speed, of those that are not.
        workers: programs that one device runs at once.
        devices: number of devices.
    """
    by_condition: dict[str, list[Sequence[MemberJob]]] = {}
    for program in programs:
        by_condition.setdefault(program[0].spec.condition, []).append(program)
    if len(by_condition) > 1:
        by_condition["all"] = list(programs)
    costs = []
    for condition, parts in by_condition.items():
        left = [program for program in parts if program[0].steps_left]
        each = [remaining_seconds(program, speeds) for program in left]
        specs = [job.spec for program in left for job in program]
        nothing = Speed(0.0, 0, 0, False)
        heaviest = max((speeds[spec.key] for spec in specs), key=lambda one: one.memory_bytes, default=nothing)
        running = sum(sorted(map(len, left))[-workers * devices :])
        costs.append(
            Cost(
                condition=condition,
                members=len(specs),
                tokens=sum(spec.tokens_seen for spec in specs) // max(1, len(specs)),
                seconds=schedule(each, workers),
                devices=devices,
                seconds_on_devices=schedule(each, workers * devices),
                device_seconds=sum(each) / workers,
                memory_bytes=heaviest.memory_bytes,
                memory_measured=heaviest.memory_measured,
                disk_bytes=_disk_bytes(specs, speeds, running),
            )
        )
    return costs


def _disk_bytes(specs: Sequence[EnsembleSpec], speeds: Mapping[str, Speed], running: int) -> int:
    """Checkpoints of all members, and the saved states (weights, two moments) of those in training at once."""
    # The best weights, where they are kept, are kept in addition to the last.
    sizes = [(speeds[spec.key].weight_bytes, len(log_spaced(spec.steps)), spec.keep == "best") for spec in specs]
    largest = max((size * (3 + best) for size, _, best in sizes), default=0)
    return sum(size * (marks + best) for size, marks, best in sizes) + running * KEPT * largest


def duration(seconds: float) -> str:
    """A time for people: ``8 s``, ``2.5 min``, ``34 min``, ``3.4 h``, ``12 days``, ``2.7 years``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.{int(seconds < 600)}f} min"
    if seconds < 3 * 86400:
        return f"{seconds / 3600:.1f} h"
    if seconds < 2 * 365 * 86400:
        return f"{seconds / 86400:.{int(seconds < 10 * 86400)}f} days"
    return f"{seconds / 86400 / 365:,.1f} years"
