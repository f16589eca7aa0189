"""Static embeddings (the input embedding matrix): do members place the same tokens near each other?"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils import tables
from gfm_utils.ensembles import STATES, Ensemble
from gfm_utils.measures.datasets import symbols_per_token
from gfm_utils.measures.geometry import FEWEST_TOKENS, linear_cka, procrustes, rbf_cka, unit_rows
from gfm_utils.measures.neighbours import (
    Matrix,
    Neighbourhoods,
    chance_corrected,
    compare_neighbours,
    topk_overlap_chance,
    topk_shared,
)
from gfm_utils.measures.rows import Row, pair_matrix, pair_rows
from gfm_utils.tokens import SPECIAL

#: The paper's neighbourhood sizes; those that a vocabulary is too small for are left out.
TOP_K = (1, 3, 5, 10, 20, 50, 100, 1000, 4000)
#: Larger matrices are not compared whole: the paper's have 4,105 rows at most, and the time grows with the square.
ALL_ROWS = 2**13
#: Frequency bands, each with a third of the tokens of the training part.
BANDS = ("frequent", "middle", "rare")
#: Neighbourhood size at which the bands are compared.
BAND_K = 10
#: Common tokens of each condition whose nearest neighbours are listed, and how many of these.
COMMON, LISTED = 60, 8
Indices = npt.NDArray[np.int64]


def static_embeddings(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """Result table of the stability of static embeddings over pairs of members, trained and untrained.

    Read are the ordinary tokens that occur in the training part: special tokens and tokens never trained
    on would only dilute the comparison.

    Metrics, one row a pair, and the mean with its interval over members; definitions stand in
    :mod:`gfm_utils.measures.neighbours` and :mod:`gfm_utils.measures.geometry`:

    - axis ``k``: ``topk_overlap``, ``topk_overlap_corrected`` (chance 0, same sets 1), ``topk_shared`` (how many
      of a token's k nearest both members have), ``local_spearman`` (chance 0; from k = 3 on) and
      ``local_spearman_authors``; and the exact levels ``topk_overlap_chance`` and ``topk_shared_chance``;
    - no axis: ``procrustes_disparity``, ``aligned_cosine``, ``linear_cka``, ``linear_cka_debiased``,
      ``rbf_cka_debiased`` and ``rbf_cka_authors``;
    - axis ``band`` (tokens by frequency, see ``frequency_bands``): those without an axis, among the band's tokens;
      axis ``band_at_k10``: ``topk_overlap_corrected`` and ``local_spearman`` of the band's tokens among all;
    - axes ``all_rows`` (``x`` is their number) and ``k_all_rows``: those without an axis and
      ``topk_overlap_corrected`` of all rows of the matrix, as in the paper's reference code; see ``all_row_rows``;
    - one a condition: ``symbols_per_token``.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        seen, bands = compared_tokens(ensemble)
        rows.append(symbols_per_token(ensemble.store))
        for state in STATES:
            base = {"condition": ensemble.condition, "state": state}
            matrices = list(map(input_embeddings, ensemble.models(state)))
            rows += embedding_rows(base, ensemble.seeds, [matrix[seen] for matrix in matrices], bands)
            rows += all_row_rows(base, ensemble.seeds, matrices)
    return tables.table(rows)


def nearest_tokens(ensembles: Sequence[Ensemble]) -> pd.DataFrame:
    """The nearest neighbours of ``COMMON`` tokens in each trained member, among those of ``static_embeddings``.

    Returns:
        One row a condition, token and member (the seed), with ``count`` (of the token in the training part) and
        three lists of ``LISTED``, nearest first: ``neighbours``, their ``cosines`` and ``shared``, the number of
        members that have the neighbour among theirs. A space is written ``␣``.
    """
    rows = []
    for ensemble in ensembles:
        seen, _ = compared_tokens(ensemble)
        counts = ensemble.store.counts("train")[seen]
        common = np.argsort(-counts, kind="stable")[:COMMON]
        names = [ensemble.store.readable(int(token)) for token in seen]
        units = [unit_rows(input_embeddings(model)[seen]) for model in ensemble.models()]
        cosines = np.stack([unit[common] @ unit.T for unit in units])  # (members, tokens, tokens of all)
        cosines[:, range(len(common)), common] = -np.inf  # no token is its own neighbour
        near = np.argsort(-cosines, axis=-1, kind="stable")[..., :LISTED]
        for row, token in enumerate(common):
            having = np.bincount(near[:, row].ravel(), minlength=len(seen))
            for seed, nearest, cosine in zip(ensemble.seeds, near[:, row], cosines[:, row], strict=True):
                rows.append({
                    "condition": ensemble.condition, "token": names[token], "count": int(counts[token]),
                    "member": seed, "neighbours": [names[other] for other in nearest],
                    "cosines": cosine[nearest].round(3).tolist(), "shared": having[nearest].tolist(),
                })  # fmt: skip
    return pd.DataFrame(rows)


def compared_tokens(ensemble: Ensemble) -> tuple[Indices, dict[str, Indices]]:
    """Ordinary tokens that occur in the training part, and their frequency bands as places among them."""
    counts = ensemble.store.counts("train")
    seen = np.flatnonzero(counts)
    seen = seen[seen >= len(SPECIAL)]
    return seen, frequency_bands(counts[seen])


def frequency_bands(counts: npt.NDArray[np.int64]) -> dict[str, Indices]:
    """Tokens in three bands, ``frequent`` to ``rare``, that each make up a third of what was counted.

    A token belongs to the band in which the middle of its count falls when tokens follow each other by
    falling count. A band of fewer than 4 tokens is left out.
    """
    order = np.argsort(-counts, kind="stable")
    middle = (np.cumsum(counts[order]) - counts[order] / 2) / counts.sum()
    place = np.minimum((len(BANDS) * middle).astype(np.int64), len(BANDS) - 1)
    bands = {name: np.sort(order[place == number]) for number, name in enumerate(BANDS)}
    return {name: tokens for name, tokens in bands.items() if len(tokens) >= FEWEST_TOKENS}


def input_embeddings(model: Any) -> Matrix:
    """The input embedding matrix, shape (vocabulary, hidden)."""
    matrix: Matrix = model.get_input_embeddings().weight.detach().double().cpu().numpy()
    return matrix


def embedding_rows(
    base: Row, seeds: Sequence[int], matrices: Sequence[Matrix], bands: Mapping[str, Indices] | None = None
) -> Iterator[Row]:
    """The rows of some members in one state.

    Args:
        base: condition and state.
        seeds: of the members.
        matrices: embeddings of the same tokens, (tokens, hidden), one a member.
        bands: places of the tokens of each frequency band.
    """
    near = _compared(matrices)
    yield from _size_rows({**base, "axis": "k"}, seeds, near)
    yield from _alignment_rows(base, seeds, matrices)
    for name, places in (bands or {}).items():
        yield from _alignment_rows({**base, "axis": "band", "x": name}, seeds, [m[places] for m in matrices])
        if BAND_K in near.sizes:
            at = near.sizes.tolist().index(BAND_K)
            of_band = {**base, "axis": f"band_at_k{BAND_K}", "x": name}
            yield from _mean_rows(of_band, "topk_overlap_corrected", seeds, _corrected(near, at)[:, places])
            yield from _mean_rows(of_band, "local_spearman", seeds, near.spearman[:, at, places])


def all_row_rows(base: Row, seeds: Sequence[int], matrices: Sequence[Matrix]) -> Iterator[Row]:
    """Rows of the whole embedding matrix, as in the paper's reference code; of more than ``ALL_ROWS`` none.

    Special tokens and tokens that never occur are among them. They are targets that are never right, so training
    pushes their rows far out in one direction, in every member: the few of them can make most of the agreement of
    measures to which long rows count for more, as CKA.
    """
    if len(matrices[0]) <= ALL_ROWS:
        near = _compared(matrices, spearman=False)
        for at, k in enumerate(near.sizes.tolist()):
            one = {**base, "axis": "k_all_rows", "x": k}
            yield from _mean_rows(one, "topk_overlap_corrected", seeds, _corrected(near, at))
        yield from _alignment_rows({**base, "axis": "all_rows", "x": len(matrices[0])}, seeds, matrices)


def _compared(matrices: Sequence[Matrix], spearman: bool = True) -> Neighbourhoods:
    """Neighbourhoods of all sizes of ``TOP_K`` that leave a token out."""
    return compare_neighbours(matrices, [k for k in TOP_K if k < len(matrices[0]) - 1], spearman)


def _corrected(near: Neighbourhoods, at: int) -> Matrix:
    """Overlap at a size beyond chance, (pairs, tokens)."""
    return chance_corrected(near.overlap[:, at], topk_overlap_chance(near.overlap.shape[-1], int(near.sizes[at])))


def _size_rows(base: Row, seeds: Sequence[int], near: Neighbourhoods) -> Iterator[Row]:
    """What neighbourhoods of each size have in common, of all tokens."""
    tokens = near.overlap.shape[-1]
    for at, k in enumerate(near.sizes.tolist()):
        one: Row = {**base, "x": k}
        chance = {**one, "metric": "topk_overlap_chance", "unit": "share", "n": tokens}
        yield {**chance, "value": topk_overlap_chance(tokens, k)}
        yield {**chance, "metric": "topk_shared_chance", "unit": "tokens", "value": k**2 / (tokens - 1)}
        for metric, values in (
            ("topk_shared", topk_shared(near.overlap[:, at], k)),
            ("topk_overlap", near.overlap[:, at]),
            ("topk_overlap_corrected", _corrected(near, at)),
            ("local_spearman", near.spearman[:, at]),
            ("local_spearman_authors", near.spearman_authors[:, at]),
        ):
            yield from _mean_rows(one, metric, seeds, values)


def _mean_rows(base: Row, metric: str, seeds: Sequence[int], values: Matrix) -> Iterator[Row]:
    """Means over tokens of values of shape (pairs, tokens); none if some pair has no defined value."""
    defined = ~np.isnan(values)
    if defined.any(axis=1).all():
        means = pair_matrix(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1))
        unit = "correlation" if "spearman" in metric else "tokens" if metric == "topk_shared" else "share"
        yield from pair_rows({**base, "metric": metric, "unit": unit}, seeds, means, values.shape[1])


def _alignment_rows(base: Row, seeds: Sequence[int], matrices: Sequence[Matrix]) -> Iterator[Row]:
    """Procrustes and CKA of every two members."""
    fits = [procrustes(second, first) for first, second in combinations(matrices, 2)]
    disparity, cosine = map(pair_matrix, np.array(fits).T)
    linear = linear_cka(matrices)
    for metric, unit, matrix in (
        ("procrustes_disparity", "share", disparity),
        ("aligned_cosine", "cosine", cosine),
        ("linear_cka", "share", linear.cka),
        ("linear_cka_debiased", "share", linear.debiased),
        ("rbf_cka_debiased", "share", rbf_cka(matrices).debiased),
        ("rbf_cka_authors", "share", rbf_cka(matrices, authors=True).cka),
    ):
        yield from pair_rows({**base, "metric": metric, "unit": unit}, seeds, matrix, len(matrices[0]))
