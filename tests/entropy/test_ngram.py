from collections import Counter, defaultdict

import numpy as np
import pytest

from gfm_utils.entropy.ngram import NgramModel, chain_length, left_chains, two_sided_chains

MASK = 99


class Plain:
    """Interpolated modified Kneser-Ney over dictionaries, as Chen and Goodman (1999) write it."""

    def __init__(self, segments, vocabulary, chain):
        self.vocabulary, self.chain = vocabulary, chain
        self.plain = [self.counts(segments, chain[:length]) for length in range(len(chain) + 1)]
        self.extended = []
        for table in self.plain[1:]:
            found = Counter((context[:-1], token) for context, token in table)
            self.extended.append(found)

    def counts(self, segments, offsets):
        table = Counter()
        for segment in segments:
            for i, token in enumerate(segment):
                if all(0 <= i + offset < len(segment) for offset in offsets):
                    table[tuple(segment[i + offset] for offset in offsets), token] += 1
        return table

    def p(self, context, token):
        return self.step(self.plain[len(context)], context, token)

    def step(self, table, context, token):
        lower = 1 / self.vocabulary
        if context:
            lower = self.step(self.extended[len(context) - 1], context[:-1], token)
        followers = {x: count for (c, x), count in table.items() if c == context}
        if not followers:
            return lower
        times = Counter(table.values())
        discount = {0: 0.0} | dict(enumerate((0.5, 1.0, 1.5), 1))
        if all(times[j] for j in (1, 2, 3, 4)):
            y = times[1] / (times[1] + 2 * times[2])
            found = {j: j - (j + 1) * y * times[j + 1] / times[j] for j in (1, 2, 3)}
            if all(0 <= found[j] <= j for j in found):
                discount = {0: 0.0} | found
        count = followers.get(token, 0)
        freed = sum(discount[min(n, 3)] for n in followers.values())
        return (count - discount[min(count, 3)] + freed * lower) / sum(followers.values())


def chain_of_tokens(size, seed=0, vocabulary=7):
    rng = np.random.default_rng(seed)
    follow = rng.dirichlet(np.full(vocabulary, 0.3), (vocabulary, vocabulary))
    tokens = [0, 0]
    for _ in range(size - 2):
        tokens.append(int(rng.choice(vocabulary, p=follow[tokens[-2], tokens[-1]])))
    return np.array(tokens)


@pytest.mark.parametrize("chains", [left_chains(3), two_sided_chains(3)[:1], two_sided_chains(3)[1:]])
def test_probabilities_against_dictionaries(chains):
    tokens = chain_of_tokens(600)
    lengths = [250, 3, 347]
    model = NgramModel(tokens.astype(np.uint16), lengths, 7, chains)
    plain = Plain([list(part) for part in np.split(tokens, np.cumsum(lengths)[:-1])], 7, chains[0])
    shown = np.stack([chain_of_tokens(9, seed) for seed in (1, 2, 3)])
    shown[1, 3] = shown[2, 7] = MASK
    positions = np.array([[4, 0], [4, 8], [5, 2]])
    targets = np.array([[1, 2], [3, 4], [5, 6]])
    found = model.probability(shown, positions, targets, MASK)
    for row in range(3):
        for column in range(2):
            place, context = positions[row, column], []
            for offset in chains[0]:
                if not 0 <= place + offset < 9 or shown[row, place + offset] == MASK:
                    break
                context.append(shown[row, place + offset])
            assert found[row, column] == pytest.approx(plain.p(tuple(context), targets[row, column]), abs=1e-12)


@pytest.mark.parametrize("chains", [left_chains(2), two_sided_chains(4)])
def test_probabilities_add_up_to_one(chains):
    model = NgramModel(chain_of_tokens(500), [500], 7, chains)
    shown = np.repeat(chain_of_tokens(12, 5)[None], 7, axis=0)
    shown[:, 6] = MASK
    every = np.arange(7)[:, None]
    for place in (0, 5, 6, 7, 11):
        positions = np.full((7, 1), place)
        for order in range(1, model.longest + 1):
            assert model.probability(shown, positions, every, MASK, order).sum() == pytest.approx(1)


def test_order_is_the_sources_and_the_loss_its_entropy_rate():
    tokens = chain_of_tokens(60_000)
    model = NgramModel(tokens[:50_000], [50_000], 7, left_chains(4))
    windows = tokens[50_000:].reshape(-1, 50)
    positions = np.tile(np.arange(5, 50), (len(windows), 1))
    targets = np.take_along_axis(windows, positions, 1)
    assert model.best_order(windows, positions, targets, MASK) == 3
    counts = defaultdict(Counter)
    for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False):
        counts[a, b][c] += 1
    rate = -sum(n * np.log2(n / sum(t.values())) for t in counts.values() for n in t.values()) / (len(tokens) - 2)
    loss = -np.log2(model.probability(windows, positions, targets, MASK, 3)).mean()
    assert loss == pytest.approx(rate, abs=0.02)
    both = NgramModel(tokens[:50_000], [50_000], 7, two_sided_chains(4))
    inner = positions[:, :-5]
    better = -np.log2(both.probability(windows, inner, targets[:, :-5], MASK)).mean()
    assert better < loss - 0.1  # what follows a token says more of it


def test_a_long_training_part_is_sampled_evenly_and_no_gram_crosses_a_break(monkeypatch):
    monkeypatch.setattr("gfm_utils.entropy.ngram.MOST_TOKENS", 640)
    tokens = np.arange(6400) % 2  # 0 1 0 1 ...: a bigram 00 would be an artefact of gluing stretches
    tokens[3200:] += 2
    model = NgramModel(tokens, [3200, 3200], 5, left_chains(1))
    shown = np.array([[0, 0], [2, 2], [0, 1], [2, 3]])
    p = model.probability(shown, np.ones((4, 1), int), shown[:, 1:], MASK)[:, 0]
    assert (p[:2] < 0.05).all() and (p[2:] > 0.9).all()


def test_chains_are_as_long_as_the_sample_bears():
    assert chain_length(1_000_000, 4101) == 3
    assert chain_length(10_000_000, 9) == 9
    assert chain_length(2**40, 65_005) == 2
    assert two_sided_chains(4) == ((-1, 1, -2, 2), (1, -1, 2, -2))
