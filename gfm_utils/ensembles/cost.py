"""What training will cost: time, memory, disk and device-hours, from the probes of its conditions."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gfm_utils.ensembles.probing import Probe
from gfm_utils.ensembles.states import KEPT
from gfm_utils.ensembles.tasks import Task, log_spaced, measured_steps

#: A forward pass is about this share of a step (forward, backward, and the optimiser's update).
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Cost:
    """Expected cost of the members of one condition, or of all, that are not trained yet.

    A device is a GPU, or a machine with the cores of this one.

    Attributes:
        condition: ``corpus@tokenizer``, or ``all``.
        members: that are to be trained.
        tokens: that each of them reads.
        seconds: time on one device like this.
        devices: number of devices.
        seconds_on_devices: time on that many.
        device_seconds: time of all members, added up over devices.
        memory_bytes: device memory of one program in training: of one member, or of several small ones.
        memory_measured: whether that is a measured peak, or an estimate.
        disk_bytes: weights, checkpoints, and the saved states of the members in training.
    """

    condition: str
    members: int
    tokens: int
    seconds: float
    devices: int
    seconds_on_devices: float
    device_seconds: float
    memory_bytes: int
    memory_measured: bool
    disk_bytes: int


def remaining_seconds(program: Sequence[Task], probes: Mapping[str, Probe]) -> float:
    """Time to train the members of a program to their end.

    Args:
        program: members of one specification, equally far.
        probes: key of the specification -> probe.
    """
    spec, left = program[0].spec, program[0].steps_left
    if left == 0:
        return 0.0
    measured = sum(step > spec.steps - left for step in measured_steps(spec))
    validation = measured * FORWARD_SHARE * spec.validation_windows / spec.batch
    return (left + validation) * probes[spec.key].step_seconds


def schedule(seconds: Sequence[float], workers: int) -> float:
    """Time until all is done when each worker takes the next task as soon as it is free."""
    free = [0.0] * workers
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def expected(
    programs: Sequence[Sequence[Task]],
    probes: Mapping[str, Probe],
    workers: int,
    devices: int,
    start_seconds: float,
) -> list[Cost]:
    """Cost of each condition by itself, and of all together when there are several.

    Args:
        programs: all members of a run, in the groups that are trained as one program; those that are trained
            already cost nothing.
        probes: key of the specification -> probe, of those that are not.
        workers: programs that one device runs at once.
        devices: number of devices.
        start_seconds: time that the processes take to start.
    """
    by_condition: dict[str, list[Sequence[Task]]] = {}
    for program in programs:
        by_condition.setdefault(program[0].spec.condition, []).append(program)
    if len(by_condition) > 1:
        by_condition["all"] = list(programs)
    costs = []
    for condition, parts in by_condition.items():
        left = [program for program in parts if program[0].steps_left]
        each = [remaining_seconds(program, probes) for program in left]
        tasks = [task for program in left for task in program]
        heaviest = max(
            (probes[task.spec.key] for task in tasks), key=lambda probe: probe.memory_bytes, default=None
        )
        weights = [probes[task.spec.key].weight_bytes for task in tasks]
        best = [task.spec.keep == "best" for task in tasks]  # kept beside the last in checkpoints and states
        checkpoints = sum(
            size * (len(log_spaced(task.spec.steps)) + more)
            for task, size, more in zip(tasks, weights, best, strict=True)
        )
        running = sum(sorted(map(len, left))[-workers * devices :])
        copies = [size * (3 + more) for size, more in zip(weights, best, strict=True)]
        states = running * KEPT * max(copies, default=0)
        start = start_seconds if left else 0.0
        costs.append(
            Cost(
                condition=condition,
                members=len(tasks),
                tokens=sum(task.spec.tokens_seen for task in tasks) // max(1, len(tasks)),
                seconds=start + schedule(each, workers),
                devices=devices,
                seconds_on_devices=start + schedule(each, workers * devices),
                device_seconds=sum(each) / workers,
                memory_bytes=heaviest.memory_bytes if heaviest else 0,
                memory_measured=heaviest is not None and heaviest.memory_measured,
                disk_bytes=checkpoints + states,
            )
        )
    return costs


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
