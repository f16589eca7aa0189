"""Models that predict a base from what followed the same context before.

**Counts** (orders 0 to 12): four counts for each of the 4**k contexts; the prediction is count + α, its confidence
the logarithm of the context's total. All four are halved where one reaches the order's limit. Those that read one
strand alone are codes of their own too: with α = 1/2 base x has probability (n_x + 1/2) / (n + 2), the estimator
of R. Krichevsky and V. Trofimov ("The performance of universal encoding", 1981), which pays at most
3/2 log2 n + 2 bits a context more than the best distribution in hindsight.

**Adaptive maps** (higher orders): a slot of 16 bits holds four counts of 4 bits, one a base, of what followed the
context (hashed) on both strands. A second table learns, for each order and each of the 65,536 histories, the
distribution of the base that came. Sixteen contexts that differ in their last two bases lie side by side, so that
the memory of the next step is known, and fetched, one step ahead.

**Local composition**: distributions of low order that forget within tens to hundreds of bases, and so follow
isochores, low-complexity stretches and microsatellites.
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.numerics import (
    HASH,
    TWO,
    approach,
    cache_aligned,
    kernel,
    leading_zeros,
    low_bits,
    prefetch,
)

#: Count at which those of one strand are halved.
CEILING = 2**16 - 1

#: Tables of K orders, one after the other: ``orders``; ``offsets``, the first row of each; ``counts``, shape
#: (rows, 4), uint16; ``limits`` and ``pseudocounts`` (α) of each; ``rows``, of the present contexts; ``mixed``,
#: which of the orders the mixer has the prediction of.
CountModels = namedtuple("CountModels", "orders offsets counts limits pseudocounts rows mixed")


def new_counts(orders: Sequence[int], mixed: Sequence[int], *, both_strands: bool) -> CountModels:
    """Empty tables of these orders (0 to 12), of which the mixer reads ``mixed``."""
    sizes = [4 ** max(order, 1) for order in orders]  # the four rows that can come next share a cache line
    limits = [(8191 if k < 11 else 1000) if both_strands else CEILING for k in orders]
    pseudocounts = [(1.0 if k < 8 else 0.5 if k < 11 else 0.25) if both_strands else 0.5 for k in orders]
    return CountModels(
        orders=np.array(orders, np.int64),
        offsets=np.cumsum([0, *sizes])[:-1].astype(np.int64),
        counts=cache_aligned((sum(sizes), 4), np.uint16),
        limits=np.array(limits, np.int64),
        pseudocounts=np.array(pseudocounts, np.float32),
        rows=np.zeros(len(orders), np.int64),
        mixed=np.array([orders.index(order) for order in mixed], np.int64),
    )


@kernel
def predict_counts(models: Any, past: Any, predictions: Any, confidence: Any, first: Any, shift: Any) -> None:
    """Find the present contexts, and write the predictions that the mixer reads from column ``first`` on."""
    for i in range(len(models.orders)):
        mask, offset = low_bits(models.orders[i]), models.offsets[i]
        models.rows[i] = offset + np.int64(past & mask)
        prefetch(models.counts, offset + np.int64((past << TWO) & mask))
    for h in range(len(models.mixed)):
        i = models.mixed[h]
        total = np.uint64(0)
        for base in range(4):
            count = models.counts[models.rows[i], base]
            total += np.uint64(count)
            predictions[base, first + h] = np.float32(count) + models.pseudocounts[i]
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


#: Orders from here on forget the other bases when one comes again: what they hold are copies, not statistics.
FORGETFUL = 14
#: From here on they forget faster.
VERY_FORGETFUL = 18

#: Tables of K orders: ``orders``; ``log_slots``, log2 of the number of slots of each; ``offsets``, the first slot
#: of each; ``slots``, uint16, histories; ``learned``, shape (K, 65536, 4), float32, the distribution after each
#: history; ``rates``, shape (256,), learning rate by number of ``updates``, shape (K, 65536), uint8;
#: ``confidence``, shape (65536,), what the mixer reads of a history, 0 to 12; ``here``, the slot of the present
#: context of each order; ``ahead``, the first slot of the next context's group of 16.
AdaptiveMaps = namedtuple(
    "AdaptiveMaps", "orders log_slots offsets slots learned rates updates confidence here ahead"
)


def new_maps(orders: Sequence[int], log_limit: int) -> AdaptiveMaps:
    """Empty tables of these orders (2 to 30), of at most ``2**log_limit`` slots each."""
    logs = [min(2 * order, log_limit) for order in orders]
    offsets = np.cumsum([0, *(1 << log for log in logs)]).astype(np.int64)
    histories = np.arange(65536)
    counts = np.stack([histories >> 4 * base & 15 for base in range(4)], axis=1)
    total, largest = counts.sum(axis=1), counts.max(axis=1)
    start = (counts + 0.4) / (total + 1.6)[:, None]
    alone = np.where(total == 0, 0, 1 + np.minimum(largest, 7))
    return AdaptiveMaps(
        orders=np.array(orders, np.int64),
        log_slots=np.array(logs, np.int64),
        offsets=offsets[:-1],
        slots=cache_aligned((int(offsets[-1]),), np.uint16),
        learned=np.tile(start.astype(np.float32), (len(orders), 1, 1)).reshape(len(orders), 65536, 4),
        rates=np.maximum(1.0 / (np.arange(256) + 3.0), 0.004).astype(np.float32),
        updates=np.zeros((len(orders), 65536), np.uint8),
        confidence=np.where(total == largest, alone, 9 + np.minimum(3, total // 4)).astype(np.int64),
        here=offsets[:-1].copy(),
        ahead=offsets[:-1].copy(),
    )


@kernel
def _group(maps: Any, i: Any, older: Any) -> Any:
    """First slot of the contexts of order i whose bases but the last two are ``older``."""
    order, log_slots = maps.orders[i], maps.log_slots[i]
    older &= low_bits(order - 2)
    if 2 * order > log_slots:
        key = (older + np.uint64(order)) * HASH
        older = key >> np.uint64(68 - log_slots)
    return maps.offsets[i] + (np.int64(older) << 4)


@kernel
def predict_maps(maps: Any, past: Any, predictions: Any, confidence: Any, first: Any) -> None:
    """Write the predictions of the maps from column ``first`` on."""
    for i in range(len(maps.orders)):
        slot = maps.ahead[i] + np.int64(past & np.uint64(15))
        maps.here[i] = slot
        ahead = _group(maps, i, past >> TWO)
        maps.ahead[i] = ahead
        prefetch(maps.slots, ahead)
        history = maps.slots[slot]
        for base in range(4):
            predictions[base, first + i] = maps.learned[i, history, base]
        confidence[first + i] = maps.confidence[history]


@kernel
def _remember(maps: Any, slot: Any, base: Any, order: Any) -> None:
    history = np.int64(maps.slots[slot])
    shift = 4 * base
    if (history >> shift) & 15 == 15:
        history = (history >> 1) & 0x7777
    elif order >= FORGETFUL:  # the other counts above 2 are halved, all at once
        above = ((history >> 3) | (history >> 2) | ((history >> 1) & history)) & 0x1111 & ~(1 << shift)
        halves = (history >> 1) & 0x7777
        if order < VERY_FORGETFUL:
            halves += history & 0x1111  # rounded up
        history = (history & ~(15 * above)) | (halves & (15 * above))
    maps.slots[slot] = history + (1 << shift)


@kernel
def update_maps(maps: Any, base: Any, t: Any, past: Any, reverse: Any) -> None:
    """Learn from the base that came, and on the other strand from what the previous step made known."""
    for i in range(len(maps.orders)):
        slot = maps.here[i]
        history = maps.slots[slot]
        updates = maps.updates[i, history]
        rate = maps.rates[updates]
        if updates < 255:
            maps.updates[i, history] = updates + 1
        approach(maps.learned[i, history], base, rate)
        _remember(maps, slot, base, maps.orders[i])
    for i in range(len(maps.orders)):
        order = maps.orders[i]
        if t > order:
            late = reverse >> np.uint64(62 - 2 * order)
            partner = 3 - np.int64((past >> np.uint64(2 * order + 2)) & np.uint64(3))
            _remember(maps, _group(maps, i, late >> np.uint64(4)) + np.int64(late & np.uint64(15)), partner, order)
            prefetch(maps.slots, _group(maps, i, reverse >> np.uint64(68 - 2 * order)))


#: K models: their ``orders``; ``rates``, the share of a distribution that one base replaces; ``distributions``,
#: shape (K, 4**largest order, 4), float32.
Composition = namedtuple("Composition", "orders rates distributions")


def new_composition(models: Sequence[tuple[int, int]]) -> Composition:
    """Uniform distributions of these models, each an order and the number of bases that it remembers."""
    contexts = 4 ** max(order for order, _ in models)
    return Composition(
        orders=np.array([order for order, _ in models], np.int64),
        rates=np.array([1 / memory for _, memory in models], np.float32),
        distributions=np.full((len(models), contexts, 4), 0.25, np.float32),
    )


@kernel
def predict_composition(models: Any, past: Any, predictions: Any, confidence: Any, first: Any) -> None:
    """Write the predictions from column ``first`` on."""
    for i in range(len(models.orders)):
        context = np.int64(past & low_bits(models.orders[i]))
        for base in range(4):
            predictions[base, first + i] = models.distributions[i, context, base]
        confidence[first + i] = 0


@kernel
def update_composition(models: Any, base: Any, past: Any) -> None:
    """Learn the base that came after ``past``."""
    for i in range(len(models.orders)):
        context = np.int64(past & low_bits(models.orders[i]))
        approach(models.distributions[i, context], base, models.rates[i])
