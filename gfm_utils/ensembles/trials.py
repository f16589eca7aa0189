"""Small trials of what training needs of a machine, by its own kernels and steps; ``doctor`` judges them."""

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.func import vmap

from gfm_utils.ensembles.attention import KERNELS, kernel_for, plain
from gfm_utils.ensembles.learners import PLAIN_STEPS, Tensors
from gfm_utils.ensembles.presets import preset
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.tasks import Task
from gfm_utils.ensembles.training import Training
from gfm_utils.errors import first_line
from gfm_utils.profiles import profile
from gfm_utils.tokens import SPECIAL, random_store

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: The smallest presets, one of each way to attend: by transformers' interface with rotary positions, and BERT's.
PRESETS_TRIED = ("modernbert-2x64", "bert-2x64")
#: Steps of a trial: on a GPU some kernel by kernel, then some recorded.
STEPS = PLAIN_STEPS + 3
#: Bytes that are copied to a GPU, and the width of the matrices it multiplies.
COPIED = 2**26
WIDTH = 4096
#: Seconds that compiling a function of one line may take, torch's import included.
COMPILE_SECONDS = 45.0
_HEAD = preset(PRESETS_TRIED[0]).head
_COMPILED = """
import sys, torch
x = torch.ones(64, 64, device=sys.argv[1], requires_grad=True)
try:
    torch.compile(lambda x: (x.sin() * 2).sum(), dynamic=False)(x).backward()
    assert torch.allclose(x.grad, 2 * x.cos(), atol=1e-4), "a compiled function gives wrong gradients"
except Exception as error:
    sys.exit(next(iter(str(error).splitlines()), type(error).__name__))
"""


# ---- attention


def attention_off(kernel: str, device: str, precision: torch.dtype, members: int = 0) -> float:
    """How far a kernel's result and gradients are from those of the formula, in float32 on the CPU.

    Args:
        kernel: a key of ``KERNELS``.
        device: ``cpu`` or ``cuda``.
        precision: of queries, keys and values.
        members: along a first dimension that ``vmap`` runs over; 0: there is none.

    Returns:
        The largest difference, relative to the largest number of each tensor; not a number if one has any.
    """
    shape = (*[members] * bool(members), 2, 64, 2, _HEAD)  # ..., n, tokens, heads, width: as layers give them
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=generator).to(precision) for _ in range(4)]
    expected = _attended(plain, [tensor.float() for tensor in given], mapped=False)
    found = _attended(KERNELS[kernel], [tensor.to(device) for tensor in given], mapped=bool(members))
    off = [
        (one.float().cpu() - other).abs().max() / other.abs().max()
        for one, other in zip(found, expected, strict=True)
    ]
    return float(torch.stack(off).max())


