"""What a machine is said to be good for; GPUs that are not here are played by stand-ins."""

import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from test_steps_on_gpu import Streams

from gfm_utils.ensembles import checks, doctor
from gfm_utils.ensembles.checks import Driver, devices, folder, versions
from gfm_utils.ensembles.doctor import Deviation
from gfm_utils.files import cache_dir
from gfm_utils.tokens import random_store

EXACT = doctor.TOLERANCE["float32"]


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(checks, "driver", lambda: Driver([]))


@pytest.fixture
def gpu(monkeypatch):
    """Let this machine pass for one with a GPU of a certain compute capability and free memory (bytes)."""

    def made(capability, free=70e9):
        about = SimpleNamespace(name="Tesla", major=capability[0], minor=capability[1])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (int(free), int(80e9)))

    return made


def program(folder, monkeypatch, text):
    """Put an ``nvidia-smi`` before all others."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_machine_without_a_gpu_is_fine(no_gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("GFM_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    found = list(doctor.examine(tmp_path / "made" / "runs"))
    assert [check.name for check in found] == [
        "versions", "device", "attention", "training alone float32", "training together float32", "cache", "runs",
    ]  # fmt: skip
    assert {check.state for check in found} == {"ok"} and not any(check.advice for check in found)
    assert "float32: plain" in found[2].detail
    assert not list(tmp_path.rglob(".doctor*")) and not (tmp_path / "made").exists()
    assert torch.get_num_threads() == threads


def test_a_gpu_is_put_through_all_checks_and_one_that_fails_stops_no_other(monkeypatch, gpu, tmp_path):
    def illegal(*given):
        raise RuntimeError("\nCUDA error: no kernel image is available\nmore")

    gpu((9, 0))
    monkeypatch.setattr(doctor, "device", lambda: "cuda")
    for name in ("kernel_for", "take_steps"):
        monkeypatch.setattr(doctor, name, illegal)
    found = {check.name: check for check in doctor.examine(tmp_path)}
    broken = {name for name, check in found.items() if check.state == "broken"}
    ways = {f"training {way} {precision}" for way in ("alone", "together") for precision in doctor.PRECISIONS}
    assert broken == {"attention"} | ways and all(found[name].stops_training for name in broken)
    assert found["attention"].detail == "CUDA error: no kernel image is available"
    assert "CUDA_VISIBLE_DEVICES=" in found["attention"].advice
    assert found["gpu 0"].state == found["gpu 1"].state == found["runs"].state == "ok"
    monkeypatch.setattr(doctor, "kernel_for", lambda where, precision, head: "plain")
    assert doctor.attention("cuda").state == "slow"


def test_versions_name_the_driver_and_those_that_the_package_does_not_ask_for(monkeypatch, tmp_path):
    program(tmp_path, monkeypatch, "echo 'NVIDIA A100, SXM, 535.104.05'")
    assert checks.driver() == Driver(["NVIDIA A100, SXM"], "535.104.05")
    monkeypatch.setattr(checks, "requires", lambda name: ["torch>=99", "numpy>=1", "ray>=99; extra == 'cluster'"])
    (row,) = versions()
    assert row.state == "broken" and row.advice == "pip install 'torch>=99'" and not row.stops_training
    assert torch.__version__ in row.detail and row.detail.endswith(", NVIDIA driver 535.104.05")


@pytest.mark.parametrize(
    ("capability", "free", "state", "detail", "advice"),
    [
        ((9, 0), 70e9, "ok", "Tesla, compute capability 9.0, 70.0 of 80.0 GB free", ""),
        ((7, 5), 70e9, "slow", "no bfloat16 units", "float32"),
        ((8, 0), 1e9, "slow", "1.0 of 80.0 GB free", "nvidia-smi"),
    ],
)
def test_each_gpu_is_told(gpu, capability, free, state, detail, advice):
    gpu(capability, free)
    rows = devices()
    assert [row.name for row in rows] == ["gpu 0", "gpu 1"] and {row.state for row in rows} == {state}
    assert detail in rows[0].detail and advice in rows[0].advice and bool(rows[0].advice) == bool(advice)


@pytest.mark.parametrize(
    ("cuda", "error", "advice"),
    [
        (None, AssertionError("Torch not compiled with CUDA enabled"), "install a build of torch for CUDA"),
        ("13.0", RuntimeError("The NVIDIA driver on your system is too old (found 11040)"), "update the NVIDIA"),
        ("13.0", RuntimeError("Found no NVIDIA driver on your system."), "--gpus all"),
        ("13.0", None, "unset it to use the GPU"),
    ],
)
def test_a_gpu_that_is_not_used(no_gpu, monkeypatch, cuda, error, advice):
    """Torch cannot use it, or it is hidden."""

    def init():
        raise error

    monkeypatch.setattr(checks, "driver", lambda: Driver(["Tesla T4"], "535"))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "init", init)
    if error is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (row,) = devices()
    assert row.state == ("broken" if error else "slow") and not row.stops_training  # members train on the CPU
    assert "Tesla T4 is not used" in row.detail and advice in row.advice
    assert (str(error) if error else "CUDA_VISIBLE_DEVICES is ''") in row.detail


def test_a_driver_that_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    program(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed.'\nexit 9")
    assert checks.driver() == Driver([], "", "NVIDIA-SMI has failed.")
    (row,) = devices()
    assert row.state == "slow" and "NVIDIA-SMI has failed." in row.detail
    assert "install the NVIDIA driver" in row.advice


@pytest.fixture
def store(tmp_path):
    return random_store(tmp_path / "tokens", vocabulary=69, tokens=20_000)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_steps_are_held_against_those_of_the_cpu_and_a_recording_that_fails_is_told(monkeypatch, store):
    name, tolerance = doctor.PRESETS_TRIED[0], doctor.TOLERANCE["bfloat16"]
    reference = doctor.take_steps(store, name, (1,), "float32", "cpu")

    def tried(precision):
        return doctor.deviation(doctor.take_steps(store, name, (1,), precision, "cpu"), [reference])

    assert tried("float32") == Deviation(0.0, 0.0)
    streams = Streams(monkeypatch, fails=True)
    check = doctor.training("training alone float32", {name: tried("float32")}, EXACT, "cuda", True)
    assert check.state == "slow" and "no CUDA graph: operation not permitted" in check.detail
    assert streams.set == [streams.default]  # not left on the capture's stream
    low = tried("bfloat16")
    assert 0 < low.loss < tolerance.loss and EXACT.weights / 2 < low.weights < tolerance.weights
    whole = doctor.Training.inputs
    monkeypatch.setattr(doctor.Training, "inputs", lambda self: flipped(whole(self)))
    wrong = tried("float32")
    assert wrong.weights > 2 * tolerance.weights
    for deviation in (wrong, Deviation(float("nan"), 0.0)):
        broken = doctor.training("training", {name: deviation}, tolerance, "cuda", True)
        assert broken.stops_training and broken.advice


def flipped(stream):
    """Inputs whose targets are those of other windows."""
    for ids, positions, targets in stream:
        yield ids, positions, targets.flip(0)


@pytest.mark.parametrize("value", ["/dev/null", "/dev/null/below"])
def test_a_folder_that_is_none(monkeypatch, value):
    monkeypatch.setenv("GFM_CACHE", value)
    check = folder("cache", cache_dir, "set GFM_CACHE")
    assert check.stops_training and check.detail == f"{value} is no folder, or lies in none"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/a/.probe"), "/a/.probe cannot be made or written: Per"),
        (NotImplementedError("no support for flock"), "flock"),
    ],
)
def test_a_folder_that_cannot_be_written_or_locked(monkeypatch, tmp_path, error, said):
    def refused(lock):
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    check = folder("runs", lambda: tmp_path / "a" / "b", "give another")
    assert check.stops_training and said in check.detail
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "state"), [(5e9, "ok"), (5e8, "slow"), (1e6, "broken")])
def test_a_disk_that_is_nearly_full(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    check = folder("runs", lambda: tmp_path, "give another folder")
    assert check.state == state and (state == "ok" or "make room" in check.advice)
