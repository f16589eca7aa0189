"""Controls: shuffles, which keep certain counts exactly, and Markov chains, which keep those of short blocks."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numba
import numpy as np
import numpy.typing as npt

from gfm_utils.corpora.segments import Segment
from gfm_utils.errors import GfmError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Longest context of a chain.
LONGEST = 12
#: Lowest temperature of a chain. One in 10^8 becomes 10^-160 there; much below, what is rare would get
#: probability 0, and the rate would be no number.
COLDEST = 0.05
_LARGEST = 2**62  # ids of contexts are kept below it
_SETTLED = 1e-13  # total change of a stationary distribution in one iteration
_ITERATIONS = 200_000


@dataclass(frozen=True)
class MarkovChain:
    """A chain of order k, fitted by counting; its edges are the pairs of a context and a symbol that were seen.

    The segments are joined into one circle, so that every context has a successor and occurs as often as it is
    entered: the stationary distribution is exactly the frequency of the contexts, and the entropy rate exactly the
    conditional entropy of the counted blocks, h = −Σ_c π(c) Σ_x p(x | c) log2 p(x | c). A temperature T other than
    1 raises every probability to the power 1/T and normalises the rows again: below 1 the chain becomes more
    predictable while the same blocks remain possible.
    """

    order: int  # k, symbols of a context
    temperature: float  # T
    rate: float  # h, bits per symbol, exact for this chain
    alphabet: Integers = field(repr=False)  # code points of the symbols, shape (K,)
    stationary: Floats = field(repr=False)  # share of each context, shape (contexts,)
    first: Integers = field(repr=False)  # number of the first edge of each context, and of all: (contexts + 1,)
    symbols: Integers = field(repr=False)  # index into the alphabet of each edge, shape (edges,)
    cumulative: Floats = field(repr=False)  # p(symbol or an earlier one | context), shape (edges,)
    following: Integers = field(repr=False)  # context that each edge leads to, shape (edges,)

    @classmethod
    def fit(cls, segments: Sequence[Segment], order: int, temperature: float = 1.0) -> "MarkovChain":
        """Count the blocks of some segments; order from 0 to ``LONGEST``, temperature at least ``COLDEST``.

        Raises:
            GfmError: there are not more symbols than a context has, or the stationary distribution of a tempered
                chain was not found.
        """
        points = _code_points("".join(segment.text for segment in segments))
        if len(points) <= order:
            raise GfmError(
                f"a chain of order {order} cannot be fitted to {len(points)} symbols; give a longer corpus"
            )
        alphabet, symbols = np.unique(points, return_inverse=True)
        contexts = _contexts(symbols, len(alphabet), order)
        edges, seen_at, counts = np.unique(
            contexts * len(alphabet) + symbols, return_index=True, return_counts=True
        )
        of = edges // len(alphabet)
        following = contexts[(seen_at + 1) % len(symbols)]
        size = int(of[-1]) + 1
        first = np.searchsorted(of, np.arange(size + 1))
        weights = (counts / np.maximum.reduceat(counts, first[:-1])[of]) ** (1 / temperature)
        weights /= np.add.reduceat(weights, first[:-1])[of]
        share = np.bincount(of, counts, size) / len(symbols)
        stationary = share if temperature == 1 else _settled(share, of, following, weights)
        rate = float(-(stationary[of] * weights * np.log2(weights)).sum())
        before = np.cumsum(weights) - weights
        cumulative = np.cumsum(weights) - before[first[:-1]][of]
        cumulative[first[1:] - 1] = 1.0
        symbols = edges % len(alphabet)
        return cls(order, temperature, abs(rate), alphabet, stationary, first, symbols, cumulative, following)

    def sample(self, length: int, rng: np.random.Generator) -> str:
        """So many symbols; the context before the first one is drawn from the stationary distribution."""
        context = int(np.searchsorted(np.cumsum(self.stationary), rng.random(), side="right"))
        context = min(context, len(self.stationary) - 1)
        drawn = _walk(self.first, self.symbols, self.cumulative, self.following, context, rng.random(length))
        return _text(self.alphabet[drawn])


def surrogate(chain: MarkovChain, segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """Segments of the same records, places and lengths, each drawn from the chain by itself."""
    return _each(segments, lambda text: chain.sample(len(text), rng))


def _code_points(text: str) -> Integers:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)


def _text(code_points: npt.ArrayLike) -> str:
    return np.asarray(code_points, "<u4").tobytes().decode("utf-32-le")


def shuffle_symbols(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The symbols of each segment in random order, every order equally likely (mononucleotide shuffle)."""
    return _each(segments, lambda text: _text(rng.permutation(_code_points(text))))


