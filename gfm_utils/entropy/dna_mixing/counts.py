"""Counts of the bases that followed each context of a low order.

A model of order k holds four counts for each of the 4**k contexts; its opinion is count + α, and its confidence
the logarithm of the context's total. All four counts are halved where one reaches the order's limit, so that the
recent past weighs more.

Two sets of them are kept. Those of `new_counts` read both strands; their α falls with the order. Those of
`new_forward` read one strand alone, and are codes of their own too: with α = 1/2 base x has probability
(n_x + 1/2) / (n + 2), the estimator of R. Krichevsky and V. Trofimov ("The performance of universal encoding",
1981), which pays at most 3/2 log2 n + 2 bits a context more than the best distribution in hindsight (halving costs
less than 1e-4 bits a base). Where a source has an order and a direction, as a Markov chain has, one of them is
(almost) the best there is.
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import TWO, cache_aligned, leading_zeros, low_bits, prefetch

#: Count at which those of one strand are halved.
CEILING = 2**16 - 1

#: Tables of K orders, one after the other: ``orders``; ``offsets``, the first row of each; ``counts``, shape
#: (rows, 4), uint16; ``limits`` and ``pseudocounts`` (α) of each; ``rows``, of the present contexts; ``heard``,
#: which of the orders the mixer has the opinion of.
CountModels = namedtuple("CountModels", "orders offsets counts limits pseudocounts rows heard")


def new_counts(orders: Sequence[int]) -> CountModels:
    """Empty tables of these orders (0 to 12), for both strands; the mixer hears all."""
    limits = [8191 if k < 11 else 1000 for k in orders]
    return _new(orders, limits, [1.0 if k < 8 else 0.5 if k < 11 else 0.25 for k in orders], orders)


def new_forward(orders: Sequence[int], heard: Sequence[int]) -> CountModels:
    """Empty tables of these orders (0 to 12), for the strand that is read; the mixer hears some."""
    return _new(orders, [CEILING] * len(orders), [0.5] * len(orders), heard)


def _new(
    orders: Sequence[int], limits: Sequence[int], pseudocounts: Sequence[float], heard: Sequence[int]
) -> CountModels:
    sizes = [4 ** max(order, 1) for order in orders]  # the four rows that can come next share a cache line
    return CountModels(
        orders=np.array(orders, np.int64),
        offsets=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        counts=cache_aligned((sum(sizes), 4), np.uint16),
        limits=np.array(limits, np.int64),
        pseudocounts=np.array(pseudocounts, np.float32),
        rows=np.zeros(len(orders), np.int64),
        heard=np.array([orders.index(order) for order in heard], np.int64),
    )


@kernel
def predict_counts(models: Any, past: Any, opinions: Any, confidence: Any, first: Any, shift: Any) -> None:
    """Find the present contexts, and write the opinions that the mixer hears from column ``first`` on.

    The confidence is the number of binary digits of the context's total, less ``shift``.
    """
    for i in range(len(models.orders)):
        mask, offset = low_bits(models.orders[i]), models.offsets[i]
        models.rows[i] = offset + np.int64(past & mask)
        prefetch(models.counts, offset + np.int64((past << TWO) & mask))
    for h in range(len(models.heard)):
        i = models.heard[h]
        total = np.uint64(0)
        for base in range(4):
            count = models.counts[models.rows[i], base]
            total += np.uint64(count)
            opinions[base, first + h] = np.float32(count) + models.pseudocounts[i]
        confidence[first + h] = min(15, 64 - shift - np.int64(leading_zeros(total)))


@kernel
def _count(models: Any, i: Any, row: Any, base: Any) -> None:
    count = np.int64(models.counts[row, base]) + 1
    models.counts[row, base] = count
    if count >= models.limits[i]:
        for other in range(4):
            models.counts[row, other] >>= 1


@kernel
def count_base(models: Any, base: Any) -> None:
    """Count the base that came."""
    for i in range(len(models.orders)):
        _count(models, i, models.rows[i], base)


@kernel
def count_other_strand(models: Any, t: Any, past: Any, reverse: Any) -> None:
    """Count what the previous step made known of the other strand: one step late, so that its row is fetched."""
    for i in range(len(models.orders)):
        order = models.orders[i]
        if t > order:
            mask = low_bits(order)
            late = np.int64((reverse >> np.uint64(62 - 2 * order)) & mask)
            partner = 3 - np.int64((past >> np.uint64(2 * order + 2)) & np.uint64(3))
            _count(models, i, models.offsets[i] + late, partner)
            soon = np.int64((reverse >> np.uint64(63 - 2 * order) >> np.uint64(1)) & mask)
            prefetch(models.counts, models.offsets[i] + soon)
