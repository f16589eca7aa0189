"""Kinds of tokens, by which disagreement is shown: frequent or rare, in repeats or not, by GC of the window."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gfm_utils import corpora
from gfm_utils.ensembles import Ensemble, masked_windows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, Condition, load_corpus

Labels = NDArray[np.str_]
#: Name of the band's axis -> label of each masked token, shape (tokens,).
Bands = Mapping[str, Labels]
#: Names of four bands that hold about equally many tokens.
QUARTERS = ("1 (lowest)", "2", "3", "4 (highest)")


def quarters(values: NDArray[np.number]) -> Labels:
    """The quarter of each value among all, as a name; equal values are in one quarter."""
    edges = np.quantile(values, [0.25, 0.5, 0.75])
    return np.array(QUARTERS)[np.searchsorted(edges, values, side="left")]


def bands(
    frequency: NDArray[np.int64], gc: NDArray[np.float64] | None = None, soft: NDArray[np.float64] | None = None
) -> dict[str, Labels]:
    """Bands of hidden tokens, (tokens,) each, see ``bands_of``.

    Args:
        frequency: how often each of them occurs elsewhere, (windows, m).
        gc: share of G and C in each window, (windows,); None: it is no DNA.
        soft: share of the bases of each that are lower case in the source, (windows, m); None: not known.
    """
    named = {"token_frequency": quarters(frequency.ravel())}
    if gc is not None:
        named["gc"] = quarters(np.repeat(gc, frequency.shape[1]))
    if soft is not None:
        named["soft_masked"] = np.where(soft.ravel() >= 0.5, "repeat", "rest")
    return named


def bands_of(ensemble: Ensemble, profile: Profile, seed: int = 42) -> dict[str, Labels]:
    """Bands of the masked test tokens that need no model, each of shape (tokens,).

    ``token_frequency``: quarters by how often the true token occurs in the training part. Of DNA also ``gc``:
    quarters by the share of G and C in the token's window; and ``soft_masked``: ``repeat`` where at least half of
    the true token's bases are lower case in the source, else ``rest`` (not of corpora that are streamed, whose
    letters are not kept).
    """
    store, window = ensemble.store, ensemble.spec.window
    _, positions, truth, starts = masked_windows(
        store, "test", window, profile.test_windows, profile.test_mask, seed
    )
    frequency = store.counts("train")[truth]
    if not store.genome:
        return bands(frequency)
    words = store.tokenizer.convert_ids_to_tokens(list(range(store.vocabulary)))
    strong = np.array([0 if word in SPECIAL else word.count("G") + word.count("C") for word in words])
    ids = store.windows("test", starts, window)
    share = strong[ids].sum(1) / store.token_lengths[ids].sum(1)
    masks = soft_masks(ensemble, profile)
    return bands(frequency, share, None if masks is None else masks[starts[:, None] + positions])


def soft_masks(ensemble: Ensemble, profile: Profile) -> NDArray[np.float64] | None:
    """Share of the bases of each test token that are lower case in the source, (tokens of the part,).

    The token arrays do not hold case, so the corpus is read and split again. None for a streamed corpus, whose
    split needs another pass over all of it, and for a control, whose tokens are not where the source has them.
    """
    store = ensemble.store
    condition = Condition.parse(store.condition)
    if store.streamed or condition.transform is not None:
        return None
    key = store.about["key"]
    corpus = load_corpus(condition.corpus, profile)
    segments = corpora.split(corpus, seed=key["seed"], max_symbols=key["max_symbols"]).test
    parts = [
        share_by_token(np.asarray(segment.soft_mask), store.token_lengths[tokens])
        for segment, tokens in zip(segments, store.segments("test"), strict=True)
    ]
    return np.concatenate(parts)


def share_by_token(flags: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each token's symbols that are flagged, (tokens,); of a token without any symbol 0."""
    ends = np.cumsum(lengths)
    assert ends[-1:].sum() <= len(flags)
    total = np.concatenate([[0], np.cumsum(flags)])
    share: NDArray[np.float64] = (total[ends] - total[ends - lengths]) / lengths.clip(1)
    return share
