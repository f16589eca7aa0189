"""The information profile: what each base costs along a sequence, in windows and by what the base is.

All functions take the costs of the bases as an array, bits_i = −log2 p(base_i | bases before it), from any
causal code (such as `gfm_utils.entropy.dna_mixing`), in the order of the corpus's segments. A code that learns on
its way pays in full for the first copy of a repeat and little for the later ones, and more at its beginning.

**Intervals** are those of a block bootstrap (Künsch 1989; percentiles 2.5 and 97.5): the sequence is cut into
blocks of about 1 Mb, at least 20 of them; one fewer than there are is drawn with replacement (so that the
variance has no bias of 1/blocks: Rao and Wu 1988), and every statistic is made again from their sums.
Bases within a block stay together, so what depends on its neighbours (genes, transposons, a pericentromere) is
not taken for independent; variation along the chromosome counts as error. Blocks must be this long: on all of
A. thaliana's chromosome 1 the standard error of the mean cost is 0.016 bits with blocks of 100 kb, 0.033 with
500 kb and 0.043 with 1 Mb, since costs fall over the whole of the pericentromere.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.corpora import CODES, Annotation, Corpus, Feature, base_classes
from gfm_utils.corpora.segments import CoordinateMap, sums
from gfm_utils.entropy.rows import entropy_rows
from gfm_utils.entropy.symbols import first_symbols

Floats = npt.NDArray[np.float64]

#: Name in result tables of the code whose costs are read.
CODE = "context_mixing"
BLOCK = 1_000_000
MIN_BLOCKS = 20
#: Fewest windows or bases of either kind that an AUC is estimated from.
MIN_KIND = 30
RESAMPLES = 2_000
#: Bins of equal counts that scores are sorted into: an AUC is exact but for ties within a bin.
_BINS = 4_096


#: By its name in result tables, what a profile may tell apart: bases expected to cost less, and those expected to
#: cost more. Repeats and all else; intergenic and coding bases (outside of repeats).
CONTRASTS: dict[str, tuple[tuple[Feature, ...], tuple[Feature, ...]]] = {
    "repeat_auc": ((Feature.REPEAT,), tuple(feature for feature in Feature if feature != Feature.REPEAT)),
    "coding_auc": ((Feature.INTERGENIC,), (Feature.CODING,)),
}


def information_profile(
    bits_per_base: npt.NDArray[np.floating[Any]],
    corpus: Corpus,
    window: int = 10_000,
    annotation: Annotation | None = None,
) -> pd.DataFrame:
    """Mean cost, composition and annotation of windows along the records; no window crosses a cut.

    Args:
        bits_per_base: shape (bases,), for the first bases of the corpus, or all.
        corpus: DNA.
        window: bases a window, about (see `CoordinateMap.windows`).
        annotation: of the corpus; None: the shares that need it are NaN.

    Returns:
        One row a window: ``record``, ``begin``, ``end`` (from 0, end exclusive, FASTA coordinates), ``bases``,
        ``bits`` (mean bits per base), ``gc``, ``repeat`` (soft-masked share), and the shares ``coding``,
        ``utr``, ``noncoding_rna``, ``other``, ``intron``, ``intergenic`` of the annotation, masked or not.

    Raises:
        ValueError: more costs than bases, or no base.
        GfmError: the annotation covers no record.
    """
    bits, where = _checked(bits_per_base, corpus)
    text = "".join(first_symbols((segment.text for segment in corpus.segments), len(bits)))
    gc = np.isin(np.frombuffer(text.encode("ascii"), np.uint8), np.frombuffer(b"GC", np.uint8))
    begin, end = where.windows(window)
    bases = end - begin
    record, start = where.to_source(begin)
    frame = pd.DataFrame({
        "record": np.array(where.names, dtype=object)[record], "begin": start, "end": start + bases,
        "bases": bases, "bits": sums(bits, begin) / bases, "gc": sums(gc, begin) / bases,
    })  # fmt: skip
    masked = base_classes(corpus.segments, None, limit=len(bits)) == CODES[Feature.REPEAT]
    frame["repeat"] = sums(masked, begin, np.int64) / bases
    shares = [feature.value for feature in list(Feature)[1:-1]]
    frame[shares] = np.nan
    if annotation is not None:
        classes = base_classes(corpus.segments, annotation, mask=False, limit=len(bits))
        for name in shares:
            frame[name] = sums(classes == CODES[Feature(name)], begin, np.int64) / bases
    return frame


def bits_by_class(
    bits_per_base: npt.NDArray[np.floating[Any]],
    corpus: Corpus,
    annotation: Annotation | None = None,
    block: int = BLOCK,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Mean bits per base of each class of bases, with block-bootstrap intervals.

    Args:
        bits_per_base: as in `information_profile`, like ``corpus`` and what is raised.
        corpus: DNA.
        annotation: of the corpus; None: only repeats and the rest.
        block: bases a block of the bootstrap; less where that would give fewer than 20.
        resamples: of the bootstrap.

    Returns:
        Rows of a result table, metric ``feature_code_length`` in bits/base, kind ``upper bound``: axis
        ``feature`` with ``x`` the class and ``n`` its bases; and one row without an axis for all bases. With
        them rows ``feature_share``: share of the bases.
    """
    bits, where = _checked(bits_per_base, corpus)
    classes = base_classes(corpus.segments, annotation, limit=len(bits))
    edges = _edges(where.symbols, block)
    total = np.zeros((len(edges) - 1, len(Feature)))
    count = np.zeros_like(total)
    for number, (begin, end) in enumerate(pairwise(edges)):
        total[number] = np.bincount(classes[begin:end], bits[begin:end], len(Feature))
        count[number] = np.bincount(classes[begin:end], minlength=len(Feature))
    present = [code for code in range(len(Feature)) if count[:, code].any()]
    total = np.column_stack([total[:, present], total.sum(axis=1)])
    count = np.column_stack([count[:, present], count.sum(axis=1)])
    drawn = _draws(len(total), resamples)
    with np.errstate(invalid="ignore"):  # a class may be in none of the blocks drawn
        means = (drawn @ total) / (drawn @ count)
        shares = (drawn @ count) / (drawn @ count)[:, -1:]
    rows: list[dict[str, Any]] = []
    names = [list(Feature)[code].value for code in present]
    for place, feature in enumerate([*names, None]):
        shared = {
            "condition": corpus.name, "axis": feature and "feature", "x": feature,
            "n": int(count[:, place].sum()), "trusted": True,
        }  # fmt: skip
        value = float(total[:, place].sum() / count[:, place].sum())
        cost = {"metric": "feature_code_length", "value": value, "unit": "bits/base"}
        of_code = {"estimator": CODE, "kind": "upper bound"}
        rows.append(shared | cost | of_code | _spread(means[:, place]))
        if feature:
            value = float(count[:, place].sum() / count[:, -1].sum())
            share = {"metric": "feature_share", "value": value, "unit": "share"}
            rows.append(shared | share | _spread(shares[:, place]))
    return entropy_rows(rows)


