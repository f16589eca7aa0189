import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from alone import one_thread, train_member
from test_together import TOLERANCE, furthest
from transformers import AutoModelForMaskedLM, AutoTokenizer

from gfm_utils.ensembles import PRESETS, EnsembleSpec, log_spaced, masked_windows, multiprocess, train_ensembles
from gfm_utils.ensembles.ensemble import train_jobs
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.train_step import learning_rate_factor
from gfm_utils.errors import GfmError
from gfm_utils.files import sha256_of


def state(path):
    return AutoModelForMaskedLM.from_pretrained(path).state_dict()


def test_members_are_hugging_face_checkpoints_with_their_record_and_differ_by_their_seeds(trained):
    for ensemble in trained:
        for member in ensemble.members:
            config = AutoModelForMaskedLM.from_pretrained(member.path).config
            assert config.vocab_size == len(AutoTokenizer.from_pretrained(member.path))
            spec = json.loads((member.path / "spec.json").read_text())
            assert spec == {"seed": member.seed, **json.loads(ensemble.spec.model_dump_json())}
            assert {"torch", "transformers"} <= set(member.provenance["versions"])
            assert member.provenance["device"] and member.provenance["seconds"] > 0
            metrics = member.metrics
            assert list(metrics) == ["step", "tokens", "train_loss", "validation_loss", "seconds"]
            assert metrics["step"].tolist() == log_spaced(ensemble.spec.steps)
            assert metrics["validation_loss"].iloc[-1] < metrics["validation_loss"].iloc[0]
            assert not list(member.path.glob("*.bin"))
        assert not list(ensemble.members[0].path.parent.glob(".*.partial"))
        for name in ("untrained", "."):
            first, second, _ = (state(member.path / name) for member in ensemble.members)
            assert any(not torch.equal(first[key], second[key]) for key in first)


def test_training_again_gives_the_same_weights(trained, tmp_path):
    ensemble, where = trained[1], multiprocess.device()
    with one_thread():
        train_member(ensemble.spec, ensemble.store, 2, tmp_path / "again", where)
    once, again = ensemble.members[1].path, tmp_path / "again"
    assert sha256_of(once / "untrained/model.safetensors") == sha256_of(again / "untrained/model.safetensors")
    if where == "cpu":
        assert sha256_of(once / "model.safetensors") == sha256_of(again / "model.safetensors")
    else:  # the first time it was trained together with the others
        assert furthest(once, again) < TOLERANCE


def test_a_second_run_trains_nothing(trained, shared, smoke):
    files = {p: p.stat().st_mtime_ns for e in trained for m in e.members for p in m.path.rglob("*")}
    train_ensembles([e.condition for e in trained], smoke, shared / "runs", members=3, progress=False)
    assert files == {p: p.stat().st_mtime_ns for p in files}


def test_masked_windows_are_the_same_on_every_call_and_from_the_part(trained):
    store, window = trained[0].store, trained[0].spec.window
    found = shown, positions, targets, starts = masked_windows(store, "test", window, 5, 0.15, 42)
    assert shown.shape == (5, window) and positions.shape == targets.shape == (5, 10)
    restored = shown.copy()
    np.put_along_axis(restored, positions, targets, axis=1)
    assert (restored == store.windows("test", starts, window)).all()
    again = masked_windows(store, "test", window, 5, 0.15, 42)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))
    every = masked_windows(store, "test", window, 10**6, 0.15, 42)[3]
    assert (every == store.window_starts("test", window)).all()


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_learning_rate_rises_then_falls_to_zero(trained, schedule):
    spec = trained[0].spec.model_copy(update={"steps": 100, "warmup": 0.1, "schedule": schedule})
    factors = [learning_rate_factor(step, spec) for step in range(101)]
    assert np.argmax(factors) in (9, 10) and max(factors) == 1
    assert (np.diff(factors[:10]) > 0).all() and (np.diff(factors[10:]) < 0).all()
    assert factors[100] == pytest.approx(0)
    assert factors[55] == pytest.approx(0.5)  # half of the way down


