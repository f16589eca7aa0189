"""Which members are trained in one program."""

from collections.abc import Sequence

from gfm_utils.ensembles.learners import work
from gfm_utils.ensembles.presets import parameters_of
from gfm_utils.ensembles.tasks import Task

#: Members whose steps take fewer floating-point operations than this are trained together on a GPU: alone,
#: they would leave most of it idle. An H100 does as many in about two milliseconds.
SMALL_STEP = 1e12


def groups(tasks: Sequence[Task], device: str, devices: int = 1) -> list[list[Task]]:
    """The tasks in groups, each of which is trained as one program, in the order of their first members.

    On a CPU each member is by itself, for its cores are kept busy by processes and the weights do not depend
    on who is trained beside it. On a GPU members of one specification with small steps and no dropout, which
    would draw other numbers, are trained together if they are equally far; on several GPUs in as many groups.

    Args:
        tasks: members that are not trained yet.
        device: ``cpu`` or ``cuda``.
        devices: number of GPUs.
    """
    found: dict[tuple[str, int], list[Task]] = {}
    for task in tasks:
        alone = task.seed if device == "cpu" or not is_small(task) else 0
        found.setdefault((f"{task.path.parent} {task.spec.key} {alone}", task.steps_left), []).append(task)
    parts = []
    for program in found.values():
        size = -(-len(program) // max(1, devices))
        parts += [program[begin : begin + size] for begin in range(0, len(program), size)]
    return parts


def is_small(task: Task) -> bool:
    """Whether a member has no dropout and steps of fewer than ``SMALL_STEP`` operations."""
    spec = task.spec
    size = parameters_of(spec.preset, spec.vocabulary, spec.window)
    return spec.dropout == 0 and work(size, spec.batch * spec.window) < SMALL_STEP
