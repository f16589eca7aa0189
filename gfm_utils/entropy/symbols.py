"""Sequences as numbers: bases as 0 to 3, residues as 0 to 19, characters by code point."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gfm_utils.corpora import KINDS
from gfm_utils.errors import GfmError


def encode_letters(texts: Sequence[str], kind: str = "dna") -> tuple[list[NDArray[np.uint8]], int]:
    """Bases (0 to 3 for A, C, G, T) or residues as numbers, shape (length,) each; and the size of the alphabet.

    Raises:
        GfmError: there is another character.
    """
    traits = KINDS[kind]
    numbers = np.full(256, 255, np.uint8)
    numbers[np.frombuffer(traits.alphabet.encode(), np.uint8)] = np.arange(len(traits.alphabet))
    codes = [numbers[np.frombuffer(text.encode("ascii", errors="replace"), np.uint8)] for text in texts]
    for text, segment in zip(texts, codes, strict=True):
        if segment.size and segment.max() == 255:
            raise GfmError(
                f"{traits.label} must be of {', '.join(traits.alphabet)}, found {text[int(segment.argmax())]!r}; "
                "clean the corpus first"
            )
    return codes, len(traits.alphabet)


def encode_characters(texts: Sequence[str]) -> tuple[list[NDArray[np.int64]], int]:
    """Characters numbered by code point among those that occur, and how many those are."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", errors="surrogatepass"), np.uint32)
    numbers, present = pd.factorize(points, sort=True)
    return np.split(numbers, np.cumsum([len(text) for text in texts])[:-1]), len(present)


Text = TypeVar("Text", str, NDArray[Any])


def first_symbols(texts: Iterable[Text], limit: int | None) -> list[Text]:
    """The texts, or arrays of symbols, that are not empty, cut after so many symbols in all."""
    kept: list[Text] = []
    left = sys.maxsize if limit is None else limit
    for text in texts:
        if left <= 0:
            break
        if len(text):
            kept.append(text[:left])
            left -= len(kept[-1])
    return kept
