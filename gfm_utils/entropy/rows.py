"""Result tables of corpus entropy: everything that is estimated of one corpus, or of its tokens."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gfm_utils.corpora import Corpus
from gfm_utils.entropy.blocks import BlockEntropy, block_entropies
from gfm_utils.entropy.codelength import CodeLength
from gfm_utils.entropy.matches import MOST_SYMBOLS, MatchEntropy, match_entropies
from gfm_utils.entropy.symbols import encode_bases, encode_characters, first_symbols
from gfm_utils.entropy.tables import entropy_rows
from gfm_utils.errors import GfmError


def corpus_entropy(
    corpus: Corpus,
    max_order: int,
    max_symbols: int | None = None,
    codes: Sequence[CodeLength] = (),
    match_symbols: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Entropy of a corpus per base or character: estimates from counts and from matches, and upper bounds.

    Rows (condition = the corpus's name): ``block_entropy`` (bits/block) and ``conditional_entropy`` by
    ``order`` and estimator, ``unigram_entropy`` (the same as order 1), ``entropy_rate`` from match lengths and
    ``longest_matches_share`` beside it, ``code_length`` by coder, and ``uniform_entropy``, log2 of the size of
    the alphabet: 4 for DNA, for text the different characters seen.
    Text stops two orders after the last trusted one.

    Args:
        corpus: DNA (upper-case ACGT only) or text.
        max_order: largest block length.
        max_symbols: use only so many first bases or characters; None: all.
        codes: of the same corpus, from `code_lengths`.
        match_symbols: of these symbols, match only so many first ones; None: 200 million (40 bytes each).
        progress: show bars.

    Raises:
        GfmError: the corpus is empty, or DNA holds something else than A, C, G and T.
    """
    texts = first_symbols((segment.text for segment in corpus.segments), max_symbols)
    if not texts:
        raise GfmError(f"corpus {corpus.name!r} holds nothing to estimate entropy from")
    is_dna = corpus.kind == "dna"
    encoded, alphabet = encode_bases(texts) if is_dna else encode_characters(texts)
    symbols: list[NDArray[Any]] = list(encoded)
    unit = f"bits/{corpus.unit}"
    rows: list[dict[str, Any]] = []
    for result in block_entropies(
        symbols, alphabet, max_order, untrusted_orders=None if is_dna else 2, progress=progress
    ):
        rows += _block_rows(corpus.name, result, unit, 1.0)
    matched = first_symbols(symbols, match_symbols or MOST_SYMBOLS)
    if sum(map(len, matched)) > 1:
        rows += _match_rows(corpus.name, match_entropies(matched, alphabet, progress), unit)
    rows += [_code_row(corpus.name, code, unit) for code in codes]
    rows.append(_uniform_row(corpus.name, alphabet, unit, sum(map(len, texts))))
    return entropy_rows(rows)


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
    return entropy_rows(rows)


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


def _match_rows(condition: str, found: Sequence[MatchEntropy], unit: str) -> list[dict[str, Any]]:
    """``entropy_rate`` by either form, never trusted, and ``longest_matches_share`` once."""
    rows: list[dict[str, Any]] = [
        {
            "condition": condition, "metric": "entropy_rate", "unit": unit, "n": match.symbols,
            "estimator": match.estimator.value, "kind": "estimate", "trusted": False,
        }
        | _interval(match.value, match.se)
        for match in found
    ]  # fmt: skip
    rows.append({
        "condition": condition, "metric": "longest_matches_share", "value": found[0].longest_share,
        "unit": "share", "n": found[0].symbols, "estimator": found[0].estimator.value, "kind": "estimate",
        "trusted": True,
    })  # fmt: skip
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
