import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.analyses.output import BINS, reliability


def test_error_against_a_plain_loop():
    rng = np.random.default_rng(0)
    confidence = rng.random(1000)
    hit = rng.random(1000) < confidence**2
    found = reliability(confidence, hit)
    order, expected = np.argsort(confidence), 0.0
    for part in np.split(order, np.linspace(0, 1000, BINS + 1).round().astype(int)[1:-1]):
        expected += len(part) / 1000 * abs(hit[part].mean() - confidence[part].mean())
    assert found.error == pytest.approx(expected)
    assert found.tokens.sum() == 1000 and len(found.tokens) == BINS
    assert found.error > 3 * found.chance  # a model that overstates its case


def test_a_calibrated_models_error_by_simulation():
    rng = np.random.default_rng(0)
    confidence = rng.beta(1, 6, 2000)
    errors = [reliability(confidence, rng.random(2000) < confidence).error for _ in range(200)]
    assert np.mean(errors) == pytest.approx(reliability(confidence, confidence < 0).chance, rel=0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_error_is_a_share_and_bins_hold_equally_many(pairs):
    found = reliability(*zip(*pairs, strict=True))
    assert 0 <= found.error <= 1 and 0 <= found.chance <= 1
    assert np.ptp(found.tokens) <= 1
    assert (np.diff(found.confidence) >= -1e-12).all()
