"""Code lengths: near 2 bits on noise, of text in characters, and what no coder takes."""

import bz2
import zlib

import numpy as np
import pytest

from gfm_utils.entropy.codelength import Coder, dna_code_length, text_code_length


def noise(n, seed=0):
    return np.random.default_rng(seed).integers(0, 4, n).astype(np.uint8)


@pytest.mark.parametrize(
    "coder", [Coder.CONTEXT_MIXING, Coder.CONTEXT_MIXING_FAST, Coder.CONTEXT_MIXING_REPEAT_FREE]
)
def test_modes_are_coders_of_dna_only(coder):
    code = dna_code_length([noise(3000), noise(2000, 1)], coder)
    assert code.coder is coder
    assert code.symbols == 5000
    assert 0 < code.se < 0.05 and code.costs.shape == (5000,)
    assert code.per_symbol == pytest.approx(code.costs.mean(dtype=np.float64))
    assert code.per_symbol == pytest.approx(2.0, abs=0.1)


def test_partial_matching_beats_bz2_and_text_is_counted_in_characters():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlué"), rng.integers(2, 9))) for _ in range(300)]
    text = " ".join(rng.choice(words, 30_000, p=np.arange(1, 301) ** -1.0 / (np.arange(1, 301) ** -1.0).sum()))
    ours, theirs = (text_code_length([text], coder) for coder in (Coder.PPMD, Coder.BZ2))
    assert ours.symbols == len(text) < len(text.encode())
    assert ours.per_symbol < theirs.per_symbol
    assert theirs.per_symbol == 8 * len(bz2.compress(text.encode(), 9)) / len(text)


def test_segments_of_text_are_joined_by_a_line_feed_that_is_no_character():
    code = text_code_length(["öde", "x" * 50], Coder.BZ2)
    assert code.symbols == 53
    assert code.per_symbol == 8 * len(bz2.compress(("öde\n" + "x" * 50).encode(), 9)) / 53


def test_compressors_get_four_bases_a_byte():
    code = dna_code_length([np.array([0, 1, 2], np.uint8), np.array([3, 3], np.uint8)], Coder.ZLIB)
    assert code.per_symbol == 8 * len(zlib.compress(bytes([0b00011011, 0b11000000]), 9)) / 5
