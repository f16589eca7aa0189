"""What training is said to cost."""

from dataclasses import replace

import pytest
import torch

from gfm_utils.analyses.cost import cost_overview, cost_table
from gfm_utils.book.answers import data
from gfm_utils.ensembles import build_model, log_spaced
from gfm_utils.ensembles.cost import duration, expected, remaining_seconds, schedule
from gfm_utils.ensembles.learners import Learner
from gfm_utils.ensembles.probing import Probe, measure
from gfm_utils.ensembles.states import SavedStates
from gfm_utils.ensembles.tasks import Task, partial_path
from gfm_utils.errors import GfmError

MIB = 2**20


@pytest.fixture
def tasks(trained, tmp_path):
    """Two members of one condition and one of another, all still to be trained."""
    specs = [(trained[0], 1), (trained[0], 2), (trained[1], 1)]
    return [
        Task(ensemble.spec, ensemble.store, seed, tmp_path / ensemble.spec.key / str(seed))
        for ensemble, seed in specs
    ]


@pytest.fixture
def probes(tasks):
    first, second = tasks[0].spec.key, tasks[2].spec.key
    return {first: Probe(2.0, 10 * MIB, 100 * MIB, False), second: Probe(3.0, 20 * MIB, 90 * MIB, False)}


def test_each_worker_takes_the_next_task_when_it_is_free():
    assert schedule([5, 1, 1, 1], 1) == 8
    assert schedule([5, 1, 1, 1], 2) == 5
    assert schedule([1, 1, 5], 2) == 6
    assert schedule([1, 1, 5], 9) == 5
    assert schedule([], 2) == 0


def test_time_is_that_of_the_steps_and_the_validations(tasks, probes):
    spec = tasks[0].spec
    validation = spec.validation_windows / spec.batch / 3
    later = len(log_spaced(spec.steps)) - 1  # all but that before the first step
    assert remaining_seconds(tasks[:1], probes) == pytest.approx(2.0 * (spec.steps + later * validation))


def test_regular_validations_and_the_best_weights_are_paid_for(tasks):
    update = {"keep": "best", "validation_every": 5, "validation_windows": 64}
    spec = tasks[0].spec.model_copy(update=update)
    program, probes = [replace(tasks[0], spec=spec)], {spec.key: Probe(2.0, 10 * MIB, 100 * MIB, False)}
    steps = {*log_spaced(spec.steps), 5, 10, 15, 20} - {0}
    assert remaining_seconds(program, probes) == pytest.approx(2.0 * (20 + len(steps) * 64 / 16 / 3))
    (cost,) = expected([program], probes, 1, 1, 0.0)
    assert cost.disk_bytes == 10 * MIB * (len(log_spaced(spec.steps)) + 1 + 2 * 4)


def test_what_is_done_already_is_not_to_be_paid(trained, tasks, probes):
    partial = partial_path(tasks[0].path)
    partial.mkdir(parents=True)
    SavedStates(partial, [tasks[0].spec.key, 1]).save(15, {}, {})
    validation = tasks[0].spec.validation_windows / tasks[0].spec.batch / 3
    assert tasks[0].steps_left == 5
    assert remaining_seconds(tasks[:1], probes) == pytest.approx(2.0 * (5 + validation))
    member = trained[0].members[0]
    done = Task(trained[0].spec, trained[0].store, member.seed, member.path)
    (cost,) = expected([[done]], {}, 1, 3, 0.0)
    assert (cost.members, cost.seconds, cost.device_seconds, cost.disk_bytes) == (0, 0, 0, 0)


def test_costs_by_condition_and_of_all_together(tasks, probes):
    text, dna, both = expected([[task] for task in tasks], probes, workers=1, devices=2, start_seconds=7.0)
    a, b = (remaining_seconds([task], probes) for task in (tasks[0], tasks[2]))
    assert (text.members, dna.members, both.members) == (2, 1, 3) and both.condition == "all"
    assert text.seconds == pytest.approx(7 + 2 * a) and text.seconds_on_devices == pytest.approx(7 + a)
    assert dna.seconds_on_devices == pytest.approx(7 + b) == dna.seconds
    assert both.seconds == pytest.approx(7 + 2 * a + b) and both.device_seconds == pytest.approx(2 * a + b)
    assert both.seconds_on_devices == pytest.approx(7 + a + b)
    assert both.memory_bytes == 100 * MIB
    marks = len(log_spaced(tasks[0].spec.steps))
    assert text.disk_bytes == 10 * MIB * (2 * marks + 2 * 2 * 3)  # checkpoints; two states of 3 copies


def test_rows_of_costs(tasks, probes):
    costs = expected([[task] for task in tasks], probes, workers=2, devices=4, start_seconds=0.0)
    table = cost_table(costs)
    times = table[table["metric"] == "training_time"]
    assert set(times["x"]) == {"1", "4"} and set(times["unit"]) == {"s"} and len(times) == 6
    memory = table[table["metric"] == "device_memory"]
    assert set(memory["x"]) == {"estimated"} and set(memory["axis"]) == {"source"}
    hours = table[(table["metric"] == "device_time") & (table["condition"] == "all")]
    assert hours["value"].item() == pytest.approx(costs[-1].device_seconds / 3600)
    shown = cost_overview(costs)
    assert "on 4 devices" in shown[0] and shown[-1]["device memory"] == "0.10 GiB (estimated)"


@pytest.mark.parametrize(
    ("where", "measured", "told"), [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)]
)
def test_a_price_beyond_the_memory_of_this_gpu_says_so(monkeypatch, tasks, where, measured, told):
    monkeypatch.setattr(data, "device", lambda: where)
    probes = {tasks[0].spec.key: Probe(2.0, 10 * MIB, 40 * 1024 * MIB, measured)}
    table = cost_table(expected([tasks[:1]], probes, workers=1, devices=5, start_seconds=0.0))
    said = data.cost_answer(table).data
    assert ("needs about 40 GiB, more than the GPU here has" in said) == told


def test_a_probe_measures_and_leaves_nothing(tasks, tmp_path):
    found = measure(tasks[:1], "cpu")
    spec = tasks[0].spec
    model = build_model(spec.preset, spec.vocabulary, spec.window, 1)
    assert found.weight_bytes == 4 * sum(p.numel() for p in model.parameters())
    assert found.step_seconds > 0 and not found.memory_measured
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_said_in_a_sentence(monkeypatch, tasks):
    def full(self, step, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Learner, "learn", full)
    with pytest.raises(GfmError, match=r"more memory than the device has: give a smaller batch \(16\)"):
        measure(tasks[:1], "cpu")


def test_memory_grows_with_the_batch_even_when_the_probe_reads_less_of_it(tasks):
    """What a window keeps for the backward pass is kept once for each window of a batch."""
    task = tasks[0]
    large = Task(task.spec.model_copy(update={"batch": 128}), task.store, 1, task.path)
    small, large = measure([task], "cpu"), measure([large], "cpu")
    kept = small.memory_bytes - 4 * small.weight_bytes
    hidden = 64 * task.spec.window * 4  # bytes of one window's residual stream
    assert kept > 16 * 10 * hidden
    assert large.memory_bytes - 4 * large.weight_bytes == kept * 128 // 16


def test_durations_for_people():
    day = 86400
    assert [duration(s) for s in (0.2, 42, 150, 600, 7200, 5 * day, 40 * day, 1000 * day)] == [
        "1 s", "42 s", "2.5 min", "10 min", "2.0 h", "5.0 days", "40 days", "2.7 years",
    ]  # fmt: skip
