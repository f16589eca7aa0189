"""Counting blocks against a dictionary, and entropies of sources whose rate is known."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.entropy.blocks import block_entropies, jackknife_error, trusted
from gfm_utils.entropy.counts import block_ids, leave_one_out, multiplicities
from gfm_utils.entropy.estimators import Estimator, entropy
from gfm_utils.entropy.sources import random_markov

SEGMENTS = st.lists(st.lists(st.integers(0, 3), max_size=30), min_size=1, max_size=6)


def naive(segments, order):
    return Counter(tuple(s[i : i + order]) for s in segments for i in range(len(s) - order + 1))


def arrays(segments):
    return [np.array(s, np.uint8) for s in segments]


@given(SEGMENTS, st.integers(1, 5))
def test_blocks_equal_those_of_a_dictionary_and_never_cross_segments(segments, order):
    expected = naive(segments, order)
    counts = {ids.order: ids.counts() for ids in block_ids(arrays(segments), 4, 5)}
    assert (order in counts) == bool(expected)
    for block, times in expected.items():
        assert counts[order][int("".join(map(str, block)), 4)] == times
    if expected:  # tokens with a large vocabulary go through numbering, and give the same counts
        assert counts[order].sum() == expected.total()
        *_, numbered = block_ids([np.array(s, np.uint16) * 16_000 for s in segments], 48_001, order)
        times = numbered.counts()
        assert sorted(times[times > 0].tolist()) == sorted(expected.values())


@given(segments=SEGMENTS)
def test_leaving_out_a_chunk_equals_counting_the_rest(segments):
    for blocks in block_ids(arrays(segments), 4, 3):
        borders = np.linspace(0, len(blocks.ids), 4).astype(int)
        rests = [np.delete(blocks.ids, np.arange(*ends)) for ends in itertools.pairwise(borders)]
        expected = [multiplicities(np.bincount(rest[rest >= 0])) for rest in rests if (rest >= 0).any()]
        for one, other in zip(leave_one_out(blocks, blocks.counts(), 3), expected, strict=True):
            np.testing.assert_array_equal(one.times, other.times)
            np.testing.assert_array_equal(one.species, other.species)


def test_symbols_outside_the_alphabet_are_an_error():
    with pytest.raises(ValueError, match="between 0 and 3"):
        list(block_ids([np.array([0, 4])], 4, 1))


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=30)
    replicates = (x.sum() - x) / 29
    assert jackknife_error(replicates) == pytest.approx(x.std(ddof=1) / math.sqrt(30), rel=1e-10)


def test_conditional_entropy_of_a_markov_chain():
    source = random_markov(1, seed=2)
    rate, results = source.rate, block_entropies([source.sample(200_000, 1)], 4, 12)
    for result in results:
        if result.order > 1 and result.trusted:
            assert result.conditional == pytest.approx(rate, abs=0.012)
            assert result.conditional_se < 0.01
    second = next(r for r in results if r.order == 2 and r.estimator is Estimator.GRASSBERGER)
    assert abs(second.conditional - rate) < 4 * second.conditional_se


def test_standard_error_matches_that_of_independent_symbols():
    """Var(−log2 p(x)) / n is the variance of the estimate to first order."""
    p, n = np.array([0.5, 0.25, 0.15, 0.1]), 5000
    exact = math.sqrt((p @ np.log2(p) ** 2 - (p @ np.log2(p)) ** 2) / n)
    samples = [np.random.default_rng(s).choice(4, n, p=p).astype(np.uint8) for s in range(40)]
    found = [r.block_se for x in samples for r in block_entropies([x], 4, 1)]
    assert np.mean(found) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("n", [20_000, 200_000])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_what_is_trusted_is_right(n, exponent):
    """Sources from uniform to Zipf over growing alphabets: a trusted value errs by less than 0.03 bits."""
    rng = np.random.default_rng(5)
    checked = 0
    for size in 4 ** np.arange(1, 9):
        p = np.arange(1, size + 1.0) ** -exponent
        p /= p.sum()
        truth = -float(p @ np.log2(p))
        seen = multiplicities(rng.multinomial(n, p))
        noise = math.sqrt(float(p @ np.log2(p) ** 2) - truth**2) / math.sqrt(n)
        for estimator in Estimator:
            if trusted(seen, estimator):
                checked += 1
                assert abs(entropy(seen, estimator, size) - truth) < 0.03 + 4 * noise
        if seen.coverage < 0.9:
            assert not any(trusted(seen, e) for e in Estimator)
    assert checked >= 12


def test_a_few_symbols_are_trusted_at_no_order():
    assert not any(result.trusted for result in block_entropies([np.tile(np.arange(4), 24)], 4, 2))
    assert any(result.trusted for result in block_entropies([np.tile(np.arange(4), 25)], 4, 2))


def test_stops_after_the_allowed_number_of_untrusted_orders():
    noise = np.random.default_rng(0).integers(0, 4, 2_000).astype(np.uint8)
    results = block_entropies([noise], 4, 12, untrusted_orders=2)
    orders = sorted({r.order for r in results})
    bad = [o for o in orders if not any(r.trusted for r in results if r.order == o)]
    assert bad == orders[-2:] and orders[-1] < 12
    assert all(np.isnan(r.block_se) for r in results if not r.trusted)
