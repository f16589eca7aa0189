"""Transforms, which make a control of a corpus: ``corpus+transform@tokenizer``, several from left to right.

Each part is transformed by itself, with the tokenizer of the corpus as it is (but for ``recoded``); the chain of a
Markov surrogate is fitted on the training part.

On tokens: ``shuffle``, all of a part in random order; ``noise<r>``, a share 0 < r <= 1 of them, chosen at random,
in random order among themselves; ``windows<n>``, stretches of n in random order; ``within<n>``, the tokens of each
stretch of n in random order, segment by segment, as windows are cut; ``reverse``, each segment from its end; and
``uniform``, every token drawn from the vocabulary.

On letters (:mod:`gfm_utils.corpora.controls`): ``markov<k>`` and ``markov<k>t<T>``, a surrogate of order k at
temperature T; ``mononucleotide`` and ``dinucleotide``, shuffles that keep the counts of symbols or of pairs;
``words`` and ``sentences`` of text in random order; and ``recoded``, text in four letters (:class:`BaseCode`).
"""

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

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

#: Name of the transform of text into four letters; its version, to be raised when a text gets other bases.
RECODED = "recoded"
RECODING = 1
#: Bases of a word, and how many words there are.
BASES, WORDS = 3, 4**3
_COMMON = WORDS - 1
_LETTERS = np.frombuffer(b"ACGT", np.uint8)
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
_LONGEST_WINDOW = 2**53  # whole numbers up to here are themselves as floating-point numbers
#: Transforms whose name holds a number, and what it may be; and what that of any may be.
_SIZED = {
    "noise": "a share above 0 and at most 1, as in noise0.25",
    "windows": "a number of tokens, as in windows16",
    "within": "a number of tokens, as in within64",
    "markov": f"an order from 0 to {LONGEST}, as in markov8, and perhaps a temperature from {COLDEST} to 1000, "
    "as in markov4t0.5",
}
_TAKES = _SIZED | dict.fromkeys(("shuffle", "reverse", "uniform", RECODED, *_SHUFFLES), "no number")


@dataclass(frozen=True)
class Transform:
    """A transform by its name and numbers."""

    name: str  # without numbers
    size: float = 0  # share of noise, tokens of windows or within, order of markov; else 0
    temperature: float = 1  # of markov; else 1

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
    """The tokens (n,) of a part, transformed.

    Args:
        transform: one that works on tokens.
        tokens: of the part.
        lengths: of its segments, in tokens.
        vocabulary: first id of the tokens that may occur, and one past the last.
        rng: what chance is drawn from.
    """
    tokens = np.array(tokens)
    size, ends = int(transform.size), np.cumsum(lengths).tolist()
    match transform.name:
        case "shuffle":
            return rng.permutation(tokens)
        case "uniform":
            return rng.integers(*vocabulary, len(tokens)).astype(np.uint16)
        case "noise":
            chosen = _noise_order(transform, len(tokens), rng)
            moved = tokens[chosen]
            places = np.zeros(len(tokens), np.bool_)
            places[chosen] = True
            tokens[places] = moved
        case "windows":
            whole = len(tokens) // size * size
            tokens[:whole] = rng.permutation(tokens[:whole].reshape(-1, size)).ravel()
        case "within":
            for begin, end in zip([0, *ends], ends, strict=False):
                rest = end - (end - begin) % size
                stretches = tokens[begin:rest].reshape(-1, size)
                rng.permuted(stretches, axis=1, out=stretches)
                rng.shuffle(tokens[rest:end])
        case "reverse":
            for begin, end in zip([0, *ends], ends, strict=False):
                tokens[begin:end] = tokens[begin:end][::-1].copy()
    return tokens


def noise_places(transform: Transform, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which of so many tokens ``transform_tokens`` moves, with the same noise and chance, shape (count,)."""
    places = np.zeros(count, np.bool_)
    places[_noise_order(transform, count, rng)] = True
    return places


def _noise_order(transform: Transform, count: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
    """The places that the noise chooses, in random order."""
    # Numbers of 4 bytes, where they suffice, are shuffled as those of 8 bytes would be by rng.permutation.
    order: npt.NDArray[np.integer] = np.arange(count, dtype=np.uint32 if count <= 1 << 32 else np.int64)
    rng.shuffle(order)
    return order[: round(transform.size * count)]


def symbol_transform(
    transform: Transform, kind: str, train: Sequence[Segment]
) -> tuple[Callable[[Sequence[Segment], np.random.Generator], list[Segment]], MarkovChain | None]:
    """The function that transforms the letters of a part, and the Markov chain that it draws from, if any.

    Raises:
        GfmError: words or sentences of DNA or protein, or the chain cannot be fitted.
    """
    if transform.name == "markov":
        chain = MarkovChain.fit(train, int(transform.size), transform.temperature)
        return partial(surrogate, chain), chain
    if kind != "text" and transform.name in ("words", "sentences"):
        label = KINDS[kind].label
        raise GfmError(
            f"transform {transform.name!r} is for text, and {label} has no {transform.name}; use windows16"
        )
    return _SHUFFLES[transform.name], None


@dataclass(frozen=True)
class BaseCode:
    """Text in the alphabet of DNA: every byte of its UTF-8 becomes bases, by a code that can be undone.

    The 63 bytes that are commonest in the training part have a word of three bases each, the others the same words
    behind one or more of the 64th, which says that another follows. Words are dealt at random, once and for all,
    so that no base is much commoner than in a genome.
    """

    order: tuple[int, ...]  # the 256 bytes, from the commonest to the rarest

    @classmethod
    def fit(cls, segments: Sequence[Segment]) -> "BaseCode":
        """The code for a text like these segments; bytes that they lack follow by their number."""
        counts = np.zeros(256, np.int64)
        for segment in segments:
            counts += np.bincount(_bytes(segment.text), minlength=256)
        return cls(tuple(np.argsort(-counts, kind="stable").tolist()))

    @cached_property
    def _ranks(self) -> npt.NDArray[np.int64]:
        return np.argsort(np.array(self.order))

    @cached_property
    def _words(self) -> npt.NDArray[np.int64]:
        """Word of each rank below ``_COMMON``, and last the one that says that a further word follows."""
        return np.random.default_rng(0).permutation(WORDS)

    def encode(self, text: str) -> str:
        """The bases of a text."""
        ranks = self._ranks[_bytes(text)]
        before = ranks // _COMMON  # words that say that a further one follows
        numbers = np.full(len(ranks) + before.sum(), _COMMON)
        numbers[np.cumsum(before + 1) - 1] = ranks % _COMMON
        words = self._words[numbers]
        digits = np.stack([words // 16, words // 4 % 4, words % 4], axis=1)
        return _LETTERS[digits.ravel()].tobytes().decode("ascii")

    def decode(self, bases: str) -> str:
        """The text of the bases of a text; what is cut at their end is left out."""
        digits = np.searchsorted(_LETTERS, np.frombuffer(bases[: len(bases) // BASES * BASES].encode(), np.uint8))
        numbers = np.argsort(self._words)[digits.reshape(-1, BASES) @ [16, 4, 1]]
        ends = np.flatnonzero(numbers < _COMMON)
        before = np.diff(ends, prepend=-1) - 1
        text = np.array(self.order, np.uint8)[before * _COMMON + numbers[ends]].tobytes()
        return codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(text)


def recode(code: BaseCode, segments: Sequence[Segment]) -> list[Segment]:
    """Segments of text as segments of bases, of the same records and places in the text."""
    return [Segment(one.record, one.start, code.encode(one.text)) for one in segments]


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
