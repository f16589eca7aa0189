"""Controls: a corpus with something taken away, written ``corpus+transform@tokenizer``.

Every part (training, validation, test) is transformed by itself, so that nothing of one gets into another; only
the chain of a Markov surrogate is fitted on the training part for all three. The tokenizer is that of the corpus
as it is, so that the vocabulary stays (but for ``recoded``).

Several follow each other from left to right, ``corpus+markov4t0.33+noise0.3@kmer4``.

On tokens:

- ``shuffle``: all tokens of a part in random order; their counts stay to the last one.
- ``noise<r>``, 0 < r <= 1: a share r of the tokens, chosen at random, in random order among themselves: what
  replacing them by draws from the unigram distribution does, with the counts kept to the last one.
- ``windows<n>``: stretches of n tokens in random order.
- ``within<n>``: the tokens of each stretch of n in random order among themselves, segment by segment from its
  beginning, as windows are cut: what stands in a window of n tokens stays, and how it is arranged goes.
- ``reverse``: the tokens of each segment from the last to the first; the entropy rate stays.
- ``uniform``: every token drawn anew, each of the vocabulary equally likely.

On bases, residues or characters, before tokenizing:

- ``markov<k>``, ``markov<k>t<T>``: a surrogate from a chain of order k, at temperature T
  (:mod:`gfm_utils.corpora.controls`).
- ``mononucleotide``, ``dinucleotide``: shuffles of each segment that keep the counts of symbols, or of pairs.
- ``words``, ``sentences``: of text, in random order within each segment (:mod:`gfm_utils.corpora.controls`).
- ``recoded``: text in four letters, by a code that can be undone (:mod:`gfm_utils.tokens.recoding`). It is then
  cut as DNA is, ``news+recoded@kmer4``, by a tokenizer that learns from these letters, if it learns.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora import KINDS, Segment
from gfm_utils.corpora.controls import (
    COLDEST,
    LONGEST,
    MarkovChain,
    shuffle_pairs,
    shuffle_sentences,
    shuffle_symbols,
    shuffle_words,
    surrogate,
)
from gfm_utils.errors import GfmError
from gfm_utils.tokens.recoding import RECODED

#: Tokens that are drawn, or moved, at once.
CHUNK = 1 << 24
Tokens = npt.NDArray[np.uint16]
#: Bump when a transform gives other tokens than before, or says other things of them.
FORMAT = 2
_NAME = re.compile(r"(?P<name>[a-z]+?)(?P<size>[0-9.]*)(t(?P<temperature>[0-9.]+))?")
_SHUFFLES: dict[str, Callable[[Sequence[Segment], np.random.Generator], list[Segment]]] = {
    "mononucleotide": shuffle_symbols,
    "dinucleotide": shuffle_pairs,
    "words": shuffle_words,
    "sentences": shuffle_sentences,
}
#: Those whose name holds a number, and what it may be.
_SIZED = {
    "noise": "a share above 0 and at most 1, as in noise0.25",
    "windows": "a number of tokens, as in windows16",
    "within": "a number of tokens, as in within64",
    "markov": f"an order from 0 to {LONGEST}, as in markov8, and perhaps a temperature from {COLDEST} to 1000, "
    "as in markov4t0.5",
}
#: Whole numbers up to here are themselves as floating-point numbers.
_LONGEST_WINDOW = 2**53
#: What the number of each transform may be.
_TAKES = _SIZED | dict.fromkeys(("shuffle", "reverse", "uniform", RECODED, *_SHUFFLES), "no number")


@dataclass(frozen=True)
class Transform:
    """A transform by its name and numbers.

    Attributes:
        name: without numbers.
        size: share of ``noise``, tokens of ``windows`` or ``within``, order of ``markov``; else 0.
        temperature: of ``markov``; else 1.
    """

    name: str
    size: float = 0
    temperature: float = 1

    @staticmethod
    def named(text: str) -> bool:
        """Whether the text is the name of a transform, perhaps with numbers."""
        match = _NAME.fullmatch(text)
        return match is not None and match["name"] in _TAKES

    @classmethod
    def parse(cls, text: str) -> "Transform":
        """Read a transform's name.

        Raises:
            GfmError: the name is unknown, or its numbers are missing, too many, or out of range.
        """
        match = _NAME.fullmatch(text)
        if match is None or match["name"] not in _TAKES:
            raise GfmError(f"unknown transform {text!r}; there are {', '.join(_TAKES)}")
        name = match["name"]
        try:
            size, temperature = float(match["size"] or 0), float(match["temperature"] or 1)
        except ValueError:
            raise GfmError(f"transform {text!r} holds no number; write for example noise0.25 or markov8") from None
        fits = _fits(name, match["size"], size)
        if not fits or (match["temperature"] and (name != "markov" or not COLDEST <= temperature <= 1000)):
            raise GfmError(f"transform {text!r}: {name} takes {_TAKES[name]}")
        return cls(name, size, temperature)

    def __str__(self) -> str:
        size = _written(self.size) if self.name in _SIZED else ""
        return f"{self.name}{size}" + (f"t{_written(self.temperature)}" if self.temperature != 1 else "")

    @property
    def on_symbols(self) -> bool:
        """Whether it works on bases or characters, before tokenizing."""
        return self.name in ("markov", RECODED) or self.name in _SHUFFLES


def _fits(name: str, text: str, size: float) -> bool:
    if name not in _SIZED:
        return not text
    if name == "noise":
        return 0 < size <= 1
    return text.isdecimal() and (size <= LONGEST if name == "markov" else 1 <= size <= _LONGEST_WINDOW)


def _written(number: float) -> str:
    """The shortest digits that are read back as the very number, without an exponent."""
    return np.format_float_positional(number, trim="-")


def transform_tokens(
    transform: Transform,
    tokens: Tokens,
    lengths: npt.NDArray[np.int64],
    vocabulary: tuple[int, int],
    rng: np.random.Generator,
) -> Tokens:
    """The tokens of a part, transformed.

    In memory are the transformed tokens, 2 bytes each, and some millions at work; for ``noise`` 7 bytes each.

    Args:
        transform: one that works on tokens.
        tokens: of the part, shape (n,).
        lengths: of its segments, in tokens; their sum is n.
        vocabulary: first id of the tokens that may occur, and one past the last.
        rng: what chance is drawn from.
    """
    tokens = np.asarray(tokens)  # a memory map is slow to cut into segments
    if transform.name == "shuffle":
        return rng.permutation(tokens)
    if transform.name == "noise":
        return _noisy(tokens, round(transform.size * len(tokens)), rng)
    if transform.name == "windows":
        size = int(transform.size)
        whole = len(tokens) // size * size
        stretches = rng.permutation(tokens[:whole].reshape(-1, size))
        return np.concatenate([stretches.reshape(-1), tokens[whole:]])
    if transform.name == "within":
        return _mixed_within(tokens, lengths, int(transform.size), rng)
    if transform.name == "reverse":
        changed, begin = np.empty(len(tokens), np.uint16), 0
        for length in lengths.tolist():
            changed[begin : begin + length] = tokens[begin : begin + length][::-1]
            begin += length
        return changed
    changed = np.empty(len(tokens), np.uint16)
    for begin in range(0, len(tokens), CHUNK):
        place = changed[begin : begin + CHUNK]
        place[:] = rng.integers(*vocabulary, len(place))
    return changed


def noise_places(transform: Transform, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which of so many tokens ``transform_tokens`` moves, with the same noise and chance, shape (count,)."""
    places = np.zeros(count, np.bool_)
    places[_random_order(count, rng)[: round(transform.size * count)]] = True
    return places


