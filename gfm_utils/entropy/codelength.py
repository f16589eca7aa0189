"""Upper bounds: what compressors and the context mixer spend on a sequence, in bits.

DNA goes to the general-purpose compressors packed, four bases a byte: a tighter bound than letters give
(first 4 Mb of A. thaliana's chromosome 1, bits per base: zlib 1.95 against 2.22, bz2 1.99 against 2.16,
lzma 1.95 against 2.05).
Segments are joined: DNA directly (at a seam the code has the end of the segment before as its context, which
costs at most a few dozen bits), text by a line feed, which is coded but not counted as a character.
"""

import bz2
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfm_utils.entropy.blocks import CHUNKS, jackknife_error
from gfm_utils.entropy.dna_mixing import Mode, dna_context_mixing
from gfm_utils.entropy.mixing import BYTE_MIXER, context_mixing


class Coder(StrEnum):
    """How a sequence is coded; the value is the name in result tables (column ``estimator``)."""

    ZLIB = "zlib"
    """DEFLATE, level 9: matches within 32 kB and Huffman codes."""
    BZ2 = "bz2"
    """Burrows–Wheeler transform in blocks of 900 kB, level 9."""
    LZMA = "lzma"
    """Long-range matches and range coding, preset 9 extreme."""
    CONTEXT_MIXING = "context_mixing"
    """Our own prequential mix of contexts and copies, see `gfm_utils.entropy.dna_mixing` and, for text,
    `gfm_utils.entropy.mixing`."""
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
#: Coders of DNA: all of them.
DNA_CODERS = tuple(Coder)
#: Coders of text.
TEXT_CODERS = (Coder.ZLIB, Coder.BZ2, Coder.LZMA, Coder.CONTEXT_MIXING)


@dataclass(frozen=True)
class CodeLength:
    """The length of one code.

    Attributes:
        coder: what coded it.
        per_symbol: bits per base or character.
        se: standard error of that (jackknife over 20 contiguous chunks of the costs), or None where only the
            total is known. What the coder learns on the way counts as variation, so it errs upwards.
        symbols: number of bases or characters.
    """

    coder: Coder
    per_symbol: float
    se: float | None
    symbols: int


def pack_bases(codes: NDArray[np.integer[Any]]) -> bytes:
    """Four bases a byte, first base in the high bits; the last byte is padded with zeros.

    Args:
        codes: shape (n,), values 0 to 3.
    """
    padded = np.zeros(-(-len(codes) // 4) * 4, np.uint8)
    padded[: len(codes)] = codes
    quads = padded.reshape(-1, 4)
    packed = quads[:, 0] << 6 | quads[:, 1] << 4 | quads[:, 2] << 2 | quads[:, 3]
    return packed.astype(np.uint8).tobytes()


def compressed_bits(data: bytes, coder: Coder) -> int:
    """Bits of the compressed file, headers included.

    Raises:
        ValueError: the coder is no general-purpose compressor.
    """
    match coder:
        case Coder.ZLIB:
            size = len(zlib.compress(data, 9))
        case Coder.BZ2:
            size = len(bz2.compress(data, 9))
        case Coder.LZMA:
            size = len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
        case _:
            raise ValueError(f"{coder} does not compress files")
    return 8 * size


def dna_code_length(segments: Sequence[NDArray[np.uint8]], coder: Coder, progress: bool = False) -> CodeLength:
    """Bits per base of DNA.

    Args:
        segments: arrays of shape (length,), bases 0 to 3 (A, C, G, T); at least one base in all.
        coder: what codes it.
        progress: show a bar (context mixing only).

    Raises:
        ValueError: there is no base.
    """
    codes = np.concatenate(segments) if len(segments) else np.zeros(0, np.uint8)
    if not codes.size:
        raise ValueError("no base to code")
    if coder in _DNA_MODES:
        return _from_costs(coder, dna_context_mixing(codes, _DNA_MODES[coder], progress), len(codes))
    return CodeLength(coder, compressed_bits(pack_bases(codes), coder) / len(codes), None, len(codes))


def text_code_length(texts: Sequence[str], coder: Coder) -> CodeLength:
    """Bits per character (not per byte) of text, coded as UTF-8.

    Args:
        texts: the segments; at least one character in all.
        coder: what codes it, one of `TEXT_CODERS`.

    Raises:
        ValueError: there is no character, or the coder is for DNA only.
    """
    symbols = sum(map(len, texts))
    if not symbols:
        raise ValueError("no character to code")
    data = "\n".join(texts).encode("utf-8", errors="surrogatepass")
    if coder is Coder.CONTEXT_MIXING:
        return _from_costs(coder, context_mixing(np.frombuffer(data, np.uint8), BYTE_MIXER), symbols)
    return CodeLength(coder, compressed_bits(data, coder) / symbols, None, symbols)


def _from_costs(coder: Coder, costs: NDArray[np.float32], symbols: int) -> CodeLength:
    """Total of the costs of each base or byte, per base or character."""
    parts = [part.sum(dtype=np.float64) for part in np.array_split(costs, CHUNKS)]
    scale = len(costs) / symbols  # bytes a character; 1 for bases
    sizes = np.array([len(part) for part in np.array_split(costs, CHUNKS)])
    se = None
    if len(costs) > CHUNKS:
        se = jackknife_error((np.sum(parts) - np.array(parts)) / (len(costs) - sizes) * scale)
    return CodeLength(coder, float(np.sum(parts)) / symbols, se, symbols)
