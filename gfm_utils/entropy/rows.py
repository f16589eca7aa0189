"""Result tables of corpus entropy: everything that is estimated of one corpus, or of its tokens."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gfm_utils.corpora import Corpus
from gfm_utils.entropy.blocks import BlockEntropy, block_entropies
from gfm_utils.entropy.codelength import CodeLength
from gfm_utils.entropy.matches import MOST_SYMBOLS, Matching, longest_share, match_entropies, match_lengths
from gfm_utils.entropy.symbols import encode_characters, encode_letters, first_symbols
from gfm_utils.errors import GfmError
from gfm_utils.tables import table

#: Columns that entropy rows add to those of every result table: the estimator or coder; its kind (``estimate``,
#: ``upper bound`` or ``exact``); the order k of blocks; the standard error; and whether the sample is large enough
#: for the estimator.
EXTRA = {"estimator": "string", "kind": "string", "order": "Int64", "se": "float64", "trusted": "boolean"}


def entropy_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A result table with the extra columns in their types.

    Raises:
        ValueError: a row has an unknown column or lacks a required one.
    """
    return table(rows, extra=tuple(EXTRA)).astype(EXTRA)


def corpus_entropy(
    corpus: Corpus,
    max_order: int,
    max_symbols: int | None = None,
    codes: Sequence[CodeLength] = (),
    match_symbols: int | None = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Entropy of a corpus per symbol: estimates from counts and from matches, and upper bounds.

    Rows (condition = the corpus's name): ``block_entropy`` (bits/block) and ``conditional_entropy`` by
    ``order`` and estimator, ``unigram_entropy`` (the same as order 1), ``entropy_rate`` from match lengths and
    ``longest_matches_share`` beside it, ``code_length`` by coder, and ``uniform_entropy``, log2 of the size of
    the alphabet: 4 for DNA, 20 for protein, for text the different characters seen.
    Text and protein stop two orders after the last trusted one.

    Args:
        corpus: DNA (upper-case ACGT only), protein or text.
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
    of_text = corpus.kind == "text"
    encoded, alphabet = encode_characters(texts) if of_text else encode_letters(texts, corpus.kind)
    symbols: list[NDArray[Any]] = list(encoded)
    unit = f"bits/{corpus.unit}"
    counted = block_entropies(
        symbols, alphabet, max_order, untrusted_orders=None if alphabet == 4 else 2, progress=progress
    )
    rows = [row for result in counted for row in _block_rows(corpus.name, result, unit, 1.0)]
    matched = first_symbols(symbols, MOST_SYMBOLS if match_symbols is None else match_symbols)
    if sum(map(len, matched)) > 1:
        lengths = match_lengths(matched, alphabet)
        n = len(lengths) - 1
        for estimator, (rate, se) in match_entropies(lengths).items():
            row = _row(corpus.name, "entropy_rate", rate, unit, n, estimator, se)
            rows.append(row | {"trusted": False})
        share = longest_share(lengths)
        rows.append(_row(corpus.name, "longest_matches_share", share, "share", n, Matching.HARMONIC))
    rows += [
        _row(corpus.name, "code_length", code.per_symbol, unit, code.symbols, code.coder, code.se, "upper bound")
        for code in codes
    ]
    rows.append(_uniform_row(corpus.name, alphabet, unit, sum(map(len, texts)), 1.0))
    return entropy_rows(rows)


def token_entropy(
    condition: str,
    tokens: Sequence[NDArray[np.integer[Any]]],
    vocabulary_size: int,
    symbols_per_token: float,
    unit: str,
    max_order: int = 3,
) -> pd.DataFrame:
    """Entropy of a corpus's tokens, per token and per symbol, to one order after the last trusted one.

    Rows: ``block_entropy`` (bits/block of tokens), ``conditional_entropy``, ``unigram_entropy`` and
    ``uniform_entropy``, the latter three in bits/token and, divided by ``symbols_per_token``, in bits/``unit``.

    Args:
        condition: corpus@tokenizer.
        tokens: arrays of shape (length,), one a segment, of tokens below ``vocabulary_size``.
        vocabulary_size: number of tokens there are, the special ones left out or not.
        symbols_per_token: mean number of bases or characters of a token of this sequence.
        unit: ``"base"``, ``"residue"`` or ``"character"``.
        max_order: largest number of tokens a block.

    Raises:
        GfmError: there are no tokens.
        ValueError: a token is outside the vocabulary.
    """
    results = block_entropies(tokens, vocabulary_size, max_order, untrusted_orders=1)
    if not results:
        raise GfmError(f"{condition!r} holds no tokens to estimate entropy from")
    rows: list[dict[str, Any]] = []
    for name, scale in (("token", 1.0), (unit, symbols_per_token)):
        for result in results:
            of_order = _block_rows(condition, result, f"bits/{name}", scale)
            rows += of_order if name == "token" else of_order[1:]
        rows.append(_uniform_row(condition, vocabulary_size, f"bits/{name}", results[0].observations, scale))
    return entropy_rows(rows)


def _row(
    condition: str,
    metric: str,
    value: float,
    unit: str,
    n: int,
    estimator: str,
    se: float = math.nan,
    kind: str = "estimate",
) -> dict[str, Any]:
    """A trusted row, with the normal 95 % interval where a standard error is known."""
    return {
        "condition": condition, "metric": metric, "value": value, "unit": unit, "low": value - 1.96 * se,
        "high": value + 1.96 * se, "n": n, "estimator": str(estimator), "kind": kind, "se": se, "trusted": True,
    }  # fmt: skip


def _block_rows(condition: str, result: BlockEntropy, unit: str, scale: float) -> list[dict[str, Any]]:
    """Rows of one estimator at one order, that of blocks first; values per symbol are divided by ``scale``."""
    order = {"order": result.order, "trusted": result.trusted}
    axis = order | {"axis": "order", "x": str(result.order)}
    n, name = result.observations, result.estimator
    value, se = result.conditional / scale, result.conditional_se / scale
    rows = [
        _row(condition, "block_entropy", result.block, "bits/block", n, name, result.block_se) | axis,
        _row(condition, "conditional_entropy", value, unit, n, name, se) | axis,
    ]
    if result.order == 1:
        rows.append(_row(condition, "unigram_entropy", value, unit, n, name, se) | order)
    return rows


def _uniform_row(condition: str, alphabet: int, unit: str, n: int, scale: float) -> dict[str, Any]:
    return _row(condition, "uniform_entropy", math.log2(alphabet) / scale, unit, n, "uniform", kind="upper bound")
