"""Upper bounds: what compressors and, for DNA, the context mixer spend on a sequence, in bits.

Compressors get DNA packed, four bases a byte: a tighter bound than letters give (first 4 Mb of A. thaliana's
chromosome 1, bits per base: zlib 1.95 against 2.22, bz2 1.99 against 2.16, lzma 1.95 against 2.05).
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyppmd
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.corpora import Corpus
from gfm_utils.entropy.blocks import jackknife_error, means_without_chunks
from gfm_utils.entropy.dna_mixing import FAST, FULL, LONGEST, REPEAT_FREE, dna_context_mixing
from gfm_utils.entropy.symbols import encode_letters, first_symbols
from gfm_utils.errors import GfmError


class Coder(StrEnum):
    """How a sequence is coded; the value is the name in result tables (column ``estimator``)."""

    ZLIB = "zlib"
    """DEFLATE, level 9: matches within 32 kB and Huffman codes."""
    BZ2 = "bz2"
    """Burrows–Wheeler transform in blocks of 900 kB, level 9."""
    LZMA = "lzma"
    """Long-range matches and range coding, preset 9 extreme."""
    PPMD = "ppmd"
    """Prediction by partial matching, variant H of 7-zip (pyppmd), order 12, 256 MB; text only."""
    CONTEXT_MIXING = "context_mixing"
    """Our own prequential mix of contexts and copies, see `gfm_utils.entropy.dna_mixing`; DNA only."""
    CONTEXT_MIXING_FAST = "context_mixing_fast"
    """The same with fewer models; DNA only."""
    CONTEXT_MIXING_REPEAT_FREE = "context_mixing_repeat_free"
    """The same without any context longer than 12 bases: the baseline of a short context; DNA only."""


_MIXERS = {
    Coder.CONTEXT_MIXING: FULL,
    Coder.CONTEXT_MIXING_FAST: FAST,
    Coder.CONTEXT_MIXING_REPEAT_FREE: REPEAT_FREE,
}


def _ppmd(data: bytes) -> bytes:
    # Of orders 4 to 32, 12 has the shortest code of the news (12.5 MB): 1.693 bits a byte; 1.770 at order 6,
    # 1.74 from 24 on, where the memory fills and the model starts again.
    encoder = pyppmd.Ppmd7Encoder(12, 1 << 28)
    return bytes(encoder.encode(data) + encoder.flush())


_COMPRESSORS: dict[Coder, Callable[[bytes], bytes]] = {
    Coder.ZLIB: lambda data: zlib.compress(data, 9),
    Coder.BZ2: lambda data: bz2.compress(data, 9),
    Coder.LZMA: lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    Coder.PPMD: _ppmd,
}
DNA_CODERS = (Coder.ZLIB, Coder.BZ2, Coder.LZMA, *_MIXERS)
TEXT_CODERS = tuple(_COMPRESSORS)
_AT_ONCE = 2  # coders, whose tables are all in memory


@dataclass(frozen=True)
class CodeLength:
    """The length of one code: ``per_symbol`` in bits, of so many bases or characters.

    ``costs`` are the bits of each base, shape (n,), where the coder knows them; then ``se`` is the standard error
    of ``per_symbol`` (jackknife over 20 contiguous chunks), too high since learning counts as variation.
    """

    coder: Coder
    per_symbol: float
    symbols: int
    se: float = np.nan
    costs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


def code_lengths(corpus: Corpus, limit: int | None = None, progress: bool = False) -> list[CodeLength]:
    """What every coder spends on a corpus; two are computed at a time where there are two cores.

    Args:
        corpus: DNA (upper-case ACGT only), text, or protein, which is coded as text is.
        limit: code only so many first bases or characters; None: all (of DNA at most 2**31, the mixer's limit).
        progress: show bars.

    Raises:
        GfmError: the corpus is empty, or DNA holds something else than A, C, G and T.
    """
    texts = first_symbols((segment.text for segment in corpus.segments), min(limit or LONGEST, LONGEST))
    if not texts:
        raise GfmError(f"corpus {corpus.name!r} holds nothing to code")
    is_dna = corpus.kind == "dna"
    segments = encode_letters(texts)[0] if is_dna else []
    coders = DNA_CODERS if is_dna else TEXT_CODERS

    def one(coder: Coder) -> CodeLength:
        length = dna_code_length(segments, coder, progress) if is_dna else text_code_length(texts, coder)
        bar.update()
        return length

    # All of them leave Python's lock while they work; the mixers, which take longest, start first.
    with (
        tqdm(total=len(coders), desc="code lengths", unit="coder", disable=not progress) as bar,
        ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool,
    ):
        order = sorted(coders, key=_MIXERS.__contains__, reverse=True)
        jobs = {coder: pool.submit(one, coder) for coder in order}
        return [jobs[coder].result() for coder in coders]


def compressed_bits(data: bytes, coder: Coder) -> int:
    """Bits of the compressed file, headers included, by a coder of `TEXT_CODERS`."""
    return 8 * len(_COMPRESSORS[coder](data))


def dna_code_length(segments: Sequence[NDArray[np.uint8]], coder: Coder, progress: bool = False) -> CodeLength:
    """Bits per base of DNA, of segments of shape (length,) each, bases 0 to 3 (A, C, G, T), at least one in all.

    The segments are joined: at a seam the context is the end of the segment before.
    """
    codes = np.concatenate(segments)
    if coder not in _MIXERS:
        packed = np.packbits(np.stack([codes >> 1, codes & 1], axis=1).astype(np.uint8))
        return CodeLength(coder, compressed_bits(packed.tobytes(), coder) / len(codes), len(codes))
    costs = dna_context_mixing(codes, _MIXERS[coder], progress)
    se = jackknife_error(means_without_chunks(costs))
    return CodeLength(coder, float(costs.mean(dtype=np.float64)), len(costs), se, costs)


def text_code_length(texts: Sequence[str], coder: Coder) -> CodeLength:
    """Bits per character (not per byte) of text, coded as UTF-8 by a coder of `TEXT_CODERS`.

    The texts, at least one character in all, are joined by line feeds, which are coded but not counted.
    """
    symbols = sum(map(len, texts))
    data = "\n".join(texts).encode("utf-8", errors="surrogatepass")
    return CodeLength(coder, compressed_bits(data, coder) / symbols, symbols)
