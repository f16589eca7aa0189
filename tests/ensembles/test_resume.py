"""A training that was killed continues where it was, and never from a damaged state."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from alone import train_member
from transformers import AutoModelForMaskedLM

from gfm_utils.ensembles import Member, log_spaced, masked_windows, train_step, training
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.ensembles.training_state import TrainingStates
from gfm_utils.errors import GfmError

STEPS = 24
#: One import for all processes: each training is a forked child, which kills itself at the step it is told,
#: or, at -1, in the middle of writing a state.
RUNNER = """
import json, os, signal, sys, traceback
from pathlib import Path
import torch
from gfm_utils import files
from gfm_utils.ensembles import PRESETS, EnsembleSpec, train_step, training
from gfm_utils.ensembles.presets import Preset
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.tokens import TokenStore

PRESETS["tiny"] = Preset("bert", 2, 64, 2, 128, 0.02)
job = json.loads(sys.argv[1])
store = TokenStore(Path(job["store"]), json.loads((Path(job["store"]) / "store.json").read_text()))
spec = EnsembleSpec(**job["spec"])
training.SAVE_SECONDS, training.SAVE_SHARE = 0.1, 0.5
factor, replace = train_step.learning_rate_factor, os.replace

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def train(path, threads, death):
    torch.set_num_threads(threads)
    train_step.learning_rate_factor = lambda step, spec: die() if step == death else factor(step, spec)
    if death == -1:
        files.os.replace = lambda old, new: die() if Path(new).name.startswith("state-") else replace(old, new)
    def tell(what, *more):
        print(what, file=sys.stderr)
    training.train_group([MemberJob(spec, store, 1, Path(path))], "cpu", tell)

statuses = []
for path, threads, death in job["runs"]:
    child = os.fork()
    if child == 0:
        try:
            train(path, threads, death)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(statuses))
"""


@pytest.fixture(scope="module")
def spec(trained):
    return trained[0].spec.model_copy(update={"steps": STEPS, "batch": 4})


@pytest.fixture(scope="module")
def store(trained):
    return trained[0].store


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(spec, store, tmp_path_factory):
    """A member whose training nothing interrupted."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("whole") / "member"
    train_member(spec, store, 1, path, "cpu")
    torch.set_num_threads(before)
    return path


def assert_same_member(path, whole):
    """Every checkpoint bit for bit, and the metrics without their times."""
    names = sorted(str(found.relative_to(whole)) for found in whole.rglob("model.safetensors"))
    assert names == sorted(str(found.relative_to(path)) for found in path.rglob("model.safetensors"))
    for name in names:
        assert (path / name).read_bytes() == (whole / name).read_bytes(), name
    metrics, expected = (pd.read_parquet(p / "metrics.parquet").drop(columns="seconds") for p in (path, whole))
    pd.testing.assert_frame_equal(metrics, expected, check_exact=True)
    assert sorted(p.name for p in path.iterdir()) == sorted(p.name for p in whole.iterdir())
    assert not (path.parent / f".{path.name}.partial").exists()


@pytest.mark.slow
def test_killed_three_times_and_once_while_saving_it_ends_with_the_same_bits(trained, store, tmp_path):
    """SIGKILL at random steps; the thread count of the restarts differs, and dropout draws random numbers."""
    deaths = np.sort(np.random.default_rng(7).choice(np.arange(2, STEPS), 3, replace=False)).tolist()
    spec = trained[0].spec.model_copy(update={"steps": STEPS, "preset": "tiny", "dropout": 0.1})
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    runs = [(str(whole), 1, None), *((str(killed), 1 + number % 2, step) for number, step in enumerate(deaths))]
    runs += [(str(killed), 1, -1), (str(killed), 2, None)]
    job = {"store": str(store.path), "spec": spec.model_dump(mode="json"), "runs": runs}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(job)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, *[-signal.SIGKILL] * 4, 0], done.stderr
    assert_same_member(killed, whole)
    resumed = [int(step) for step in re.findall(rf"seed 1: continues at step (\d+) of {STEPS}\n", done.stderr)]
    assert len(resumed) == 4 and resumed == sorted(resumed) and resumed[0] > 0
    assert all(at <= death for at, death in zip(resumed, deaths, strict=False))
    assert set(json.loads((killed / "provenance.json").read_text())["resumed_at"]) <= set(resumed)


