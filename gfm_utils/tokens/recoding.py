"""Text in the alphabet of DNA: every byte becomes a word of bases, by a fixed code that can be undone.

Each byte of the text's UTF-8 is written by its rank among the bytes of the training part: the 63 commonest have a
word of three bases each, and the others the same words behind one or more of the 64th word, which says that a
further one follows. Which byte has which word is dealt at random, once and for all, so that no base is much
commoner than in a genome. Read as 4-mers, tokens straddle characters: each holds parts of two, cut in three ways
in turn.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora import Segment

#: Name of the transform.
RECODED = "recoded"
#: Bump when a text gets other bases than before.
FORMAT = 1
#: Bases of a word, and how many words there are.
BASES, WORDS = 3, 4**3
_COMMON = WORDS - 1
_LETTERS = np.frombuffer(b"ACGT", np.uint8)


@dataclass(frozen=True)
class BaseCode:
    """The words of all bytes.

    Attributes:
        order: the 256 bytes, from the commonest to the rarest.
    """

    order: tuple[int, ...]

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
