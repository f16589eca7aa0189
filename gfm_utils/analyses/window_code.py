"""What a code that looks no further than a window spends on hidden tokens."""

import numpy as np
import numpy.typing as npt

from gfm_utils.entropy import Coder, dna_code_length, text_code_length
from gfm_utils.entropy.symbols import encode_bases
from gfm_utils.tokens import TokenStore

Integers = npt.NDArray[np.int64]
#: Bases of the training part that the code of DNA learns from. On A. thaliana's chromosome 1 a token of ``bpe256``
#: costs 6.749 bits after 0.5 million bases, 6.744 after 2 and 6.736 after 9 (one million take about a second).
LEARNED_BASES = 1_000_000
#: They are taken in stretches of so many tokens, spread evenly over the training part.
STRETCH = 8_192


def window_code(store: TokenStore, windows: Integers, positions: Integers) -> npt.NDArray[np.float64]:
    """Bits that the best code of those that look no further than a window spends on hidden tokens.

    *DNA*: `Coder.CONTEXT_MIXING_REPEAT_FREE`, with no context longer than 12 bases, reads ``LEARNED_BASES`` of the
    training part, then the windows one after the other; a token costs what its bases cost. It goes on learning in
    the windows, and at a seam its context is the end of the window before.
    *Text*: each window is coded by itself by `Coder.PPMD` begun anew, which has learned nothing elsewhere; the
    compressor tells the length of the whole window only, so a token costs its characters' share of that.
    Both codes know what stands before a token, hidden or not, and nothing after it.

    Args:
        store: the condition's tokens; of the training part only the stretches that are coded are read.
        windows: true tokens, shape (n, window).
        positions: places of the hidden tokens, shape (n, m).

    Returns:
        Bits a hidden token, shape (n, m): an upper bound on what it costs at best, on average.
    """
    each = _of_dna if store.kind == "dna" else _of_text
    return np.take_along_axis(each(store, windows), positions, axis=1)


def _of_dna(store: TokenStore, windows: Integers) -> npt.NDArray[np.float64]:
    """Bits of each token of the windows, shape (n, window)."""
    letters = str(store.tokenizer.decode(np.concatenate([*_learned(store), windows.ravel()])))
    costs = dna_code_length(encode_bases([letters])[0], Coder.CONTEXT_MIXING_REPEAT_FREE).costs
    assert costs is not None  # the mixer knows the cost of each base
    ends = np.cumsum(store.token_lengths[windows.ravel()])
    total = np.concatenate([[0.0], np.cumsum(costs[-ends[-1] :], dtype=np.float64)])
    return np.diff(total[ends], prepend=0.0).reshape(windows.shape)


def _learned(store: TokenStore) -> list[npt.NDArray[np.uint16]]:
    """Stretches of the training part with about ``LEARNED_BASES`` in all; the whole part if it has no more."""
    part, tokens = store.about["parts"]["train"], store.tokens("train")
    stretches = -(-LEARNED_BASES * len(tokens) // (part["symbols"] * STRETCH))
    if stretches * STRETCH >= len(tokens):
        return [tokens]
    begins = np.linspace(0, len(tokens) - STRETCH, stretches).astype(np.int64)
    return [tokens[begin : begin + STRETCH] for begin in begins]


def _of_text(store: TokenStore, windows: Integers) -> npt.NDArray[np.float64]:
    """Bits of each token of the windows, shape (n, window), even within a window."""
    texts = [str(store.tokenizer.decode(window)) for window in windows]
    rates = [text_code_length([text], Coder.PPMD).per_symbol if text else 0.0 for text in texts]
    return store.token_lengths[windows] * np.array(rates)[:, None]