def interrupt(monkeypatch, spec, store, path, at):
    """Train until a step and no further; gives the names of the saved states, newest first."""
    factor = train_step.learning_rate_factor

    def stop(step, spec):
        if step == at:
            raise KeyboardInterrupt
        return factor(step, spec)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_step, "learning_rate_factor", stop)
        train_member(spec, store, 1, path, "cpu")
    return sorted((path.parent / f".{path.name}.partial").glob("state-*.pt"), reverse=True)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_checkpoint(newest, before):
    """A checkpoint that the newest state refers to and the one before it does not."""
    flip(sorted((newest.parent / "member/checkpoints").glob("*/model.safetensors"))[-1])


@pytest.mark.parametrize(
    "spoil", [lambda newest, _: truncate(newest), lambda newest, _: flip(newest), flip_checkpoint]
)
def test_a_damaged_state_is_not_used_but_the_one_before_it_is(monkeypatch, spec, store, whole, tmp_path, spoil):
    path, said = tmp_path / "member", []
    newest, before = interrupt(monkeypatch, spec, store, path, 20)
    spoil(newest, before)
    train_member(spec, store, 1, path, "cpu", said=said)
    (line,) = said
    step = int(before.name.split("-")[1])
    assert 0 < step < 20 and f"continues at step {step} of {STEPS}" in line
    assert f"damaged: {newest.name}" in line and "\n" not in line
    assert_same_member(path, whole)


def test_with_all_states_damaged_it_starts_again(monkeypatch, spec, store, whole, tmp_path):
    path, said = tmp_path / "member", []
    for saved in interrupt(monkeypatch, spec, store, path, 20):
        flip(saved)
    train_member(spec, store, 1, path, "cpu", said=said)
    assert len(said) == 1 and "damaged" in said[0] and "starts from the beginning" in said[0]
    assert_same_member(path, whole)


def test_a_state_of_another_specification_is_not_used(monkeypatch, spec, store, whole, tmp_path):
    path, said = tmp_path / "member", []
    interrupt(monkeypatch, spec.model_copy(update={"learning_rate": 1e-4}), store, path, 10)
    train_member(spec, store, 1, path, "cpu", said=said)
    assert "starts from the beginning" in said[0]
    assert_same_member(path, whole)


def test_what_a_kill_left_beside_a_complete_member_is_removed(spec, store, whole):
    partial = whole.with_name(".member.partial")
    (partial / "member").mkdir(parents=True)
    written = (whole / "model.safetensors").stat().st_mtime_ns
    train_member(spec, store, 1, whole, "cpu")
    assert not partial.exists() and (whole / "model.safetensors").stat().st_mtime_ns == written


