"""The DNA mixer: causal, normalised, near 2 bits on noise, short on repeats; what is no base is refused."""

import numpy as np
import pytest

from gfm_utils.entropy.dna_mixing import (
    Mode,
    base_probabilities,
    compile_kernels,
    dna_context_mixing,
    memory_bytes,
)


def noise(n, seed=0):
    return np.random.default_rng(seed).integers(0, 4, n).astype(np.uint8)


def mutated(bases, rate, seed=1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(bases)) < rate, (bases + rng.integers(1, 4, len(bases))) % 4, bases).astype(
        np.uint8
    )


def inverted(bases):
    return 3 - bases[::-1]


def repetitive(n, seed=0):
    """Noise with direct and inverted mutated repeats and microsatellites, so that every part is at work."""
    rng = np.random.default_rng(seed)
    x = noise(n, seed)
    for i in range(n // 400):
        source, target = np.sort(rng.integers(0, n - 150, 2))
        copy = mutated(x[source : source + 150], 0.05, i)
        x[target : target + 150] = inverted(copy) if rng.random() < 0.5 else copy
    x[n // 3 : n // 3 + 200] = np.tile([0, 1, 3, 3], 50)
    return x


@pytest.fixture(scope="module", autouse=True)
def compiled():
    compile_kernels()


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("cut", [1, 33, 4001, 7999])
def test_the_future_changes_nothing_before_it(mode, cut):
    x = repetitive(8000)
    costs = dna_context_mixing(x, mode)
    changed = np.concatenate([x[:cut], inverted(x[cut:])])
    changed[cut] = (x[cut] + 1) % 4
    again = dna_context_mixing(changed, mode)
    np.testing.assert_array_equal(again[:cut].view(np.uint32), costs[:cut].view(np.uint32))
    assert again[cut] != costs[cut]


@pytest.mark.parametrize("mode", Mode)
def test_the_end_of_the_sequence_is_future_too(mode):
    """A part that is coded alone costs the same, though tables are sized by the length within limits."""
    x = repetitive(6000)
    np.testing.assert_array_equal(dna_context_mixing(x[:5900], mode), dna_context_mixing(x, mode)[:5900])


@pytest.mark.parametrize("mode", Mode)
def test_probabilities_sum_to_one_and_are_what_is_charged(mode):
    x = repetitive(20_000)
    p = base_probabilities(x, mode)
    np.testing.assert_allclose(p.sum(axis=1, dtype=np.float64), 1.0, atol=1e-6)
    assert p.min() > 0
    charged = -np.log2(p[np.arange(len(x)), x].astype(np.float64))
    np.testing.assert_allclose(dna_context_mixing(x, mode), charged, atol=1e-5)


@pytest.mark.parametrize("t", [0, 1, 40, 3000])
def test_a_decoder_would_see_the_same_distribution(t):
    """The four bases at one place, coded in turn after the same past, have probabilities that sum to one."""
    x = repetitive(3001)[: t + 1]
    total = 0.0
    for base in range(4):
        x[t] = base
        total += 2.0 ** -float(dna_context_mixing(x)[t])
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("mode", Mode)
def test_noise_costs_two_bits(mode):
    costs = dna_context_mixing(noise(1_000_000), mode)
    assert 1.999 < costs.mean(dtype=np.float64) < 2.002
    assert costs[:100_000].mean(dtype=np.float64) < 2.01


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
    spent = {mode: dna_context_mixing(x, mode) for mode in Mode}
    second = {mode: costs[40_100:].mean() for mode, costs in spent.items()}
    assert spent[Mode.FULL][20_000:40_000].mean() < 1.03
    assert second[Mode.FULL] < most
    assert second[Mode.FAST] < most + 0.2
    assert second[Mode.REPEAT_FREE] > 0.9


@pytest.mark.parametrize("mode", Mode)
def test_markov_source_is_approached(mode):
    """Each base is followed by itself with probability 0.7, by each other with 0.1: 1.357 bits a base."""
    rng = np.random.default_rng(2)
    steps = np.where(rng.random(200_000) < 0.7, 0, rng.integers(1, 4, 200_000))
    chain = (np.cumsum(steps) % 4).astype(np.uint8)
    ideal = np.where(np.diff(chain) != 0, -np.log2(0.1), -np.log2(0.7))
    excess = (dna_context_mixing(chain, mode)[1:] - ideal)[100_000:].mean()
    assert 0 < excess < 0.02


def test_the_same_twice():
    x = repetitive(30_000)
    np.testing.assert_array_equal(dna_context_mixing(x), dna_context_mixing(x))


def test_progress_leaves_the_result_alone(capsys):
    x = noise(2000)
    np.testing.assert_array_equal(dna_context_mixing(x, progress=True), dna_context_mixing(x))
    assert "mixing (full)" in capsys.readouterr().err


@pytest.mark.parametrize("mode", Mode)
def test_nothing_and_one_base(mode):
    assert dna_context_mixing(np.zeros(0, np.uint8), mode).shape == (0,)
    assert base_probabilities(np.zeros(0, np.uint8), mode).shape == (0, 4)
    assert dna_context_mixing(np.array([2], np.uint8), mode) == pytest.approx([2.0], abs=0.01)


def test_other_integers_and_read_only_arrays_are_taken():
    x = noise(500)
    frozen = x.copy()
    frozen.flags.writeable = False
    expected = dna_context_mixing(x)
    for same in (frozen, x.astype(np.int64), np.repeat(x, 2)[::2]):
        np.testing.assert_array_equal(dna_context_mixing(same), expected)
    assert not frozen.flags.writeable


@pytest.mark.parametrize("codes", [[0, 4], [255], [-1], [[0, 1]]])
def test_what_is_no_base_is_refused(codes):
    with pytest.raises(ValueError, match=r"^bases must be one row of codes 0 to 3 \(A, C, G, T\)$"):
        dna_context_mixing(np.array(codes))


def test_memory_is_bounded():
    sizes = {mode: memory_bytes(30_000_000, mode) for mode in Mode}
    assert sizes[Mode.FULL] < 1.3e9
    assert sizes[Mode.REPEAT_FREE] < 0.4e9
    assert sizes[Mode.FAST] < 0.7e9
    assert memory_bytes(1000) < 60e6 + 100e6
