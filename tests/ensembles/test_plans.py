"""How members are trained on a GPU: what is measured decides; shown without one, by stand-ins for it."""

import copy
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from gfm_utils.ensembles import probing, training
from gfm_utils.ensembles.learners import PLAIN_STEPS, Learner
from gfm_utils.ensembles.probing import Plan, Probe, measure, train_as_planned
from gfm_utils.ensembles.records import Writer
from gfm_utils.ensembles.tasks import Task, log_spaced
from gfm_utils.ensembles.training import Training, train_group
from gfm_utils.errors import GfmError
from gfm_utils.files import sha256_of

STEPS = 30
GIB = 2**30


@pytest.fixture
def tasks(trained, tmp_path):
    spec = trained[0].spec.model_copy(update={"steps": STEPS})
    return [Task(spec, trained[0].store, seed, tmp_path / f"member-{seed}") for seed in range(1, 6)]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose steps take as long as it is told, and that has memory for so many members."""
    machine = SimpleNamespace(seconds={}, most=5, tried=[], fails=False)

    def probed(group, plan, device, seconds):
        machine.tried.append(plan)
        if plan.together > machine.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if plan.compiled and machine.fails:
            raise RuntimeError("no compiler\nhere")
        programs = -(-len(group) // plan.together)
        return Probe(programs * machine.seconds[plan], 1, plan.together * GIB, True, plan)

    monkeypatch.setattr(probing, "probe_plan", probed)
    monkeypatch.setattr(probing, "_measured", {})
    return machine


def long(tasks, steps=10_000):
    return [
        Task(task.spec.model_copy(update={"steps": steps}), task.store, task.seed, task.path) for task in tasks
    ]


@pytest.mark.parametrize(("together", "alone", "chosen"), [(0.002, 0.001, 5), (0.006, 0.001, 1)])
def test_members_share_a_program_where_that_was_measured_to_be_faster(gpu, tasks, together, alone, chosen):
    gpu.seconds = {Plan(5): together, Plan(1): alone}
    found = measure(long(tasks), "cuda")
    assert found.plan == Plan(chosen) and found.step_seconds == pytest.approx(min(together, 5 * alone))
    assert found.memory_bytes == chosen * GIB and gpu.tried == [Plan(5), Plan(1)]
    assert measure(long(tasks), "cuda") == found and len(gpu.tried) == 2  # a process measures once


def test_what_takes_seconds_is_not_tried_in_other_ways(gpu, tasks):
    gpu.seconds = {Plan(5): 0.002}
    assert measure(tasks, "cuda").plan == Plan(5) and gpu.tried == [Plan(5)]


def test_a_step_is_compiled_where_that_is_expected_to_pay_and_measured_to_be_faster(gpu, tasks):
    gpu.seconds = {Plan(5): 0.07, Plan(1): 0.02, Plan(5, True): 0.035, Plan(1, True): 0.03}
    assert measure(long(tasks, 3_000), "cuda").plan == Plan(5) and Plan(5, True) not in gpu.tried
    assert measure(long(tasks, 10_000), "cuda").plan == Plan(5, True)
    gpu.seconds[Plan(5, True)] = 0.08
    assert measure(long(tasks, 20_000), "cuda").plan == Plan(5)


def test_a_compiler_that_does_not_work_stops_no_training(gpu, tasks, capsys):
    gpu.seconds, gpu.fails = {Plan(5): 0.07, Plan(1): 0.02}, True
    assert measure(long(tasks), "cuda").plan == Plan(5)
    assert "steps are not compiled: no compiler\n" in capsys.readouterr().err


def test_members_that_cannot_share_a_program_are_trained_one_by_one(monkeypatch, gpu, tasks, capsys):
    gpu.seconds, probed = {Plan(1): 0.001}, probing.probe_plan

    def refusing(group, plan, device, seconds):
        if plan.together > 1:
            raise RuntimeError("LSE is not correctly aligned\nat ...")
        return probed(group, plan, device, seconds)

    monkeypatch.setattr(probing, "probe_plan", refusing)
    assert measure(long(tasks), "cuda").plan == Plan(1)
    assert "members are trained one by one: LSE is not correctly aligned\n" in capsys.readouterr().err


def test_a_program_has_as_many_members_as_there_is_memory_for(gpu, tasks):
    gpu.most, gpu.seconds = 2, {Plan(2): 0.002, Plan(1): 0.0015}
    found = measure(long(tasks), "cuda")
    assert gpu.tried == [Plan(5), Plan(3), Plan(2), Plan(1)]
    assert found.plan == Plan(2) and found.step_seconds == pytest.approx(3 * 0.002)
    gpu.most = 0
    with pytest.raises(GfmError, match=r"more memory than the GPU of node 7 has: give a smaller batch \(16\)"):
        measure(long(tasks, 9_999), "cuda", where="the GPU of node 7")


class Memory:
    """Stands in for a GPU's memory: counts what steps ask of it, so much a window; it has no more for others."""

    def __init__(self, monkeypatch, windows):
        self.windows, self.peak, self.waits = windows, 0, 0
        learn, counted = Learner.learn, self

        def limited(learner, step, inputs):
            asked = inputs[0].shape[-2]
            if asked > counted.windows:
                raise torch.OutOfMemoryError("CUDA out of memory")
            counted.peak = max(counted.peak, asked)
            learn(learner, step, inputs)

        monkeypatch.setattr(Learner, "learn", limited)
        endless = probing._endless
        monkeypatch.setattr(probing, "_endless", lambda group, device, compiled: endless(group, "cpu", compiled))
        for name, stand_in in {
            "reset_peak_memory_stats": lambda: setattr(self, "peak", 0),
            "max_memory_reserved": lambda: self.peak * GIB,
            "synchronize": lambda: setattr(self, "waits", self.waits + 1),
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)


