"""Exact squares of gradients against the naive loop, closed forms, invariances and mutants."""

import numpy as np
import pytest
import torch
from transformers import (
    BigBirdConfig,
    BigBirdForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
)

from gfm_utils.analyses.fisher import exact, fallback, kinds, layers
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import BIAS, CROSS, DECODER, MASK, TOKENS, VISIBLE, derived, groups_of
from gfm_utils.analyses.fisher.kinds import squared_gradients
from gfm_utils.ensembles import PRESETS, build_model
from gfm_utils.errors import GfmError

BOTH = ("modernbert-2x64", "bert-2x64")
every = pytest.mark.parametrize(("preset", "tied"), [(preset, tied) for preset in BOTH for tied in (True, False)])
per_both = pytest.mark.parametrize("per", ["sequence", "token"])


@every
@per_both
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_against_the_naive_loop(naive, preset, tied, per, dtype, tolerance):
    model, examples = naive.problem(preset, tied, dtype)
    assert exact.has_hooks(model)
    ours = squared_gradients(model, examples, per)
    naive.assert_equal(model.double(), ours, examples, per, tolerance)  # the truth is always in double precision


@per_both
@pytest.mark.parametrize("way", ["gram", "direct"])
def test_both_forms_of_a_linear_layer(naive, per, way, monkeypatch):
    model, examples = naive.problem()

    def forced(inputs, gradients):
        if way == "direct":
            return layers.squares(gradients.mT @ inputs)
        return torch.linalg.vecdot((inputs @ inputs.mT).flatten(1), (gradients @ gradients.mT).flatten(1))

    monkeypatch.setattr(layers, "product_squares", forced)
    naive.assert_equal(model, squared_gradients(model, examples, per), examples, per, 1e-10)


@per_both
@pytest.mark.parametrize("tied", [True, False])
def test_other_models_fall_back_and_say_so(naive, per, tied, capsys):
    model, examples = naive.problem("roformer-2x64", tied)
    naive.assert_equal(model, squared_gradients(model, examples, per), examples, per, 1e-10)
    assert "RoFormerForMaskedLM has no fast way" in capsys.readouterr().err


