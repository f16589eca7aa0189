"""Output distributions and calibration, against plain loops and by identities of real tables."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from gfm_utils.ensembles import masked_test_tokens
from gfm_utils.figures.select import value_of
from gfm_utils.measures.output import BINS, output_moments, reliability


def batch(members=2, windows=4, masked=3, vocabulary=11, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(vocabulary, 0.3), (members, windows, masked))
    return torch.from_numpy(np.log(p)), torch.from_numpy(rng.integers(0, vocabulary, (windows, masked)))


def test_moments_against_a_plain_loop():
    batches = [batch(seed=0), batch(windows=2, seed=1)]
    moments = output_moments(iter(batches))
    entropy, nll, authors, hits, ranked = [], [], [], [], []
    for log_p, targets in batches:
        for window in range(log_p.shape[1]):
            for place in range(log_p.shape[2]):
                p = log_p[1, window, place].exp().numpy()
                truth = int(targets[window, place])
                entropy.append(stats.entropy(p, base=2))
                authors.append(stats.entropy(np.full(11, 1 / 11), p, base=2))
                nll.append(-np.log2(p[truth]))
                hits.append(p.argmax() == truth)
                ranked.append(sorted(p, reverse=True))
    assert moments.hit.shape[1] == 18
    np.testing.assert_allclose(moments.entropy[1], entropy, atol=1e-6)
    np.testing.assert_allclose(moments.nll[1], nll, atol=1e-6)
    np.testing.assert_allclose(moments.authors_kl[1], authors, atol=1e-6)
    np.testing.assert_array_equal(moments.hit[1], hits)
    np.testing.assert_allclose(moments.confidence[1], [ranks[0] for ranks in ranked], atol=1e-6)
    assert moments.ranked[1] == pytest.approx(np.mean(ranked, axis=0), abs=1e-12)


def test_table_of_real_ensembles(trained, smoke, measured):
    """Identities between its numbers, of each condition, state and unit."""
    table = measured("predictions")
    text, dna = (ensemble.condition for ensemble in trained)
    for ensemble, state in product(trained, ("trained", "untrained")):

        def value(metric, state=state, condition=ensemble.condition, **where):
            return value_of(table, condition, metric, **({"state": state} if state else {}), **where)["value"]

        truth = masked_test_tokens(ensemble, smoke.test_windows, smoke.test_mask)
        per_token = ensemble.store.token_lengths[truth].mean()
        entropy = value("output_entropy", unit="bits/token")
        assert entropy + value("kl_from_uniform") == pytest.approx(np.log2(ensemble.spec.vocabulary))
        for unit, symbols in (("bits/token", 1), (f"bits/{ensemble.store.unit}", per_token)):
            # the same bits, spread over the bases or characters of the masked tokens
            for metric in ("nll", "unigram_nll", "window_code_nll"):
                state_of = state if metric == "nll" else None
                bits = value(metric, state_of, unit="bits/token")
                assert value(metric, state_of, unit=unit) * symbols == pytest.approx(bits)
            loss = value("nll", unit=unit)
            gain = value("unigram_nll", None, unit=unit) - loss
            assert value("context_gain", unit=unit) == pytest.approx(gain)
            for side in ("left", "both"):
                level = value("ngram_nll", None, axis="sides", x=side, unit=unit)
                beyond = value("context_gain", unit=unit, axis="against", x=side)
                assert beyond == pytest.approx(level - loss, abs=1e-6)
            for metric in ("nll", "output_entropy", "context_gain"):
                at = {"state": state, "unit": unit, "axis": "interval_over", "x": "sequences"}
                over, mean = value_of(table, ensemble.condition, metric, **at), value(metric, unit=unit)
                assert over["value"] == pytest.approx(mean, abs=1e-5) and over["low"] < mean < over["high"]
        assert 0 < value("expected_calibration_error") < 1
        assert value_of(table, ensemble.condition, "unigram_nll", unit="bits/token")["n"] == truth.size
    # words follow each other by a rule that pairs of tokens show, bases do not
    text_level = value_of(table, text, "ngram_nll", axis="sides", x="left", unit="bits/token")["value"]
    assert text_level < value_of(table, text, "unigram_nll", unit="bits/token")["value"] - 0.5
    assert value_of(table, dna, "ngram_order", axis="sides", x="left")["value"] == 1
    assert value_of(table, dna, "nll", state="trained", unit="bits/base")["value"] < 2.6
    # independent bases, 0.35 A and T, 0.15 C and G, have 1.88 bits; a code has to learn that
    assert 1.86 < value_of(table, dna, "window_code_nll", unit="bits/base")["value"] < 1.93


def test_error_against_a_plain_loop():
    rng = np.random.default_rng(0)
    confidence = rng.random(1000)
    hit = rng.random(1000) < confidence**2
    error, chance, bins = reliability(confidence, hit)
    order, expected = np.argsort(confidence), 0.0
    for part in np.split(order, np.linspace(0, 1000, BINS + 1).round().astype(int)[1:-1]):
        expected += len(part) / 1000 * abs(hit[part].mean() - confidence[part].mean())
    assert error == pytest.approx(expected)
    assert bins[2].sum() == 1000 and bins.shape == (3, BINS)
    assert error > 3 * chance  # a model that overstates its case


def test_a_calibrated_models_error_by_simulation():
    rng = np.random.default_rng(0)
    confidence = rng.beta(1, 6, 2000)
    errors = [reliability(confidence, rng.random(2000) < confidence)[0] for _ in range(200)]
    assert np.mean(errors) == pytest.approx(reliability(confidence, confidence < 0)[1], rel=0.05)
