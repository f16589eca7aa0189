"""Result tables of corpus entropy: everything that is estimated of one corpus, or of its tokens."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.corpora import Corpus
from gfm_utils.entropy.blocks import BlockEntropy, block_entropies
from gfm_utils.entropy.codelength import (
    DNA_CODERS,
    TEXT_CODERS,
    CodeLength,
    Coder,
    dna_code_length,
    text_code_length,
)
from gfm_utils.errors import GfmError
from gfm_utils.tables import table

#: Columns that entropy rows add to those of every result table.
EXTRA = ("estimator", "kind", "order", "se", "trusted")

_BASES = np.full(256, 255, np.uint8)
_BASES[np.frombuffer(b"ACGT", np.uint8)] = np.arange(4)


def corpus_entropy(
    corpus: Corpus,
    max_order: int,
    max_symbols: int | None = None,
    code_symbols: int | None = None,
    coders: Sequence[Coder] = DNA_CODERS,
    progress: bool = False,
) -> pd.DataFrame:
    """Entropy of a corpus per base or character: estimates from counts, and code lengths as upper bounds.

    Rows (condition = the corpus's name): ``block_entropy`` (bits/block) and ``conditional_entropy`` by
    ``order`` and estimator, ``unigram_entropy`` (the same as order 1), ``code_length`` by coder, and
    ``uniform_entropy``, log2 of the size of the alphabet: 4 for DNA, for text the different characters seen.
    Text stops two orders after the last trusted one.

    Args:
        corpus: DNA (upper-case ACGT only) or text.
        max_order: largest block length.
        max_symbols: use only so many first bases or characters; None: all.
        code_symbols: of these, code only so many first ones (the slow part: about 6 s a million bases
            with all coders); None: all.
        coders: which code lengths to compute; those that are for DNA only are left out for text.
        progress: show bars.

    Raises:
        GfmError: the corpus is empty, or DNA holds something else than A, C, G and T.
    """
    texts = _first((segment.text for segment in corpus.segments), max_symbols)
    if not texts:
        raise GfmError(f"corpus {corpus.name!r} holds nothing to estimate entropy from")
    is_dna = corpus.kind == "dna"
    symbols, alphabet = encode_bases(texts) if is_dna else encode_characters(texts)
    unit = f"bits/{corpus.unit}"
    rows: list[dict[str, Any]] = []
    for result in block_entropies(
        symbols, alphabet, max_order, untrusted_orders=None if is_dna else 2, progress=progress
    ):
        rows += _block_rows(corpus.name, result, unit, 1.0)
    coded = _first(texts, code_symbols)
    usable = [coder for coder in coders if coder in (DNA_CODERS if is_dna else TEXT_CODERS)]
    for coder in tqdm(usable, desc="code lengths", unit="coder", disable=not progress):
        if is_dna:
            code = dna_code_length(encode_bases(coded)[0], coder, progress)
        else:
            code = text_code_length(coded, coder)
        rows.append(_code_row(corpus.name, code, unit))
    rows.append(_uniform_row(corpus.name, alphabet, unit, sum(map(len, texts))))
    return _table(rows)


def token_entropy(
    condition: str,
    tokens: Sequence[NDArray[np.integer[Any]]],
    vocabulary_size: int,
    symbols_per_token: float,
    unit: str,
    max_order: int = 3,
    progress: bool = False,
) -> pd.DataFrame:
    """Entropy of a corpus's tokens, per token and per base or character.

    Rows: ``block_entropy`` (bits/block of tokens), ``conditional_entropy`` and ``unigram_entropy``, the
    latter two in bits/token and again divided by ``symbols_per_token``, in bits/``unit``; and
    ``uniform_entropy`` likewise.
    It stops one order after the last trusted one.

    Args:
        condition: corpus@tokenizer.
        tokens: arrays of shape (length,), one a segment, of tokens below ``vocabulary_size``.
        vocabulary_size: number of tokens there are, the special ones left out or not.
        symbols_per_token: mean number of bases or characters of a token of this sequence.
        unit: ``"base"`` or ``"character"``.
        max_order: largest number of tokens a block.
        progress: show a bar.

    Raises:
        GfmError: there are no tokens.
        ValueError: a token is outside the vocabulary, or ``symbols_per_token`` is not positive.
    """
    if not any(len(segment) for segment in tokens):
        raise GfmError(f"{condition!r} holds no tokens to estimate entropy from")
    if not symbols_per_token > 0:
        raise ValueError("symbols_per_token must be positive")
    results = block_entropies(tokens, vocabulary_size, max_order, untrusted_orders=1, progress=progress)
    rows: list[dict[str, Any]] = []
    for name, scale in (("token", 1.0), (unit, symbols_per_token)):
        for result in results:
            found = _block_rows(condition, result, f"bits/{name}", scale)
            rows += found if name == "token" else [row for row in found if row["metric"] != "block_entropy"]
        rows.append(_uniform_row(condition, vocabulary_size, f"bits/{name}", results[0].observations, scale))
    return _table(rows)


def encode_bases(texts: Sequence[str]) -> tuple[list[NDArray[np.uint8]], int]:
    """Bases as 0 to 3 (A, C, G, T), one array of shape (length,) a segment; and 4, the size of the alphabet.

    Raises:
        GfmError: there is another character.
    """
    codes = [_BASES[np.frombuffer(text.encode("ascii", errors="replace"), np.uint8)] for text in texts]
    for text, segment in zip(texts, codes, strict=True):
        if segment.size and segment.max() > 3:
            raise GfmError(
                f"DNA must be A, C, G or T, found {text[int(segment.argmax())]!r}; clean the corpus first"
            )
    return codes, 4


def encode_characters(texts: Sequence[str]) -> tuple[list[NDArray[np.int64]], int]:
    """Characters numbered by code point among those that occur, and how many those are."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", errors="surrogatepass"), np.uint32)
    present = np.zeros(0x110000, np.int64)
    present[points] = 1
    numbers = np.cumsum(present) - 1
    ends = np.cumsum([len(text) for text in texts])[:-1]
    return np.split(numbers[points], ends), int(present.sum())


