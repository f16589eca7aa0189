"""A training that was killed continues where it was, and never from a damaged state."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from alone import assert_same_bits, one_thread, train_member, train_until

from gfm_utils.ensembles import Member, log_spaced, masked_windows, train_step, training
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.errors import GfmError

STEPS = 24


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def whole(spec, store, tmp_path_factory):
    """A member whose training nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "member"
    with one_thread():
        train_member(spec, store, 1, path)
    return path


def assert_same_member(path, whole):
    """Every checkpoint bit for bit, and the metrics without their times."""
    assert_same_bits(path, whole)
    metrics, expected = (pd.read_parquet(p / "metrics.parquet").drop(columns="seconds") for p in (path, whole))
    pd.testing.assert_frame_equal(metrics, expected, check_exact=True)
    assert not (path.parent / f".{path.name}.partial").exists()


def test_stopped_again_and_again_it_ends_with_the_same_bits(monkeypatch, spec, store, tmp_path):
    """At any step, once while a state is written; with dropout, other threads, positions that are not learned."""
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(training, "SAVE_SHARE", 1.0)
    spec, said = spec.model_copy(update={"preset": "roformer-2x64", "dropout": 0.1}), []
    job, whole, replace = MemberJob(spec, store, 1, tmp_path / "stopped"), tmp_path / "whole", os.replace
    train_member(spec, store, 1, whole)
    for step, threads in ((5, 1), (11, 2), (18, 1)):
        torch.set_num_threads(threads)
        train_until(monkeypatch, step, [job])

    def stop(old, new):
        if Path(new).name.startswith("state-"):
            raise KeyboardInterrupt
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        train_until(monkeypatch, STEPS + 1, [job])
    train_member(spec, store, 1, job.path, said=said)
    assert_same_member(job.path, whole)
    resumed = json.loads((job.path / "provenance.json").read_text())["resumed_at"]
    assert said == [f"{job}: continues at step {resumed[-1]} of {STEPS}"]
    assert resumed == sorted(resumed) and all(at <= step for at, step in zip(resumed, (5, 11, 18), strict=True))


def interrupt(monkeypatch, spec, store, path, at):
    """Train until a step and no further; gives the paths of the saved states, newest first."""
    train_until(monkeypatch, at, [MemberJob(spec, store, 1, path)])
    return sorted((path.parent / f".{path.name}.partial").glob("state-*.pt"), reverse=True)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_checkpoint(newest):
    """A checkpoint that the newest state refers to and the one before it does not."""
    flip(sorted((newest.parent / "member/checkpoints").glob("*/model.safetensors"))[-1])


@pytest.mark.parametrize("spoil", [lambda newest: os.truncate(newest, 5000), flip, flip_checkpoint])
def test_a_damaged_state_is_not_used_but_the_one_before_it_is(monkeypatch, spec, store, whole, tmp_path, spoil):
    path, said = tmp_path / "member", []
    newest, before = interrupt(monkeypatch, spec, store, path, 20)
    spoil(newest)
    train_member(spec, store, 1, path, said=said)
    (line,) = said
    step = int(before.name.split("-")[1])
    assert 0 < step < 20 and f"continues at step {step} of {STEPS}" in line
    assert f"damaged: {newest.name}" in line and "\n" not in line
    assert_same_member(path, whole)


@pytest.mark.parametrize("rate", [None, 1e-4])
def test_without_a_good_state_of_its_own_it_starts_again(monkeypatch, spec, store, whole, tmp_path, rate):
    """All states are damaged, or those of another specification."""
    path, said = tmp_path / "member", []
    other = spec if rate is None else spec.model_copy(update={"learning_rate": rate})
    for saved in interrupt(monkeypatch, other, store, path, 10):
        if rate is None:
            flip(saved)
    train_member(spec, store, 1, path, said=said)
    assert len(said) == 1 and "damaged" in said[0] and "starts from the beginning" in said[0]
    assert_same_member(path, whole)


def test_what_a_kill_left_of_a_complete_member_is_removed(spec, store, whole):
    partial = whole.with_name(".member.partial")
    (partial / "member").mkdir(parents=True)
    written = (whole / "model.safetensors").stat().st_mtime_ns
    train_member(spec, store, 1, whole)
    assert not partial.exists() and (whole / "model.safetensors").stat().st_mtime_ns == written


