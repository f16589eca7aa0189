"""Hidden states, streamed, against all of them at once."""

from itertools import combinations

import numpy as np
import pytest
import torch

from gfm_utils.ensembles import build_model, device
from gfm_utils.measures import contextual as module
from gfm_utils.measures.contextual import clean_windows, layers_of, masked_windows
from gfm_utils.measures.geometry import linear_cka
from gfm_utils.measures.neighbours import compare_neighbours
from gfm_utils.tokens import SPECIAL

WINDOW = 64


@pytest.fixture(scope="module")
def table(measured):
    return measured("contextual_embeddings")


@pytest.fixture
def windows(trained):
    return clean_windows(trained[0].store, WINDOW, 9, seed=1)


@pytest.mark.parametrize("preset", ["bert-2x64", "roformer-2x64", "modernbert-2x64"])
def test_layers_against_all_states_at_once(trained, windows, preset, monkeypatch):
    model = build_model(preset, trained[0].store.vocabulary, WINDOW, seed=3).eval()
    monkeypatch.setattr(module, "BATCH_TOKENS", 4 * WINDOW)  # three batches
    found = layers_of(model, windows)
    with torch.inference_mode():
        made = model(input_ids=torch.from_numpy(windows.ids), output_hidden_states=True).hidden_states
        made = (*made[:-1], model.base_model(input_ids=torch.from_numpy(windows.ids)).last_hidden_state)
    assert len(made) == len(found[""]) == 3
    for layer, states in enumerate(made):
        tokens, pooled = (states.double().reshape(-1, 64).numpy(), states.double().mean(1).numpy())
        for level, vectors, kept in (("", tokens, windows.sampled), ("pooled_", pooled, windows.pooled)):
            own = found[level][layer]
            assert own.moments.count == len(vectors)
            np.testing.assert_allclose(own.sample, vectors[kept], atol=1e-5)
            expected = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))
            np.testing.assert_allclose(own.moments.spectrum(), expected, atol=1e-5 * expected.max())


def pooled_states(model, ids):
    """Means of the last layer over whole windows, one window at a time."""
    with torch.inference_mode():
        states = [model.base_model(input_ids=torch.from_numpy(row[None])).last_hidden_state[0] for row in ids]
    return np.array([state.double().numpy().mean(axis=0) for state in states])


def test_the_authors_numbers_are_those_of_masked_windows(table, trained, smoke):
    ensemble = trained[1]
    windows = clean_windows(ensemble.store, ensemble.spec.window, smoke.test_windows, 42)
    masked = masked_windows(windows, SPECIAL.index("[MASK]"))
    hidden = masked.ids == SPECIAL.index("[MASK]")
    assert hidden.mean() == pytest.approx(0.15, abs=0.03) and np.ptp(hidden.sum(1)) > 0  # token by token
    np.testing.assert_array_equal(masked.ids[~hidden], windows.ids[~hidden])
    first, second = (pooled_states(member.model(), masked.ids) for member in ensemble.members[:2])
    rows = table[(table["condition"] == ensemble.condition) & (table["state"] == "trained")]
    rows = rows[(rows["axis"] == "layer_masked") & (rows["member"] == ensemble.seeds[0])]
    own, pair = (rows[rows["other"].isna()], rows[rows["other"] == ensemble.seeds[1]])
    own, pair = (part.set_index("metric")["value"] for part in (own, pair))
    singular = np.linalg.svd(first - first.mean(0), compute_uv=False)
    share = singular[singular > 1e-6 * singular[0]] / singular.sum()
    assert own["pooled_effective_rank_authors"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)
    u, v = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (first, second))
    assert own["pooled_anisotropy_authors"] == pytest.approx(np.linalg.norm(u.mean(0)), abs=1e-5)
    assert own["pooled_anisotropy"] == pytest.approx(np.mean([x @ y for x, y in combinations(u, 2)]), abs=1e-5)
    distances = [np.linalg.norm(x - y) for x, y in combinations(first, 2)]
    assert own["pooled_pairwise_dist_std"] == pytest.approx(np.std(distances, ddof=1), rel=1e-4)
    assert pair["pooled_alignment_l2_authors"] == pytest.approx(np.mean(((u - v) ** 2).sum(1)), abs=1e-5)
    k = min(10, len(first) // 2)
    overlap = compare_neighbours([first, second], [k]).overlap[0, 0]
    shared = 2 * overlap / (1 + overlap)
    assert pair["pooled_neighbour_alignment_authors"] == pytest.approx(shared.mean(), abs=2 / (k * len(first)))
    cka = linear_cka([first, second])
    assert pair["pooled_linear_cka"] == pytest.approx(cka.cka[0, 1], abs=1e-5)
    assert pair["pooled_linear_cka_debiased"] == pytest.approx(cka.debiased[0, 1], abs=1e-4)


def test_layers_of_one_member_are_compared(table, trained, smoke):
    assert len(table[["condition", "state", "axis", "x"]].drop_duplicates()) == 2 * 2 * (3 + 3 + 1)
    assert table["value"].notna().all()
    ensemble = trained[0]
    windows = clean_windows(ensemble.store, ensemble.spec.window, smoke.test_windows, 42)
    layers = layers_of(ensemble.members[0].model("trained", device()), windows)[""]
    rows = table[(table["condition"] == ensemble.condition) & (table["state"] == "trained")]
    between = rows[(rows["x"] == "embeddings|encoder.1") & (rows["metric"] == "layer_cka")]
    expected = linear_cka([layers[0].sample, layers[2].sample]).debiased[0, 1]
    assert between.set_index("member")["value"][ensemble.seeds[0]] == pytest.approx(expected)
