"""Exact squares of gradients against the naive loop, and what they are added up to."""

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertForMaskedLM, EsmConfig, EsmForMaskedLM

from gfm_utils.ensembles import PRESETS, build_model
from gfm_utils.errors import GfmError
from gfm_utils.measures.fisher import fisher_types, layers
from gfm_utils.measures.fisher.fisher_types import gram_matrix, squared_gradients
from gfm_utils.measures.fisher.groups import BIAS, CROSS, DECODER, TOKENS, derived, groups_of

KNOWN = ("modernbert-2x64", "bert-2x64")
per_both = pytest.mark.parametrize("per", ["sequence", "token"])
tied_or_not = pytest.mark.parametrize("tied", [True, False])
every_way = pytest.mark.parametrize("preset", [*KNOWN, "roformer-2x64"])


@tied_or_not
@per_both
@every_way
@pytest.mark.parametrize("scaled", [False, True])
def test_against_the_naive_loop(naive, preset, tied, per, scaled, monkeypatch, capsys):
    """Gradients that are multiplied by their parameters are formed in several blocks."""
    monkeypatch.setattr(layers, "BUDGET", 2000)
    model, examples = naive.problem(preset, tied)
    truth = naive.squares(model, examples.apart() if per == "token" else examples, scaled)
    assert (CROSS in truth) == tied
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        ours = squared_gradients(model.to(dtype), examples, per, scaled)
        assert set(ours) == set(truth)
        for group, values in ours.items():
            np.testing.assert_allclose(values.ravel(), truth[group], tolerance, tolerance * 1e-2, err_msg=group)
    assert ("RoFormerForMaskedLM has no fast way" in capsys.readouterr().err) == (preset not in KNOWN)


@tied_or_not
@every_way
def test_the_gram_matrix_is_that_of_the_loop(naive, preset, tied, monkeypatch):
    model, examples = naive.problem(preset, tied)
    monkeypatch.setattr(layers, "BUDGET", 2000)
    rows = [torch.cat([value.flatten() for value in row.values()]) for row in naive.loop(model, examples)]
    flat = torch.stack(rows)
    np.testing.assert_allclose(gram_matrix(model, examples), (flat @ flat.T).numpy(), rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize(("t", "i", "o"), [(1, 3, 4), (9, 2, 3), (2, 8, 9)])
def test_every_form_of_a_product_gives_its_squares(t, i, o):
    """One position; the matrix formed; Gram matrices."""
    torch.manual_seed(0)
    inputs, gradients = torch.randn(2, t, i), torch.randn(2, t, o)
    squares = layers.Product(inputs, gradients).squares()
    torch.testing.assert_close(squares, (gradients.mT @ inputs).square().sum((1, 2)))


@per_both
def test_neither_batch_size_nor_order_matters(naive, per, monkeypatch):
    model, examples = naive.problem(n=5)
    whole = squared_gradients(model, examples, per)
    monkeypatch.setattr(fisher_types, "BUDGET", 1)
    order = torch.tensor([3, 1, 4, 0, 2])
    single = squared_gradients(model, examples[order], per)
    for group, values in whole.items():
        np.testing.assert_allclose(single[group], values[order.numpy()], rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("failing", [True, False])
@pytest.mark.parametrize("preset", ["modernbert-2x64", "roformer-2x64"])
def test_the_model_is_left_as_it_was(naive, preset, failing):
    model, examples = naive.problem(preset)
    next(model.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = [value.requires_grad for value in model.parameters()]
    if failing:
        head = model.head if preset.startswith("modern") else model.cls.predictions.transform
        handle = head.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            squared_gradients(model, examples)
        handle.remove()
    else:
        squared_gradients(model, examples)
    assert [value.requires_grad for value in model.parameters()] == wanted
    assert all(value.grad is None for value in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def others():
    small = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    yield EsmForMaskedLM(EsmConfig(**small, intermediate_size=8, pad_token_id=1, mask_token_id=2))
    yield DistilBertForMaskedLM(DistilBertConfig(vocab_size=11, dim=8, n_layers=2, n_heads=2, hidden_dim=8))


@pytest.mark.parametrize("model", [*others(), *(build_model(name, 21, 14, 1) for name in PRESETS if "2x" in name)],
                         ids=lambda model: type(model).__name__)  # fmt: skip
def test_every_parameter_has_one_group(model):
    groups = groups_of(model)
    assert list(groups) == [name for name, _ in model.named_parameters()]
    for name, group in groups.items():  # ESM has a norm in each layer that is neither
        assert group == "embedding.other" or not group.endswith(".other") or ".LayerNorm." in name, name
    known = {f"encoder.{i}.{part}" for i in range(2) for part in ("attention", "feed_forward")} | {TOKENS, BIAS}
    more = {"encoder.0.other", "encoder.1.other", DECODER, "embedding.other", "encoder.norm", "head.transform"}
    assert known <= set(groups.values()) <= known | more


@tied_or_not
def test_derived_groups_hold_each_part_once(naive, tied):
    parts = squared_gradients(*naive.problem(tied=tied), "sequence")
    views, whole = derived(parts), sum(parts.values())
    moved = parts[DECODER] + parts[CROSS] if tied else 0
    for total, groups in {
        "whole": ("embeddings", "encoder", "head"), "with decoder": ("input", "encoder", "head_with_decoder"),
        "encoder": ("encoder.0", "encoder.1", "encoder.norm"), "output": (DECODER, BIAS),
    }.items():  # fmt: skip
        added = sum(
            (views | {name: parts[name] for name in ("encoder.norm", DECODER, BIAS)})[name] for name in groups
        )
        np.testing.assert_allclose(added, views.get(total, whole))
    np.testing.assert_allclose(views["head_with_decoder"] - views["head"], moved, atol=1e-18)


@pytest.mark.parametrize(("change", "message"), [("bfloat16", "bfloat16"), ("train", "training mode")])
def test_what_cannot_be_done_is_said(naive, change, message):
    model, examples = naive.problem()
    with pytest.raises(GfmError, match=message):
        squared_gradients(getattr(model, change)(), examples)
