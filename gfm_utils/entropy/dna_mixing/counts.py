"""Counts of the bases that followed each context of a low order, on both strands.

A model of order k holds four counts for each of the 4**k contexts; its opinion is count + α, α falling with the
order, and its confidence the logarithm of the context's total.
All four counts are halved where one passes the order's limit, so that the recent past weighs more.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import TWO, cache_aligned, leading_zeros, low_bits, prefetch

#: Largest count.
CEILING = 8191


class CountModels(NamedTuple):
    """Tables of all orders (K of them), one after the other.

    Attributes:
        orders: shape (K,), int64.
        offsets: shape (K,), int64, first row of each order.
        counts: shape (sum of 4**k, 4), uint16.
        limits: shape (K,), int64, count at which a context's counts are halved.
        pseudocounts: shape (K,), float32, α.
        rows: shape (K,), int64, row of the present context.
    """

    orders: Any
    offsets: Any
    counts: Any
    limits: Any
    pseudocounts: Any
    rows: Any


def new_counts(orders: Sequence[int]) -> CountModels:
    """Empty tables of these orders (0 to 12)."""
    sizes = [4**order for order in orders]
    return CountModels(
        orders=np.array(orders, np.int64),
        offsets=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        counts=cache_aligned((sum(sizes), 4), np.uint16),
        limits=np.array([CEILING if k < 11 else 1000 for k in orders], np.int64),
        pseudocounts=np.array([1.0 if k < 8 else 0.5 if k < 11 else 0.25 for k in orders], np.float32),
        rows=np.zeros(len(orders), np.int64),
    )


@kernel
def predict_counts(models: Any, past: Any, opinions: Any, confidence: Any, first: Any) -> None:
    """Write the opinions of the count models from column ``first`` on."""
    for i in range(len(models.orders)):
        mask = low_bits(models.orders[i])
        row = models.offsets[i] + np.int64(past & mask)
        models.rows[i] = row
        prefetch(models.counts, models.offsets[i] + np.int64((past << TWO) & mask))
        total = np.uint32(0)
        for base in range(4):
            count = models.counts[row, base]
            total += np.uint32(count)
            opinions[base, first + i] = np.float32(count) + models.pseudocounts[i]
        confidence[first + i] = min(15, 32 - np.int64(leading_zeros(np.uint32(total))))


@kernel
def _count(models: Any, i: Any, row: Any, base: Any) -> None:
    count = np.int64(models.counts[row, base]) + 1
    models.counts[row, base] = count
    if count >= models.limits[i]:
        for other in range(4):
            models.counts[row, other] >>= 1


@kernel
def update_counts(models: Any, base: Any, t: Any, past: Any, reverse: Any) -> None:
    """Count the base that came, and on the other strand what the previous step made known.

    The reverse strand is one step late, so that its row can be fetched from memory meanwhile.
    """
    for i in range(len(models.orders)):
        _count(models, i, models.rows[i], base)
    for i in range(len(models.orders)):
        order = models.orders[i]
        if t > order:
            mask = low_bits(order)
            late = np.int64((reverse >> np.uint64(62 - 2 * order)) & mask)
            partner = 3 - np.int64((past >> np.uint64(2 * order + 2)) & np.uint64(3))
            _count(models, i, models.offsets[i] + late, partner)
            soon = np.int64((reverse >> np.uint64(63 - 2 * order) >> np.uint64(1)) & mask)
            prefetch(models.counts, models.offsets[i] + soon)
