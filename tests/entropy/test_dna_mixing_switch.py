"""The last stage of the DNA mixer: against plain Python in float64, and never much longer than its best part."""

from collections import defaultdict

import numpy as np
import pytest
from scipy.special import gammaln

from gfm_utils.entropy.dna_mixing import Mode, base_probabilities, dna_context_mixing
from gfm_utils.entropy.dna_mixing.coding import compile_kernels, new_model
from gfm_utils.entropy.dna_mixing.forward import CEILING
from gfm_utils.entropy.dna_mixing.kernel import advance
from gfm_utils.entropy.dna_mixing.settings import FORWARD_ORDERS, SETTINGS
from gfm_utils.entropy.sources import near_deterministic, random_markov

NO_DISTRIBUTIONS = np.zeros((0, 4), np.float32)


def switching_chain(n):
    """Two chains of different order, one after the other, then noise: no single part is best throughout."""
    thirds = [random_markov(1).sample(n, 1), random_markov(4).sample(n, 2), random_markov(0).sample(n, 3)]
    return np.concatenate([third[: n // 3] for third in thirds]).astype(np.uint8)


SEQUENCES = {
    "noise": np.random.default_rng(0).integers(0, 4, 1500).astype(np.uint8),
    "constant": np.full(1500, 3, np.uint8),
    "periodic": np.tile(np.array([0, 1, 2, 2, 3], np.uint8), 300),
    "order 3": near_deterministic().sample(1500, 4),
    "switching": switching_chain(1500),
}


def alone(x, mode):
    """What the mixer alone says before each base, shape (n, 4), and what is charged, shape (n,)."""
    compile_kernels()
    model, costs = new_model(SETTINGS[mode], len(x)), np.zeros(len(x), np.float32)
    mixed = np.zeros((len(x), 4))
    for t in range(len(x)):
        advance(model, x, t, t + 1, costs, NO_DISTRIBUTIONS)
        mixed[t] = model.mixer.probabilities
    return mixed / mixed.sum(axis=1, keepdims=True), costs


def parts_of(x, mixed):
    """What each part says of all four bases, shape (n, K, 4): the mixer, then a code of each order."""
    counts = [defaultdict(lambda: np.full(4, 0.5)) for _ in FORWARD_ORDERS]
    said = np.zeros((len(x), 1 + len(FORWARD_ORDERS), 4))
    padded = np.concatenate([np.zeros(max(FORWARD_ORDERS), np.uint8), x])  # before the first base stand As
    for t, base in enumerate(x):
        said[t, 0] = mixed[t]
        past = padded[: t + max(FORWARD_ORDERS)]
        for i, order in enumerate(FORWARD_ORDERS):
            seen = counts[i][past[len(past) - order :].tobytes()]
            said[t, 1 + i] = seen / seen.sum()
            seen[base] += 1
    return said


def switched(said, x):
    """Probabilities of the four bases, shape (n, 4), by fixed share at the rate 1 / (t + 1)."""
    weights = np.full(said.shape[1], 1 / said.shape[1])
    probabilities = np.zeros((len(x), 4))
    for t, base in enumerate(x):
        probabilities[t] = weights @ said[t]
        weights *= said[t, :, base]
        weights /= weights.sum()
        share = 1 / (t + 2)
        weights = (1 - share) * weights + share / len(weights)
    return probabilities


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_last_stage_is_the_one_in_plain_python(name):
    x = SEQUENCES[name]
    mixed, costs = alone(x, Mode.REPEAT_FREE)
    expected = switched(parts_of(x, mixed), x)
    np.testing.assert_allclose(base_probabilities(x, Mode.REPEAT_FREE), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(costs, -np.log2(expected[np.arange(len(x)), x]), atol=2e-4)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", SEQUENCES)
def test_the_code_is_at_most_a_few_bits_longer_than_its_best_part(name, mode):
    x = SEQUENCES[name]
    mixed, costs = alone(x, mode)
    said = parts_of(x, mixed)[np.arange(len(x)), :, x]
    lengths = -np.log2(said).cumsum(axis=0)
    bound = lengths.min(axis=1) + np.log2(said.shape[1]) + np.log2(np.arange(len(x)) + 1)
    assert (costs.cumsum(dtype=np.float64) <= bound + 0.01).all()  # of every beginning, too


def krichevsky_trofimov(x, order):
    """Bits of the code of this order, in closed form: a product of Dirichlet integrals over the contexts."""
    padded = np.concatenate([np.zeros(order, np.int64), x])
    blocks = sum(padded[j : j + len(x)] * 4 ** (order - j) for j in range(order + 1))
    counts = np.bincount(blocks, minlength=4 ** (order + 1)).reshape(-1, 4)
    logs = gammaln(2) - gammaln(counts.sum(axis=1) + 2) + (gammaln(counts + 0.5) - gammaln(0.5)).sum(axis=1)
    return -float(logs.sum()) / np.log(2)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("order", [3, 6])
def test_a_law_of_one_direction_is_learned_as_fast_as_by_a_code_of_its_order(order, mode):
    """The reverse complement of such a chain follows another law: counts of both strands hide it."""
    n = 100_000
    x = random_markov(order).sample(n, 1)
    best = min(krichevsky_trofimov(x, k) for k in FORWARD_ORDERS)
    spent = dna_context_mixing(x, mode).sum(dtype=np.float64)
    assert spent <= best + np.log2(1 + len(FORWARD_ORDERS)) + np.log2(n) + 1


def test_counts_are_halved_before_they_overflow():
    compile_kernels()
    model = new_model(SETTINGS[Mode.REPEAT_FREE], 2)
    model.forward.counts[:] = CEILING - 1
    advance(model, np.array([2, 1], np.uint8), 0, 1, np.zeros(2, np.float32), NO_DISTRIBUTIONS)
    half = CEILING // 2
    for offset in model.forward.offsets:
        assert model.forward.counts[offset].tolist() == [half, half, half, half]
    assert (model.forward.counts == half).all(axis=1).sum() == len(FORWARD_ORDERS)
