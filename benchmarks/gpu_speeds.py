"""Steps of training at the profiles: of one member, and of five in one program, on one GPU.

``gpu:speed-quick``, ``-colab``, ``-gpu``, ... are steps of a profile over tokens drawn at random, data included:
milliseconds a step of a member, tokens per second and floating-point operations per second over all members, and
memory (of a GPU what PyTorch reserves; of a CPU an estimate). The largest profile is measured again with compiled
steps, where there is time until this is cut off. On a CPU one member is measured. A case that
needs more memory than there is is told, and the others go on.

A ratio above 1 is in favour of the case over one member, plain.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import common
import training
from gpu import seconds_left
from training import Plan

from gfm_utils.ensembles import EnsembleSpec, device
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.profiles import PROFILES, Profile, profile
from gfm_utils.tokens import random_store

#: Of the profiles that a GPU trains in minutes.
TASKS = tuple(f"gpu:speed-{name}" for name in PROFILES if name != "paper")
COMPILED = "gpu:speed-gpu"
#: Tokens of the vocabularies of the book's conditions, special ones included.
VOCABULARY = 261
ALONE = "one member, plain"
#: What compiling the steps takes, about.
COMPILE_SECONDS = 60.0


def cases_of(task: str, members: int) -> Iterator[tuple[str, Plan]]:
    """Name and plan of each case; those with compiled steps as long as there is time."""
    on_gpu = device() == "cuda"
    for compiled in (False, True) if task == COMPILED and on_gpu else (False,):
        for number in (1, members) if on_gpu else (1,):
            how = "compiled" if compiled else "plain"
            case = f"{number} members in one program, {how}" if number > 1 else f"one member, {how}"
            if compiled and seconds_left() < COMPILE_SECONDS:
                print(f"  {task}: {case}: no time left", flush=True)
            else:
                yield case, Plan(number, compiled)


def measured(tasks: Sequence[MemberJob], plan: Plan, size: Profile, seconds: float) -> dict[str, float]:
    """Unit -> value of members trained in a certain way, as many as a program has."""
    found = training.probe_of(tasks[: plan.together], plan, seconds)
    step = found.step_seconds / plan.together
    speed = size.batch * size.window / step
    operations = training.operations_per_token(size, VOCABULARY)
    return {
        "ms/step of a member": 1e3 * step,
        "tokens/s": speed,
        "TFLOP/s": speed * operations / 1e12,
        "GB of a program": found.memory_bytes / 1e9,
    }


def rows_of(task: str, folder: Path, seconds: float) -> Iterator[common.Row]:
    """The rows of a profile, case by case."""
    size = profile(task.removeprefix("gpu:speed-"))
    store = random_store(folder / size.name, VOCABULARY, size.window * size.batch * 16)
    spec = EnsembleSpec.of(store, size)
    tasks = [MemberJob(spec, store, seed, folder / f"member-{seed}") for seed in range(1, size.members + 1)]
    alone: dict[str, float] = {}

    def rows(case: str, plan: Plan) -> Iterator[common.Row]:
        found = measured(tasks, plan, size, seconds)
        if case == ALONE:
            alone.update(found)
        for unit, value in found.items():
            theirs = alone.get(unit, value)
            yield common.row(task, case, f"ours, {ALONE}", value, theirs, unit, unit.endswith("/s"))

    for case, plan in cases_of(task, size.members):
        yield from common.if_it_fits(f"{task}: {case}", rows(case, plan))


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--seconds", type=float, default=2.0, help="that each case is measured")
    options = parser.parse_args()
    tasks = common.chosen(parser, options, TASKS)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = (row for task in tasks for row in rows_of(task, Path(folder), options.seconds))
        given = {"tasks": tasks, "vocabulary": VOCABULARY, "seconds": options.seconds}
        common.report(rows, options, given, began)


if __name__ == "__main__":
    main()
