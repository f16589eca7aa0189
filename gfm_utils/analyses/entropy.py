"""The entropy of corpora and of their tokens, and where along a genome the information lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from gfm_utils import corpora
from gfm_utils.analyses.rates import rate_rows
from gfm_utils.corpora.registry import registry
from gfm_utils.entropy import Coder, code_lengths, corpus_entropy, token_entropy
from gfm_utils.entropy.profile import bits_by_class, information_profile, separation
from gfm_utils.profiles import Profile
from gfm_utils.tables import table
from gfm_utils.tokens import Condition, TokenStore

#: Largest block of tokens.
TOKEN_ORDER = 3


@dataclass(frozen=True)
class EntropyAnalysis:
    """All that chapter 2 shows.

    Attributes:
        table: result table of all corpora and conditions.
        profiles: windows along the records of each DNA corpus, see `information_profile`; by the corpus's name.
    """

    table: pd.DataFrame
    profiles: Mapping[str, pd.DataFrame]


def corpus_entropies(
    found: Sequence[corpora.Corpus],
    stores: Sequence[TokenStore],
    profile: Profile,
    annotations: Mapping[str, corpora.Annotation] | None = None,
    progress: bool = True,
) -> EntropyAnalysis:
    """The entropy of corpora, per base or character, of their training tokens, and the information profile.

    Rows: those of `corpus_entropy` and `token_entropy`, of controls those of `rate_rows`, and for DNA those of
    `bits_by_class` and `separation`, of what each base costs the full context mixer.

    Args:
        found: the corpora; the profile's ``entropy_symbols`` bounds what is counted of them, its
            ``code_symbols`` what is coded and matched.
        stores: the tokens, one a condition; the vocabulary is that of the models, special tokens included.
        profile: the size.
        annotations: of DNA, by the corpus's name; None: those that the registry names.
        progress: show bars.

    Raises:
        GfmError: a corpus is empty, or an annotation covers no record of its corpus.
    """
    features = {
        corpus.name: _annotation(corpus, annotations, progress) for corpus in found if corpus.kind == "dna"
    }
    tables: list[pd.DataFrame] = []
    profiles: dict[str, pd.DataFrame] = {}
    for corpus in found:
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
        own = features[corpus.name]
        profiles[corpus.name] = information_profile(bits, corpus, annotation=own)
        tables += [bits_by_class(bits, corpus, own), separation(bits, corpus, own)]
    for store in stores:
        part = store.about["parts"]["train"]
        per_token = part["symbols"] / part["tokens"]
        ids = store.segments("train")
        tables.append(token_entropy(store.condition, ids, store.vocabulary, per_token, store.unit, TOKEN_ORDER))
        if Condition.parse(store.condition).transform is not None:
            tables.append(table(rate_rows(store)))
    return EntropyAnalysis(pd.concat(tables, ignore_index=True), profiles)


def _annotation(
    corpus: corpora.Corpus, annotations: Mapping[str, corpora.Annotation] | None, progress: bool
) -> corpora.Annotation | None:
    """The annotation of a corpus, if there is one; one of another sequence is refused before any work."""
    if annotations is not None:
        found = annotations.get(corpus.name)
    else:
        found = corpora.annotation(corpus.name, progress) if corpus.name in registry() else None
    if found is not None:
        corpora.check_covers(corpus.segments, found)
    return found
