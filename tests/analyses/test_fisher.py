import numpy as np
import pytest
import torch
from torch.nn import functional

from gfm_utils import tables
from gfm_utils.analyses import fisher_information
from gfm_utils.analyses.fisher import fisher_rows, group_of, squared_gradients
from gfm_utils.ensembles import build_model, masked_logits
from gfm_utils.figures.select import value_of

PRESETS = ("modernbert-2x64", "bert-4m")


def problem(preset, n=3, window=12, masked=4, dtype=torch.float64):
    model = build_model(preset, 21, window, 1).eval().to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():  # biases and norms start at 0 and 1: move them
            value += 0.05 * torch.randn(value.shape, generator=generator, dtype=dtype)
    ids = torch.randint(0, 21, (n, window), generator=generator)  # with repeats, [PAD] and [MASK]
    positions = torch.stack([torch.randperm(window, generator=generator)[:masked] for _ in range(n)])
    targets = torch.randint(5, 21, (n, masked), generator=generator)
    model.set_attn_implementation("eager")  # ours is: it takes its softmax in float32, whatever the weights are
    return model, ids, positions, targets


def loop(model, ids, positions, targets):
    """Group -> squared gradient of each sequence, one plain backward pass a sequence."""
    sums = []
    for row in range(len(ids)):
        model.zero_grad()
        logits = masked_logits(model, ids[row : row + 1], positions[row : row + 1])
        functional.cross_entropy(logits[0], targets[row]).backward()
        groups = {}
        for name, value in model.named_parameters():
            group = group_of(f"model.{name}")
            groups[group] = groups.get(group, 0.0) + float(value.grad.square().sum())
        sums.append(groups)
    return {group: np.array([groups[group] for groups in sums]) for group in sums[0]}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_against_a_backward_pass_a_sequence(preset, dtype, tolerance):
    model, *data = problem(preset, dtype=dtype)
    ours, expected = squared_gradients(model, *data), loop(model, *data)
    for group, values in expected.items():
        np.testing.assert_allclose(ours[group], values, rtol=tolerance)
    assert set(ours) == set(expected) | {"embeddings.input", "embeddings.output", "embeddings.cross"}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_two_paths_are_those_of_an_untied_copy(preset):
    model, *data = problem(preset)
    tied = squared_gradients(model, *data)
    decoder = model.get_output_embeddings()
    decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
    untied = squared_gradients(model, *data)
    assert "embeddings.input" not in untied
    np.testing.assert_allclose(
        tied["embeddings"],
        untied["embeddings"] + tied["embeddings.output"] + tied["embeddings.cross"],
        rtol=1e-10,
    )
    np.testing.assert_allclose(untied["head"], tied["head"] + tied["embeddings.output"], rtol=1e-10)


def test_output_path_has_its_closed_form():
    """|∂L/∂W|² = |a|² |p - onehot|² for one masked token with hidden state a."""
    model, ids, positions, targets = problem("modernbert-2x64", masked=1)
    with torch.no_grad():
        hidden = model.model(input_ids=ids).last_hidden_state
        a = model.head(hidden[torch.arange(3), positions[:, 0]])
        error = model.decoder(a).softmax(-1)
        error[torch.arange(3), targets[:, 0]] -= 1
    expected = (a.square().sum(1) * error.square().sum(1)).numpy()
    ours = squared_gradients(model, ids, positions, targets)["embeddings.output"]
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_neither_batch_size_nor_order_matters(monkeypatch):
    model, *data = problem("modernbert-2x64", n=5)
    whole = squared_gradients(model, *data)
    monkeypatch.setattr("gfm_utils.analyses.fisher.BUDGET", 1)
    order = torch.tensor([3, 1, 4, 0, 2])
    single = squared_gradients(model, *(tensor[order] for tensor in data))
    for group, values in whole.items():
        np.testing.assert_allclose(single[group], values[order.numpy()], rtol=1e-10)


def test_the_model_is_left_as_it_was(monkeypatch):
    model, ids, positions, targets = problem("bert-4m")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.set_attn_implementation("sdpa")
    with pytest.raises((IndexError, RuntimeError)):
        squared_gradients(model, ids, positions, targets + 100)
    squared_gradients(model, ids, positions, targets)
    assert model.config._attn_implementation == "sdpa"
    assert all(value.requires_grad and value.grad is None for value in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_has_one_group(preset):
    model = build_model(preset, 21, 12, 1)
    groups = {name: group_of(f"model.{name}") for name, _ in model.named_parameters()}
    layers = {f"encoder.{i}" for i in range(model.config.num_hidden_layers)}
    norm = {"encoder.norm"} if preset.startswith("modernbert") else set()
    assert set(groups.values()) == layers | norm | {"embeddings", "head"}
    assert all(("embeddings" in name) == (group == "embeddings") for name, group in groups.items())


def test_shares_add_up_and_the_encoder_is_its_layers(trained, smoke):
    table = fisher_information(trained, smoke)
    for ensemble in trained:
        for state in ("trained", "untrained"):

            def share(group, condition=ensemble.condition, state=state):
                return value_of(table, condition, "fisher_share", state=state, axis="group", x=group)["value"]

            assert share("embeddings") + share("encoder") + share("head") == pytest.approx(1)
            layers = [share("encoder.0"), share("encoder.1"), share("encoder.norm")]
            assert share("encoder") == pytest.approx(sum(layers))


def test_rows_of_known_traces():
    traces = [{"embeddings": 2.0, "embeddings.input": 1.0, "encoder.0": 1.0, "encoder.1": 1.0, "head": 4.0}] * 3
    table = tables.table(fisher_rows({"condition": "c", "state": "s", "axis": "group"}, [1, 2, 3], traces, 7))
    assert value_of(table, "c", "fisher_share", axis="group", x="encoder")["value"] == pytest.approx(0.25)
    assert value_of(table, "c", "fisher_trace", axis="group", x="head")["value"] == pytest.approx(4)
    assert set(table.loc[table["member"].notna(), "n"]) == {7}