@per_both
@pytest.mark.parametrize(("window", "attention"), [(14, "original_full"), (56, "block_sparse")])
def test_attention_that_draws_random_numbers_has_its_gradients_too(naive, per, window, attention):
    """BigBird reads a short window with full attention, whose weights it first draws."""
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    config = BigBirdConfig(
        vocab_size=21, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=64, block_size=4, num_random_blocks=1, **special,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BigBirdForMaskedLM(config).eval().double()
    ids = torch.randint(5, 12, (3, window))
    examples = MaskedTokens(
        ids, torch.tensor([[1, 6], [0, 3], [9, 12]]), torch.tensor([[7, 8], [9, 5], [6, 6]]), 4
    )
    found = squared_gradients(model, examples, per)
    assert model.bert.attention_type == attention
    naive.assert_equal(model, found, examples, per, 1e-10)


@per_both
@pytest.mark.parametrize("preset", BOTH)
def test_the_fallback_agrees_group_by_group(naive, preset, per):
    model, examples = naive.problem(preset)
    ours, expected = exact.sums_of_squares(model, examples, per), fallback.sums_of_squares(model, examples, per)
    assert set(ours) == set(expected)
    for group, values in expected.items():
        torch.testing.assert_close(ours[group], values, rtol=1e-9, atol=1e-14, msg=group)


@pytest.mark.parametrize("preset", BOTH)
def test_parts_of_a_tied_matrix_are_those_of_untied_copies(naive, preset):
    model, examples = naive.problem(preset)
    tied = squared_gradients(model, examples, "sequence")
    whole = naive.loop(model, examples)
    decoder = model.get_output_embeddings()
    decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
    untied = squared_gradients(model, examples, "sequence")
    assert CROSS not in untied and set(tied) == set(untied) | {CROSS}
    for group, values in untied.items():
        np.testing.assert_allclose(tied[group], values, rtol=1e-10, err_msg=group)
    matrix = tied[VISIBLE] + tied[MASK] + tied[DECODER] + tied[CROSS]
    np.testing.assert_allclose(matrix, whole[VISIBLE] + whole[MASK], rtol=1e-10)


@pytest.mark.parametrize("preset", BOTH)
def test_closed_forms_of_the_decoder(naive, preset):
    """For one token: ‖a‖²(1 - 2 p_y + Σ p²), and its expectation over the model's tokens ‖a‖²(1 - Σ p²)."""
    model, examples = naive.problem(preset)
    with exact.recorded(model, examples, reused=False) as run:
        a2 = run.features.detach().square().sum(-1)
    p = kinds.log_probabilities(model, examples).exp()
    squared, of_true = p.square().sum(-1), p.gather(2, examples.targets[..., None])[..., 0]
    empirical = squared_gradients(model, examples)[DECODER]
    np.testing.assert_allclose(empirical, (a2 * (1 - 2 * of_true + squared)).numpy(), rtol=1e-10)
    expected = naive.expected(model, examples)[DECODER]
    np.testing.assert_allclose(expected, (a2 * (1 - squared)).numpy(), rtol=1e-10)


@per_both
def test_neither_batch_size_nor_order_matters_and_shards_add_up(naive, per, monkeypatch):
    model, examples = naive.problem(n=5)
    whole = squared_gradients(model, examples, per)
    monkeypatch.setattr(kinds, "BUDGET", 1)
    order = torch.tensor([3, 1, 4, 0, 2])
    single = squared_gradients(model, examples[order], per)
    shards = [squared_gradients(model, examples[part], per) for part in (slice(0, 2), slice(2, 5))]
    for group, values in whole.items():
        np.testing.assert_allclose(single[group], values[order.numpy()], rtol=1e-10, atol=1e-18)
        np.testing.assert_allclose(sum(shard[group].sum() for shard in shards), values.sum(), rtol=1e-10)


@pytest.mark.parametrize("failing", [True, False])
@pytest.mark.parametrize("preset", (*BOTH, "roformer-2x64"))
def test_the_model_is_left_as_it_was(naive, preset, failing, monkeypatch):
    model, examples = naive.problem(preset)
    next(model.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = [value.requires_grad for value in model.parameters()]
    if failing:

        def fail(*_):
            raise RuntimeError("on purpose")

        head = model.head if preset.startswith("modern") else model.cls.predictions.transform
        handle = head.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="on purpose"):
            squared_gradients(model, examples)
        handle.remove()
    else:
        squared_gradients(model, examples)
    assert [value.requires_grad for value in model.parameters()] == wanted
    assert all(value.grad is None for value in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def without_cross(monkeypatch):
    kept = exact.Decoder.squares
    monkeypatch.setattr(
        exact.Decoder, "squares",
        lambda self, g: ((name, 0 * v if name == CROSS else v) for name, v in kept(self, g)),
    )  # fmt: skip


def without_padding_row(monkeypatch):
    kept = layers.Lookup.__init__

    def made(self, *given):
        kept(self, *given)
        self._kept = torch.ones_like(self._kept)

    monkeypatch.setattr(layers.Lookup, "__init__", made)


def without_repeats(monkeypatch):
    monkeypatch.setattr(layers.torch, "unique", lambda keys, return_inverse: (
        keys.flatten(), torch.arange(keys.numel()).reshape(keys.shape)))  # fmt: skip


@per_both
@pytest.mark.parametrize("mutant", [without_cross, without_padding_row, without_repeats])
def test_mutants_are_found(naive, per, mutant, monkeypatch):
    model, examples = naive.problem()
    mutant(monkeypatch)
    found = squared_gradients(model, examples, per)
    with pytest.raises(AssertionError):
        naive.assert_equal(model, found, examples, per, 1e-5)


def others():
    small = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    yield EsmForMaskedLM(EsmConfig(**small, intermediate_size=8, pad_token_id=1, mask_token_id=2))
    yield DistilBertForMaskedLM(DistilBertConfig(vocab_size=11, dim=8, n_layers=2, n_heads=2, hidden_dim=8))


@pytest.mark.parametrize("model", [*others(), *(build_model(name, 21, 14, 1) for name in PRESETS if "2x" in name)],
                         ids=lambda model: type(model).__name__)  # fmt: skip
def test_every_parameter_has_one_group(model):
    groups = groups_of(model)
    assert list(groups) == [name for name, _ in model.named_parameters()]
    for name, group in groups.items():
        for part, word in (("attention", "att"), ("feed_forward", "ffn|mlp|intermediate|output")):
            if group.endswith(part):
                assert any(piece in name or "sa_layer" in name for piece in word.split("|")), (name, group)
        plain_norm = ".LayerNorm." in name  # ESM has one a layer that is neither
        assert plain_norm or group == "embedding.other" or not group.endswith(".other"), name
    found = set(groups.values())
    layers_ = {f"encoder.{i}.{part}" for i in range(2) for part in ("attention", "feed_forward")}
    found -= {"encoder.0.other", "encoder.1.other"}
    assert layers_ | {TOKENS, BIAS} <= found <= layers_ | {
        TOKENS, BIAS, DECODER, "embedding.other", "encoder.norm", "head.transform"
    }  # fmt: skip


def test_derived_groups_hold_each_part_once(naive):
    for tied in (True, False):
        model, examples = naive.problem(tied=tied)
        parts = squared_gradients(model, examples, "sequence")
        views, whole = derived(parts), sum(parts.values())
        np.testing.assert_allclose(views["embeddings"] + views["encoder"] + views["head"], whole)
        np.testing.assert_allclose(views["input"] + views["encoder"] + views["head_with_decoder"], whole)
        layers_ = views["encoder.0"] + views["encoder.1"] + parts["encoder.norm"]
        np.testing.assert_allclose(views["encoder"], layers_)
        np.testing.assert_allclose(views["output"], parts[DECODER] + parts[BIAS])
        moved = parts[DECODER] + (parts[CROSS] if tied else 0)
        np.testing.assert_allclose(views["head_with_decoder"] - views["head"], moved if tied else 0, atol=1e-18)


def test_what_cannot_be_done_is_said(naive):
    model, examples = naive.problem()
    with pytest.raises(GfmError, match="bfloat16"):
        squared_gradients(model.to(torch.bfloat16), examples)
    with pytest.raises(GfmError, match="training mode"):
        squared_gradients(model.double().train(), examples)
    with pytest.raises(GfmError, match="every window needs positions from 0 to 13"):
        MaskedTokens(examples.ids, examples.positions - 14, examples.targets, 4)
    with pytest.raises(GfmError, match="one row a window"):
        MaskedTokens(examples.ids, examples.positions[:2], examples.targets, 4)
