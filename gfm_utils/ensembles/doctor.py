"""What works on this machine: what a user runs first, one row a check.

A check that fails in a way that nobody foresaw is broken, and the others still run.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch.utils.benchmark import Timer

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
#: Speed of copies to a GPU under which it would wait for its data, 10^9 bytes a second.
SLOW_COPY = 1.0
#: Bytes that are copied to a GPU, and the width of the matrices it multiplies.
COPIED = 2**26
WIDTH = 4096
#: Seconds that compiling a function of one line may take, torch's import included.
COMPILE_SECONDS = 45.0
_COMPILED = """
import sys, torch
x = torch.ones(64, 64, device=sys.argv[1], requires_grad=True)
try:
    torch.compile(lambda x: (x.sin() * 2).sum(), dynamic=False)(x).backward()
    assert torch.allclose(x.grad, 2 * x.cos(), atol=1e-4), "a compiled function gives wrong gradients"
except Exception as error:
    sys.exit(next(iter(str(error).splitlines()), type(error).__name__))
"""


@dataclass(frozen=True)
class Deviation:
    """How far members are from the same members trained one by one, in float32, on the CPU: the furthest of them.

    Attributes:
        loss: largest relative difference at any step.
        weights: length of the difference, relative to the length of the way that training moved the weights.
        reason: on a GPU why no step was recorded as a CUDA graph, else empty.
    """

    loss: float
    weights: float
    reason: str = ""


#: Largest deviation that is rounding. On a CPU it was 1e-6 in the loss and 6e-4 of the weights' way in float32
#: (weights off by 1e-6 from the start), 2e-4 and 4e-2 in bfloat16; with the wrong targets it is more than 5e-3 and
#: the whole way.
TOLERANCE = {"float32": Deviation(1e-4, 2e-2), "bfloat16": Deviation(5e-3, 2e-1)}


def compiler_failure(where: str, seconds: float = COMPILE_SECONDS) -> str:
    """Why ``torch.compile`` does not work, or nothing: tried in a process of its own, without a cache.

    Args:
        where: ``cpu`` or ``cuda``.
        seconds: that it may take.
    """
    with TemporaryDirectory() as temporary:
        caches = {"TORCHINDUCTOR_CACHE_DIR": temporary, "TRITON_CACHE_DIR": f"{temporary}/triton"}
        command = [sys.executable, "-c", _COMPILED, where]
        try:
            done = subprocess.run(
                command, env=os.environ | caches, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return f"compiling a function of one line took longer than {seconds:.0f} seconds"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else [f"the compiler ended with status {done.returncode}", *lines][-1]


def examine(runs: Path, compiles: Callable[[str], str] = compiler_failure) -> Iterator[Check]:
    """Check this machine; each result comes as soon as it is there, and nothing is left behind.

    Args:
        runs: folder of ensembles; it need not exist.
        compiles: says why steps cannot be compiled on a device, or nothing if they can.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old: a row says it
        where = device()
    with ThreadPoolExecutor(1) as pool:
        compiled = pool.submit(compiles, where) if where != "cpu" else None  # beside the rest: it takes longest
        cache_advice = "set GFM_CACHE to a folder that can be written"
        checks: dict[str, tuple[bool, Callable[[], Sequence[Check]]]] = {
            "versions": (False, versions),
            "device": (True, devices),
            "attention": (True, lambda: [attention(where)]),
            "training": (True, lambda: trainings(where)),
            "compiler": (False, lambda: [compiler(compiled)]),
            **({"speed": (True, lambda: [speed(where)])} if where != "cpu" else {}),
            "cache": (True, lambda: [folder("cache", cache_dir, cache_advice)]),
            "runs": (True, lambda: [folder("runs", lambda: runs, "give another folder by --runs")]),
        }
        for name, (needed, check) in checks.items():
            yield from _guarded(name, needed, where, check)


