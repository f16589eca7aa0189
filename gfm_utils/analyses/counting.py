"""What counting and coding know of the masked test tokens: the levels that a network's loss is compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfm_utils.analyses.rows import Row
from gfm_utils.analyses.window_code import window_code
from gfm_utils.ensembles import Ensemble, masked_windows
from gfm_utils.entropy.ngram import NgramModel, chain_length, left_chains, two_sided_chains
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL

#: Validation windows by which the order of an n-gram model is chosen.
VALIDATION_WINDOWS = 512
_CHAINS = {"left": left_chains, "both": two_sided_chains}


@dataclass(frozen=True)
class NgramLevel:
    """What an n-gram model of the training part says.

    Attributes:
        order: tokens of its largest n-gram, chosen on the validation part.
        nll: negative log-likelihood of each masked test token in bits, shape (windows, m).
    """

    order: int
    nll: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Counting:
    """Levels for the masked test tokens of one condition.

    Attributes:
        condition: the condition.
        unit: bits per base or character.
        unigram: negative log-likelihood of each token by its frequency in bits, shape (windows, m).
        ngram: by the sides that the model sees, ``left`` and ``both``.
        majority_accuracy: share of the tokens that are the commonest training token.
        lengths: bases or characters of each true token, shape (windows, m).
        code: bits of each token by a code that looks no further than a window, shape (windows, m), see
            :mod:`gfm_utils.analyses.window_code`; None where the corpus as a whole is not at hand.
    """

    condition: str
    unit: str
    unigram: npt.NDArray[np.float64]
    ngram: Mapping[str, NgramLevel]
    majority_accuracy: float
    lengths: npt.NDArray[np.int64]
    code: npt.NDArray[np.float64] | None = None

    @property
    def per_token(self) -> float:
        """Mean bases or characters of a masked token."""
        return float(self.lengths.mean())

    def rows(self) -> Iterator[Row]:
        """The rows without a state."""
        base = {"condition": self.condition, "n": self.unigram.size}
        yield {**base, "metric": "majority_accuracy", "unit": "share", "value": self.majority_accuracy}
        for unit, divisor in (("bits/token", 1.0), (self.unit, self.per_token)):
            yield {**base, "metric": "unigram_nll", "unit": unit, "value": float(self.unigram.mean()) / divisor}
            if self.code is not None:
                value = float(self.code.mean()) / divisor
                yield {**base, "metric": "window_code_nll", "unit": unit, "value": value}
            for side, level in self.ngram.items():
                value = float(level.nll.mean()) / divisor
                yield {**base, "metric": "ngram_nll", "unit": unit, "axis": "sides", "x": side, "value": value}
        for side, level in self.ngram.items():
            yield {
                **base, "metric": "ngram_order", "unit": "tokens", "axis": "sides", "x": side,
                "value": float(level.order),
            }  # fmt: skip


def counting_levels(ensemble: Ensemble, profile: Profile, seed: int = 42, context: bool = True) -> Counting:
    """Unigram, n-gram and code levels for the tokens that ``predictions`` with the same arguments asks for.

    The n-gram models count the training part and see in a test window what the network sees: no hidden token.

    Args:
        ensemble: whose tokens.
        profile: its ``test_windows`` and ``test_mask`` say what is hidden.
        seed: of the masks.
        context: also the levels that know a token's context; False: the unigram level alone, in no time.
    """
    store, mask = ensemble.store, SPECIAL.index("[MASK]")
    (shown, positions, truth), (seen, places, held_out) = (
        masked_windows(store, part, ensemble.spec.window, count, profile.test_mask, seed)[:3]
        for part, count in (("test", profile.test_windows), ("validation", VALIDATION_WINDOWS))
    )
    train = store.counts("train")
    tokens, lengths = store.tokens("train"), np.array([len(one) for one in store.segments("train")])
    levels = {}
    for side, chains in _CHAINS.items() if context else ():
        model = NgramModel(tokens, lengths, store.vocabulary, chains(chain_length(len(tokens), store.vocabulary)))
        order = model.best_order(seen, places, held_out, mask)
        levels[side] = NgramLevel(order, -np.log2(model.probability(shown, positions, truth, mask, order)))
    windows = shown.copy()
    np.put_along_axis(windows, positions, truth, axis=1)
    code = window_code(store, windows, positions) if context else None
    lengths_of = store.token_lengths[truth]
    return frequency_level(ensemble.condition, f"bits/{store.unit}", train, truth, lengths_of, levels, code)


def frequency_bits(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What each token costs by frequencies with add-one smoothing, bits, shape (vocabulary,)."""
    return np.asarray(-np.log2((counts + 1) / (counts + 1).sum()))


def frequency_level(
    condition: str,
    unit: str,
    counts: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    ngram: Mapping[str, NgramLevel] | None = None,
    code: npt.NDArray[np.float64] | None = None,
) -> Counting:
    """Levels by the frequencies of tokens elsewhere.

    The frequencies have add-one smoothing over the vocabulary: a token never seen has a finite cost.

    Args:
        condition: the condition.
        unit: bits per base or character.
        counts: how often each token occurs where it is counted, shape (vocabulary,).
        truth: the masked tokens, shape (windows, m).
        lengths: bases or characters of each, the same shape.
        ngram: levels of n-gram models, if there are any.
        code: bits of each by a code, the same shape, if there is one.
    """
    unigram = frequency_bits(counts)[truth]
    majority = float((truth == counts.argmax()).mean())
    return Counting(condition, unit, unigram, ngram or {}, majority, lengths, code)