def separation(
    bits_per_base: npt.NDArray[np.floating[Any]],
    corpus: Corpus,
    annotation: Annotation | None = None,
    windows: Sequence[int] = (100, 1_000, 10_000),
    smoothing: Sequence[int] = (1, 25, 125, 625),
    block: int = BLOCK,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """How well the profile tells repeats from the rest, and intergenic from coding bases.

    The area under the ROC curve, AUC = P(bits of a low one < bits of a high one) + ½ P(equal), that is the
    Mann–Whitney statistic over the number of pairs: 1 separates perfectly, 0.5 not at all, and
    less than 0.5 says that the kind expected to cost less costs more. Low are repeats (against all
    else), and intergenic bases (against coding ones, both outside of repeats).

    Two views. *Windows*: those of which at least half is of a kind, by their mean cost (not those that cuts
    leave shorter than half their size). *Bases*: every base of a kind, by the mean cost of the bases around it,
    up to ``smoothing`` of them, none beyond a cut.

    Args:
        bits_per_base: as in `bits_by_class`, like ``corpus``, ``block`` and ``resamples``.
        corpus: DNA.
        annotation: of the corpus; None: repeats only.
        windows: sizes in bases.
        smoothing: widths in bases, odd; 1: the base alone.
        block: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        Rows of a result table, metrics ``repeat_auc`` and ``coding_auc``, unit ``probability``, axis
        ``window`` or ``smoothing`` with ``x`` the bases; ``n`` the windows or bases of both kinds. A contrast
        of which one kind has fewer than 30 has no row.

    Raises:
        ValueError: more costs than bases, or no base.
        GfmError: the annotation covers no record.
    """
    bits, where = _checked(bits_per_base, corpus)
    classes = base_classes(corpus.segments, annotation, limit=len(bits))
    edges = _edges(where.symbols, block)
    drawn = _draws(len(edges) - 1, resamples)
    rows: list[dict[str, Any]] = []
    for metric, axis, x, score, low, high, cuts in _contrasts(bits, where, classes, edges, windows, smoothing):
        if min(low.sum(), high.sum()) < MIN_KIND:
            continue
        value, replicates = _auc(_binned(score, low | high), low, high, cuts, drawn)
        row = {
            "condition": corpus.name, "metric": metric, "axis": axis, "x": x, "value": value,
            "unit": "probability", "n": int(low.sum() + high.sum()), "estimator": CODE, "kind": "estimate",
            "trusted": True,
        }  # fmt: skip
        rows.append(row | _spread(replicates))
    return entropy_rows(rows)


def _contrasts(
    bits: Any, where: CoordinateMap, classes: Any, edges: Any, windows: Sequence[int], smoothing: Sequence[int]
) -> Iterator[tuple[str, str, int, Any, Any, Any, Any]]:
    """Metric, axis, x, scores, which of them are of the low and of the high kind, and the ends of the blocks."""
    kinds = {
        metric: [np.isin(classes, [CODES[feature] for feature in side]) for side in sides]
        for metric, sides in CONTRASTS.items()
    }
    for size in windows:
        begin, end = where.windows(size)
        score, cuts = sums(bits, begin) / (end - begin), np.searchsorted(begin, edges)
        full = 2 * (end - begin) >= size
        for metric, sides in kinds.items():
            low, high = (full & (sums(side, begin, np.int64) * 2 >= end - begin) for side in sides)
            yield metric, "window", size, score, low, high & ~low, cuts
    for width in smoothing:
        score = smoothed(bits, where, width)
        for metric, (low, high) in kinds.items():
            yield metric, "smoothing", width, score, low, high, edges


def smoothed(bits: npt.NDArray[np.floating[Any]], where: CoordinateMap, width: int) -> npt.NDArray[np.float32]:
    """Mean over each base and its neighbours, (width − 1) / 2 on each side or as many as there are.

    Args:
        bits: shape (bases,).
        where: says where the cuts are, beyond which there is no neighbour.
        width: odd.

    Returns:
        Shape (bases,).
    """
    if width == 1:
        return np.asarray(bits, np.float32)
    parts = []
    for part in where.split(np.asarray(bits)):
        total = np.concatenate([[0.0], np.cumsum(part, dtype=np.float64)])
        place = np.arange(len(part))
        left = np.maximum(place - width // 2, 0)
        right = np.minimum(place + width // 2 + 1, len(part))
        parts.append(((total[right] - total[left]) / (right - left)).astype(np.float32))
    return np.concatenate(parts)


def _checked(
    bits_per_base: npt.NDArray[np.floating[Any]], corpus: Corpus
) -> tuple[npt.NDArray[np.floating[Any]], CoordinateMap]:
    bits = np.asarray(bits_per_base)
    if not 0 < len(bits) <= corpus.symbols:
        raise ValueError(f"{len(bits)} costs for the {corpus.symbols} bases of {corpus.name!r}")
    return bits, CoordinateMap.of(corpus.segments, len(bits))


def _edges(symbols: int, block: int) -> npt.NDArray[np.int64]:
    """Where the blocks begin and end: of equal length, about ``block``, at least 20 of them if possible."""
    count = min(symbols, max(MIN_BLOCKS, round(symbols / block)))
    return np.arange(count + 1) * symbols // count


def _draws(blocks: int, resamples: int) -> Floats:
    """How often each block is drawn in each resample of one fewer than all, shape (resamples, blocks)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(max(1, blocks - 1), np.full(blocks, 1 / blocks), resamples).astype(np.float64)


def _spread(replicates: Floats) -> dict[str, float | None]:
    """Standard error and 95 % interval from the replicates of a bootstrap."""
    sane = replicates[np.isfinite(replicates)]
    if len(sane) < 2:
        return {"se": None, "low": None, "high": None}
    low, high = np.quantile(sane, [0.025, 0.975])
    return {"se": float(sane.std(ddof=1)), "low": float(low), "high": float(high)}


def _binned(score: npt.NDArray[np.floating[Any]], used: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Number of the bin of each score, in the order of the scores: shape (scores,).

    The bins hold about equally many of a sample of the scores; few different scores have a bin each.
    """
    sample = score[used][:: max(1, int(used.sum()) // 1_000_000)]
    borders = np.unique(sample)
    if len(borders) > _BINS:
        borders = np.unique(np.quantile(sample, np.arange(1, _BINS) / _BINS, method="nearest"))
    return np.searchsorted(borders, score, side="right")


def _auc(
    bins: npt.NDArray[np.int64],
    low: npt.NDArray[np.bool_],
    high: npt.NDArray[np.bool_],
    cuts: npt.NDArray[np.int64],
    drawn: Floats,
) -> tuple[float, Floats]:
    """AUC of all, and of each resample of blocks, from the counts of each kind in each bin and block.

    ``bins``, ``low`` and ``high`` have shape (scores,); ``cuts``, where the blocks begin and end among the
    scores, (blocks + 1,); ``drawn``, how often each block is drawn, (resamples, blocks).
    """
    highest = int(bins.max()) + 1
    kind = 2 - 2 * low.astype(np.int64) - high  # 0 low, 1 high, 2 neither
    counts = np.zeros((2, len(cuts) - 1, highest), np.float32)
    for block, (begin, end) in enumerate(pairwise(cuts)):
        cells = bins[begin:end] + highest * kind[begin:end]
        counts[:, block] = np.bincount(cells, minlength=3 * highest).reshape(3, highest)[:2]
    everything = _auc_of_counts(*counts.sum(axis=1, dtype=np.float64)[:, None])
    replicates = [
        _auc_of_counts(*(part @ counts.astype(np.float64)))
        for part in np.array_split(drawn, max(1, len(drawn) // 100))
    ]
    return float(everything[0]), np.concatenate(replicates)


def _auc_of_counts(low: Floats, high: Floats) -> Floats:
    """AUC from counts by rising score, shape (..., bins): P(low < high) + ½ P(equal)."""
    below = np.cumsum(low, axis=-1) - 0.5 * low
    with np.errstate(invalid="ignore"):  # a resample may lack one kind
        return (below * high).sum(axis=-1) / (low.sum(axis=-1) * high.sum(axis=-1))