def _guarded(name: str, needed: bool, where: str, check: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """The rows of a check, or one that says how it failed."""
    try:
        return check()
    except Exception as error:
        return [Check(name, "broken", first_line(error), _advice(where, error), needed)]


def _advice(where: str, error: Exception | None = None) -> str:
    """What to do about a failure that says no more than its reason."""
    if isinstance(error, torch.OutOfMemoryError):
        return "free the GPU's memory; nvidia-smi says which processes have it"
    if isinstance(error, OSError):
        return "set TMPDIR to a folder with room that can be written"
    if where == "cpu":
        return "install the package in a fresh environment"
    return "update the NVIDIA driver and torch; with CUDA_VISIBLE_DEVICES= (nothing) members train on the CPU"


def attention(where: str) -> Check:
    """The kernel of each precision; whether it gives what the formula gives, training shows."""
    head = preset(PRESETS_TRIED[0]).head
    kernels = {name: kernel_for(where, precision, head) for name, precision in PRECISIONS.items()}
    detail = ", ".join(f"{precision}: {kernel}" for precision, kernel in kernels.items())
    if where != "cpu" and "plain" in kernels.values():
        return Check("attention", "slow", f"{detail}; the formula is slower than a kernel", "update torch")
    return Check("attention", "ok", detail)


def trainings(where: str) -> list[Check]:
    """Steps of one member, and of two as one program, in each precision; on a CPU only the former are needed."""
    checks: list[Check] = []
    threads = torch.get_num_threads()
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        torch.set_num_threads(1)  # so small a step only waits for more of them, longest where all cores are busy
        try:
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
    """Steps that members took.

    Attributes:
        losses: bits per token, shape (steps, members).
        moves: by how much all weights of each changed, shape (members, weights). Without the biases of BERT's
            keys: these add the same to all scores of a softmax, so that their gradient is rounding alone, which
            Adam takes for a direction like any other.
        reason: on a GPU why no step was recorded as a CUDA graph, else empty.
    """

    losses: torch.Tensor
    moves: torch.Tensor
    reason: str


def take_steps(store: TokenStore, name: str, seeds: Sequence[int], precision: str, device: str) -> Steps:
    """Train members of a preset for ``STEPS`` steps on made-up tokens, those of several seeds as one program."""
    spec = EnsembleSpec.of(store, profile("smoke").model_copy(update={"preset": name, "precision": precision}))
    jobs = [MemberJob(spec, store, seed, store.path.parent / f"member-{seed}") for seed in seeds]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # a warning says why no step was recorded
        training = Training(jobs, device)
        trainer, losses = training.trainer, []
        trainer.model.train()
        before = _weights(trainer, len(seeds))
        with closing(training.inputs()) as stream:
            for step in range(STEPS):
                trainer.learn(step, next(stream))
                losses.append(trainer.loss.tolist())
        moves = _weights(trainer, len(seeds)) - before
    reason = ""
    if trainer.on_gpu and trainer.graph is None:
        reasons = [str(warning.message) for warning in caught if "CUDA graph" in str(warning.message)]
        reason = next(iter(reasons), "no step was recorded as a CUDA graph")
    return Steps(torch.tensor(losses), moves, reason)


def _weights(trainer: Trainer, members: int) -> torch.Tensor:
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
    """The row of that name: what trials say, preset -> deviation."""
    right = all(one.loss <= tolerance.loss and one.weights <= tolerance.weights for one in tried.values())
    detail = "; ".join(
        f"{preset} {STEPS} steps: loss off by {one.loss:.1g}, weights by {one.weights:.1g}"
        for preset, one in tried.items()
    )
    if not right:
        return Check(name, "broken", f"other results than on the CPU: {detail}", _advice(where), needed)
    if reason := next((one.reason for one in tried.values() if one.reason), ""):
        return Check(name, "slow", f"{reason}; {detail}", "update torch and transformers", needed)
    return Check(name, "ok", detail)


def compiler(failure: Future[str] | None) -> Check:
    """Whether steps can be compiled; on a CPU (None) they never are."""
    if failure is None:
        return Check("compiler", "ok", "not needed: steps are compiled on a GPU alone")
    if reason := failure.result():
        advice = "install a C++ compiler, Python's headers and the triton of this torch"
        return Check("compiler", "slow", f"steps are not compiled: {reason}", advice)
    return Check("compiler", "ok", "steps can be compiled")


def speed(where: str) -> Check:
    """Products of matrices in each precision, and copies from page-locked memory to the GPU."""
    rates, copies = {one: product_rate(where, one) for one in PRECISIONS}, copy_rate(where)
    detail = ", ".join(f"{one} {rate:.0f}" for one, rate in rates.items())
    detail = f"products of matrices: {detail} TFLOP/s; copies to the GPU: {copies:.1f} GB/s"
    if not copies:
        wrong = f"{detail}: what arrives is not what was sent"
        return Check("speed", "broken", wrong, _advice(where), needed=True)
    if copies < SLOW_COPY:
        return Check("speed", "slow", detail, "see that no other process uses the GPU")
    if rates["bfloat16"] < rates["float32"]:
        return Check(
            "speed", "slow", f"{detail}: bfloat16 saves no time", "train with a profile in float32 (colab)"
        )
    return Check("speed", "ok", detail)


def product_rate(device: str, precision: str, width: int = WIDTH, repeats: int = 10) -> float:
    """Speed of products of square matrices, 10^12 operations a second."""
    matrix = torch.ones((width, width), device=device, dtype=PRECISIONS[precision])
    return 2e-12 * width**3 / Timer("matrix @ matrix", globals={"matrix": matrix}).timeit(repeats).mean


def copy_rate(device: str, size: int = COPIED) -> float:
    """Speed of copies from page-locked memory to the device, 10^9 bytes a second; 0 if what arrives is wrong."""
    source = torch.arange(size // 4, dtype=torch.int32)
    source = source if device == "cpu" else source.pin_memory()

    def copy() -> torch.Tensor:
        return source.to(device, non_blocking=True, copy=True)

    if not torch.equal(copy().cpu(), source):
        return 0.0
    return 1e-9 * size / Timer("copy()", globals={"copy": copy}).timeit(5).mean
