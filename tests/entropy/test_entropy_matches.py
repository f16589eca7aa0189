"""Match lengths against brute force, and on sources where the answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.entropy.matches import Matching, match_entropies, match_lengths

SEGMENTS = st.lists(st.lists(st.integers(0, 2), max_size=40), min_size=1, max_size=4)


def brute_match_lengths(segments):
    """Λ of every position by comparing it with every earlier one."""
    starts = [(s, i) for s, segment in enumerate(segments) for i in range(len(segment))]
    found = []
    for place, (s, i) in enumerate(starts):
        best = 0
        for t, j in starts[:place]:
            common = 0
            while (
                i + common < len(segments[s])
                and j + common < len(segments[t])
                and segments[s][i + common] == segments[t][j + common]
            ):
                common += 1
            best = max(best, common)
        found.append(best + 1)
    return found


@given(SEGMENTS)
@pytest.mark.parametrize(("scale", "alphabet"), [(1, 3), (1, 4), (100, 255), (400, 1000), (40_000, 100_000)])
def test_match_lengths_equal_brute_force(scale, alphabet, segments):
    arrays = [np.array(s, np.int64) * scale for s in segments]
    if max((int(a.max(initial=0)) for a in arrays), default=0) < alphabet:
        assert match_lengths(arrays, alphabet).tolist() == brute_match_lengths(segments)


def test_the_two_averages_and_their_order():
    noise = np.random.default_rng(0).integers(0, 4, 3_000).astype(np.uint8)
    harmonic, arithmetic = match_entropies([noise], 4)
    lengths = match_lengths([noise], 4)[1:]
    logs = [math.log2(i) for i in range(2, 3_001)]
    assert harmonic.estimator is Matching.HARMONIC and arithmetic.estimator is Matching.ARITHMETIC
    assert harmonic.value == pytest.approx(
        2_999 / sum(x / y for x, y in zip(lengths, logs, strict=True)), abs=1e-10
    )
    assert arithmetic.value == pytest.approx(
        sum(y / x for x, y in zip(lengths, logs, strict=True)) / 2_999, abs=1e-10
    )
    assert harmonic.value < arithmetic.value
    assert match_entropies([np.zeros(10_000, np.uint8)], 4)[0].value < 0.01


def test_one_long_copy_rules_the_harmonic_form():
    """Half of the symbols are noise seen before: two bits become a hundredth, though the first half costs two."""
    noise = np.random.default_rng(2).integers(0, 4, 50_000).astype(np.uint8)
    harmonic, arithmetic = match_entropies([np.concatenate([noise, noise])], 4)
    assert harmonic.value < 0.01
    assert arithmetic.value == pytest.approx(1.0, abs=0.2)
    # 1 % of the positions, those with the longest matches, carry 4 %; with a copy of 1 % they carry nearly all
    short = np.concatenate([noise, noise[:1_000]])
    assert match_entropies([short], 4)[0].longest_share > 0.35


def test_bad_input():
    with pytest.raises(ValueError, match="between 0 and 3"):
        match_lengths([np.array([4])], 4)
    assert match_lengths([np.zeros(0, np.uint8)], 4).size == 0
