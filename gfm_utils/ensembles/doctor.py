"""What works on this machine: what a user runs first, one row a check.

A check that fails in a way that nobody foresaw is broken, and the others still run.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from gfm_utils.ensembles.checks import Check, devices, folder, versions
from gfm_utils.ensembles.local import device
from gfm_utils.ensembles.trials import (
    PRECISIONS,
    PRESETS_TRIED,
    STEPS,
    Deviation,
    Trial,
    Trials,
    attention_trials,
    compiler_failure,
    copy_rate,
    product_rate,
)
from gfm_utils.errors import first_line
from gfm_utils.files import cache_dir

#: Largest deviation of attention that is rounding, relative to the largest number of a tensor.
ATTENTION_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
#: The same for training. On a CPU it was 1e-6 in the loss and 6e-4 of the weights' way in float32 (weights off by
#: 1e-6 from the start), 2e-4 and 4e-2 in bfloat16; with the wrong targets it is more than 5e-3 and the whole way.
TRAINING_TOLERANCE = {"float32": Deviation(1e-4, 2e-2), "bfloat16": Deviation(5e-3, 2e-1)}
#: Seeds of the members that take steps in one program.
WAYS = {"alone": (1,), "together": (1, 2)}
#: Speed of copies to a GPU under which it would wait for its data, 10^9 bytes a second.
SLOW_COPY = 1.0


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
        yield from _guarded("versions", False, where, versions)
        yield from _guarded("device", True, where, devices)
        yield from _guarded("attention", True, where, lambda: [attention(where)])
        yield from _guarded("training", True, where, lambda: trainings(where))
        yield from _guarded("compiler", False, where, lambda: [compiler(compiled)])
        if where != "cpu":
            yield from _guarded("speed", True, where, lambda: [speed(where)])
    advice = "set GFM_CACHE to a folder that can be written"
    yield from _guarded("cache", True, where, lambda: [folder("cache", cache_dir, advice)])
    yield from _guarded(
        "runs", True, where, lambda: [folder("runs", lambda: runs, "give another folder by --runs")]
    )


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
    """The kernel of each precision, and whether it gives what the formula gives."""
    used, failures = {}, []
    broken = False
    for precision, tolerance in ATTENTION_TOLERANCE.items():
        used[precision], wrong = attention_trials(where, precision, tolerance)
        broken |= used[precision] in wrong
        failures += [f"{kernel} in {precision} does not work ({why})" for kernel, why in wrong.items()]
    told = "; ".join([", ".join(f"{one}: {kernel}" for one, kernel in used.items()), *failures])
    if broken:
        return Check("attention", "broken", told, _advice(where), needed=True)
    if where != "cpu" and "plain" in used.values():
        return Check("attention", "slow", f"{told}; the formula is slower than a kernel", "update torch")
    return Check("attention", "ok", told)


def trainings(where: str) -> list[Check]:
    """Steps of one member, and of two as one program, in each precision of the device."""
    found: list[Check] = []
    threads = torch.get_num_threads()
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        torch.set_num_threads(1)  # so small a step only waits for more of them, longest where all cores are busy
        try:
            trials = Trials(Path(temporary))
            for precision, way in product(("float32",) if where == "cpu" else PRECISIONS, WAYS):
                needed = where != "cpu" or way == "alone"  # on a CPU members are trained one by one
                check = partial(_trained, trials, precision, way, where, needed)
                found += _guarded(_training(way, precision), needed, where, check)
        finally:
            torch.set_num_threads(threads)
    return found


def _training(way: str, precision: str) -> str:
    return f"training {way} {precision}"


def _trained(trials: Trials, precision: str, way: str, where: str, needed: bool) -> list[Check]:
    tried = {preset: trials.trial(preset, precision, WAYS[way], where) for preset in PRESETS_TRIED}
    return [training(_training(way, precision), tried, TRAINING_TOLERANCE[precision], where, needed)]


def training(name: str, tried: Mapping[str, Trial], tolerance: Deviation, where: str, needed: bool) -> Check:
    """What trials of some presets say.

    Args:
        name: of the row.
        tried: preset -> its trial.
        tolerance: largest deviation that is rounding.
        where: the device.
        needed: whether training needs this.
    """
    deviations = [one for trial in tried.values() for one in (trial.plain, trial.recorded) if one is not None]
    right = all(one.loss <= tolerance.loss and one.weights <= tolerance.weights for one in deviations)
    told = "; ".join(f"{preset} {_told(trial)}" for preset, trial in tried.items())
    if not right:
        return Check(name, "broken", f"other results than on the CPU: {told}", _advice(where), needed)
    reason = next((trial.reason for trial in tried.values() if trial.reason), "")
    if reason:
        return Check(name, "slow", f"{reason}; {told}", "update torch and transformers", needed)
    return Check(name, "ok", told)


def _told(trial: Trial) -> str:
    """Deviations of a trial: of the loss, and of the weights as a share of the way that they went."""
    parts = [(f"{STEPS} steps" if trial.recorded is None else "kernel by kernel", trial.plain)]
    parts += [] if trial.recorded is None else [("recorded", trial.recorded)]
    return ", ".join(f"{way}: loss off by {one.loss:.1g}, weights by {one.weights:.1g}" for way, one in parts)


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
    told = ", ".join(f"{one} {rate:.0f}" for one, rate in rates.items())
    told = f"products of matrices: {told} TFLOP/s; copies to the GPU: {copies:.1f} GB/s"
    if not copies:
        return Check("speed", "broken", f"{told}: what arrives is not what was sent", _advice(where), needed=True)
    if copies < SLOW_COPY:
        return Check("speed", "slow", told, "see that no other process uses the GPU")
    if rates["bfloat16"] < rates["float32"]:
        return Check("speed", "slow", f"{told}: bfloat16 saves no time", "train with a profile in float32 (colab)")
    return Check("speed", "ok", told)
