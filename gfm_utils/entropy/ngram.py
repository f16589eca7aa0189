"""Interpolated n-gram models of tokens: what counting alone knows about a hidden token.

Interpolated modified Kneser-Ney smoothing (S. F. Chen and J. Goodman, Computer Speech and Language 13, 1999). With
n(c, x) the count of token x in context c, N(c) = Σ_x n(c, x), c' the context without its last-named token and D
the discount of a count,

    p(x | c) = [max(n(c, x) - D(n(c, x)), 0) + (D_1 N_1(c) + D_2 N_2(c) + D_3 N_3+(c)) p(x | c')] / N(c),

where N_j(c) is the number of tokens seen j times in c, and p(x | c) = p(x | c') for a context never seen. Below
the longest context that can be seen, n(c', x) is the number of different tokens by which c' was extended. The last
step down is the uniform distribution.

A context is named by offsets from the hidden token, nearest first: (-1, -2, ...) is the usual left context;
(-1, 1, -2, 2, ...) reads both sides. A context ends before the first token of its chain that is hidden or outside
the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Chain = tuple[int, ...]
#: Of a longer training part so many tokens are counted, in ``SLICES`` stretches spread evenly over it.
MOST_TOKENS = 2**24
SLICES = 64


@dataclass(frozen=True)
class _Level:
    """Counts of one length of context.

    ``keys`` are context * vocabulary + token, ascending, with their ``counts``, shape (u,); ``contexts``,
    ascending, have ``totals`` N(c), of which ``freed`` goes to the shorter context, shape (c,); ``discounts`` are
    those of counts 0, 1, 2, and 3 or more.
    """

    keys: Ints
    counts: Ints
    contexts: Ints
    totals: Floats
    freed: Floats
    discounts: Floats

    @classmethod
    def of(cls, keys: Ints, counts: Ints, vocabulary: int) -> "_Level":
        discounts = np.array([0.0, *_discounts(counts)])
        contexts, first = np.unique(keys // vocabulary, return_index=True)
        totals = np.add.reduceat(counts, first).astype(np.float64)
        freed = np.add.reduceat(discounts[np.minimum(counts, 3)], first)
        return cls(keys, counts, contexts, totals, freed, discounts)

    def refined(self, shorter: Floats, contexts: Ints, tokens: Ints, vocabulary: int) -> Floats:
        """The p(x | c) from p(x | c')."""
        place, known = _places(self.contexts, contexts)
        where, seen = _places(self.keys, contexts * vocabulary + tokens)
        count = np.where(seen, self.counts[where], 0)
        kept = count - self.discounts[np.minimum(count, 3)]
        return np.where(known, (kept + self.freed[place] * shorter) / self.totals[place], shorter)


def _discounts(counts: Ints) -> tuple[float, float, float]:
    """From the counts of counts, or KenLM's fallback where those have a hole."""
    one, two, three, four = (float((counts == times).sum()) for times in (1, 2, 3, 4))
    if one and two and three and four:
        y = one / (one + 2 * two)
        estimated = (1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three)
        if all(0 <= discount <= times for times, discount in enumerate(estimated, 1)):
            return estimated
    return 0.5, 1, 1.5


def _places(ordered: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Places of numbers in an ascending array, which is not empty, and whether they are there."""
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


@dataclass(frozen=True)
class _Counts:
    """One chain of offsets: counts as they are and counts of different extensions, by length of context.

    They end with the longest context that occurs, even if the chain is longer.
    """

    chain: Chain
    plain: list[_Level]
    extended: list[_Level]


class NgramModel:
    """Probabilities of hidden tokens given the visible tokens near them.

    Args:
        tokens: training tokens, one segment after the other, shape (n,), may be memory-mapped.
        lengths: of the segments, adding up to n; no n-gram crosses their ends.
        vocabulary: number of possible tokens.
        chains: offsets of the context, nearest first, at most ``chain_length`` of them; a hidden token takes the
            chain that shows it the longest context, the first among equals.
    """

    def __init__(
        self, tokens: NDArray[np.integer], lengths: Sequence[int] | Ints, vocabulary: int, chains: Sequence[Chain]
    ) -> None:
        self.vocabulary = vocabulary
        symbols, place, rest = _stretches(tokens, np.asarray(lengths, np.int64))
        self._chains = [_count(symbols, place, rest, vocabulary, chain) for chain in chains]

    @property
    def longest(self) -> int:
        """Tokens of the largest n-gram, the hidden one included."""
        return 1 + max(len(counts.chain) for counts in self._chains)

    def probability(
        self, shown: Ints, positions: Ints, targets: Ints, mask_id: int, order: int | None = None
    ) -> Floats:
        """Probability of each true token, given what is visible around it, shape (windows, m).

        Args:
            shown: windows with ``mask_id`` where a token is hidden, shape (windows, window).
            positions: of the tokens asked for, shape (windows, m).
            targets: the true tokens there, shape (windows, m).
            mask_id: what stands in a hidden place.
            order: use n-grams of at most so many tokens; None: the longest.
        """
        truth = targets.ravel().astype(np.int64)
        best = np.full(truth.shape, -1)
        likelihood = np.zeros(len(truth))
        for counts in self._chains:
            contexts, visible = _visible(shown, positions, counts.chain, mask_id)
            visible = np.minimum(visible, (order or self.longest) - 1)
            better = visible > best
            asked = contexts[better], visible[better], truth[better]
            likelihood[better] = _interpolated(counts, *asked, self.vocabulary)
            best[better] = visible[better]
        return likelihood.reshape(targets.shape)

    def best_order(self, shown: Ints, positions: Ints, targets: Ints, mask_id: int) -> int:
        """The order whose mean negative log-likelihood on these tokens is the smallest."""
        orders = range(1, self.longest + 1)
        losses = [-np.log(self.probability(shown, positions, targets, mask_id, order)).mean() for order in orders]
        return 1 + int(np.argmin(losses))


def chain_length(tokens: int, vocabulary: int) -> int:
    """Longest context worth counting, one token longer than that of which a training part shows each once.

    N-grams with it have 63-bit numbers.
    """
    limit = int(62.9 / np.log2(vocabulary)) - 1
    return max(1, min(limit, 1 + int(np.ceil(np.log(max(tokens, 2)) / np.log(vocabulary)))))


def left_chains(length: int) -> tuple[Chain, ...]:
    """The tokens before the hidden one."""
    return (tuple(-offset for offset in range(1, length + 1)),)


def two_sided_chains(length: int) -> tuple[Chain, ...]:
    """The tokens on both sides, nearest first; one chain begins on the left, the other on the right."""
    left = tuple((-1 if index % 2 == 0 else 1) * (1 + index // 2) for index in range(length))
    return left, tuple(-offset for offset in left)


def _stretches(tokens: NDArray[np.integer], lengths: Ints) -> tuple[Ints, Ints, Ints]:
    """What is counted: the tokens, and how many tokens of the same stretch stand before and after each."""
    if len(tokens) <= MOST_TOKENS:
        chosen = np.arange(len(tokens))
    else:
        size = MOST_TOKENS // SLICES
        begins = np.linspace(0, len(tokens) - size, SLICES).astype(np.int64)
        chosen = (begins[:, None] + np.arange(size)).ravel()
    segment = np.searchsorted(np.cumsum(lengths), chosen, side="right")
    breaks = np.flatnonzero((np.diff(segment) != 0) | (np.diff(chosen) != 1)) + 1
    begins, ends = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(chosen)]])
    index = np.arange(len(chosen))
    place = index - np.repeat(begins, ends - begins)
    rest = np.repeat(ends, ends - begins) - 1 - index
    return np.asarray(tokens[chosen], np.int64), place, rest


def _count(symbols: Ints, place: Ints, rest: Ints, vocabulary: int, chain: Chain) -> _Counts:
    plain, extended = [], []
    for length in range(len(chain) + 1):
        offsets = chain[:length]
        before, after = -min((0, *offsets)), max((0, *offsets))
        at = np.flatnonzero((place >= before) & (rest >= after))
        if not len(at):
            break
        keys = np.zeros(len(at), np.int64)
        for offset in (*offsets, 0):
            keys *= vocabulary
            keys += symbols[at + offset]
        kinds, counts = np.unique(keys, return_counts=True)
        plain.append(_Level.of(kinds, counts, vocabulary))
        if length:
            shorter = kinds // (vocabulary * vocabulary) * vocabulary + kinds % vocabulary
            types, contexts = np.unique(shorter, return_counts=True)
            extended.append(_Level.of(types, contexts, vocabulary))
    return _Counts(chain, plain, extended)


def _visible(shown: Ints, positions: Ints, chain: Chain, mask_id: int) -> tuple[Ints, Ints]:
    """Tokens of the chain around each position, (n, chain), and how many of them are visible in a row, (n,)."""
    places = positions[:, :, None] + np.array(chain, np.int64)
    inside = (places >= 0) & (places < shown.shape[1])
    rows = np.arange(len(shown))[:, None, None]
    around = shown[rows, np.where(inside, places, 0)]
    hidden = ~inside | (around == mask_id)
    visible = np.where(hidden.any(-1), hidden.argmax(-1), len(chain))
    return around.reshape(-1, len(chain)).astype(np.int64), visible.ravel().astype(np.int64)


def _interpolated(counts: _Counts, contexts: Ints, visible: Ints, tokens: Ints, vocabulary: int) -> Floats:
    p = np.full(len(tokens), 1 / vocabulary)
    key = np.zeros(len(tokens), np.int64)
    for length, plain in enumerate(counts.plain):
        ends, goes_on = visible == length, visible > length
        p[ends] = plain.refined(p[ends], key[ends], tokens[ends], vocabulary)
        if length < len(counts.extended):
            p[goes_on] = counts.extended[length].refined(p[goes_on], key[goes_on], tokens[goes_on], vocabulary)
            key[goes_on] = key[goes_on] * vocabulary + contexts[goes_on, length]
    return p
