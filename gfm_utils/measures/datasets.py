"""What went into training: parts, leaks between them, and the tokens that the tokenizers made."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gfm_utils import corpora, tables
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, TokenStore

LEAKS = {"exact": "leaked_windows", "reverse complement": "leaked_windows_reverse"}


def corpus_table(loaded: Sequence[corpora.Corpus], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of corpora and their split.

    Metrics, with the corpus as condition: ``symbols`` (whole corpus); ``part_symbols`` (axis ``part``), what the
    profile's ``max_symbols`` leaves; ``leaked_windows`` and for DNA ``leaked_windows_reverse`` (axis ``part``),
    the share of windows of that part with an exact match of 64 bases or 20 words in the training part, or in its
    reverse complement.
    """
    rows: list[Row] = []
    for corpus in loaded:
        base, unit = {"condition": corpus.name}, f"{corpus.unit}s"
        split = corpora.split(corpus, seed=seed, max_symbols=profile.max_symbols)
        rows.append({**base, "metric": "symbols", "unit": unit, "value": corpus.symbols})
        base["axis"] = "part"
        rows += (
            {**base, "x": part, "metric": "part_symbols", "unit": unit, "value": sum(map(len, segments))}
            for part, segments in split.parts().items()
        )
        rows += (
            {**base, "x": leak["part"], "metric": LEAKS[leak["match"]], "unit": "share", "value": leak["share"],
             "n": leak["windows"]}
            for leak in corpora.leakage(split, corpus.kind)
        )  # fmt: skip
    return tables.table(rows)


def symbols_per_token(store: TokenStore) -> Row:
    """Bases or characters of a token of the training part; the unit also tells DNA from text."""
    counts = store.counts("train")[len(SPECIAL) :]
    value = float(counts @ store.token_lengths[len(SPECIAL) :] / counts.sum())
    return {
        "condition": store.condition, "metric": "symbols_per_token", "unit": f"{store.unit}s/token",
        "value": value, "n": int(counts.sum()),
    }  # fmt: skip


def token_table(stores: Sequence[TokenStore]) -> pd.DataFrame:
    """Result table of the tokens of the training part of each condition.

    Metrics: ``tokens``; ``symbols_per_token`` (bases or characters; what a record has left after its last whole
    k-mer belongs to no token); ``vocabulary_used``, the share of the ordinary vocabulary that occurs;
    ``token_frequency`` (axis ``rank``), the share of the r-th commonest token.
    """
    rows: list[Row] = []
    for store in stores:
        base = {"condition": store.condition}
        counts = store.counts("train")[len(SPECIAL) :]
        total = int(counts.sum())
        ranked = np.sort(counts)[::-1] / total
        rows += [
            {**base, "metric": "tokens", "unit": "tokens", "value": total, "n": total},
            {**base, "metric": "vocabulary_used", "unit": "share", "value": (counts > 0).mean(), "n": total},
            symbols_per_token(store),
        ]
        base |= {"metric": "token_frequency", "unit": "share", "axis": "rank"}
        ranks = np.unique(np.geomspace(1, len(ranked), 60).round().astype(int)).tolist()
        rows += ({**base, "x": rank, "value": ranked[rank - 1], "n": total} for rank in ranks)
    return tables.table(rows)