def test_everything_in_the_specification_and_the_shape_of_its_preset_change_its_key(trained, monkeypatch):
    spec = trained[0].spec
    changed = {
        "steps": 21, "preset": "bert-4m", "data_seed": 1, "learning_rate": 0.1, "tokens": "x", "format": 99,
        "vary": "all", "dropout": 0.1, "precision": "bfloat16", "independent_masks": True,
        "special_replacements": True, "drop_last": False, "keep": "best", "validation_every": 20,
        "validation_windows": 64, "matrix_rate": 0.5, "schedule": "cosine",
    }  # fmt: skip
    keys = {spec.model_copy(update={name: value}).key for name, value in changed.items()}
    keys.add(spec.key)
    monkeypatch.setitem(PRESETS, spec.preset, replace(PRESETS[spec.preset], heads=4, revision=3))
    assert len(keys | {spec.key}) == len(changed) + 2


def test_a_field_that_came_later_counts_in_the_key_only_where_it_is_not_what_was_done_before():
    """The key of a specification before there were such fields; if it moves, every ensemble is trained anew."""
    spec = EnsembleSpec(
        condition="a@kmer3", tokens=16 * "0", vocabulary=69, vary="init", preset="modernbert-2x64", window=64,
        steps=20, batch=16, learning_rate=3e-3, warmup=0.1, schedule="cosine", betas=(0.9, 0.98),
        weight_decay=0.01, clip=0.5, dropout=0.0, precision="float32", train_mask=0.3,
        corruption=(0.8, 0.1, 0.1), data_seed=42,
    )  # fmt: skip
    assert spec.key == "07a988a14dd554a2"


def test_log_spaced_steps_are_few_and_span_the_whole():
    for steps in (1, 2, 20, 1000, 104_167):
        spaced = log_spaced(steps)
        assert spaced[0] == 0 and spaced[-1] == steps and 1 in spaced and len(spaced) <= 12
        assert spaced == sorted(set(spaced))
    assert len(log_spaced(1000)) == 12 and log_spaced(1000)[1:4] == [1, 2, 4]


def test_a_budget_is_in_steps_or_in_tokens(smoke):
    assert smoke.changed(tokens=smoke.batch * smoke.window * 70 + 3).steps_taken == 70
    assert smoke.changed(tokens=1).steps_taken == 1 and smoke.changed(steps=9).steps_taken == 9
    for given, budget in (("both", {"tokens": 1000}), ("neither", {"steps": None})):
        with pytest.raises(GfmError, match=f"{given} steps n?or tokens as the budget|{given} steps and tokens"):
            type(smoke)(**smoke.model_dump() | budget)


def test_a_member_that_diverges_leaves_the_others_alone(trained, processes, tmp_path, capsys):
    """And what the workers have to say, here of a damaged state, reaches the terminal."""
    store, good = trained[0].store, trained[0].spec.model_copy(update={"steps": 4})
    wild = good.model_copy(update={"learning_rate": 1e9, "steps": 40})
    jobs = [MemberJob(spec, store, n, tmp_path / f"member-{n}") for n, spec in enumerate((wild, good, good), 1)]
    damaged = tmp_path / ".member-3.partial/state-000000003-0123456789abcdef.pt"
    damaged.parent.mkdir()
    damaged.write_bytes(b"damaged")
    with pytest.raises(GfmError, match=r"seed 1, diverged at step 1 .*lower .*\(.*diverged: 1 of 3\)"):
        train_jobs(jobs, progress=False)
    assert [(job.path / "model.safetensors").exists() for job in jobs] == [False, True, True]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "seed 3" in line]
    assert f"damaged: {damaged.name}; starts from the beginning" in line


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(trained, tmp_path):
    """A killed run leaves no process behind, and of each member a state from which the next run continues."""
    condition = trained[1].condition
    script = (
        "from gfm_utils.ensembles import train_ensembles; from gfm_utils.profiles import profile; "
        f"train_ensembles([{condition!r}], profile('smoke').changed(steps=100_000), {str(tmp_path)!r}, "
        "members=2, progress=False)"
    )
    run = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: len({path.parent for path in tmp_path.rglob(".member-*.partial/state-*.pt")}) == 2)
        workers = [child.pid for child in psutil.Process(run.pid).children(recursive=True)]
    finally:
        run.kill()
        run.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    assert not list(tmp_path.rglob("member-0*"))


def until(done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)
