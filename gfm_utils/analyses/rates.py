"""Entropy rates of what models read: exact where a transform made it, else the length of a code."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from gfm_utils import corpora
from gfm_utils.analyses.rows import Row
from gfm_utils.corpora.controls import MarkovChain
from gfm_utils.entropy import Coder, dna_code_length, text_code_length
from gfm_utils.entropy.symbols import encode_bases
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, Condition, TokenStore, load_corpus, tokenizer_kind
from gfm_utils.tokens.recoding import RECODED, BaseCode
from gfm_utils.tokens.transforms import Transform

#: Axis of the rows; a rate is ``EXACT`` or the length of a ``CODE``.
SOURCE, EXACT, CODE = "source", "exact", "code"
#: Tokens of the training part whose code length is measured.
CODED_TOKENS = 1_000_000
#: A chain whose contexts were seen less often than this, on average, repeats what it was fitted on: its own rate
#: is that of its memory, which nobody who has not read the same sequence can reach.
LEAST_SEEN = 50


@dataclass(frozen=True)
class Rate:
    """Entropy rate of what a condition's models read.

    Attributes:
        per_symbol: bits per base or character.
        exact: whether it is that of the source, and not the length of a code, which lies above it.
        symbols: mean number of bases or characters of a token.
    """

    per_symbol: float
    exact: bool
    symbols: float

    @property
    def per_token(self) -> float:
        """Bits per token."""
        return self.per_symbol * self.symbols


def entropy_rate(store: TokenStore, coded: int = CODED_TOKENS) -> Rate:
    """The entropy rate of the training part: exact where a transform made it, else a code's length.

    A Markov chain's is in the store, and is taken where its contexts were seen ``LEAST_SEEN`` times on average;
    tokens in random order have the entropy of their frequencies, and uniform ones that of the vocabulary. Else
    the letters of the first ``coded`` tokens are coded, DNA by the context mixer and text by prediction by partial
    matching: an upper bound, all the more so where tokens, which no code knows of, are mixed. Text in four letters
    is coded both ways, as bases and as the text that it stands for, and the shorter code counts.
    """
    part, transforms = store.about["parts"]["train"], Condition.parse(store.condition).transforms
    last = transforms[-1] if transforms else None
    symbols = part["symbols"] / part["tokens"]
    chain = store.about.get("entropy_rate")
    if chain is not None and part["symbols"] >= LEAST_SEEN * chain["contexts"]:
        return Rate(float(chain["value"]), True, symbols)
    if last == "uniform":
        return Rate(float(np.log2(store.vocabulary - len(SPECIAL))) / symbols, True, symbols)
    counts = store.counts("train").astype(np.float64)
    if last in ("shuffle", "noise1"):
        p = counts[counts > 0] / counts.sum()
        return Rate(float(-(p * np.log2(p)).sum()) / symbols, True, symbols)
    tokens = store.tokens("train")[:coded]
    letters = str(store.tokenizer.decode(tokens))
    if store.kind == "text":
        return Rate(text_code_length([letters], Coder.PPMD).per_symbol, False, symbols)
    shortest = dna_code_length(encode_bases([letters])[0], Coder.CONTEXT_MIXING).per_symbol
    if last == RECODED:
        shortest = min(shortest, _as_text(store, coded))
    return Rate(shortest, False, symbols)


def _as_text(store: TokenStore, coded: int) -> float:
    """Bits per base of text in four letters, of a code that reads the text; of about so many first tokens."""
    code, texts, bases = BaseCode(tuple(store.about["base_code"])), list[str](), 0
    for tokens in store.segments("train"):
        letters = str(store.tokenizer.decode(tokens))
        texts.append(code.decode(letters))
        bases += len(letters)
        coded -= len(tokens)
        if coded <= 0:
            break
    return text_code_length(texts, Coder.PPMD).per_symbol * sum(map(len, texts)) / bases


def between_neighbours(store: TokenStore, profile: Profile) -> float | None:
    """Entropy of a token of a Markov chain where those on both sides are known, bits per token; None of others.

    k-mers of sequence from a chain of order k are a Markov chain themselves, whose transitions are k steps of the
    letters'. With the token X between L and R, H(X|L) = H(R|X) of one transition and H(R|L) of two,
    H(X|L,R) = 2 H(X|L) - H(R|L) (chain rule). Exact for the chain; what a model is shown hides some
    of the neighbours, too.

    Args:
        store: tokens of a condition.
        profile: that they were made with, for the chain is fitted anew.
    """
    condition = Condition.parse(store.condition)
    kind, size = tokenizer_kind(condition.tokenizer)
    last = Transform.parse(condition.transforms[-1]) if condition.transforms else None
    if last is None or last.name != "markov" or (kind, size) != ("kmer", last.size):
        return None
    key = store.about["key"]["of"]
    split = corpora.split(load_corpus(condition.corpus, profile), seed=key["seed"], max_symbols=key["max_symbols"])
    return both_sides(MarkovChain.fit(split.train, size, last.temperature))


def both_sides(chain: MarkovChain) -> float:
    """Entropy of as many letters as a chain's context has, given so many on either side; bits (see above)."""
    contexts = len(chain.stationary)
    of = np.repeat(np.arange(contexts), np.diff(chain.first))
    weights = np.diff(chain.cumulative, prepend=0.0)
    begins = chain.first[:-1]
    weights[begins] = chain.cumulative[begins]
    step = np.zeros((contexts, contexts))
    np.add.at(step, (of, chain.following), weights)
    once = np.linalg.matrix_power(step, max(1, chain.order))
    one, two = (float(-(chain.stationary @ xlogy(p, p).sum(1)) / np.log(2)) for p in (once, once @ once))
    return 2 * one - two


def rate_rows(store: TokenStore, coded: int = CODED_TOKENS) -> Iterator[Row]:
    """``entropy_rate`` (bits/base or bits/character) and ``entropy_per_token`` (bits/token), axis ``source``.

    Where they come from stands in ``x``: ``exact`` or ``code``, see ``entropy_rate``.
    """
    rate = entropy_rate(store, coded)
    base = {"condition": store.condition, "axis": SOURCE, "x": EXACT if rate.exact else CODE}
    yield {**base, "metric": "entropy_rate", "value": rate.per_symbol, "unit": f"bits/{store.unit}"}
    yield {**base, "metric": "entropy_per_token", "value": rate.per_token, "unit": "bits/token"}
