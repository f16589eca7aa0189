"""Code lengths: normalised, causal, near 2 bits on noise, short on repeats."""

import bz2

import numpy as np
import pytest

from gfm_utils.entropy.codelength import Coder, compressed_bits, dna_code_length, pack_bases, text_code_length
from gfm_utils.entropy.mixing import BYTE_MIXER, DNA_MIXER, context_mixing


def noise(n, seed=0):
    return np.random.default_rng(seed).integers(0, 4, n).astype(np.uint8)


def repetitive(n, seed=0):
    """Bases with direct and inverted repeats with mutations, so that every part of the mixer is at work."""
    rng = np.random.default_rng(seed)
    x = noise(n, seed)
    for _ in range(n // 300):
        source, target = np.sort(rng.integers(0, n - 150, 2))
        copy = x[source : source + 150].copy()
        if rng.random() < 0.5:
            copy = 3 - copy[::-1]
        hit = rng.random(150) < 0.03
        copy[hit] = rng.integers(0, 4, hit.sum())
        x[target : target + 150] = copy
    return x


def bytes_of(text):
    return np.frombuffer(text.encode(), np.uint8)


TEXT = "The cat sat on the mat, and the naïve dog sat on the cat. " * 12


@pytest.mark.parametrize(
    ("symbols", "mixer", "places"),
    [
        (repetitive(3000), DNA_MIXER, (0, 1, 25, 700, 2999)),
        (bytes_of(TEXT), BYTE_MIXER, (0, 1, 9, 60, 500)),
    ],
)
def test_probabilities_of_all_symbols_sum_to_one(symbols, mixer, places):
    for t in places:
        total = 0.0
        for symbol in range(2**mixer.bits):
            changed = symbols.copy()
            changed[t] = symbol
            total += 2.0 ** -float(context_mixing(changed, mixer)[t])
        assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("symbols", "mixer"), [(repetitive(20_000), DNA_MIXER), (bytes_of(TEXT), BYTE_MIXER)])
def test_the_future_changes_nothing_before_it(symbols, mixer):
    costs = context_mixing(symbols, mixer)
    half = len(symbols) // 2
    changed = symbols.copy()
    changed[half:] = changed[half:][::-1] ^ 1
    np.testing.assert_array_equal(context_mixing(changed, mixer)[:half], costs[:half])
    assert (costs > 0).all()


def test_noise_costs_two_bits():
    code = dna_code_length([noise(400_000)], Coder.CONTEXT_MIXING)
    assert code.per_symbol == pytest.approx(2.0, abs=0.01)
    assert code.se < 0.002


@pytest.mark.parametrize("inverted", [False, True])
def test_a_repeat_costs_little(inverted):
    first = noise(20_000)
    second = 3 - first[::-1] if inverted else first
    costs = context_mixing(np.concatenate([first, second]), DNA_MIXER)
    assert costs[20_100:].mean() < 0.05
    assert costs[:20_000].mean() > 1.98


def test_mixing_learns_a_markov_source():
    """Each base is followed by itself with probability 0.7: 1.36 bits a base."""
    rng = np.random.default_rng(2)
    steps = np.where(rng.random(200_000) < 0.7, 0, rng.integers(1, 4, 200_000))
    chain = (np.cumsum(steps) % 4).astype(np.uint8)
    rate = -(0.7 * np.log2(0.7) + 0.3 * np.log2(0.1))
    code = dna_code_length([chain], Coder.CONTEXT_MIXING)
    assert rate < code.per_symbol < rate + 0.03


def test_text_beats_bz2_and_is_counted_in_characters():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlué"), rng.integers(2, 9))) for _ in range(300)]
    text = " ".join(rng.choice(words, 30_000, p=np.arange(1, 301) ** -1.0 / (np.arange(1, 301) ** -1.0).sum()))
    ours, theirs = (text_code_length([text], coder) for coder in (Coder.CONTEXT_MIXING, Coder.BZ2))
    assert ours.symbols == len(text) < len(text.encode())
    assert ours.per_symbol < theirs.per_symbol
    assert theirs.per_symbol == 8 * len(bz2.compress(text.encode(), 9)) / len(text)


def test_costs_add_up_to_the_code_length():
    texts = ["öde", "x" * 50]
    code = text_code_length(texts, Coder.CONTEXT_MIXING)
    assert code.symbols == 53
    assert code.per_symbol * 53 == pytest.approx(
        context_mixing(bytes_of("\n".join(texts)), BYTE_MIXER).sum(), rel=1e-6
    )


def test_packing():
    assert pack_bases(np.array([0, 1, 2, 3, 3])) == bytes([0b00011011, 0b11000000])
    assert pack_bases(np.zeros(0, np.uint8)) == b""


def test_errors():
    with pytest.raises(ValueError, match="no base"):
        dna_code_length([], Coder.BZ2)
    with pytest.raises(ValueError, match="no character"):
        text_code_length([""], Coder.BZ2)
    with pytest.raises(ValueError, match="between 0 and 3"):
        context_mixing(np.array([4], np.uint8), DNA_MIXER)
    with pytest.raises(ValueError, match="does not compress"):
        compressed_bits(b"", Coder.CONTEXT_MIXING)
    assert context_mixing(np.zeros(0, np.uint8), DNA_MIXER).shape == (0,)
