import pytest
import torch

from gfm_utils.ensembles import PRESETS, build_model, masked_logits, without_layers
from gfm_utils.ensembles.presets import parameters_of


def test_the_papers_models_have_the_papers_sizes():
    for name, millions in (("bert-4m", 4), ("bert-20m", 20), ("bert-90m", 90)):
        with torch.device("meta"):
            model = build_model(name, 4101, 512, 1, dropout=0.1)
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.15)
        assert model.config.hidden_dropout_prob == 0.1


@pytest.mark.parametrize("name", ["modernbert-2x64", "bert-4m", "bert-2x64", "roformer-2x64", "bert-0x64"])
def test_masked_logits_are_the_models_own_and_so_are_their_gradients(name):
    model = build_model(name, 69, 32, 1).double()
    ids = torch.randint(0, 69, (3, 32), generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[0, 5], [1, 31], [7, 8]])
    full = model(input_ids=ids).logits
    theirs = torch.stack([full[row, positions[row]] for row in range(3)])
    ours = masked_logits(model, ids, positions)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    of_theirs, of_ours = (
        torch.autograd.grad(logits.logsumexp(-1).sum(), weights, allow_unused=True) for logits in (theirs, ours)
    )
    for one, other in zip(of_theirs, of_ours, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "alone"), [("bert-0x64", True), ("bert-2x64", False)])
def test_without_layers_no_prediction_depends_on_another_token(name, alone):
    model, generator = build_model(name, 69, 32, 1).eval(), torch.Generator().manual_seed(0)
    ids, others = (torch.randint(5, 69, (3, 32), generator=generator) for _ in range(2))
    positions = torch.tensor([[0, 5], [1, 31], [7, 8]])
    one, other = (masked_logits(model, tokens.scatter(1, positions, 4), positions) for tokens in (ids, others))
    assert torch.equal(one, other) == alone


def test_every_preset_has_one_as_wide_without_layers():
    for name, shape in PRESETS.items():
        bare = PRESETS[without_layers(name)]
        assert (bare.layers, bare.hidden) == (0, shape.hidden)
    transformer = build_model("bert-2x64", 69, 32, 1).bert.encoder
    whole, bare = (parameters_of(name, 69, 32) for name in ("bert-2x64", "bert-0x64"))
    assert whole - bare == sum(parameter.numel() for parameter in transformer.parameters())


def test_the_seed_decides_the_weights_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (build_model("modernbert-2x64", 69, 32, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    weights = [model.get_input_embeddings().weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
