"""Sources against linear algebra, iteration and their own samples; the calibration's numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfm_utils.entropy.calibration import calibrate, rate_estimates
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.entropy.rows import EXTRA
from gfm_utils.entropy.sources import (
    dirichlet,
    markov,
    near_deterministic,
    random_markov,
    repeats,
    row_entropies,
    uniform,
    zipf,
)
from gfm_utils.figures import nsb_overview
from gfm_utils.tables import COLUMNS


def stepped(p, rows):
    """One step of the chain over contexts, by a loop."""
    size, alphabet = rows.shape
    after = np.zeros(size)
    for context in range(size):
        for symbol in range(alphabet):
            after[(context * alphabet + symbol) % size] += p[context] * rows[context, symbol]
    return after


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(2, 4), st.integers(0, 1000))
def test_the_stationary_distribution_by_linear_algebra(order, alphabet, seed):
    source = random_markov(order, alphabet, seed)
    assert stepped(source.contexts, source.rows) == pytest.approx(source.contexts, abs=1e-14)
    step = np.array([stepped(context, source.rows) for context in np.eye(alphabet**order)])
    left = np.linalg.svd(step.T - np.eye(len(step)))[2][-1]
    assert source.rate == pytest.approx(float(left / left.sum() @ row_entropies(source.rows)), abs=1e-9)


def test_closed_forms():
    assert uniform().rate == pytest.approx(2.0, abs=1e-14)
    assert near_deterministic(0.01).rate == pytest.approx(
        -0.99 * math.log2(0.99) - 0.01 * math.log2(0.01 / 3), abs=1e-12
    )
    assert repeats(100, 0.05).rate == pytest.approx(near_deterministic(0.05).rate, abs=1e-12)
    two = markov("two", np.array([[0.9, 0.1], [0.4, 0.6]]), 1)
    assert two.contexts == pytest.approx([0.8, 0.2], abs=1e-14)
    p = np.arange(1, 4097.0) ** -1 / np.sum(1 / np.arange(1, 4097.0))
    assert zipf(4096).rate == pytest.approx(-float(p @ np.log2(p)), abs=1e-10)


@pytest.mark.parametrize(
    "source",
    [random_markov(2), random_markov(1, 256), zipf(1000), dirichlet(300), near_deterministic(), repeats(500)],
)
def test_samples(source):
    sample = source.sample(2**20 + 500, 7)
    assert int(sample.max()) < source.alphabet
    np.testing.assert_array_equal(sample[:1000], source.sample(1000, 7))
    assert (sample[:1000] != source.sample(1000, 8)).any()
    if source.period:
        copies = sample[: 500 * 2000].reshape(2000, 500)
        share = np.mean(copies[1:] != copies[:-1])  # two independent substitutions that do not agree
        assert share == pytest.approx(1 - 0.95**2 - 0.05**2 / 3, abs=0.002)
        return
    size = len(source.contexts)
    contexts = np.zeros(len(sample) - source.order, np.int64)
    for i in range(source.order):
        contexts = contexts * source.alphabet + sample[i : len(contexts) + i]
    seen = np.bincount(contexts, minlength=size) / len(contexts)
    assert np.abs(seen - source.contexts).max() < 0.01
    likely = int(source.contexts.argmax())
    after = sample[source.order :][contexts == likely]
    row = np.bincount(after, minlength=source.alphabet) / len(after)
    assert np.abs(row - source.rows[likely]).max() < 0.02


@pytest.mark.parametrize(
    ("order", "size", "error"), [(3, 10**6, 0.002), pytest.param(8, 10**7, 0.003, marks=pytest.mark.slow)]
)
def test_many_symbols_give_the_rate(order, size, error):
    source = random_markov(order)
    for name, value, _ in rate_estimates(source.sample(size, 1), source, 0):
        if (order == 3 and name != Estimator.PLUGIN) or name in (Estimator.GRASSBERGER, Estimator.NSB):
            assert value == pytest.approx(source.rate, abs=error)


@pytest.fixture(scope="module")
def calibrated():
    return calibrate([random_markov(1), dirichlet(4096)], (500, 2000), repeats=4)


def test_the_calibration_keeps_the_contract(calibrated):
    assert list(calibrated.columns) == [*COLUMNS, *EXTRA]
    bias = calibrated[calibrated["metric"] == "entropy_bias"]
    assert len(bias) == 2 * (2 * (len(Estimator) + len(Matching)) + 2)  # two mixers for four letters
    mixers = bias[bias["kind"] == "upper bound"]
    assert set(mixers["condition"]) == {"markov_1"} and (mixers["value"] > 0).all()
    assert set(bias["x"]) == {"500", "2000"} and set(bias["axis"]) == {"symbols"}
    assert (calibrated["metric"] == "entropy_rate").sum() == 2
    wide = calibrated.pivot_table(
        index=["condition", "x", "estimator"], columns="metric", values="value", observed=True
    ).dropna(subset="entropy_bias")
    again = np.sqrt(wide["entropy_bias"] ** 2 + wide["entropy_spread"] ** 2 * 3 / 4)
    np.testing.assert_allclose(wide["entropy_rmse"], again, rtol=1e-9)


def test_nsb_is_ahead_on_dirichlet_sources(calibrated):
    found = nsb_overview(calibrated).data
    drawn = found[found["source"].str.startswith("dirichlet")]
    assert len(found) == 4 and (drawn["ratio"].astype(float) > 1.5).all()


def test_codes_see_the_repeats_that_counts_do_not():
    table = calibrate([repeats(1000)], (20_000,), repeats=2, slow_symbols=20_000)
    bias = table[table["metric"] == "entropy_bias"].set_index("estimator")["value"]
    assert 0 < bias["context_mixing"] < 0.3 < bias["context_mixing_repeat_free"]
    bytes_ = calibrate([random_markov(1, 256)], (3_000,), repeats=1)
    assert set(bytes_.loc[bytes_["kind"] == "upper bound", "estimator"]) == {"ppmd"}
    assert bytes_.loc[bytes_["metric"] == "entropy_spread", "value"].isna().all()