def _first(texts: Iterable[str], limit: int | None) -> list[str]:
    """The texts that are not empty, cut after so many symbols in all."""
    kept: list[str] = []
    left = sys.maxsize if limit is None else limit
    for text in texts:
        if left <= 0:
            break
        if text:
            kept.append(text[:left])
            left -= len(kept[-1])
    return kept


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A result table with the types of the extra columns."""
    types = {"order": "Int64", "se": "float64", "trusted": "boolean", "estimator": "string", "kind": "string"}
    return table(rows, extra=EXTRA).astype(types)


def _interval(value: float, se: float | None) -> dict[str, float | None]:
    """Columns value, se, and the normal 95 % interval."""
    if se is None:
        return {"value": value, "se": None, "low": None, "high": None}
    return {"value": value, "se": se, "low": value - 1.96 * se, "high": value + 1.96 * se}


def _block_rows(condition: str, result: BlockEntropy, unit: str, scale: float) -> list[dict[str, Any]]:
    """Rows of one estimator at one order, values divided by ``scale``."""
    shared = {
        "condition": condition,
        "axis": "order",
        "x": str(result.order),
        "n": result.observations,
        "estimator": result.estimator.value,
        "kind": "estimate",
        "order": result.order,
        "trusted": result.trusted,
    }
    conditional_se = None if result.conditional_se is None else result.conditional_se / scale
    conditional = _interval(result.conditional / scale, conditional_se)
    rows = [
        shared | {"metric": "block_entropy", "unit": "bits/block"} | _interval(result.block, result.block_se),
        shared | {"metric": "conditional_entropy", "unit": unit} | conditional,
    ]
    if result.order == 1:
        rows.append(shared | {"metric": "unigram_entropy", "axis": None, "x": None, "unit": unit} | conditional)
    return rows


def _code_row(condition: str, code: CodeLength, unit: str) -> dict[str, Any]:
    return {
        "condition": condition,
        "metric": "code_length",
        "unit": unit,
        "n": code.symbols,
        "estimator": code.coder.value,
        "kind": "upper bound",
        "trusted": True,
    } | _interval(code.per_symbol, code.se)


def _uniform_row(condition: str, alphabet: int, unit: str, n: int, scale: float = 1.0) -> dict[str, Any]:
    return {
        "condition": condition,
        "metric": "uniform_entropy",
        "value": math.log2(alphabet) / scale,
        "unit": unit,
        "n": n,
        "estimator": "uniform",
        "kind": "upper bound",
        "trusted": True,
    }
