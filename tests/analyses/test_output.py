import numpy as np
import pytest
import torch
from scipy import stats

from gfm_utils.analyses.output import output_moments
from gfm_utils.ensembles import masked_test_tokens
from gfm_utils.figures.select import value_of


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
    assert moments.tokens == 18
    np.testing.assert_allclose(moments.entropy[1], entropy, atol=1e-6)
    np.testing.assert_allclose(moments.nll[1], nll, atol=1e-6)
    np.testing.assert_allclose(moments.authors_kl[1], authors, atol=1e-6)
    np.testing.assert_array_equal(moments.hit[1], hits)
    np.testing.assert_allclose(moments.confidence[1], [ranks[0] for ranks in ranked], atol=1e-6)
    assert moments.ranked[1] == pytest.approx(np.mean(ranked, axis=0), abs=1e-12)


def test_uniform_and_certain_predictions():
    uniform = torch.full((1, 1, 2, 8), -np.log(8.0), dtype=torch.float64)
    certain = torch.full((1, 1, 2, 8), -torch.inf, dtype=torch.float64)
    certain[..., 3] = 0
    targets = torch.tensor([[3, 3]])
    assert output_moments(iter([(uniform, targets)])).entropy == pytest.approx(3.0)
    moments = output_moments(iter([(certain, targets)]))
    assert moments.hit.all() and not moments.entropy.any() and not moments.nll.any()


def test_table_of_real_ensembles(trained, smoke, measured):
    table = measured("predictions")
    text, dna = (ensemble.condition for ensemble in trained)
    for ensemble in trained:
        condition = ensemble.condition
        truth = masked_test_tokens(ensemble, smoke.test_windows, smoke.test_mask)
        lengths = ensemble.store.token_lengths[truth]
        for state in ("trained", "untrained"):
            nll = value_of(table, condition, "nll", state=state, unit="bits/token")
            entropy = value_of(table, condition, "output_entropy", state=state)
            kl = value_of(table, condition, "kl_from_uniform", state=state)
            assert entropy["value"] + kl["value"] == pytest.approx(np.log2(ensemble.spec.vocabulary))
            assert nll["low"] < nll["value"] < nll["high"] and nll["n"] == 3
            unit = f"bits/{ensemble.store.unit}"
            per_symbol = value_of(table, condition, "nll", state=state, unit=unit)
            # the same bits, spread over the bases or characters of the masked tokens
            assert per_symbol["value"] * lengths.sum() == pytest.approx(nll["value"] * truth.size)
            gain = value_of(table, condition, "context_gain", state=state, unit="bits/token")
            unigram = value_of(table, condition, "unigram_nll")
            assert gain["value"] == pytest.approx(unigram["value"] - nll["value"])
            code = value_of(table, condition, "window_code_nll", unit="bits/token")
            code_per_symbol = value_of(table, condition, "window_code_nll", unit=unit)
            assert code["n"] == unigram["n"] == truth.size
            assert code_per_symbol["value"] * lengths.sum() == pytest.approx(code["value"] * truth.size)
            for side in ("left", "both"):
                order = value_of(table, condition, "ngram_order", axis="sides", x=side)["value"]
                assert order in range(1, 9)
                for each in ("bits/token", unit):
                    level = value_of(table, condition, "ngram_nll", axis="sides", x=side, unit=each)
                    gain = value_of(
                        table, condition, "context_gain", state=state, unit=each, axis="against", x=side
                    )
                    loss = value_of(table, condition, "nll", state=state, unit=each)
                    assert gain["value"] == pytest.approx(level["value"] - loss["value"], abs=1e-6)
            for metric in ("nll", "output_entropy", "context_gain"):
                for each in ("bits/token", unit):
                    over = value_of(
                        table, condition, metric, state=state, unit=each, axis="interval_over", x="sequences"
                    )
                    mean = value_of(table, condition, metric, state=state, unit=each)["value"]
                    assert over["value"] == pytest.approx(mean, abs=1e-5) and over["low"] < mean < over["high"]
            error = value_of(table, condition, "expected_calibration_error", state=state)
            assert 0 < error["value"] < 1
        ranks = table[(table["metric"] == "rank_probability") & (table["condition"] == condition)]
        assert ranks["value"].between(0, 1).all()
    # words follow each other by a rule that pairs of tokens show, bases do not
    text_level = value_of(table, text, "ngram_nll", axis="sides", x="left", unit="bits/token")["value"]
    assert text_level < value_of(table, text, "unigram_nll", unit="bits/token")["value"] - 0.5
    assert value_of(table, dna, "ngram_order", axis="sides", x="left")["value"] == 1
    assert value_of(table, dna, "nll", state="trained", unit="bits/base")["value"] < 2.6
    # independent bases, 0.35 A and T, 0.15 C and G, have 1.88 bits; a code has to learn that
    assert 1.86 < value_of(table, dna, "window_code_nll", unit="bits/base")["value"] < 1.93
    assert "bits/character" in set(table.loc[table["condition"] == text, "unit"])