def test_what_a_small_gpu_cannot_train_has_a_price_all_the_same(monkeypatch, tasks):
    """The chapter's price of the paper's model on any GPU: from part of a batch, and said to be estimated."""
    Memory(monkeypatch, windows=5)
    found = measure(tasks[:1], "cuda", 0.1, brief=True)
    assert not found.memory_measured
    assert found.memory_bytes == pytest.approx(4 * GIB * 16 / 4, rel=0.01)  # 16 windows, measured with 4
    assert found.step_seconds > 0
    with pytest.raises(GfmError, match="more memory than the device has"):
        measure(tasks[:1], "cuda", 0.1)  # a training is refused instead
    Memory(monkeypatch, windows=0)
    with pytest.raises(GfmError, match="more memory than the device has"):
        measure(tasks[:1], "cuda", 0.1, brief=True)


def test_a_probe_waits_for_the_gpu_only_at_the_end_of_many_steps(monkeypatch, tasks):
    """Else copies, preparation and steps, which overlap in training, would stand one after the other."""
    memory, steps = Memory(monkeypatch, windows=16), []
    training = probing._endless(tasks[:1], "cpu", False)
    stream = training.inputs()
    monkeypatch.setattr(training.learner, "on_gpu", True)
    monkeypatch.setattr(training.learner, "learn", lambda step, inputs: steps.append(step))
    assert probing._step_seconds(training, stream, 0.2) > 0
    assert len(steps) > PLAIN_STEPS + 2 + probing.STEPS and steps == list(range(len(steps)))
    assert memory.waits < len(steps) / 5


def test_a_group_is_trained_in_the_programs_of_its_plan(monkeypatch, gpu, tasks):
    parts, said = [], []
    gpu.seconds = {Plan(5): 1.0, Plan(3): 1.0, Plan(2): 0.001}
    monkeypatch.setattr(probing, "measure", lambda *given, **named: Probe(1.0, 1, 1, True, Plan(2, True)))

    def trained_as(part, device, report, notice, compiled):
        parts.append(([task.seed for task in part], device, compiled))
        for index in range(len(part)):
            report(index, 10, float(part[index].seed))
        return []

    monkeypatch.setattr(probing, "train_group", trained_as)
    assert train_as_planned(tasks, "cuda", lambda *told: said.append(told)) == []
    assert parts == [([1, 2], "cuda", True), ([3, 4], "cuda", True), ([5], "cuda", True)]
    assert said == [(place, 10, float(place + 1)) for place in range(5)]


def test_what_is_written_beside_the_steps_is_the_same(monkeypatch, tasks):
    train_group(tasks[:1], "cpu")
    made = training.learner

    def as_on_a_gpu(*given):
        found = made(*given)
        found.written = copy.deepcopy(found.model)  # there it is another model than the one in training
        return found

    monkeypatch.setattr(training, "learner", as_on_a_gpu)
    monkeypatch.setattr(training, "Writer", lambda beside: Writer(True))
    beside = Task(tasks[0].spec, tasks[0].store, 1, tasks[0].path.with_name("beside"))
    train_group([beside], "cpu")
    names = [f"checkpoints/step-{step:09d}" for step in log_spaced(STEPS)[1:-1]]
    for name in ("", "untrained/", *(f"{name}/" for name in names)):
        files = [path / f"{name}model.safetensors" for path in (tasks[0].path, beside.path)]
        assert sha256_of(files[0]) == sha256_of(files[1])
    metrics = [
        pd.read_parquet(path / "metrics.parquet").drop(columns="seconds") for path in (beside.path, tasks[0].path)
    ]
    pd.testing.assert_frame_equal(*metrics)


def test_things_are_written_in_order_and_errors_are_raised():
    written, writer = [], Writer(beside=True)
    with writer:
        for number in range(20):
            writer.do(lambda number=number: written.append(number))
    assert written == list(range(20))

    def full():
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"), Writer(beside=True) as writer:
        writer.do(full)
        writer.wait()


def test_blocks_of_steps_are_the_steps(tasks):
    source = training._Inputs(tasks[0].store, tasks[0].spec, [tasks[0].spec.seeds(1)], 5)
    blocks = list(training._Blocks(source))
    assert [len(block[0]) for block in blocks] == [training.BLOCK, STEPS - 5 - training.BLOCK]
    steps = [step for block in blocks for step in zip(*block, strict=True)]
    for one, other in zip(steps, source, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_compiled_training_compiles_its_learner(monkeypatch, tasks):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: seen.append(options) or function)
    assert Training(tasks[:2], "cpu", compiled=True).learner.compiled and seen == [{"dynamic": False}]
