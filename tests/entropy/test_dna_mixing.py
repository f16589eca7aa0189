"""The DNA mixer: causal, decodable, near 2 bits on noise, short on repeats, hardly longer than its best part."""

import shutil
from collections import defaultdict
from pathlib import Path

import numba
import numpy as np
import pytest

from gfm_utils.entropy import dna_mixing
from gfm_utils.entropy.dna_mixing import FAST, FULL, REPEAT_FREE, compile_kernels, dna_context_mixing, kernel
from gfm_utils.entropy.dna_mixing.coding import FORWARD_ORDERS, new_model
from gfm_utils.entropy.dna_mixing.contexts import CEILING
from gfm_utils.entropy.dna_mixing.numerics import (
    exponential,
    leading_zeros,
    mirrored,
    mismatches,
    natural_log,
    ones,
    sources_digest,
)
from gfm_utils.entropy.sources import near_deterministic, random_markov

MODES = [FULL, FAST, REPEAT_FREE]
every_mode = pytest.mark.parametrize("mode", MODES, ids=["full", "fast", "repeat free"])


def noise(n, seed=0):
    return np.random.default_rng(seed).integers(0, 4, n).astype(np.uint8)


def inverted(bases):
    return 3 - bases[::-1]


def repetitive(n):
    """Noise with direct and inverted mutated repeats and microsatellites, so that every part is at work."""
    rng, x = np.random.default_rng(0), noise(n)
    for _ in range(n // 400):
        source, target = np.sort(rng.integers(0, n - 150, 2))
        copy = (x[source : source + 150] + rng.integers(1, 4, 150) * (rng.random(150) < 0.05)) % 4
        x[target : target + 150] = inverted(copy) if rng.random() < 0.5 else copy
    x[n // 3 : n // 3 + 200] = np.tile([0, 1, 3, 3], 50)
    return x


@pytest.fixture(scope="module", autouse=True)
def compiled():
    compile_kernels()


@every_mode
@pytest.mark.parametrize("cut", [1, 33, 4001, 7999])
def test_the_future_changes_nothing_before_it(mode, cut):
    """Neither what comes nor how much comes, though tables are sized by the length within limits."""
    x = repetitive(8000)
    costs = dna_context_mixing(x, mode)
    changed = np.concatenate([x[:cut], inverted(x[cut:])])
    changed[cut] = (x[cut] + 1) % 4
    again = dna_context_mixing(changed, mode)
    np.testing.assert_array_equal(again[:cut], costs[:cut])
    assert again[cut] != costs[cut]
    np.testing.assert_array_equal(dna_context_mixing(x[:cut], mode), costs[:cut])


@every_mode
@pytest.mark.parametrize("t", [0, 1, 40, 3000])
def test_a_decoder_would_see_the_same_distribution(t, mode):
    """The four bases at one place, coded in turn after the same past, have probabilities that sum to one."""
    x, total = repetitive(3001)[: t + 1], 0.0
    for base in range(4):
        x[t] = base
        total += 2.0 ** -float(dna_context_mixing(x, mode)[t])
    assert total == pytest.approx(1.0, abs=1e-5)


@every_mode
def test_noise_costs_two_bits(mode):
    costs = dna_context_mixing(noise(400_000), mode)
    assert 1.999 < costs.mean(dtype=np.float64) < 2.004
    assert costs[0] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(("mode", "bits"), [(FULL, 1.683686), (FAST, 1.693221), (REPEAT_FREE, 1.769915)])
def test_the_code_is_that_of_the_recorded_lengths(mode, bits):
    assert dna_context_mixing(repetitive(8000), mode).mean(dtype=np.float64) == pytest.approx(bits, abs=1e-5)


@pytest.mark.parametrize("turn", [lambda x: x, inverted], ids=["direct", "inverted"])
@pytest.mark.parametrize(("rate", "most"), [(0.0, 0.1), (0.1, 0.75)], ids=["exact", "mutated"])
def test_repeats_are_copied_but_not_in_repeat_free_mode(turn, rate, most):
    """Two letters, 1 bit a base: every 12-mer recurs by chance, as in a genome, so that only longer contexts copy.

    With 10 % of the bases mutated a copy holds H(0.1) = 0.47 bits a base.
    """
    rng = np.random.default_rng(3)
    first = (3 * rng.integers(0, 2, 40_000)).astype(np.uint8)
    source = first[30_000:33_000]
    x = np.concatenate([first, turn(np.where(rng.random(3000) < rate, 3 - source, source))])
    full, fast, repeat_free = (dna_context_mixing(x, mode) for mode in MODES)
    assert full[20_000:40_000].mean() < 1.03
    assert full[40_100:].mean() < most and fast[40_100:].mean() < most + 0.2
    assert repeat_free[40_100:].mean() > 0.9


def test_whatever_holds_bases_is_taken(capsys):
    x = noise(500)
    frozen = x.copy()
    frozen.flags.writeable = False
    expected = dna_context_mixing(x)
    for same in (frozen, x.astype(np.int64), np.repeat(x, 2)[::2]):
        np.testing.assert_array_equal(dna_context_mixing(same, progress=same is frozen), expected)
    assert not frozen.flags.writeable
    assert "mixing" in capsys.readouterr().err
    assert dna_context_mixing(np.zeros(0, np.uint8)).shape == (0,)


@pytest.mark.parametrize("codes", [[0, 4], [-1], [[0, 1]]])
def test_what_is_no_base_is_refused(codes):
    with pytest.raises(ValueError, match="codes 0 to 3"):
        dna_context_mixing(np.array(codes))


@pytest.mark.parametrize(("mode", "most"), [(FULL, 1.15e9), (FAST, 0.55e9), (REPEAT_FREE, 0.25e9)])
def test_memory_is_bounded_and_repeat_free_means_no_long_context(mode, most):
    model = new_model(mode, 30_000_000)
    held = sum(array.nbytes for part in model for array in (part if isinstance(part, tuple) else (part,)))
    assert held < most
    longest = max(*mode.count_orders, *mode.map_orders, *mode.seed_lengths)
    assert (longest <= 12) == (len(model.seeds.lengths) == 0) == (mode is REPEAT_FREE)


# The last stage, against plain Python in float64.

SEQUENCES = {
    "noise": noise(1500),
    "constant": np.full(1500, 3, np.uint8),
    "periodic": np.tile(np.array([0, 1, 2, 2, 3], np.uint8), 300),
    "order 3": near_deterministic().sample(1500, 4),
    # no single part is best throughout
    "switching": np.concatenate([random_markov(k).sample(500, k) for k in (1, 4, 0)]).astype(np.uint8),
}


def alone(x, mode):
    """What the mixer alone says before each base, shape (n, 4), and what is charged, shape (n,)."""
    model, costs = new_model(mode, len(x)), np.zeros(len(x), np.float32)
    mixed = np.zeros((len(x), 4))
    for t in range(len(x)):
        kernel.advance(model, x, t, t + 1, costs)
        mixed[t] = model.mixer.probabilities
    return mixed / mixed.sum(axis=1, keepdims=True), costs


def parts_of(x, mixed):
    """What each part says of the base that comes, shape (n, K): the mixer, then a code of each order."""
    counts = [defaultdict(lambda: np.full(4, 0.5)) for _ in FORWARD_ORDERS]
    said = np.zeros((len(x), 1 + len(FORWARD_ORDERS)))
    padded = np.concatenate([np.zeros(max(FORWARD_ORDERS), np.uint8), x])  # before the first base stand As
    for t, base in enumerate(x):
        said[t, 0] = mixed[t, base]
        past = padded[: t + max(FORWARD_ORDERS)]
        for i, order in enumerate(FORWARD_ORDERS):
            seen = counts[i][past[len(past) - order :].tobytes()]
            said[t, 1 + i] = seen[base] / seen.sum()
            seen[base] += 1
    return said


@every_mode
@pytest.mark.parametrize("name", SEQUENCES)
def test_the_last_stage_is_fixed_share_and_at_most_a_few_bits_longer_than_its_best_part(name, mode):
    x = SEQUENCES[name]
    mixed, costs = alone(x, mode)
    said = parts_of(x, mixed)
    weights, expected = np.full(said.shape[1], 1 / said.shape[1]), np.zeros(len(x))
    for t in range(len(x)):
        expected[t] = -np.log2(weights @ said[t])
        weights *= said[t]
        weights /= weights.sum()
        weights = (1 - 1 / (t + 2)) * weights + 1 / (t + 2) / len(weights)
    np.testing.assert_allclose(costs, expected, atol=2e-4)
    lengths = -np.log2(said).cumsum(axis=0)
    bound = lengths.min(axis=1) + np.log2(said.shape[1]) + np.log2(np.arange(len(x)) + 1)
    assert (costs.cumsum(dtype=np.float64) <= bound + 0.01).all()  # of every beginning, too


def test_counts_are_halved_before_they_overflow():
    model = new_model(REPEAT_FREE, 2)
    model.forward.counts[:] = CEILING - 1
    kernel.advance(model, np.array([2, 1], np.uint8), 0, 1, np.zeros(2, np.float32))
    for offset in model.forward.offsets:
        assert model.forward.counts[offset].tolist() == [CEILING // 2] * 4
    assert (model.forward.counts == CEILING // 2).all(axis=1).sum() == len(FORWARD_ORDERS)


# Parts, against plain Python.


@numba.njit
def of_words(words):
    return [(ones(word), leading_zeros(word), mirrored(word)) for word in words]


@numba.njit
def of_floats(function, values):
    return np.array([function(value) for value in values])


def test_bits_logarithm_and_exponential():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 4, 32), rng.integers(0, 4, 32)
        different = int(mismatches(*(np.uint64(int("".join(map(str, word)), 4)) for word in (one, other))))
        assert [different >> (31 - i) & 1 for i in range(32)] == (one != other).astype(int).tolist()
    words = np.array([0, 1, 2**31, 2**32 - 1, 0x00F1_2001], np.uint32)
    for word, bits in zip(words.tolist(), of_words(words), strict=True):
        assert bits == (word.bit_count(), 32 - word.bit_length(), int(f"{word:032b}"[::-1], 2))
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
