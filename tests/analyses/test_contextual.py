"""Hidden states, streamed, against all of them at once."""

import numpy as np
import pytest
import torch

from gfm_utils.analyses import contextual as module
from gfm_utils.analyses.alignment import linear_cka
from gfm_utils.analyses.contextual import clean_windows, contextual_embeddings, layers_of
from gfm_utils.ensembles import build_model, device

WINDOW = 64


@pytest.fixture(scope="module")
def table(trained, smoke):
    return contextual_embeddings(trained, smoke)


@pytest.fixture
def windows(trained):
    return clean_windows(trained[0].store, WINDOW, 9, seed=1)


def test_the_sample_is_seeded_and_names_different_tokens(trained, windows):
    again = clean_windows(trained[0].store, WINDOW, 9, seed=1)
    np.testing.assert_array_equal(windows.sampled, again.sampled)
    assert windows.ids.shape == (9, WINDOW)
    ids = windows.ids.ravel()[windows.sampled]
    different = ids[windows.different]
    assert len(set(different)) == len(different) == len(set(ids))


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
        tokens, pooled = (
            states.double().reshape(-1, 64).numpy(),
            states.double().mean(1).numpy(),
        )
        for level, vectors, kept in (
            ("", tokens, windows.sampled),
            ("pooled_", pooled, windows.pooled),
        ):
            own = found[level][layer]
            assert own.moments.count == len(vectors)
            np.testing.assert_allclose(own.sample, vectors[kept], atol=1e-5)
            expected = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))
            np.testing.assert_allclose(own.moments.spectrum(), expected, atol=1e-5 * expected.max())


def test_every_metric_at_every_layer(table, trained):
    layers = {"embeddings", "encoder.0", "encoder.1"}
    own = {"effective_rank", "participation_ratio", "anisotropy", "uniformity"}
    shared = {
        "linear_cka", "linear_cka_debiased", "neighbour_alignment", "neighbour_alignment_chance",
        "neighbour_alignment_corrected",
    }  # fmt: skip
    for state in ("trained", "untrained"):
        for ensemble in trained:
            rows = table[(table["state"] == state) & (table["condition"] == ensemble.condition)]
            for layer in layers:
                here = rows[(rows["axis"] == "layer") & (rows["x"] == layer)]
                assert set(here["metric"]) == {f"{level}{m}" for m in own | shared for level in ("", "pooled_")}
            between = rows[rows["axis"] == "layers"]
            assert set(between["x"]) == {
                "embeddings|encoder.0",
                "embeddings|encoder.1",
                "encoder.0|encoder.1",
            }
    assert table["value"].notna().all()


def test_numbers_are_those_of_the_states(table, trained, smoke):
    ensemble = trained[0]
    windows = clean_windows(ensemble.store, ensemble.spec.window, smoke.test_windows)
    first, second = (layers_of(member.model("trained", device()), windows)[""] for member in ensemble.members[:2])
    rows = table[(table["condition"] == ensemble.condition) & (table["state"] == "trained")]
    seeds = ensemble.seeds
    at = rows[(rows["x"] == "encoder.1") & (rows["member"] == seeds[0])].set_index(["metric", "other"])["value"]
    cka = linear_cka([first[2].sample, second[2].sample])
    assert at["linear_cka", seeds[1]] == pytest.approx(cka.cka[0, 1])
    assert at["linear_cka_debiased", seeds[1]] == pytest.approx(cka.debiased[0, 1])
    between = rows[(rows["x"] == "embeddings|encoder.1") & (rows["metric"] == "layer_cka")]
    expected = linear_cka([first[0].sample, first[2].sample]).debiased[0, 1]
    assert between.set_index("member")["value"][seeds[0]] == pytest.approx(expected)