def _random_order(count: int, rng: np.random.Generator) -> npt.NDArray[np.uint32 | np.int64]:
    # Numbers of 4 bytes, where they suffice, are shuffled as those of 8 bytes would be by rng.permutation.
    order: npt.NDArray[np.uint32 | np.int64] = np.arange(count, dtype=np.uint32 if count <= 1 << 32 else np.int64)
    rng.shuffle(order)
    return order


def _noisy(tokens: Tokens, count: int, rng: np.random.Generator) -> Tokens:
    """So many tokens, chosen at random, in random order among themselves; the others where they were."""
    chosen = _random_order(len(tokens), rng)
    moved, places = np.empty(count, np.uint16), np.zeros(len(tokens), np.bool_)
    for begin in range(0, count, CHUNK):
        end = min(begin + CHUNK, count)
        moved[begin:end] = tokens[chosen[begin:end]]
        places[chosen[begin:end]] = True
    del chosen
    changed = np.array(tokens)
    changed[places] = moved
    return changed


def _mixed_within(tokens: Tokens, lengths: npt.NDArray[np.int64], size: int, rng: np.random.Generator) -> Tokens:
    """The tokens of each stretch of so many, and of what is left of a segment, in random order."""
    changed, begin = np.array(tokens), 0
    for length in lengths.tolist():
        whole = length // size * size
        stretches = changed[begin : begin + whole].reshape(-1, size)
        for first in range(0, len(stretches), -(-CHUNK // size)):
            part = stretches[first : first + -(-CHUNK // size)]
            rng.permuted(part, axis=1, out=part)
        rng.shuffle(changed[begin + whole : begin + length])
        begin += length
    return changed


def symbol_transform(
    transform: Transform, kind: str, train: Sequence[Segment]
) -> tuple[Callable[[Sequence[Segment], np.random.Generator], list[Segment]], MarkovChain | None]:
    """The function that transforms the segments of a part, and the Markov chain that it draws from, if any.

    Args:
        transform: one that works on bases or characters.
        kind: of the corpus.
        train: the training part, which a Markov chain is fitted on.

    Returns:
        The function, and the chain.

    Raises:
        GfmError: words or sentences of DNA or protein, or the chain cannot be fitted.
    """
    if transform.name == "markov":
        chain = MarkovChain.fit(train, int(transform.size), transform.temperature)
        return lambda segments, rng: surrogate(chain, segments, rng), chain
    if kind != "text" and transform.name in ("words", "sentences"):
        label = KINDS[kind].label
        raise GfmError(
            f"transform {transform.name!r} is for text, and {label} has no {transform.name}; use windows16"
        )
    return _SHUFFLES[transform.name], None
