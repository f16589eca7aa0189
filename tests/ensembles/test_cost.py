"""What training is said to cost."""

from dataclasses import replace

import pytest
import torch
from alone import members

from gfm_utils.claims.paper import cost_overview, cost_table
from gfm_utils.ensembles import build_model, cost, log_spaced
from gfm_utils.ensembles.cost import (
    Speed,
    duration,
    expected,
    measure,
    measure_program,
    remaining_seconds,
    schedule,
)
from gfm_utils.ensembles.member_writer import MemberWriter
from gfm_utils.ensembles.train_step import PLAIN_STEPS, Trainer
from gfm_utils.ensembles.training import Training
from gfm_utils.errors import GfmError

MIB = 2**20


@pytest.fixture
def jobs(trained, tmp_path):
    """Two members of one condition and one of another, all still to be trained."""
    given = (*trained[0].jobs[:2], trained[1].jobs[0])
    return [replace(job, path=tmp_path / job.spec.key / job.path.name) for job in given]


@pytest.fixture
def speeds(jobs):
    first, second = jobs[0].spec.key, jobs[2].spec.key
    return {first: Speed(2.0, 10 * MIB, 100 * MIB, False), second: Speed(3.0, 20 * MIB, 90 * MIB, False)}


def test_time_is_that_of_the_steps_and_validations_that_are_left_and_the_best_weights_take_room(jobs):
    update = {"keep": "best", "validation_every": 5, "validation_windows": 64}
    spec = jobs[0].spec.model_copy(update=update)
    program, speeds = [replace(jobs[0], spec=spec)], {spec.key: Speed(2.0, 10 * MIB, 100 * MIB, False)}
    steps = {*log_spaced(spec.steps), 5, 10, 15, 20} - {0}
    assert remaining_seconds(program, speeds) == pytest.approx(2.0 * (20 + len(steps) * 64 / 16 / 3))
    (costs,) = expected([program], speeds, 1, 1)
    assert costs.disk_bytes == 10 * MIB * (len(log_spaced(spec.steps)) + 1 + 2 * 4)
    writer = MemberWriter(program[0])
    writer.start()
    writer.save({"step": 15})
    assert program[0].steps_left == 5
    assert remaining_seconds(program, speeds) == pytest.approx(2.0 * (5 + 64 / 16 / 3))  # one, at the end


def test_costs_by_condition_and_of_all_together(trained, jobs, speeds):
    assert schedule([5, 1, 1, 1], 2) == 5 and schedule([1, 1, 5], 2) == 6 and schedule([], 2) == 0
    (done,) = expected([trained[0].jobs[:1]], {}, 1, 3)  # nothing is left to be paid
    assert (done.members, done.seconds, done.device_seconds, done.disk_bytes) == (0, 0, 0, 0)
    text, dna, both = expected([[job] for job in jobs], speeds, workers=1, devices=2)
    a, b = (remaining_seconds([job], speeds) for job in (jobs[0], jobs[2]))
    assert (text.members, dna.members, both.members) == (2, 1, 3) and both.condition == "all"
    assert text.seconds == pytest.approx(2 * a) and text.seconds_on_devices == pytest.approx(a)
    assert dna.seconds_on_devices == pytest.approx(b) == dna.seconds
    assert both.seconds == pytest.approx(2 * a + b) and both.device_seconds == pytest.approx(2 * a + b)
    assert both.seconds_on_devices == pytest.approx(a + b)
    assert both.memory_bytes == 100 * MIB
    marks = len(log_spaced(jobs[0].spec.steps))
    assert text.disk_bytes == 10 * MIB * (2 * marks + 2 * 2 * 3)  # checkpoints; two states of 3 copies
    costs = [text, dna, both]
    table, shown = cost_table(costs), cost_overview(costs)
    times = table[table["metric"] == "training_time"]
    assert set(times["x"]) == {"1", "2"} and set(times["unit"]) == {"s"} and len(times) == 6
    hours = table[(table["metric"] == "device_time") & (table["condition"] == "all")]
    assert hours["value"].item() == pytest.approx(both.device_seconds / 3600)
    assert "on 2 devices" in shown[0] and shown[-1]["device memory"] == "0.10 GiB (estimated)"


def test_memory_grows_with_the_batch_even_when_the_probe_reads_less_of_it(jobs, tmp_path):
    """What a window keeps for the backward pass is kept once for each window of a batch; nothing is written."""
    job = jobs[0]
    large = replace(job, spec=job.spec.model_copy(update={"batch": 128}))
    small, large = measure([job], "cpu"), measure([large], "cpu")
    model = build_model(job.spec.preset, job.spec.vocabulary, job.spec.window, 1)
    assert small.weight_bytes == 4 * sum(p.numel() for p in model.parameters())
    assert small.step_seconds > 0 and not small.memory_measured and list(tmp_path.iterdir()) == []
    kept = small.memory_bytes - 4 * small.weight_bytes
    hidden = 64 * job.spec.window * 4  # bytes of one window's residual stream
    assert kept > 16 * 10 * hidden
    assert large.memory_bytes - 4 * large.weight_bytes == kept * 128 // 16


def test_a_gpu_without_memory_for_all_takes_fewer_members_then_fewer_windows(monkeypatch, spec, store, tmp_path):
    tried, fits, group = [], {(2, 4), (1, 2)}, members(spec, store, tmp_path, 5)

    def measured(program, device, seconds, windows):
        tried.append((len(program), windows))
        if tried[-1] not in fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Speed(0.5, 1, 1, True)

    monkeypatch.setattr(cost, "measure_program", measured)
    assert measure(group, "cuda").step_seconds == 3 * 0.5 and tried == [(5, 4), (3, 4), (2, 4)]
    fits.remove((2, 4))
    assert measure(group, "cuda").step_seconds == 5 * 0.5 and tried[-2:] == [(1, 4), (1, 2)]
    fits.clear()
    with pytest.raises(GfmError, match=r"more memory than the device has: give a smaller batch \(4\)"):
        measure(group, "cuda")


def test_part_of_a_batch_gives_an_estimate_of_the_whole(monkeypatch, jobs):
    """The chapter's price of the paper's model on any GPU; which is waited for at the end of many steps alone."""
    waits, steps, learn = [], [], Trainer.learn

    def training(group, device, compiled):
        made = Training(group, "cpu", compiled=compiled)
        made.device = device
        return made

    monkeypatch.setattr(cost, "Training", training)
    monkeypatch.setattr(Trainer, "learn", lambda *given: steps.append(given[1]) or learn(*given))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 1024 * MIB)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    part, whole = (measure_program(jobs[:1], "cuda", 0.6, windows) for windows in (4, 16))
    assert (part.memory_measured, whole.memory_measured) == (False, True) and part.step_seconds > 0
    assert whole.memory_bytes == 1024 * MIB
    assert part.memory_bytes == pytest.approx(4 * 1024 * MIB, rel=0.01)  # 16 windows, measured with 4
    assert len(steps) > 2 * PLAIN_STEPS and len(waits) < len(steps)


def test_durations_for_people():
    day = 86400
    assert [duration(s) for s in (0.2, 42, 150, 600, 7200, 5 * day, 40 * day, 1000 * day)] == [
        "1 s", "42 s", "2.5 min", "10 min", "2.0 h", "5.0 days", "40 days", "2.7 years",
    ]  # fmt: skip
