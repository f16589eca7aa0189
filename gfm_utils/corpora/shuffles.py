"""Shuffles of symbols, words and sentences: each keeps certain counts exactly, segment by segment."""

import re
from collections.abc import Sequence

import numba
import numpy as np

from gfm_utils.corpora.segments import Segment
from gfm_utils.corpora.surrogates import Integers, code_points, text_of

_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|(?=\s*\Z))", re.DOTALL)


def shuffle_symbols(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The symbols of each segment in random order, every order equally likely (mononucleotide shuffle)."""
    return [_with(segment, text_of(rng.permutation(code_points(segment.text)))) for segment in segments]


def shuffle_pairs(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """Each segment in an order that keeps the count of every pair of neighbours (dinucleotide shuffle).

    A segment is a walk along the edges of a multigraph of symbols, one edge a pair; every Euler tour of it from
    the first to the last symbol is equally likely (Altschul and Erickson, 1985; the last exits from each symbol
    form a random spanning tree towards the last symbol, drawn by Wilson's algorithm, 1996). First and last symbol
    stay.
    """
    shuffled = []
    for segment in segments:
        alphabet, symbols = np.unique(code_points(segment.text), return_inverse=True)
        shuffled.append(_with(segment, text_of(alphabet[_euler_tour(symbols, len(alphabet), rng)])))
    return shuffled


def shuffle_words(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The words of each segment in random order; the white space between them stays where it is."""
    return [_with(segment, _reordered(segment.text, _WORD, rng)) for segment in segments]


def shuffle_sentences(segments: Sequence[Segment], rng: np.random.Generator) -> list[Segment]:
    """The sentences of each segment (up to a full stop, ``!`` or ``?`` before white space) in random order."""
    return [_with(segment, _reordered(segment.text, _SENTENCE, rng)) for segment in segments]


def _with(segment: Segment, text: str) -> Segment:
    return Segment(segment.record, segment.start, text)


def _reordered(text: str, piece: re.Pattern[str], rng: np.random.Generator) -> str:
    """The pieces of a text in random order, and what lies between them in its own."""
    pieces = list(piece.finditer(text))
    order = rng.permutation(len(pieces))
    parts, end = [], 0
    for match, other in zip(pieces, order, strict=True):
        parts += [text[end : match.start()], pieces[other].group()]
        end = match.end()
    return "".join([*parts, text[end:]])


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
