"""What this machine has: versions, devices and folders, one row a check."""

import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from gfm_utils.errors import first_line
from gfm_utils.files import check_writable
from gfm_utils.provenance import named_versions
from gfm_utils.tokens.parallel import cores

State = Literal["ok", "slow", "broken"]
#: Compute capability from which a GPU has units for bfloat16, and kernels of FlashAttention.
BFLOAT16_CAPABILITY = (8, 0)
#: Free bytes under which a disk may soon be full; under a tenth of it nothing works.
LITTLE_DISK = 10**9
USE_GPU = (
    "install a build of torch for CUDA that the driver supports (https://pytorch.org/get-started/locally), or "
    "update the driver; a container must be given the GPU (docker run --gpus all)"
)


@dataclass(frozen=True)
class Check:
    """What one check found: ``ok``; ``slow``, if it works but not as well as it could; or ``broken``."""

    name: str
    state: State
    detail: str
    advice: str = ""  # what to do, if ``detail`` does not say it
    needed: bool = False  # whether training does not work if this is broken

    def __str__(self) -> str:
        detail = f"{self.detail}: {self.advice}" if self.advice else self.detail
        return f"{self.state:<6}  {self.name:<26}  {detail}"

    @property
    def stops_training(self) -> bool:
        """Whether training does not work for this reason."""
        return self.needed and self.state == "broken"

    def row(self) -> dict[str, str]:
        """For machines."""
        return {"check": self.name, "state": self.state, "detail": self.detail, "advice": self.advice}


class Driver(NamedTuple):
    """What NVIDIA's driver reports, whether or not torch can use it: GPUs, its version, or an error."""

    gpus: list[str]
    version: str = ""
    error: str = ""


def driver() -> Driver:
    """What ``nvidia-smi`` reports."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return Driver([])
    lines = [line.rsplit(", ", 1) for line in done.stdout.splitlines() if ", " in line]
    if done.returncode or not lines:
        return Driver([], error=f"{done.stdout}{done.stderr}".strip().partition("\n")[0] or "no answer")
    return Driver([name for name, _ in lines], lines[0][1])


def versions() -> list[Check]:
    """Versions of what training rests on."""
    installed = named_versions() | {"torch": torch.__version__}  # that names its build
    installed |= {"CUDA": torch.version.cuda or "", "NVIDIA driver": driver().version}
    return [Check("versions", "ok", ", ".join(f"{name} {number}" for name, number in installed.items() if number))]


def devices() -> list[Check]:
    """Each GPU that torch sees; or that there is none, or one that torch cannot use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old: the row shows it
        if torch.cuda.is_available():
            return [_gpu(index) for index in range(torch.cuda.device_count())]
    (names, _, reason), instead = driver(), f"members train on {cores()} cores"
    if not names and not reason:
        return [Check("device", "ok", f"no GPU: {instead}")]
    if not names:
        return [Check("device", "slow", f"no GPU that answers ({reason}): {instead}", "install its driver")]
    unused = f"{names[0]} is not used, {instead}"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return [Check("device", "slow", f"{unused}: CUDA_VISIBLE_DEVICES hides it", "unset it to use the GPU")]
    reason = "torch finds no GPU"
    try:
        torch.cuda.init()
    except Exception as error:
        reason = first_line(error)
    return [Check("device", "broken", f"{unused}: {reason}", USE_GPU)]  # training works: on the CPU


def _gpu(index: int) -> Check:
    name, about = f"gpu {index}", torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    detail = f"{about.name}, compute capability {about.major}.{about.minor}"
    detail += f", {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if (about.major, about.minor) < BFLOAT16_CAPABILITY:
        detail += "; no bfloat16 units and no FlashAttention, which need 8.0"
        return Check(name, "slow", detail, "train with a profile in float32 (colab)")
    return Check(name, "ok", detail)


def folder(name: str, place: Callable[[], Path]) -> list[Check]:
    """Whether a folder can be written, with locks, and has room; one that was not there is not there afterwards.

    ``place`` gives the folder, or an ``OSError`` if there can be none.
    """
    try:
        path = place().absolute()
        check_writable(path)
        free = shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.exists())).free
    except OSError as error:
        return [Check(name, "broken", first_line(error), needed=True)]
    state: State = "ok" if free >= LITTLE_DISK else "slow" if free >= LITTLE_DISK / 10 else "broken"
    advice = "" if state == "ok" else "make room, or give another folder"
    return [Check(name, state, f"{path}, {free / 1e9:.1f} GB free", advice, needed=True)]