def _attended(
    kernel: Callable[..., torch.Tensor], given: Sequence[torch.Tensor], mapped: bool
) -> list[torch.Tensor]:
    """The result, and the gradients of queries, keys and values for the last of the given tensors."""

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        return kernel(*(tensor.transpose(-3, -2) for tensor in tensors), 0.0, _HEAD**-0.5)

    leaves = [tensor.clone().requires_grad_() for tensor in given[:3]]
    result = (vmap(attend, randomness="different") if mapped else attend)(*leaves)
    (result * given[3].transpose(-3, -2)).sum().backward()
    return [result.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def attention_trials(device: str, precision: str, tolerance: float) -> tuple[str, dict[str, str]]:
    """Which kernel training uses, and which kernels do not work although they should.

    Args:
        device: ``cpu``, where only the formula is used, or ``cuda``.
        precision: a key of ``PRECISIONS``.
        tolerance: largest result of ``attention_off`` that is rounding.

    Returns:
        The name of the kernel that is used, and kernel -> what is wrong with it.
    """
    kernels = [name for name in KERNELS if device != "cpu" or name == "plain"]
    if precision == "float32" and "flash" in kernels:
        kernels.remove("flash")  # it is made for low precision alone
    failures = {name: _attention_failure(name, device, precision, tolerance) for name in kernels}
    used = kernel_for(device, PRECISIONS[precision], _HEAD)
    return used, {name: why for name, why in failures.items() if why}


def _attention_failure(kernel: str, device: str, precision: str, tolerance: float) -> str:
    for members, way in ((0, "alone"), (2, "under vmap")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that vmap has no rule of its own for a kernel
                off = attention_off(kernel, device, PRECISIONS[precision], members)
        except Exception as error:
            return f"{way}: {first_line(error)}"
        if not off <= tolerance:
            return f"{way}: off by {off:.1g}"
    return ""


# ---- training


@dataclass(frozen=True)
class Deviation:
    """How far members are from the same members trained one by one, in float32, on the CPU: the furthest of them.

    Attributes:
        loss: largest relative difference at any step.
        weights: length of the difference, relative to the length of the way that training moved the weights.
    """

    loss: float
    weights: float


@dataclass(frozen=True)
class Trial:
    """What some steps of a few members gave.

    Attributes:
        plain: after steps that were taken kernel by kernel.
        recorded: after further steps that were replayed from a CUDA graph; None: there was none.
        reason: on a GPU why no step was recorded, else empty.
    """

    plain: Deviation
    recorded: Deviation | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Steps:
    """Steps that were taken.

    Attributes:
        losses: bits per token, shape (steps, members).
        weights: number of steps -> weights of each member after them.
        recorded: whether the last steps were replayed from a CUDA graph.
        reason: why not, on a GPU.
    """

    losses: torch.Tensor
    weights: dict[int, list[Tensors]]
    recorded: bool
    reason: str


class Trials:
    """Trials of training on made-up tokens; those to compare with are made once.

    Args:
        folder: where the tokens are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.references = folder, dict[tuple[str, int], _Steps]()
        self.store = random_store(folder / "tokens", vocabulary=64 + len(SPECIAL), tokens=20_000)

    def trial(self, name: str, precision: str, seeds: Sequence[int], device: str) -> Trial:
        """Train for some steps, members of several seeds as one program.

        Args:
            name: the preset.
            precision: ``float32``, or on a GPU ``bfloat16``.
            seeds: of the members.
            device: ``cpu`` or ``cuda``.
        """
        steps = self._taken(name, precision, seeds, device)
        for seed in seeds:
            if (name, seed) not in self.references:
                self.references[name, seed] = self._taken(name, "float32", [seed], "cpu")
        references = [self.references[name, seed] for seed in seeds]
        if not steps.recorded:
            return Trial(_deviation(steps, references, STEPS), None, steps.reason)
        return Trial(_deviation(steps, references, PLAIN_STEPS), _deviation(steps, references, STEPS))

    def _taken(self, name: str, precision: str, seeds: Sequence[int], device: str) -> _Steps:
        small = profile("smoke").model_copy(update={"preset": name, "precision": precision})
        spec = EnsembleSpec.of(self.store, small)
        tasks = [Task(spec, self.store, seed, self.folder / f"member-{seed}") for seed in seeds]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")  # a warning says why no step was recorded
            training = Training(tasks, device)
            learner, losses = training.learner, []
            learner.model.train()
            weights = {0: [learner.state(place)["weights"] for place in range(len(seeds))]}
            with closing(training.inputs()) as stream:
                for step in range(STEPS):
                    learner.learn(step, next(stream))
                    losses.append(learner.loss.tolist())
                    if step + 1 in (PLAIN_STEPS, STEPS):
                        weights[step + 1] = [learner.state(place)["weights"] for place in range(len(seeds))]
        reasons = [str(warning.message) for warning in told if "CUDA graph" in str(warning.message)]
        recorded = learner.graph is not None
        missing = learner.on_gpu and not recorded
        reason = next(iter(reasons), "no step was recorded as a CUDA graph") if missing else ""
        return _Steps(torch.tensor(losses), weights, recorded, reason)


def _deviation(steps: _Steps, references: Sequence[_Steps], after: int) -> Deviation:
    losses = torch.cat([reference.losses for reference in references], dim=1)[:after]
    ways = torch.tensor(
        [
            _distance(steps.weights[after][place], one.weights[after][0])
            / _distance(one.weights[0][0], one.weights[after][0])
            for place, one in enumerate(references)
        ]
    )
    return Deviation(float((steps.losses[:after] / losses - 1).abs().max()), float(ways.max()))


def _distance(one: Tensors, other: Tensors) -> float:
    """Between the weights of two members.

    Without the biases of BERT's keys: these add the same to all scores of a softmax, so that their gradient is
    rounding alone, which Adam takes for a direction like any other.
    """
    names = [name for name in other if not name.endswith("key.bias")]
    return float(sum((one[name] - other[name]).double().square().sum() for name in names)) ** 0.5


# ---- compiler and speed


def compiler_failure(device: str, seconds: float = COMPILE_SECONDS) -> str:
    """Why ``torch.compile`` does not work, or nothing: tried in a process of its own, without a cache.

    Args:
        device: ``cpu`` or ``cuda``.
        seconds: that it may take.
    """
    with TemporaryDirectory() as folder:
        caches = {"TORCHINDUCTOR_CACHE_DIR": folder, "TRITON_CACHE_DIR": f"{folder}/triton"}
        command = [sys.executable, "-c", _COMPILED, device]
        try:
            done = subprocess.run(
                command, env=os.environ | caches, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return f"compiling a function of one line took longer than {seconds:.0f} seconds"
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else (said or [f"the compiler ended with status {done.returncode}"])[-1]


def product_rate(device: str, precision: str, width: int = WIDTH, repeats: int = 10) -> float:
    """Speed of products of square matrices, 10^12 operations a second."""
    matrix = torch.ones((width, width), device=device, dtype=PRECISIONS[precision])
    return 2e-12 * width**3 * repeats / _seconds(device, lambda: matrix @ matrix, repeats)


def copy_rate(device: str, size: int = COPIED) -> float:
    """Speed of copies from page-locked memory to the device, 10^9 bytes a second; 0 if what arrives is wrong."""
    source = torch.arange(size // 4, dtype=torch.int32)
    source = source if device == "cpu" else source.pin_memory()
    arrived = source.to(device, non_blocking=True, copy=True).cpu()
    if not torch.equal(arrived, source):
        return 0.0
    return 1e-9 * size * 5 / _seconds(device, lambda: source.to(device, non_blocking=True, copy=True), 5)


def _seconds(device: str, work: Callable[[], torch.Tensor], repeats: int) -> float:
    """Time of some work, done once before."""
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    work()
    wait()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    wait()
    return time.perf_counter() - began
