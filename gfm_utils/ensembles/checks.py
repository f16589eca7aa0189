"""What this machine has: versions, devices and folders, each checked and shown in a row."""

import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from packaging.requirements import Requirement

from gfm_utils.errors import first_line
from gfm_utils.files import check_writable
from gfm_utils.tokens.parallel import cores

State = Literal["ok", "slow", "broken"]
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
#: Compute capability from which a GPU has units for bfloat16, and kernels of FlashAttention.
BFLOAT16_CAPABILITY = (8, 0)
#: Free bytes under which a disk, and a GPU's memory, may soon be full; under a tenth of the first nothing works.
LITTLE_DISK = 10**9
LITTLE_MEMORY = 2 * 10**9
_BUILDS = "https://pytorch.org/get-started/locally"


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was checked.
        state: ``ok``; ``slow``, if it works but not as well as it could; or ``broken``.
        detail: what was found.
        advice: what to do, unless it is ok.
        needed: whether training does not work if this is broken.
    """

    name: str
    state: State
    detail: str
    advice: str = ""
    needed: bool = False

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
    """What NVIDIA's driver reports, whether or not torch can use it.

    Attributes:
        gpus: names of this machine's GPUs.
        version: of the driver, if there is one that answers.
        complaint: of ``nvidia-smi``, if it is here and finds no GPU.
    """

    gpus: list[str]
    version: str = ""
    complaint: str = ""


def driver() -> Driver:
    """What ``nvidia-smi`` reports."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return Driver([])
    lines = [line.rsplit(", ", 1) for line in done.stdout.splitlines() if ", " in line]
    if done.returncode or not lines:
        return Driver([], "", next(iter((done.stdout + done.stderr).splitlines()), "no answer"))
    return Driver([name for name, _ in lines], lines[0][1])


def versions() -> list[Check]:
    """Versions of what training rests on; and whether they are those that the package asks for."""
    installed = {name: version(name) for name in PACKAGES} | {"torch": torch.__version__}  # that names its build
    detail = ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {number}" for name, number in installed.items())]
        + ([f"CUDA {torch.version.cuda}"] if torch.version.cuda else [])
        + ([f"NVIDIA driver {number}"] if (number := driver().version) else [])
    )
    asked: list[Requirement] = []
    with suppress(PackageNotFoundError):  # it runs from a folder without being installed
        asked = [Requirement(line) for line in requires("gfm_utils") or []]
    wrong = [
        one for one in asked if one.name in installed and not one.specifier.contains(installed[one.name], True)
    ]
    if not wrong:
        return [Check("versions", "ok", detail)]
    advice = "pip install " + " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
    return [Check("versions", "broken", detail, advice)]  # whether training works all the same, other checks show


def devices() -> list[Check]:
    """Each GPU that torch sees; or that there is none, or one that torch cannot use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old: the row shows it
        if torch.cuda.is_available():
            return [_gpu(index) for index in range(torch.cuda.device_count())]
    (names, _, complaint), instead = driver(), f"members train on {cores()} cores"
    if not names and not complaint:
        return [Check("device", "ok", f"no GPU: {instead}")]
    if not names:
        advice = "if this machine has a GPU, install the NVIDIA driver anew"
        return [Check("device", "slow", f"no GPU that answers ({complaint}): {instead}", advice)]
    unused = f"{names[0]} is not used, {instead}"
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) in ("", "-1"):
        detail = f"{unused}: CUDA_VISIBLE_DEVICES is {hidden!r}"
        return [Check("device", "slow", detail, "unset it to use the GPU")]
    reason = "torch finds no GPU"
    try:
        torch.cuda.init()
    except Exception as error:
        reason = first_line(error)
    if torch.version.cuda is None:
        advice = f"install a build of torch for CUDA instead of {torch.__version__}, see {_BUILDS}"
    elif "too old" in reason:
        advice = f"update the NVIDIA driver, or install a build of torch for an earlier CUDA, see {_BUILDS}"
    else:
        advice = "give the container the GPU (docker run --gpus all), or install the NVIDIA driver anew"
    return [Check("device", "broken", f"{unused}: {reason}", advice)]  # training works: on the CPU


def _gpu(index: int) -> Check:
    name, about = f"gpu {index}", torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    detail = f"{about.name}, compute capability {about.major}.{about.minor}"
    detail += f", {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if (about.major, about.minor) < BFLOAT16_CAPABILITY:
        detail += "; no bfloat16 units and no FlashAttention, which need 8.0"
        return Check(name, "slow", detail, "train with a profile in float32 (colab)")
    if free < LITTLE_MEMORY:
        return Check(name, "slow", detail, "nvidia-smi shows which processes have the memory")
    return Check(name, "ok", detail)


def folder(name: str, place: Callable[[], Path], advice: str) -> Check:
    """Whether a folder can be written, with locks, and has room; one that was not there is not there afterwards.

    Args:
        name: of the row.
        place: gives the folder, or an ``OSError`` if there can be none.
        advice: what to do if it cannot be written.
    """
    try:
        path = place().absolute()
        check_writable(path)
        free = shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.exists())).free
    except OSError as refused:
        error = refused.__cause__ or refused
        detail = f"cannot be written: {first_line(error)}"
        if isinstance(error, FileExistsError | NotADirectoryError):
            detail = f"{error.filename} is no folder, or lies in none"
        elif isinstance(error, OSError) and error.filename:
            detail = f"{error.filename} cannot be made or written: {error.strerror}"
        return Check(name, "broken", detail, advice, needed=True)
    detail = f"{path}, {free / 1e9:.1f} GB free"
    if free >= LITTLE_DISK:
        return Check(name, "ok", detail)
    state: State = "slow" if free >= LITTLE_DISK / 10 else "broken"
    return Check(name, state, detail, f"make room, or {advice}", needed=True)
