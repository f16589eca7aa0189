"""Parts of the DNA mixer against plain Python."""

import shutil
from pathlib import Path

import numba
import numpy as np
import pytest

from gfm_utils.entropy import dna_mixing
from gfm_utils.entropy.dna_mixing import kernel
from gfm_utils.entropy.dna_mixing.coding import new_model
from gfm_utils.entropy.dna_mixing.compiling import sources_digest
from gfm_utils.entropy.dna_mixing.maps import new_maps
from gfm_utils.entropy.dna_mixing.numerics import (
    exponential,
    leading_zeros,
    mirrored,
    mismatches,
    natural_log,
    ones,
)
from gfm_utils.entropy.dna_mixing.seeds import find_seeds, misses_before, new_seeds, remember_word
from gfm_utils.entropy.dna_mixing.settings import SETTINGS, Mode


def strands(codes):
    """The last 32 bases in two words, as the kernel keeps them."""
    past = reverse = 0
    for base in codes:
        past = (past << 2 | int(base)) & (1 << 64) - 1
        reverse = reverse >> 2 | (3 - int(base)) << 62
    return np.uint64(past), np.uint64(reverse)


@numba.njit
def of_words(words):
    return [(ones(word), leading_zeros(word), mirrored(word)) for word in words]


@numba.njit
def of_floats(function, values):
    return np.array([function(value) for value in values])


def test_bits():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 4, 32), rng.integers(0, 4, 32)
        found = int(mismatches(strands(one)[0], strands(other)[0]))
        assert [found >> (31 - i) & 1 for i in range(32)] == (one != other).astype(int).tolist()
    words = np.array([0, 1, 2**31, 2**32 - 1, 0x00F1_2001], np.uint32)
    for word, (count, zeros, turned) in zip(words.tolist(), of_words(words), strict=True):
        assert count == word.bit_count()
        assert zeros == 32 - word.bit_length()
        assert turned == int(f"{word:032b}"[::-1], 2)


def test_logarithm_and_exponential():
    x = np.geomspace(1e-30, 1e5, 3001).astype(np.float32)
    np.testing.assert_allclose(of_floats(natural_log, x), np.log(x), rtol=3e-7, atol=3e-6)
    y = np.linspace(-60, 0, 3001).astype(np.float32)
    np.testing.assert_allclose(of_floats(exponential, y), np.exp(y.astype(np.float64)), rtol=1e-5)
    assert 0 < of_floats(exponential, np.array([-1e9], np.float32))[0] < 1e-29


def test_the_cache_key_changes_with_any_source_file(tmp_path):
    folder = shutil.copytree(Path(dna_mixing.__file__).parent, tmp_path / "sources")
    before = sources_digest(folder)
    assert [cell.cell_contents for cell in kernel.advance.py_func.__closure__] == [before]
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        assert sources_digest(folder) != before, path.name
        path.write_bytes(text)


def test_seeds_find_both_strands_and_what_they_would_have_missed():
    rng = np.random.default_rng(1)
    unit = rng.integers(0, 4, 60)
    unit2 = unit.copy()
    unit2[30] = (unit2[30] + 1) % 4  # one miss, 29 bases before the end
    gap = rng.integers(0, 4, 100)
    for inverted in (False, True):
        last = 3 - unit2[::-1] if inverted else unit2
        x = np.concatenate([gap, unit, gap[::-1], last[:-5]]).astype(np.uint8)
        seeds, words = new_seeds((16,), 20, 0), np.zeros(len(x) // 32 + 1, np.uint64)
        for t in range(len(x)):
            past, reverse = strands(x[max(0, t - 31) : t + 1])
            remember_word(words, t, past)
            if t > 32:
                find_seeds(seeds, t, past, reverse)
        if inverted:  # the bases go on downwards from the fifth of the unit
            assert seeds.inverted[0] == 100 + 4
            assert x[104] == 3 - last[-5]
        else:
            assert seeds.forward[0] == 100 + 55
        found = seeds.inverted[0] if inverted else seeds.forward[0]
        missed = int(misses_before(words, found, inverted, past, reverse))
        place = 59 - 30 if inverted else 30  # of the changed base in ``last``
        assert missed == 1 << (54 - place)


def test_an_unseen_history_says_nothing():
    maps = new_maps((12,), 26)
    np.testing.assert_allclose(maps.learned[0, 0], 0.25)
    np.testing.assert_allclose(maps.learned.sum(axis=2), 1.0, atol=1e-6)
    assert maps.confidence[0] == 0
    assert maps.confidence.max() < 16


@pytest.mark.parametrize("mode", Mode)
def test_repeat_free_means_no_long_context(mode):
    settings = SETTINGS[mode]
    longest = max(*settings.count_orders, *settings.map_orders, *settings.seed_lengths)
    assert (longest <= 12) == (mode is Mode.REPEAT_FREE)
    model = new_model(settings, 1000)
    assert (len(model.seeds.lengths) == 0) == (mode is Mode.REPEAT_FREE)
