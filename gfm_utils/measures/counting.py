"""What counting and coding know of the masked test tokens: the levels that a network's loss is compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gfm_utils.ensembles import masked_windows
from gfm_utils.entropy import Coder, dna_code_length, text_code_length
from gfm_utils.entropy.ngram import NgramModel, chain_length, left_chains, two_sided_chains
from gfm_utils.entropy.symbols import encode_letters
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, TokenStore

Integers = npt.NDArray[np.int64]
#: Validation windows by which the order of an n-gram model is chosen.
VALIDATION_WINDOWS = 512
_CHAINS = {"left": left_chains, "both": two_sided_chains}


@dataclass(frozen=True)
class Counting:
    """Levels for the masked test tokens of one condition."""

    condition: str
    unit: str  # bits per symbol
    counts: Integers  # how often each token occurs where it is counted, (vocabulary,)
    truth: Integers  # the masked tokens, (windows, m)
    lengths: Integers  # bases or characters of each, (windows, m)
    #: By the sides that an n-gram model of the training part sees, ``left`` and ``both``: its order, chosen on the
    #: validation part, and the bits of each masked token, (windows, m).
    ngram: Mapping[str, tuple[int, npt.NDArray[np.float64]]] = field(default_factory=dict)
    #: Bits of each by `window_code`, (windows, m); None where the corpus as a whole is not at hand.
    code: npt.NDArray[np.float64] | None = None

    @property
    def unigram(self) -> npt.NDArray[np.float64]:
        """Negative log-likelihood of each token by its frequency in bits, (windows, m)."""
        return frequency_bits(self.counts)[self.truth]

    def rows(self) -> Iterator[Row]:
        """The rows without a state."""
        base = {"condition": self.condition, "n": self.truth.size}
        majority = float((self.truth == self.counts.argmax()).mean())
        yield {**base, "metric": "majority_accuracy", "unit": "share", "value": majority}
        levels: list[tuple[str, npt.NDArray[np.float64], Row]] = [("unigram_nll", self.unigram, {})]
        if self.code is not None:
            levels.append(("window_code_nll", self.code, {}))
        levels += [("ngram_nll", bits, {"axis": "sides", "x": side}) for side, (_, bits) in self.ngram.items()]
        for unit, divisor in (("bits/token", 1.0), (self.unit, float(self.lengths.mean()))):
            for metric, bits, place in levels:
                yield {**base, **place, "metric": metric, "unit": unit, "value": float(bits.mean()) / divisor}
        for side, (order, _) in self.ngram.items():
            one = {"metric": "ngram_order", "unit": "tokens", "axis": "sides", "x": side}
            yield {**base, **one, "value": float(order)}


def counting_levels(
    store: TokenStore, window: int, profile: Profile, seed: int = 42, context: bool = True
) -> Counting:
    """Unigram, n-gram and code levels for the tokens that ``predictions`` with the same arguments asks for.

    The n-gram models count the training part and see in a test window what the network sees: no hidden token.
    Without ``context`` there is the unigram level alone, in no time.
    """
    mask = SPECIAL.index("[MASK]")
    which = profile.test_windows, profile.test_mask, seed
    shown, positions, truth, _ = masked_windows(store, "test", window, *which)
    unit, counts, lengths_of = f"bits/{store.unit}", store.counts("train"), store.token_lengths[truth]
    if not context:
        return Counting(store.condition, unit, counts, truth, lengths_of)
    levels = {}
    for side in _CHAINS:
        model, order = chosen_ngram(store, window, profile, seed, side)
        levels[side] = order, -np.log2(model.probability(shown, positions, truth, mask, order))
    windows = shown.copy()
    np.put_along_axis(windows, positions, truth, axis=1)
    code = window_code(store, windows, positions)
    return Counting(store.condition, unit, counts, truth, lengths_of, levels, code)


def chosen_ngram(store: TokenStore, window: int, profile: Profile, seed: int, side: str) -> tuple[NgramModel, int]:
    """An n-gram model of the training part, and the order that does best on the validation part.

    ``left``: contexts are the tokens before the hidden one; ``both``: those around it.
    """
    tokens, lengths = store.tokens("train"), store.lengths("train")
    model = NgramModel(
        tokens, lengths, store.vocabulary, _CHAINS[side](chain_length(len(tokens), store.vocabulary))
    )
    shown, positions, truth, _ = masked_windows(
        store, "validation", window, VALIDATION_WINDOWS, profile.test_mask, seed
    )
    return model, model.best_order(shown, positions, truth, SPECIAL.index("[MASK]"))


def frequency_bits(counts: Integers) -> npt.NDArray[np.float64]:
    """What each token costs by frequencies with add-one smoothing, bits, (vocabulary,); never infinite."""
    return np.asarray(-np.log2((counts + 1) / (counts + 1).sum()))


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
    *Text*: each window is coded by itself by `Coder.PPMD`, which has learned nothing elsewhere and gives the
    length of the whole window only, so a token costs its characters' share of that.
    Both codes know what stands before a token, hidden or not, and nothing after it.

    Args:
        store: the condition's tokens; of the training part only the stretches that are coded are read.
        windows: true tokens, (n, window).
        positions: places of the hidden tokens, (n, m).

    Returns:
        Bits a hidden token, (n, m): an upper bound on what it costs at best, on average.
    """
    each = _of_dna if store.kind == "dna" else _of_text
    return np.take_along_axis(each(store, windows), positions, axis=1)


def _of_dna(store: TokenStore, windows: Integers) -> npt.NDArray[np.float64]:
    """Bits of each token of the windows, shape (n, window)."""
    letters = str(store.tokenizer.decode(np.concatenate([*_learned(store), windows.ravel()])))
    costs = dna_code_length(encode_letters([letters])[0], Coder.CONTEXT_MIXING_REPEAT_FREE).costs
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
