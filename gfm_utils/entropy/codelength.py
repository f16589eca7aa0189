"""Upper bounds: what compressors and, for DNA, the context mixer spend on a sequence, in bits.

DNA goes to the general-purpose compressors packed, four bases a byte: a tighter bound than letters give
(first 4 Mb of A. thaliana's chromosome 1, bits per base: zlib 1.95 against 2.22, bz2 1.99 against 2.16,
lzma 1.95 against 2.05).
Segments are joined: DNA directly (at a seam the code has the end of the segment before as its context, which
costs at most a few dozen bits), text by a line feed, which is coded but not counted as a character.
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyppmd
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.corpora import Corpus
from gfm_utils.entropy.blocks import CHUNKS, chunk_sums, jackknife_error
from gfm_utils.entropy.dna_mixing import LONGEST, Mode, dna_context_mixing
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
    """The same without any context longer than 12 bases: what a model with a short context can hope for;
    DNA only."""


_DNA_MODES = {
    Coder.CONTEXT_MIXING: Mode.FULL,
    Coder.CONTEXT_MIXING_FAST: Mode.FAST,
    Coder.CONTEXT_MIXING_REPEAT_FREE: Mode.REPEAT_FREE,
}
#: Coders of DNA.
DNA_CODERS = (Coder.ZLIB, Coder.BZ2, Coder.LZMA, *_DNA_MODES)
#: Coders of text.
TEXT_CODERS = (Coder.ZLIB, Coder.BZ2, Coder.LZMA, Coder.PPMD)
# The shortest of orders 4 to 32 on all of the news (12.5 MB: 1.693 bits a byte; 1.770 at order 6, 1.698 at 16,
# 1.74 from 24 on, where the memory fills and the model starts anew) and on the Wikipedia sample (2.9 MB: 1.972).
_PPMD_ORDER, _PPMD_MEMORY = 12, 1 << 28
_AT_ONCE = 2  # coders, whose tables are all in memory


@dataclass(frozen=True)
class CodeLength:
    """The length of one code.

    Attributes:
        coder: what coded it.
        per_symbol: bits per symbol.
        se: standard error of that (jackknife over 20 contiguous chunks of the costs), or None where only the
            total is known. What the coder learns on the way counts as variation, so it errs upwards.
        symbols: number of bases or characters.
        costs: bits of each base, shape (n,); None where only the total is known.
    """

    coder: Coder
    per_symbol: float
    se: float | None
    symbols: int
    costs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


def code_lengths(
    corpus: Corpus, limit: int | None = None, coders: Sequence[Coder] | None = None, progress: bool = False
) -> list[CodeLength]:
    """What every coder spends on a corpus.

    Args:
        corpus: DNA (upper-case ACGT only), text, or protein, which is coded as text is.
        limit: code only so many first bases or characters; None: all (of DNA at most 2**31, the mixer's limit).
        coders: which, those for the other kind of corpus left out; None: all for its kind.
        progress: show bars.

    Returns:
        One a coder, in their order; two are computed at a time where there are two cores.

    Raises:
        GfmError: the corpus is empty, or DNA holds something else than A, C, G and T.
    """
    texts = first_symbols((segment.text for segment in corpus.segments), min(limit or LONGEST, LONGEST))
    if not texts:
        raise GfmError(f"corpus {corpus.name!r} holds nothing to code")
    is_dna = corpus.kind == "dna"
    usable = DNA_CODERS if is_dna else TEXT_CODERS
    segments = encode_letters(texts)[0] if is_dna else []
    chosen = [coder for coder in coders or usable if coder in usable]

    def one(coder: Coder) -> CodeLength:
        length = dna_code_length(segments, coder, progress) if is_dna else text_code_length(texts, coder)
        bar.update()
        return length

    # All of them leave Python's lock while they work; the mixers, which take longest, start first.
    with (
        tqdm(total=len(chosen), desc="code lengths", unit="coder", disable=not progress) as bar,
        ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool,
    ):
        jobs = {
            coder: pool.submit(one, coder) for coder in sorted(chosen, key=_DNA_MODES.__contains__, reverse=True)
        }
        return [jobs[coder].result() for coder in chosen]


def pack_bases(codes: NDArray[np.integer[Any]]) -> bytes:
    """Four bases a byte, first base in the high bits; the last byte is padded with zeros.

    Args:
        codes: shape (n,), values 0 to 3.
    """
    bits = np.stack([codes >> 1, codes & 1], axis=1).astype(np.uint8)
    return np.packbits(bits).tobytes()


def compressed_bits(data: bytes, coder: Coder) -> int:
    """Bits of the compressed file, headers included, by a coder of `TEXT_CODERS`."""
    return 8 * len(_COMPRESSED[coder](data))


def _ppmd(data: bytes) -> bytes:
    encoder = pyppmd.Ppmd7Encoder(_PPMD_ORDER, _PPMD_MEMORY)
    return bytes(encoder.encode(data) + encoder.flush())


_COMPRESSED: dict[Coder, Callable[[bytes], bytes]] = {
    Coder.ZLIB: lambda data: zlib.compress(data, 9),
    Coder.BZ2: lambda data: bz2.compress(data, 9),
    Coder.LZMA: lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    Coder.PPMD: _ppmd,
}


def dna_code_length(segments: Sequence[NDArray[np.uint8]], coder: Coder, progress: bool = False) -> CodeLength:
    """Bits per base of DNA.

    Args:
        segments: arrays of shape (length,), bases 0 to 3 (A, C, G, T); at least one base in all.
        coder: what codes it.
        progress: show a bar (context mixing only).
    """
    codes = np.concatenate(segments)
    if coder not in _DNA_MODES:
        return CodeLength(coder, compressed_bits(pack_bases(codes), coder) / len(codes), None, len(codes))
    costs = dna_context_mixing(codes, _DNA_MODES[coder], progress)
    sums, sizes = chunk_sums(costs)
    se = jackknife_error((sums.sum() - sums) / (len(costs) - sizes)) if len(costs) > CHUNKS else None
    return CodeLength(coder, float(sums.sum()) / len(costs), se, len(costs), costs)


def text_code_length(texts: Sequence[str], coder: Coder) -> CodeLength:
    """Bits per character (not per byte) of text, coded as UTF-8.

    Args:
        texts: the segments; at least one character in all.
        coder: what codes it, one of `TEXT_CODERS`.
    """
    symbols = sum(map(len, texts))
    data = "\n".join(texts).encode("utf-8", errors="surrogatepass")
    return CodeLength(coder, compressed_bits(data, coder) / symbols, None, symbols)
