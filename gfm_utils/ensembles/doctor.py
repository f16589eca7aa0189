"""What works on this machine, one row a check; one that fails in a way that nobody foresaw is broken."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache, partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from gfm_utils.ensembles.attention import kernel_for
from gfm_utils.ensembles.checks import Check, devices, folder, versions
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.multiprocess import device
from gfm_utils.ensembles.presets import preset
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.train_step import PLAIN_STEPS, Trainer
from gfm_utils.ensembles.training import Training
from gfm_utils.errors import first_line
from gfm_utils.files import cache_dir
from gfm_utils.profiles import profile
from gfm_utils.tokens import SPECIAL, TokenStore, random_store

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: The smallest presets, one of each way to attend: by transformers' interface with rotary positions, and BERT's.
PRESETS_TRIED = ("modernbert-2x64", "bert-2x64")
#: Steps of a trial: on a GPU some kernel by kernel, then some recorded.
STEPS = PLAIN_STEPS + 3
#: Seeds of the members that take steps in one program.
WAYS = {"alone": (1,), "together": (1, 2)}
#: What to do about a failure that tells no more than its reason, by device.
ADVICE = {
    "cpu": "install the package in a fresh environment",
    "cuda": "update the NVIDIA driver and torch; with CUDA_VISIBLE_DEVICES= (nothing) members train on the CPU",
}


class Deviation(NamedTuple):
    """How far members are, at most, from the same members trained one by one, in float32, on the CPU."""

    loss: float  # largest relative difference at any step
    weights: float  # length of the difference, relative to the length of the way that training moved the weights
    reason: str = ""  # on a GPU why no step was recorded as a CUDA graph


#: Largest deviation that is rounding. On a CPU it was 1e-6 in the loss and 6e-4 of the weights' way in float32,
#: 2e-4 and 4e-2 in bfloat16; with the wrong targets it is more than 5e-3 and the whole way.
TOLERANCE = {"float32": Deviation(1e-4, 2e-2), "bfloat16": Deviation(5e-3, 2e-1)}


def examine(runs: Path) -> Iterator[Check]:
    """Check this machine, and the folder of ensembles, which need not exist; nothing is left behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old: a row shows it
        where = device()
    yield from _guarded("versions", False, where, versions)
    yield from _guarded("device", True, where, devices)
    yield from _guarded("attention", True, where, partial(attention, where))
    yield from _guarded("training", True, where, partial(trainings, where))
    yield from _guarded("cache", True, where, partial(folder, "cache", cache_dir))
    yield from _guarded("runs", True, where, partial(folder, "runs", lambda: runs))


def _guarded(name: str, needed: bool, where: str, check: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """The rows of a check, or one that tells how it failed."""
    try:
        return check()
    except Exception as error:
        return [Check(name, "broken", first_line(error), ADVICE[where], needed)]


def attention(where: str) -> list[Check]:
    """The kernel of each precision; whether it gives what the formula gives, training shows."""
    head = preset(PRESETS_TRIED[0]).head
    kernels = {name: kernel_for(where, precision, head) for name, precision in PRECISIONS.items()}
    detail = ", ".join(f"{precision}: {kernel}" for precision, kernel in kernels.items())
    if where != "cpu" and "plain" in kernels.values():
        return [Check("attention", "slow", f"{detail}; the formula is slower than a kernel", "update torch")]
    return [Check("attention", "ok", detail)]


def trainings(where: str) -> list[Check]:
    """Steps of one member, and of two as one program, in each precision; on a CPU only the former are needed."""
    checks: list[Check] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a step only waits for more of them, longest where all cores are busy
    try:
        with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            store = random_store(Path(temporary) / "tokens", vocabulary=64 + len(SPECIAL), tokens=20_000)
            reference = cache(partial(take_steps, store, precision="float32", device="cpu"))

            def rows(row: str, seeds: Sequence[int], precision: str, needed: bool) -> list[Check]:
                tried = {}
                for name in PRESETS_TRIED:
                    steps = take_steps(store, name, seeds, precision, where)
                    tried[name] = deviation(steps, [reference(name, (seed,)) for seed in seeds])
                return [training(row, tried, TOLERANCE[precision], where, needed)]

            for precision, way in product(("float32",) if where == "cpu" else PRECISIONS, WAYS):
                name, needed = f"training {way} {precision}", where != "cpu" or way == "alone"
                checks += _guarded(name, needed, where, partial(rows, name, WAYS[way], precision, needed))
    finally:
        torch.set_num_threads(threads)
    return checks


class Steps(NamedTuple):
    """Steps that members took."""

    losses: torch.Tensor  # bits per token, shape (steps, members)
    moves: torch.Tensor  # by how much all weights of each changed, shape (members, weights)
    reason: str  # on a GPU why no step was recorded as a CUDA graph, else empty


def take_steps(store: TokenStore, name: str, seeds: Sequence[int], precision: str, device: str) -> Steps:
    """Train members of a preset for ``STEPS`` steps on made-up tokens, those of several seeds as one program."""
    spec = EnsembleSpec.of(store, profile("smoke").model_copy(update={"preset": name, "precision": precision}))
    jobs = [MemberJob(spec, store, seed, store.path.parent / f"member-{seed}") for seed in seeds]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # a warning tells why no step was recorded
        training = Training(jobs, device)
        trainer, losses = training.trainer, []
        trainer.model.train()
        before = _weights(trainer, len(seeds))
        with closing(training.inputs()) as stream:
            for step in range(STEPS):
                trainer.learn(step, next(stream))
                losses.append(trainer.loss.tolist())
        moves = _weights(trainer, len(seeds)) - before
    reasons = (str(warning.message) for warning in caught if "CUDA graph" in str(warning.message))
    recorded = trainer.graph is not None or not trainer.on_gpu
    reason = "" if recorded else next(reasons, "no step was recorded as a CUDA graph")
    return Steps(torch.tensor(losses), moves, reason)


def _weights(trainer: Trainer, members: int) -> torch.Tensor:
    """The weights of each, without the biases of BERT's keys.

    These add the same to all scores of a softmax: their gradient is rounding alone, a direction like any to Adam.
    """
    states = [trainer.state(place)["weights"] for place in range(members)]
    chosen = [[value.flatten() for name, value in one.items() if not name.endswith("key.bias")] for one in states]
    return torch.stack([torch.cat(values) for values in chosen]).double()


def deviation(steps: Steps, references: Sequence[Steps]) -> Deviation:
    """How far members are from references, one a member."""
    losses = torch.cat([reference.losses for reference in references], dim=1)
    moves = torch.cat([reference.moves for reference in references])
    furthest = ((steps.moves - moves).norm(dim=1) / moves.norm(dim=1)).max()  # not a number if one is none
    return Deviation(float((steps.losses / losses - 1).abs().max()), float(furthest), steps.reason)


def training(name: str, tried: dict[str, Deviation], tolerance: Deviation, where: str, needed: bool) -> Check:
    """The row of that name, from trials, preset -> deviation."""
    detail = "; ".join(
        f"{preset} {STEPS} steps: loss off by {one.loss:.1g}, weights by {one.weights:.1g}"
        for preset, one in tried.items()
    )
    if not all(one.loss <= tolerance.loss and one.weights <= tolerance.weights for one in tried.values()):
        return Check(name, "broken", f"other results than on the CPU: {detail}", ADVICE[where], needed)
    if reason := next((one.reason for one in tried.values() if one.reason), ""):
        return Check(name, "slow", f"{reason}; {detail}", "update torch and transformers", needed)
    return Check(name, "ok", detail)