def test_two_at_once_train_a_member_once(monkeypatch, spec, store, tmp_path):
    begun, run = [], training.Training.run
    monkeypatch.setattr(training.Training, "run", lambda self: begun.append(len(self.members)) or run(self))
    arguments = (spec.model_copy(update={"steps": 8}), store, 1, tmp_path / "member")
    threads = [threading.Thread(target=train_member, args=arguments) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == [1] and (tmp_path / "member/spec.json").exists()


def diverge(path, spec, store):
    with pytest.raises(Diverged) as stopped:
        train_member(spec, store, 1, path)
    assert isinstance(stopped.value, GfmError) and not path.exists()
    return str(stopped.value)


def with_factors(monkeypatch, changed):
    """Let the learning rate have other factors: a function of the step and the usual factor."""
    factor = train_step.learning_rate_factor
    monkeypatch.setattr(train_step, "learning_rate_factor", lambda step, spec: changed(step, factor(step, spec)))


def test_weights_that_become_nan_stop_the_member_at_its_last_good_state(monkeypatch, spec, store, whole, tmp_path):
    with_factors(monkeypatch, lambda step, factor: float("nan") if step == 16 else factor)
    message = diverge(tmp_path / "member", spec, store)
    last = "checkpoints/step-000000013"
    kept = tmp_path / ".member.partial/member" / last
    assert "member with seed 1, diverged at step 17 (loss nan bits/token" in message
    assert f"its last good state, step 13, is {kept})" in message and "lower the learning rate" in message
    assert_same_bits(kept, whole / last)
    assert diverge(tmp_path / "member", spec, store) == message  # started again, it comes as far and no further


def test_poisoned_from_the_start_there_is_no_good_state(monkeypatch, spec, store, tmp_path):
    build = train_step.build_model

    def poisoned(*arguments):
        model = build(*arguments)
        torch.nn.init.constant_(model.get_input_embeddings().weight, float("nan"))
        return model

    monkeypatch.setattr(train_step, "build_model", poisoned)
    assert "there is no good state before it" in diverge(tmp_path / "member", spec, store)


def test_the_best_weights_are_kept_and_a_kill_does_not_lose_them(monkeypatch, spec, store, tmp_path):
    """Steps go up the gradient from the tenth on; by default the last weights are kept all the same."""
    with_factors(monkeypatch, lambda step, factor: factor if step < 10 else -1.0)
    last, whole, killed = (Member(tmp_path / name, 1) for name in ("last", "whole", "killed"))
    train_member(spec, store, 1, last.path)
    assert last.kept_step == STEPS and last.validation_loss == last.metrics["validation_loss"].iloc[-1]
    assert last.validation_loss > last.metrics["validation_loss"].min()
    best = {"keep": "best", "validation_every": 4, "validation_windows": 32}
    spec, said = spec.model_copy(update=best), []
    train_member(spec, store, 1, whole.path)
    assert whole.metrics["step"].tolist() == sorted({*log_spaced(STEPS), *range(4, STEPS + 1, 4)})
    losses = whole.metrics.set_index("step")["validation_loss"]
    assert whole.kept_step == losses.drop(0).idxmin() < STEPS - 4
    assert whole.validation_loss == losses.min() and whole.checkpoints == log_spaced(STEPS)
    held_out = masked_windows(store, "validation", spec.window, 32, spec.train_mask, 42)[:3]
    given = [torch.from_numpy(array) for array in held_out]
    for state, step in (("trained", whole.kept_step), (STEPS, STEPS), (7, 7), (0, 0)):
        with torch.no_grad():
            loss = train_step.MaskedLoss(whole.model(state))(*given).item() / np.log(2)
        assert loss == pytest.approx(losses[step], rel=1e-5)
    with pytest.raises(GfmError, match="no checkpoint of step 6, only of the steps 0, 1, 2"):
        whole.model(6)
    interrupt(monkeypatch, spec, store, killed.path, STEPS - 2)
    train_member(spec, store, 1, killed.path, said=said)
    assert int(said[0].split("continues at step ")[1].split(" ")[0]) > whole.kept_step
    assert_same_member(killed.path, whole.path)
    assert killed.kept_step == whole.kept_step
