"""Adaptive maps of higher orders: a context's short history, and what histories like it were followed by.

A slot of 16 bits holds four counts of 4 bits, one a base, of what followed the context (hashed) on both strands.
The opinion is not computed from those counts: a second table learns, for each order and each of the 65,536
histories, the distribution of the base that came.
So nothing is assumed about how far a context seen once or twice is to be believed.
Sixteen contexts that differ in their last two bases lie side by side, so that the memory of the next step
is known, and fetched, one step ahead.
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import HASH, TWO, approach, cache_aligned, low_bits, prefetch

#: Orders from here on forget the other bases when one comes again: what they hold are copies, not statistics.
FORGETFUL = 14
#: From here on they forget faster.
VERY_FORGETFUL = 18

#: Tables of K orders: ``orders``; ``log_slots``, log2 of the number of slots of each; ``offsets``, the first slot
#: of each; ``slots``, uint16, histories; ``learned``, shape (K, 65536, 4), float32, the distribution after each
#: history; ``rates``, shape (256,), learning rate by number of ``updates``, shape (K, 65536), uint8;
#: ``confidence``, shape (65536,), what the mixer is told of a history, 0 to 12; ``here``, the slot of the present
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
def predict_maps(maps: Any, past: Any, opinions: Any, confidence: Any, first: Any) -> None:
    """Write the opinions of the maps from column ``first`` on."""
    for i in range(len(maps.orders)):
        slot = maps.ahead[i] + np.int64(past & np.uint64(15))
        maps.here[i] = slot
        ahead = _group(maps, i, past >> TWO)
        maps.ahead[i] = ahead
        prefetch(maps.slots, ahead)
        history = maps.slots[slot]
        for base in range(4):
            opinions[base, first + i] = maps.learned[i, history, base]
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
