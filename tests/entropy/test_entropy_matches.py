"""Match lengths against brute force, and on a sequence where the answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.entropy.matches import longest_share, match_entropies, match_lengths

SEGMENTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=4)


def brute_match_lengths(segments):
    """Λ of every position by comparing it with every earlier one."""
    starts = [(s, i) for s, segment in enumerate(segments) for i in range(len(segment))]
    found = []
    for place, (s, i) in enumerate(starts):
        best = 0
        for t, j in starts[:place]:
            pairs = zip(segments[s][i:], segments[t][j:], strict=False)
            equal = [one == other for one, other in pairs] + [False]
            best = max(best, equal.index(False))
        found.append(best + 1)
    return found


@given(SEGMENTS)
@pytest.mark.parametrize(("scale", "alphabet"), [(1, 3), (1, 4), (100, 255), (400, 1000), (40_000, 100_000)])
def test_match_lengths_equal_brute_force(scale, alphabet, segments):
    arrays = [np.array(s, np.int64) * scale for s in segments]
    if max(int(a.max()) for a in arrays) < alphabet:
        assert match_lengths(arrays, alphabet).tolist() == brute_match_lengths(segments)


def test_one_long_copy_rules_the_harmonic_form():
    """Half of the symbols are noise seen before: two bits become a hundredth, though the first half costs two."""
    noise = np.random.default_rng(2).integers(0, 4, 50_000).astype(np.uint8)
    lengths = match_lengths([np.concatenate([noise, noise])], 4)
    (harmonic, _), (arithmetic, se) = match_entropies(lengths).values()
    logs = np.log2(np.arange(2, 100_001))
    assert harmonic == pytest.approx(1 / (lengths[1:] / logs).mean(), abs=1e-12) and harmonic < 0.01
    assert arithmetic == pytest.approx((logs / lengths[1:]).mean(), abs=1e-12)
    assert arithmetic == pytest.approx(1.0, abs=0.2) and 0 < se < 0.3
    # 1 % of the positions, those with the longest matches, carry 4 % of noise; with a copy of 1 % a third and more
    assert longest_share(match_lengths([np.concatenate([noise, noise[:1_000]])], 4)) > 0.35
