"""Which members may be trained in one program; ``probing`` measures on the GPU how many of them are."""

from collections.abc import Sequence

from gfm_utils.ensembles.learners import work
from gfm_utils.ensembles.presets import parameters_of
from gfm_utils.ensembles.tasks import Task

#: Members whose steps take more floating-point operations than this are not tried together on a GPU: one of them
#: keeps it busy (an H100 for ten milliseconds or more), and together they would only take more memory.
LARGE_STEP = 1e13


def groups(tasks: Sequence[Task], device: str, devices: int = 1) -> list[list[Task]]:
    """The tasks in groups, each of which one process trains, in the order of their first members.

    On a CPU each member is by itself, for its cores are kept busy by processes and the weights do not depend
    on who is trained beside it. On a GPU members of one specification without large steps and without dropout,
    which would draw other numbers, are a group if they are equally far; on several GPUs as many groups. The
    process that trains a group takes all of it as one program, or parts of it, whichever is faster.

    Args:
        tasks: members that are not trained yet.
        device: ``cpu`` or ``cuda``.
        devices: number of GPUs.
    """
    found: dict[tuple[str, int], list[Task]] = {}
    for task in tasks:
        alone = 0 if device != "cpu" and may_share(task) else task.seed
        found.setdefault((f"{task.path.parent} {task.spec.key} {alone}", task.steps_left), []).append(task)
    parts = []
    for program in found.values():
        parts += split(program, -(-len(program) // max(1, devices)))
    return parts


def split(tasks: Sequence[Task], size: int) -> list[list[Task]]:
    """The tasks in parts of a size; the last may be smaller."""
    return [list(tasks[begin : begin + size]) for begin in range(0, len(tasks), size)]


def may_share(task: Task) -> bool:
    """Whether a member has no dropout and steps of fewer than ``LARGE_STEP`` operations."""
    spec = task.spec
    size = parameters_of(spec.preset, spec.vocabulary, spec.window)
    return spec.dropout == 0 and work(size, spec.batch * spec.window) < LARGE_STEP
