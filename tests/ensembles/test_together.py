"""Members trained as one program are those that are trained alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from alone import train_member
from transformers import AutoModelForMaskedLM

from gfm_utils.ensembles import train_step, training
from gfm_utils.ensembles.member_job import MemberJob, batch_members, log_spaced
from gfm_utils.ensembles.member_writer import partial_path
from gfm_utils.ensembles.presets import PRESETS, Preset
from gfm_utils.ensembles.train_step import BatchedTrainer, SingleTrainer
from gfm_utils.ensembles.training import Training, train_group
from gfm_utils.files import sha256_of

# PyTorch has no batching rule for attention on the CPU, and says so; there it is only used here.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
STEPS = 30
#: Largest difference of a weight, relative to the largest weight of its matrix, after ``STEPS`` steps in
#: float32: sums are taken in another order, and Adam amplifies what differs where gradients are tiny.
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def tiny():
    PRESETS["tiny"] = Preset("bert", 2, 32, 2, 64, 0.02)
    yield
    del PRESETS["tiny"]


@pytest.fixture
def spec(trained):
    return trained[0].spec.model_copy(update={"steps": STEPS, "warmup": 0.2, "batch": 4})


def jobs_of(spec, store, folder, seeds=(1, 2, 3)):
    return [MemberJob(spec, store, seed, folder / f"member-{seed}") for seed in seeds]


def weights(path):
    return AutoModelForMaskedLM.from_pretrained(path).state_dict()


def furthest(one, other):
    """Largest difference of any weight, relative to the largest of its matrix.

    Without the biases of BERT's keys: these add the same to all scores of a softmax, so that the gradient is
    zero but for rounding, which Adam takes for a direction like any other.
    """
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    names = [name for name in a if not name.endswith("key.bias")]
    return max(float((a[name] - b[name]).abs().max() / (b[name].abs().max() + 1e-9)) for name in names)


@pytest.mark.parametrize(("preset", "vary"), [("modernbert-2x64", "init"), ("tiny", "all")])
def test_the_same_seed_gives_the_same_member_alone_and_together(spec, trained, tiny, tmp_path, preset, vary):
    spec, store = spec.model_copy(update={"preset": preset, "vary": vary}), trained[0].store
    together = jobs_of(spec, store, tmp_path / "together", (1, 2))
    assert train_group(together, "cpu") == []
    for job in together:
        alone = tmp_path / "alone" / job.path.name
        train_member(spec, store, job.seed, alone, "cpu")
        for step in log_spaced(STEPS)[1:-1]:
            name = f"checkpoints/step-{step:09d}"
            assert furthest(job.path / name, alone / name) < TOLERANCE
        assert furthest(job.path, alone) < TOLERANCE
        assert furthest(job.path / "untrained", alone / "untrained") == 0
        one, other = (pd.read_parquet(path / "metrics.parquet") for path in (job.path, alone))
        np.testing.assert_allclose(one["validation_loss"], other["validation_loss"], rtol=1e-4)
        np.testing.assert_allclose(one["train_loss"], other["train_loss"], rtol=1e-4)
    assert furthest(together[0].path, together[1].path) > 100 * TOLERANCE  # other seeds are other members


def test_the_gradient_of_each_member_is_clipped_by_itself(spec, trained):
    trainer = BatchedTrainer(spec, [1, 2], "cpu")
    for name, parameter in trainer.parameters.items():
        parameter.grad = torch.stack(
            [torch.full_like(p, c) for p, c in zip(parameter.detach(), (3.0, 1e-6), strict=True)]
        )
        assert name
    trainer.clip()
    first, second = (
        sum(float(p.grad[member].square().sum()) for p in trainer.parameters.values()) ** 0.5 for member in (0, 1)
    )
    count = sum(p[0].numel() for p in trainer.parameters.values())
    assert first == pytest.approx(spec.clip, rel=1e-3) and second == pytest.approx(1e-6 * count**0.5, rel=1e-3)


def test_a_group_that_was_stopped_continues_from_the_newest_state_that_all_have(
    monkeypatch, spec, trained, tmp_path
):
    store, said = trained[0].store, []
    whole, stopped = (jobs_of(spec, store, tmp_path / name, (1, 2)) for name in ("whole", "stopped"))
    train_group(whole, "cpu")
    factor = train_step.learning_rate_factor

    def stop(step, spec):
        if step == 25:
            raise KeyboardInterrupt
        return factor(step, spec)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_step, "learning_rate_factor", stop)
        train_group(stopped, "cpu")
    newest = sorted(partial_path(stopped[0].path).glob("state-*.pt"))[-1]
    newest.unlink()  # as if the run had been killed between the states of the two
    train_group(stopped, "cpu", lambda *told: said.append(told))
    said = [told[0] for told in said if len(told) == 1]
    assert len(said) == 2 and len({line.split("continues at step ")[1] for line in said}) == 1
    for job, other in zip(stopped, whole, strict=True):
        assert sha256_of(job.path / "model.safetensors") == sha256_of(other.path / "model.safetensors")


def test_a_member_that_diverges_does_not_touch_those_beside_it(monkeypatch, spec, trained, tiny, tmp_path):
    store, take = trained[0].store, BatchedTrainer.losses
    spec = spec.model_copy(update={"preset": "tiny", "batch": 16})
    jobs = jobs_of(spec, store, tmp_path)
    calls = []

    def poisoned(self, inputs):
        calls.append(1)
        if len(calls) == 15:
            with torch.no_grad():
                self.parameters[next(iter(self.parameters))][1].fill_(float("nan"))
        return take(self, inputs)

    monkeypatch.setattr(BatchedTrainer, "losses", poisoned)
    (diverged,) = train_group(jobs, "cpu")
    assert "seed 2, diverged" in str(diverged) and "its last good state" in str(diverged)
    assert [job.path.exists() for job in jobs] == [True, False, True]
    monkeypatch.undo()
    train_member(spec, store, 3, tmp_path / "alone", "cpu")
    assert furthest(jobs[2].path, tmp_path / "alone") < TOLERANCE


def test_low_precision_is_close_to_full_and_weights_stay_float32(spec, trained):
    full, low = SingleTrainer(spec, 1, "cpu"), SingleTrainer(spec, 1, "cpu")
    low.low_precision = True  # as on a GPU
    job = MemberJob(spec, trained[0].store, 1, trained[0].members[0].path)
    inputs = next(Training([job], "cpu").inputs())
    for trainer in (full, low):
        trainer.model.train()
        for step in range(5):
            trainer.learn(step, inputs)
    assert float(full.loss) != float(low.loss)
    assert float(low.loss) == pytest.approx(float(full.loss), rel=0.01)
    assert {p.dtype for p in low.parameters.values()} == {torch.float32}


def test_together_is_possible_in_low_precision(spec, trained):
    job = MemberJob(spec, trained[0].store, 1, trained[0].members[0].path)
    inputs = next(Training([job], "cpu").inputs())
    alone, together = SingleTrainer(spec, 1, "cpu"), BatchedTrainer(spec, [1, 2], "cpu")
    alone.low_precision = together.low_precision = True
    assert together.losses(inputs)[0].item() == pytest.approx(alone.losses(inputs)[0].item(), rel=1e-3)


def test_who_is_trained_together(monkeypatch, spec, trained, tmp_path):
    store = trained[0].store
    small, other = (
        jobs_of(spec, store, tmp_path / "a"),
        jobs_of(spec.model_copy(update={"steps": 31}), store, tmp_path / "b"),
    )
    drops = jobs_of(spec.model_copy(update={"dropout": 0.1}), store, tmp_path / "c", (1, 2))
    large = jobs_of(
        spec.model_copy(update={"preset": "bert-90m", "window": 512, "batch": 96}), store, tmp_path / "d", (1, 2)
    )
    every = [*small, *other, *drops, *large]
    assert batch_members(every, "cpu") == [[job] for job in every]
    assert batch_members(small, "cuda", devices=2) == [small[:2], small[2:]]
    assert batch_members(every, "cuda") == [small, other, *([job] for job in (*drops, *large))]
    folder = partial_path(small[1].path)
    folder.mkdir(parents=True)
    (folder / "state-000000012-0123456789abcdef.pt").touch()
    assert batch_members(small, "cuda") == [[small[0], small[2]], [small[1]]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("together", [False, True])
def test_a_recorded_step_is_the_step(monkeypatch, spec, trained, tmp_path, together):
    """CUDA graphs against kernel by kernel."""
    jobs = {name: jobs_of(spec, trained[0].store, tmp_path / name) for name in ("graph", "plain")}
    seeds = slice(None) if together else slice(0, 1)
    train_group(jobs["graph"][seeds], "cuda")
    monkeypatch.setattr(train_step, "PLAIN_STEPS", 10**9)
    train_group(jobs["plain"][seeds], "cuda")
    for one, other in zip(jobs["graph"][seeds], jobs["plain"][seeds], strict=True):
        assert furthest(one.path, other.path) < TOLERANCE
    assert training.LOOK < STEPS