def test_two_at_once_train_a_member_once(monkeypatch, spec, store, tmp_path):
    begun, run = [], training.Training.run

    def counted(self):
        begun.extend(member.job.seed for member in self.members)
        return run(self)

    monkeypatch.setattr(training.Training, "run", counted)
    short = spec.model_copy(update={"steps": 8})
    arguments = (short, store, 1, tmp_path / "member", "cpu")
    threads = [threading.Thread(target=train_member, args=arguments) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == [1] and (tmp_path / "member/spec.json").exists()


def test_states_are_two_at_most_and_their_content_comes_back(tmp_path):
    states = TrainingStates(tmp_path, ["key", 1])
    for step in (1, 20, 300):
        states.save(step, {"weights": torch.full((3,), float(step)), "rows": [{"step": step}]}, {})
    assert len(list(tmp_path.iterdir())) == 2
    content, damaged = states.newest()
    assert content["rows"] == [{"step": 300}] and content["weights"].tolist() == [300.0] * 3 and damaged == []
    assert TrainingStates(tmp_path, ["key", 2]).newest()[0] is None


def diverge(path, spec, store):
    with pytest.raises(Diverged) as stopped:
        train_member(spec, store, 1, path, "cpu")
    assert isinstance(stopped.value, GfmError) and not path.exists()
    return str(stopped.value)


def test_weights_that_become_nan_stop_the_member_at_its_last_good_state(monkeypatch, spec, store, whole, tmp_path):
    factor = train_step.learning_rate_factor
    monkeypatch.setattr(
        train_step, "learning_rate_factor", lambda step, spec: float("nan") if step == 16 else factor(step, spec)
    )
    message = diverge(tmp_path / "member", spec, store)
    kept = tmp_path / ".member.partial/member/checkpoints/step-000000013"
    assert "member with seed 1, diverged at step 17 (loss nan bits/token" in message
    assert f"its last good state, step 13, is {kept})" in message and "lower the learning rate" in message
    assert (kept / "model.safetensors").read_bytes() == (
        whole / "checkpoints/step-000000013/model.safetensors"
    ).read_bytes()
    assert diverge(tmp_path / "member", spec, store) == message  # started again, it comes as far and no further


def test_a_wild_learning_rate_is_stopped_though_its_loss_is_a_number(spec, store, tmp_path):
    message = diverge(tmp_path / "member", spec.model_copy(update={"learning_rate": 1e9}), store)
    assert "diverged at step 1 " in message and "learning rate (1e+09)" in message
    kept = tmp_path / ".member.partial/member/untrained"
    assert f"step 0, is {kept}" in message
    weights = AutoModelForMaskedLM.from_pretrained(kept).state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_poisoned_from_the_start_there_is_no_good_state(monkeypatch, spec, store, tmp_path):
    build = train_step.build_model

    def poisoned(*arguments):
        model = build(*arguments)
        with torch.no_grad():
            model.get_input_embeddings().weight.fill_(float("nan"))
        return model

    monkeypatch.setattr(train_step, "build_model", poisoned)
    assert "there is no good state before it" in diverge(tmp_path / "member", spec, store)


@pytest.fixture
def spoilt(monkeypatch):
    """Steps that go up the gradient from the tenth on: the best weights are not the last."""
    factor = train_step.learning_rate_factor
    monkeypatch.setattr(
        train_step, "learning_rate_factor", lambda step, spec: factor(step, spec) if step < 10 else -1.0
    )


def kept_best(spec):
    return spec.model_copy(update={"keep": "best", "validation_every": 4, "validation_windows": 32})


def test_the_best_weights_are_kept_and_a_kill_does_not_lose_them(monkeypatch, spoilt, spec, store, tmp_path):
    spec, said = kept_best(spec), []
    whole, killed = Member(tmp_path / "whole", 1), Member(tmp_path / "killed", 1)
    train_member(spec, store, 1, whole.path, "cpu")
    assert whole.metrics["step"].tolist() == sorted({*log_spaced(STEPS), *range(4, STEPS + 1, 4)})
    losses = whole.metrics.set_index("step")["validation_loss"]
    assert whole.kept_step == losses.drop(0).idxmin() < STEPS - 4
    assert whole.validation_loss == losses.min() and whole.checkpoints == log_spaced(STEPS)
    shown, positions, targets, _ = masked_windows(store, "validation", spec.window, 32, spec.train_mask, 42)
    given = [torch.from_numpy(array) for array in (shown, positions, targets)]
    for state, step in (("trained", whole.kept_step), (STEPS, STEPS), (7, 7), (0, 0)):
        with torch.no_grad():
            loss = train_step.MaskedLoss(whole.model(state))(*given).item() / np.log(2)
        assert loss == pytest.approx(losses[step], rel=1e-5)
    interrupt(monkeypatch, spec, store, killed.path, STEPS - 2)
    train_member(spec, store, 1, killed.path, "cpu", said=said)
    assert int(said[0].split("continues at step ")[1].split(" ")[0]) > whole.kept_step
    assert_same_member(killed.path, whole.path)
    assert killed.kept_step == whole.kept_step


# PyTorch has no batching rule for attention on the CPU, and says so; there it is only used here.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_members_together_keep_the_best_of_each(spoilt, spec, store, tmp_path):
    members = [Member(tmp_path / str(seed), seed) for seed in (1, 2)]
    jobs = [MemberJob(kept_best(spec), store, member.seed, member.path) for member in members]
    assert training.train_group(jobs, "cpu") == []
    for member in members:
        assert member.validation_loss == member.metrics["validation_loss"].min()


def test_by_default_the_last_weights_are_kept_whatever_their_loss(spoilt, spec, store, tmp_path):
    member = Member(tmp_path / "member", 1)
    train_member(spec, store, 1, member.path, "cpu")
    assert member.kept_step == STEPS and member.validation_loss == member.metrics["validation_loss"].iloc[-1]
    assert member.validation_loss > member.metrics["validation_loss"].min()
