"""How members are trained on a GPU, shown without one: in parts where they must be, in blocks of steps."""

from types import SimpleNamespace

import pytest
import torch

from gfm_utils.ensembles import training
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.training import train_members
from gfm_utils.errors import GfmError

STEPS = 30


@pytest.fixture
def jobs(trained, tmp_path):
    spec = trained[0].spec.model_copy(update={"steps": STEPS})
    return [MemberJob(spec, trained[0].store, seed, tmp_path / f"member-{seed}") for seed in range(1, 6)]


@pytest.fixture
def gpu(monkeypatch):
    """Trains nothing, and says what would be: a list of seeds a program, and whether steps are compiled."""

    def group(part, device, tell, compiled):
        gpu.tried.append(([job.seed for job in part], compiled))
        if compiled and not gpu.compiles:
            raise RuntimeError("no compiler\nhere")
        if len(part) > gpu.most:
            raise gpu.error
        return [str(job.seed) for job in part]

    gpu = SimpleNamespace(tried=[], most=5, compiles=True, error=torch.OutOfMemoryError("CUDA out of memory"))
    monkeypatch.setattr(training, "train_group", group)
    return gpu


def test_members_are_one_program_or_as_many_as_there_is_memory_for(gpu, jobs):
    assert train_members(jobs, "cuda") == ["1", "2", "3", "4", "5"] and gpu.tried == [([1, 2, 3, 4, 5], False)]
    gpu.most, said = 2, []
    assert train_members(jobs, "cuda", said.append) == ["1", "2", "3", "4", "5"]
    assert [seeds for seeds, _ in gpu.tried[1:]] == [[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]]
    assert said == ["members are trained in parts: not enough memory"] * 2
    gpu.most = 0
    with pytest.raises(GfmError, match=r"more memory than the GPU of node 7 has: give a smaller batch \(16\)"):
        train_members(jobs, "cuda", where="the GPU of node 7")


def test_what_cannot_be_one_program_is_trained_one_by_one(gpu, jobs):
    gpu.most, gpu.error, said = 1, RuntimeError("LSE is not correctly aligned\nat ..."), []
    assert train_members(jobs[:2], "cuda", said.append) == ["1", "2"]
    assert said == ["members are trained one by one: LSE is not correctly aligned"]


def test_long_trainings_are_compiled_and_a_compiler_that_does_not_work_stops_none(monkeypatch, gpu, jobs):
    monkeypatch.setattr(training, "COMPILED_WORK", 1.0)
    train_members(jobs, "cpu")
    train_members(jobs, "cuda")
    assert [compiled for _, compiled in gpu.tried] == [False, True]
    gpu.compiles, said = False, []
    assert train_members(jobs[:2], "cuda", said.append) == ["1", "2"]
    assert gpu.tried[-2:] == [([1, 2], True), ([1, 2], False)] and said == ["steps are not compiled: no compiler"]


def test_blocks_for_a_gpu_hold_the_steps_those_of_another_shape_apart(jobs):
    steps = list(training.step_inputs(jobs[0].store, jobs[0].spec, [jobs[0].spec.seeds(1)], 5))
    ids, positions, targets = steps[20]
    steps[20] = ids, positions[:, :-1], targets[:, :-1]
    blocks = list(training.StepBlocks(lambda: iter(steps)))
    assert [len(block[0]) for block in blocks] == [training.BLOCK, 4, 1, STEPS - 5 - 21]
    for one, other in zip((step for block in blocks for step in zip(*block, strict=True)), steps, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