def shuffle_pairs(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """Each segment in an order that keeps the count of every pair of neighbours (dinucleotide shuffle).

    A segment is a walk along the edges of a multigraph of symbols, one edge a pair; every Euler tour of it from
    the first to the last symbol is equally likely (Altschul and Erickson, 1985; the last exits from each symbol
    form a random spanning tree towards the last symbol, drawn by Wilson's algorithm, 1996). First and last symbol
    stay.
    """

    def shuffled(text: str) -> str:
        alphabet, symbols = np.unique(_code_points(text), return_inverse=True)
        return _text(alphabet[_euler_tour(symbols, len(alphabet), rng)])

    return _each(segments, shuffled)


def shuffle_words(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The words of each segment in random order; the white space between them stays where it is."""
    return _each(segments, lambda text: _reordered(text, r"\S+", rng))


def shuffle_sentences(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The sentences of each segment (up to a full stop, ``!`` or ``?`` before white space) in random order."""
    return _each(segments, lambda text: _reordered(text, r"(?s)\S.*?(?:[.!?](?=\s)|(?=\s*\Z))", rng))


def _each(segments: Sequence[Segment], change: Callable[[str], str]) -> list[Segment]:
    return [replace(segment, text=change(segment.text), soft_mask=None) for segment in segments]


def _reordered(text: str, piece: str, rng: np.random.Generator) -> str:
    """The pieces of a text in random order, and what lies between them in its own."""
    pieces = re.findall(piece, text)
    drawn = iter(rng.permutation(len(pieces)))
    return re.sub(piece, lambda _: pieces[next(drawn)], text)


def _contexts(symbols: Integers, alphabet: int, order: int) -> Integers:
    """Number of the context before each symbol of the circle, consecutive from 0, shape (n,)."""
    contexts, size = np.zeros(len(symbols), np.int64), 1
    for _ in range(order):
        if size * alphabet >= _LARGEST:
            distinct, contexts = np.unique(contexts, return_inverse=True)
            size = len(distinct)
        contexts = np.roll(contexts * alphabet + symbols, 1)
        size *= alphabet
    return np.asarray(np.unique(contexts, return_inverse=True)[1], np.int64)


def _settled(start: Floats, of: Integers, following: Integers, weights: Floats) -> Floats:
    """Stationary distribution, by iteration of the chain that waits every other time, which cannot oscillate."""
    now = start
    for _ in range(_ITERATIONS):
        after = (now + np.bincount(following, now[of] * weights, len(now))) / 2
        if np.abs(after - now).sum() < _SETTLED:
            return np.asarray(after / after.sum())
        now = after
    raise GfmError(
        "the contexts of the tempered Markov chain do not settle; use a lower order or a temperature nearer to 1"
    )


@numba.njit(cache=True)
def _walk(first, symbols, cumulative, following, context, draws):  # type: ignore[no-untyped-def]
    """Symbols of a walk along the edges, one a draw from [0, 1)."""
    out = np.empty(len(draws), np.int64)
    for i in range(len(draws)):
        begin = first[context]
        edge = begin + np.searchsorted(cumulative[begin : first[context + 1]], draws[i], side="right")
        out[i] = symbols[edge]
        context = following[edge]
    return out


@numba.njit(cache=True)
def _euler_tour(
    symbols: Integers, alphabet: int, rng: np.random.Generator
) -> Integers:  # pragma: no cover - compiled
    """A random order of symbols 0 … alphabet - 1 with the same pairs of neighbours, first and last."""
    n = len(symbols)
    ends = np.zeros(alphabet + 1, np.int64)  # of the successors of each symbol, in one array
    ends[1:] = np.cumsum(np.bincount(symbols[:-1], minlength=alphabet))
    successors = symbols[1:][np.argsort(symbols[:-1], kind="mergesort")]
    root = symbols[n - 1]
    reached = np.zeros(alphabet, np.bool_)
    reached[root] = True
    chosen = np.full(alphabet, -1)  # the last exit of each symbol, as a place among the successors
    for start in range(alphabet):
        now = start
        while not reached[now] and ends[now + 1] > ends[now]:
            chosen[now] = ends[now] + rng.integers(0, ends[now + 1] - ends[now])
            now = successors[chosen[now]]
        now = start
        while not reached[now] and ends[now + 1] > ends[now]:
            reached[now] = True
            now = successors[chosen[now]]
    for symbol in range(alphabet):
        begin, end = ends[symbol], ends[symbol + 1]
        if symbol != root and end > begin:
            last = chosen[symbol]
            successors[last], successors[end - 1] = successors[end - 1], successors[last]
            end -= 1
        for i in range(end - 1, begin, -1):
            j = begin + rng.integers(0, i - begin + 1)
            successors[i], successors[j] = successors[j], successors[i]
    place = ends[:-1].copy()
    out = np.empty(n, np.int64)
    now = symbols[0]
    for i in range(n):
        out[i] = now
        if i < n - 1:
            place[now] += 1
            now = successors[place[now] - 1]
    return out
