"""Members trained as one program are those that are trained alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from alone import assert_same_bits, members, train_member, train_until
from transformers import AutoModelForMaskedLM

from gfm_utils.ensembles.member_job import batch_members
from gfm_utils.ensembles.member_writer import partial_path
from gfm_utils.ensembles.train_step import Trainer
from gfm_utils.ensembles.training import Training, train_group

# PyTorch has no batching rule for attention on the CPU, and says so; there it is only used here.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
STEPS = 30
#: Largest difference of a weight, relative to the largest weight of its matrix, after ``STEPS`` steps in
#: float32: sums are taken in another order, and Adam amplifies what differs where gradients are tiny.
TOLERANCE = 2e-3


@pytest.fixture
def spec(spec):
    return spec.model_copy(update={"steps": STEPS, "warmup": 0.2})


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


@pytest.mark.parametrize(("preset", "vary"), [("modernbert-2x64", "all"), ("roformer-2x64", "init")])
def test_the_same_seed_gives_the_same_member_alone_and_together(spec, store, tmp_path, preset, vary):
    spec = spec.model_copy(update={"preset": preset, "vary": vary})
    together = members(spec, store, tmp_path / "together", 2)
    assert train_group(together, "cpu") == []
    for job in together:
        alone = tmp_path / "alone" / job.path.name
        train_member(spec, store, job.seed, alone, "cpu")
        assert furthest(job.path, alone) < TOLERANCE
        assert furthest(job.path / "untrained", alone / "untrained") == 0
        one, other = (pd.read_parquet(path / "metrics.parquet") for path in (job.path, alone))
        for loss in ("validation_loss", "train_loss"):
            np.testing.assert_allclose(one[loss], other[loss], rtol=1e-4)
    assert furthest(together[0].path, together[1].path) > 100 * TOLERANCE  # other seeds are other members


def test_the_gradient_of_each_member_is_clipped_by_itself(spec):
    trainer = Trainer(spec, [1, 2], "cpu")
    for parameter in trainer.parameters.values():
        parameter.grad = torch.ones_like(parameter)
        parameter.grad[0], parameter.grad[1] = 3.0, 1e-6
    trainer.clip()
    gradients = torch.cat([parameter.grad.flatten(1) for parameter in trainer.parameters.values()], 1)
    expected = [spec.clip, 1e-6 * gradients.shape[1] ** 0.5]
    assert gradients.norm(dim=1).tolist() == pytest.approx(expected, rel=1e-3)


def test_a_group_that_was_stopped_continues_from_the_newest_state_that_all_have(
    monkeypatch, spec, store, tmp_path
):
    said, (whole, stopped) = [], (members(spec, store, tmp_path / name, 2) for name in ("whole", "stopped"))
    train_group(whole, "cpu")
    train_until(monkeypatch, 25, stopped)
    newest = sorted(partial_path(stopped[0].path).glob("state-*.pt"))[-1]
    newest.unlink()  # as if the run had been killed between the states of the two
    train_group(stopped, "cpu", lambda *message: said.append(message))
    assert len({text.split("continues at step ")[1] for text, *more in said if not more}) == 1
    for job, other in zip(stopped, whole, strict=True):
        assert_same_bits(job.path, other.path)


def test_a_member_that_diverges_does_not_touch_the_others(monkeypatch, spec, store, tmp_path):
    take, calls, jobs = Trainer.losses, [], members(spec, store, tmp_path, 3)

    def poisoned(self, inputs):
        calls.append(1)
        if len(calls) == 60:
            with torch.no_grad():
                self.parameters[next(iter(self.parameters))][1].fill_(float("nan"))
        return take(self, inputs)

    monkeypatch.setattr(Trainer, "losses", poisoned)
    (diverged,) = train_group(jobs, "cpu")
    assert "seed 2, diverged" in str(diverged) and "its last good state" in str(diverged)
    assert [job.path.exists() for job in jobs] == [True, False, True]
    monkeypatch.undo()
    train_member(spec, store, 3, tmp_path / "alone", "cpu")
    assert furthest(jobs[2].path, tmp_path / "alone") < TOLERANCE


def test_low_precision_is_close_to_full_and_weights_stay_float32(spec, trained):
    trainers = full, low, both = [
        Trainer(spec, [1], "cpu"), Trainer(spec, [1], "cpu"), Trainer(spec, [1, 2], "cpu")
    ]  # fmt: skip
    low.low_precision = both.low_precision = True  # as on a GPU
    inputs = next(Training(trained[0].jobs[:1], "cpu").inputs())
    for trainer in trainers:
        trainer.model.train()
        for step in range(5):
            trainer.learn(step, inputs)
    assert float(full.loss) != float(low.loss)
    assert [float(low.loss), float(both.loss[0])] == pytest.approx([float(full.loss)] * 2, rel=0.01)
    assert {p.dtype for one in (low, both) for p in one.parameters.values()} == {torch.float32}


def test_who_is_trained_together(spec, store, tmp_path):
    changes = [{}, {"steps": 31}, {"dropout": 0.1}, {"preset": "bert-90m", "window": 512, "batch": 96}]
    small, other, drops, large = (
        members(spec.model_copy(update=update), store, tmp_path / str(number), 3)
        for number, update in enumerate(changes)
    )
    every = [*small, *other, *drops, *large]
    assert batch_members(every, "cpu") == [[job] for job in every]
    assert batch_members(small, "cuda", devices=2) == [small[:2], small[2:]]
    assert batch_members(every, "cuda") == [small, other, *([job] for job in (*drops, *large))]
    folder = partial_path(small[1].path)
    folder.mkdir(parents=True)
    (folder / "state-000000012-0123456789abcdef.pt").touch()
    assert batch_members(small, "cuda") == [[small[0], small[2]], [small[1]]]
