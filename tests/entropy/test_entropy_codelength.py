"""Code lengths of DNA in bases, and of text in characters."""

import bz2
import zlib

import numpy as np
import pytest

from gfm_utils.entropy.codelength import Coder, dna_code_length, text_code_length
from gfm_utils.entropy.dna_mixing import FAST, dna_context_mixing


def test_the_mixer_knows_the_cost_of_each_base():
    bases = np.random.default_rng(0).integers(0, 4, 5000).astype(np.uint8)
    code = dna_code_length([bases[:3000], bases[3000:]], Coder.CONTEXT_MIXING_FAST)
    np.testing.assert_array_equal(code.costs, dna_context_mixing(bases, FAST))
    assert code.per_symbol == pytest.approx(code.costs.mean(dtype=np.float64)) and 0 < code.se < 0.05


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
