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
    """Let this machine pass for one with GPUs of a certain compute capability."""

    def made(capability):
        about = SimpleNamespace(name="Tesla", major=capability[0], minor=capability[1])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (int(70e9), int(80e9)))

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
    assert found["gpu 0"].state == found["gpu 1"].state == found["runs"].state == "ok"
    monkeypatch.setattr(doctor, "kernel_for", lambda where, precision, head: "plain")
    assert [check.state for check in doctor.attention("cuda")] == ["slow"]


def test_versions_name_the_driver(monkeypatch, tmp_path):
    program(tmp_path, monkeypatch, "echo 'NVIDIA A100, SXM, 535.104.05'")
    assert checks.driver() == Driver(["NVIDIA A100, SXM"], "535.104.05")
    (row,) = versions()
    assert f"torch {torch.__version__}" in row.detail and row.detail.endswith("NVIDIA driver 535.104.05")


@pytest.mark.parametrize(("capability", "state", "detail"), [
    ((9, 0), "ok", "Tesla, compute capability 9.0, 70.0 of 80.0 GB free"), ((7, 5), "slow", "no bfloat16 units"),
])  # fmt: skip
def test_each_gpu_has_a_row(gpu, capability, state, detail):
    gpu(capability)
    rows = devices()
    assert [(row.name, row.state) for row in rows] == [("gpu 0", state), ("gpu 1", state)]
    assert detail in rows[0].detail and bool(rows[0].advice) == (state == "slow")


@pytest.mark.parametrize(
    ("hidden", "state", "detail"),
    [(None, "broken", "driver on your system is too old"), ("", "slow", "CUDA_VISIBLE_DEVICES hides it")],
)
def test_a_gpu_that_is_not_used(no_gpu, monkeypatch, hidden, state, detail):
    """Torch cannot use it, or it is hidden; members train on the CPU."""

    def init():
        raise RuntimeError("The NVIDIA driver on your system is too old (found 11040)\nmore")

    monkeypatch.setattr(checks, "driver", lambda: Driver(["Tesla T4"], "535"))
    monkeypatch.setattr(torch.cuda, "init", init)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (row,) = devices()
    assert row.state == state and not row.stops_training and row.advice
    assert "Tesla T4 is not used" in row.detail and detail in row.detail and "more" not in row.detail


def test_a_driver_that_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    program(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed.'\nexit 9")
    assert checks.driver() == Driver([], "", "NVIDIA-SMI has failed.")
    (row,) = devices()
    assert row.state == "slow" and "NVIDIA-SMI has failed." in row.detail and row.advice


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
    (check,) = folder("cache", cache_dir)
    assert check.stops_training and f"{value} cannot be written" in check.detail and "GFM_CACHE" in check.detail


def test_a_folder_that_cannot_be_locked(monkeypatch, tmp_path):
    def refused(lock):
        raise NotImplementedError("no support for flock")

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    (check,) = folder("runs", lambda: tmp_path / "a" / "b")
    assert check.stops_training and "flock" in check.detail and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "state"), [(5e9, "ok"), (5e8, "slow"), (1e6, "broken")])
def test_a_disk_that_is_nearly_full(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (check,) = folder("runs", lambda: tmp_path)
    assert check.state == state and (state == "ok" or "make room" in check.advice)
