"""Masks drawn for each token by itself, and an epoch's last, smaller batch: in batches of one shape."""

from itertools import islice

import numpy as np
import pytest
import torch

from gfm_utils.ensembles import EnsembleSpec, build_model
from gfm_utils.ensembles.batches import IGNORED, batches
from gfm_utils.ensembles.train_step import MaskedLoss, Trainer, learning_rate_factor
from gfm_utils.ensembles.training import step_inputs
from gfm_utils.profiles import profile
from gfm_utils.tokens import SPECIAL, masking, random_store

# PyTorch has no batching rule for attention on the CPU, and says so; there it is only used here.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
WINDOW, BATCH, WINDOWS, VOCABULARY = 16, 8, 36, 20


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return random_store(tmp_path_factory.mktemp("masks") / "tokens", VOCABULARY, WINDOW * WINDOWS)


@pytest.fixture
def spec(store):
    """That of the paper, in a small size."""
    size = profile("paper").model_copy(
        update={"preset": "bert-2x64", "window": WINDOW, "batch": BATCH, "steps": 10, "dropout": 0.0}
    )
    return EnsembleSpec.of(store, size)


@pytest.fixture(scope="module")
def model():
    return build_model("bert-2x64", VOCABULARY, WINDOW, 1)


def clean(store, spec, batch):
    return store.windows("train", store.window_starts("train", spec.window)[batch.windows], spec.window)


@pytest.mark.parametrize("independent", [True, False])
def test_targets_are_the_true_tokens_wherever_one_was_chosen(store, spec, independent):
    spec = spec.model_copy(update={"corruption": (1.0, 0.0, 0.0), "independent_masks": independent})
    for batch in batches(store, spec, spec.seeds(1)):
        true, shown = clean(store, spec, batch), batch.ids[: len(batch.windows)]
        hidden = shown == SPECIAL.index("[MASK]")
        assert (shown[~hidden] == true[~hidden]).all()
        restored = shown.copy()
        for row, (places, targets) in enumerate(zip(batch.positions[: len(shown)], batch.targets, strict=False)):
            asked = targets != IGNORED
            assert asked.sum() == hidden[row].sum()
            restored[row, places[asked]] = targets[asked]
        assert (restored == true).all()
        assert batch.ids.shape == (BATCH, WINDOW) and batch.positions.shape == (BATCH, spec.places)


@pytest.mark.parametrize("special", [True, False])
def test_random_replacements_are_special_tokens_too_where_the_specification_says_so(store, spec, special):
    update = {"corruption": (0.0, 1.0, 0.0), "train_mask": 0.9, "steps": 40, "special_replacements": special}
    spec = spec.model_copy(update=update)
    shown = {token for batch in batches(store, spec, spec.seeds(1)) for token in batch.ids.flatten().tolist()}
    assert shown == set(range(0 if special else len(SPECIAL), VOCABULARY))


def test_every_window_of_an_epoch_is_read_once_and_the_last_batch_is_smaller(store, spec):
    read = list(batches(store, spec, spec.seeds(1)))
    assert [len(batch.windows) for batch in read] == [8, 8, 8, 8, 4] * 2
    for epoch in (read[:5], read[5:]):
        assert sorted(np.concatenate([batch.windows for batch in epoch])) == list(range(WINDOWS))
    assert (read[0].windows != read[5].windows).any()  # every epoch has an order of its own
    assert (read[4].targets[4:] == IGNORED).all() and (read[4].targets[:4] != IGNORED).any()
    for batch, again in zip(read[7:], batches(store, spec, spec.seeds(1), 7), strict=True):
        assert (batch.ids == again.ids).all() and (batch.targets == again.targets).all()
    dropped = spec.model_copy(update={"drop_last": True})
    assert [len(batch.windows) for batch in batches(store, dropped, dropped.seeds(1))] == [8] * 10


