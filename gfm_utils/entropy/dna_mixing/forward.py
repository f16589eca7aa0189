"""Adaptive codes of each order, from counts of what followed each context on the strand that is read.

A code of order k holds four counts for each of the 4**k contexts, and gives base x the probability
(n_x + 1/2) / (n + 2): the estimator of R. Krichevsky and V. Trofimov ("The performance of universal encoding",
1981), which pays at most 3/2 log2 n + 2 bits a context more than the best distribution in hindsight.
Counts are halved where one passes `CEILING`, which costs less than 1e-4 bits a base, and the other strand is not
counted: where a source has an order and a direction, as a Markov chain has, one of these codes is (almost) the
best there is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import TWO, cache_aligned, leading_zeros, low_bits, prefetch

#: Count at which a context's counts are halved.
CEILING = 2**16 - 1
_HALF = np.float32(0.5)


class ForwardCodes(NamedTuple):
    """Tables of all orders (K of them), one after the other.

    Attributes:
        orders: shape (K,), int64.
        offsets: shape (K,), int64, first row of each order.
        counts: shape (rows, 4), uint16.
        rows: shape (K,), int64, row of the present context.
        heard: shape (H,), int64, which of the orders the mixer has the opinion of.
    """

    orders: Any
    offsets: Any
    counts: Any
    rows: Any
    heard: Any


def new_forward(orders: Sequence[int], heard: Sequence[int]) -> ForwardCodes:
    """Empty tables of these orders (0 to 15), of which the mixer hears some."""
    sizes = [4 ** max(order, 1) for order in orders]  # the four rows that can come next share a cache line
    return ForwardCodes(
        orders=np.array(orders, np.int64),
        offsets=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        counts=cache_aligned((sum(sizes), 4), np.uint16),
        rows=np.zeros(len(orders), np.int64),
        heard=np.array([orders.index(order) for order in heard], np.int64),
    )


@kernel
def predict_forward(codes: Any, past: Any, opinions: Any, confidence: Any, first: Any) -> None:
    """Find the present contexts, and write the opinions that the mixer hears from column ``first`` on."""
    counts = codes.counts
    for i in range(len(codes.orders)):
        mask, offset = low_bits(codes.orders[i]), codes.offsets[i]
        codes.rows[i] = offset + np.int64(past & mask)
        prefetch(counts, offset + np.int64((past << TWO) & mask))
    for h in range(len(codes.heard)):
        row = codes.rows[codes.heard[h]]
        total = np.uint32(0)
        for base in range(4):
            total += np.uint32(counts[row, base])
            opinions[base, first + h] = np.float32(counts[row, base]) + _HALF
        confidence[first + h] = min(15, 32 - np.int64(leading_zeros(total)))


@kernel
def count_forward(codes: Any, base: Any, seen: Any, totals: Any) -> None:
    """Write how often the base, and any, followed the present context of each order, from place 1 on."""
    counts = codes.counts
    for i in range(len(codes.orders)):
        row = codes.rows[i]
        seen[1 + i] = np.int32(counts[row, base])
        totals[1 + i] = (np.int32(counts[row, 0]) + np.int32(counts[row, 1])) + (
            np.int32(counts[row, 2]) + np.int32(counts[row, 3])
        )


@kernel
def update_forward(codes: Any, base: Any) -> None:
    """Count the base that came."""
    for i in range(len(codes.orders)):
        row = codes.rows[i]
        count = np.int64(codes.counts[row, base]) + 1
        codes.counts[row, base] = count
        if count >= CEILING:
            for other in range(4):
                codes.counts[row, other] >>= 1
