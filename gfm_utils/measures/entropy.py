"""The entropy of corpora, of their tokens and of what models read, and where along a genome information lies."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import xlogy

from gfm_utils import corpora
from gfm_utils.corpora.controls import MarkovChain
from gfm_utils.corpora.registry import registry
from gfm_utils.entropy import Coder, code_lengths, corpus_entropy, dna_code_length, text_code_length, token_entropy
from gfm_utils.entropy.profile import bits_by_class, information_profile, separation
from gfm_utils.entropy.symbols import encode_letters
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import Profile
from gfm_utils.tables import table
from gfm_utils.tokens import SPECIAL, Condition, TokenStore, load_corpus, tokenizer_kind
from gfm_utils.tokens.transforms import RECODED, BaseCode, Transform

#: Largest block of tokens.
TOKEN_ORDER = 3
#: Axis of the rows; a rate is ``EXACT`` or the length of a ``CODE``.
SOURCE, EXACT, CODE = "source", "exact", "code"
#: Tokens of the training part whose code length is measured.
CODED_TOKENS = 1_000_000
#: A chain whose contexts were seen less often than this, on average, repeats what it was fitted on: its own rate
#: is that of its memory, which nobody who has not read the same sequence can reach.
LEAST_SEEN = 50


def corpus_entropies(
    loaded: Sequence[corpora.Corpus],
    stores: Sequence[TokenStore],
    profile: Profile,
    annotations: Mapping[str, corpora.Annotation] | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The entropy of corpora, per symbol, of their training tokens, and the information profile.

    Rows: those of `corpus_entropy` (among them ``code_length`` of each coder) and `token_entropy`, of controls
    those of `rate_rows`, and for DNA those of `bits_by_class` and `separation`, of what each base costs the full
    context mixer. The profile's ``entropy_symbols`` bounds what is counted, its ``code_symbols`` what is coded and
    matched. Annotations of DNA are by the corpus's name; None: those that the registry names.

    Returns:
        The result table of all corpora and conditions; and the windows along the records of each corpus of DNA, by
        its name, see `information_profile`.

    Raises:
        GfmError: a corpus is empty, or an annotation covers no record of its corpus.
    """
    features = {
        corpus.name: _annotation(corpus, annotations, progress) for corpus in loaded if corpus.kind == "dna"
    }
    tables: list[pd.DataFrame] = []
    profiles: dict[str, pd.DataFrame] = {}
    for corpus in loaded:
        codes = code_lengths(corpus, profile.code_symbols, progress=progress)
        tables.append(
            corpus_entropy(
                corpus, profile.entropy_order, profile.entropy_symbols, codes, profile.code_symbols, progress
            )
        )
        if corpus.kind != "dna":
            continue
        bits = next(code.costs for code in codes if code.coder is Coder.CONTEXT_MIXING)
        assert bits is not None  # the mixer knows the cost of each base
        annotation = features[corpus.name]
        profiles[corpus.name] = information_profile(bits, corpus, annotation=annotation)
        tables += [bits_by_class(bits, corpus, annotation), separation(bits, corpus, annotation)]
    for store in stores:
        part = store.about["parts"]["train"]
        per_token = part["symbols"] / part["tokens"]
        ids = store.segments("train")
        tables.append(token_entropy(store.condition, ids, store.vocabulary, per_token, store.unit, TOKEN_ORDER))
        if Condition.parse(store.condition).transform is not None:
            tables.append(table(rate_rows(store)))
    return pd.concat(tables, ignore_index=True), profiles


def _annotation(
    corpus: corpora.Corpus, annotations: Mapping[str, corpora.Annotation] | None, progress: bool
) -> corpora.Annotation | None:
    """The annotation of a corpus, if there is one; one of another sequence is refused before any work."""
    named = (
        corpora.annotation(corpus.name, progress) if annotations is None and corpus.name in registry() else None
    )
    features = named if annotations is None else annotations.get(corpus.name)
    if features is not None:
        corpora.check_covers(corpus.segments, features)
    return features


def entropy_rate(store: TokenStore, coded: int = CODED_TOKENS) -> tuple[float, bool]:
    """The entropy rate of the training part: exact where a transform made it, else a code's length.

    A Markov chain's is in the store, and is taken where its contexts were seen ``LEAST_SEEN`` times on average;
    tokens in random order have the entropy of their frequencies, and uniform ones that of the vocabulary. Else
    the letters of the first ``coded`` tokens are coded, DNA by the context mixer and text by prediction by partial
    matching. Text in four letters is coded both ways, and the shorter code counts.

    Returns:
        Bits per symbol; and whether it is exact, and not the length of a code, which lies above it.
    """
    part, transforms = store.about["parts"]["train"], Condition.parse(store.condition).transforms
    last = transforms[-1] if transforms else None
    symbols = part["symbols"] / part["tokens"]
    chain = store.about.get("entropy_rate")
    if chain is not None and part["symbols"] >= LEAST_SEEN * chain["contexts"]:
        return float(chain["value"]), True
    if last == "uniform":
        return float(np.log2(store.vocabulary - len(SPECIAL))) / symbols, True
    counts = store.counts("train").astype(np.float64)
    if last in ("shuffle", "noise1"):
        p = counts[counts > 0] / counts.sum()
        return float(-(p * np.log2(p)).sum()) / symbols, True
    letters = str(store.tokenizer.decode(store.tokens("train")[:coded]))
    if store.kind != "dna":
        return text_code_length([letters], Coder.PPMD).per_symbol, False
    shortest = dna_code_length(encode_letters([letters])[0], Coder.CONTEXT_MIXING).per_symbol
    return min(shortest, _as_text(store, coded)) if last == RECODED else shortest, False


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
    (per_symbol, exact), part = entropy_rate(store, coded), store.about["parts"]["train"]
    base = {"condition": store.condition, "axis": SOURCE, "x": EXACT if exact else CODE}
    yield {**base, "metric": "entropy_rate", "value": per_symbol, "unit": f"bits/{store.unit}"}
    per_token = per_symbol * (part["symbols"] / part["tokens"])
    yield {**base, "metric": "entropy_per_token", "value": per_token, "unit": "bits/token"}