@pytest.mark.parametrize("step", [0, 4])
def test_the_loss_is_hugging_faces_the_mean_over_the_tokens_of_the_batch(store, spec, model, step):
    """Also of the last batch of an epoch: that of its own windows."""
    batch = next(batches(store, spec, spec.seeds(1), step))
    labels = np.full((len(batch.windows), WINDOW), IGNORED)
    for own, places, targets in zip(labels, batch.positions, batch.targets, strict=False):
        own[places[targets != IGNORED]] = targets[targets != IGNORED]
    ids = torch.from_numpy(batch.ids[: len(labels)])
    theirs = model(input_ids=ids, labels=torch.from_numpy(labels)).loss
    assert MaskedLoss(model, True)(*batch.inputs()).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_batch_in_which_nothing_was_chosen_asks_for_nothing(store, spec):
    trainer = Trainer(spec, [1], "cpu")
    batch = next(batches(store, spec.model_copy(update={"train_mask": 1e-12}), spec.seeds(1)))
    assert (batch.targets == IGNORED).all()
    before = trainer.state(0)["weights"]
    trainer.learn(0, batch.filled(BATCH, spec.places).inputs())
    assert trainer.loss.tolist() == [0.0]
    assert all(torch.equal(value, before[name]) for name, value in trainer.parameters.items())


def test_steps_of_adamw_against_a_plain_loop(store, spec):
    """Matrices alone decay, one norm bounds all gradients, moments are corrected for their beginning."""
    changed = {"weight_decay": 5.0, "clip": 1e-5, "learning_rate": 0.01}  # so small that Adam's epsilon counts
    spec = spec.model_copy(update=changed)
    trainer, model = Trainer(spec, [1], "cpu"), build_model(spec.preset, VOCABULARY, WINDOW, 1, spec.dropout)
    weights = dict(model.named_parameters())
    first, second = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    for step, batch in enumerate(islice(batches(store, spec, spec.seeds(1)), 4)):
        trainer.learn(step, batch.inputs())
        MaskedLoss(model, True)(*batch.inputs()).backward()
        gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
        norm = sum(gradient.square().sum() for gradient in gradients.values()).sqrt()
        rate, (one, two) = spec.learning_rate * learning_rate_factor(step, spec), spec.betas
        for name, gradient in gradients.items():
            gradient = gradient * min(1.0, spec.clip / (norm + 1e-6))
            first[name] = one * first[name] + (1 - one) * gradient
            second[name] = two * second[name] + (1 - two) * gradient**2
            mean, square = first[name] / (1 - one ** (step + 1)), second[name] / (1 - two ** (step + 1))
            with torch.no_grad():
                if weights[name].ndim >= 2:
                    weights[name] *= 1 - rate * spec.weight_decay
                weights[name] -= rate * mean / (square.sqrt() + 1e-8)
        model.zero_grad()
    for name, weight in weights.items():
        torch.testing.assert_close(trainer.parameters[name], weight, rtol=1e-3, atol=2e-5, msg=name)


def test_a_window_with_more_tokens_than_usual_loses_none(monkeypatch, store, spec, model):
    usual = next(batches(store, spec, spec.seeds(1)))
    monkeypatch.setattr(masking, "RARE", 0.5)  # room for two tokens a window: some have more
    wide = next(batches(store, spec, spec.seeds(1)))
    assert spec.places == 2 and wide.positions.shape == (BATCH, WINDOW)
    assert (wide.ids == usual.ids).all() and (wide.targets != IGNORED).sum() == (usual.targets != IGNORED).sum()
    losses = [MaskedLoss(model, True)(*batch.inputs()).item() for batch in (usual, wide)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_members_with_masks_of_their_own_learn_together_as_alone(monkeypatch, store, spec):
    """Also where the windows of one have more tokens to predict than those of the other."""
    seeds = [spec.seeds(member) for member in (1, 2)]
    monkeypatch.setattr(masking, "RARE", 0.05)
    widths = [[batch.positions.shape[1] for batch in batches(store, spec, own)] for own in seeds]
    step = next(step for step, (one, other) in enumerate(zip(*widths, strict=True)) if one != other)
    turned, inputs = (next(step_inputs(store, spec, given, step)) for given in (seeds[::-1], seeds))
    assert all(torch.equal(one.flip(0), other) for one, other in zip(turned, inputs, strict=True))
    assert inputs[1].shape == inputs[2].shape == (2, BATCH, WINDOW)
    together = Trainer(spec, [1, 2], "cpu").losses(inputs)
    for member, own in enumerate(seeds):
        batch = next(batches(store, spec, own, step))
        alone = Trainer(spec, [member + 1], "cpu").losses(batch.inputs())
        assert together[member].item() == pytest.approx(alone.item(), rel=1e-5)
