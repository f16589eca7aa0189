"""Where in the past a context was seen last, on either strand: seeds of matches and copies.

The past is kept in packed words too, 32 bases each, so that 32 bases of any place compare in a few instructions.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import HASH, TWO, low_bits, mirrored, mismatches, prefetch

#: log2 of the most slots (4 bytes) of a length.
LOG_SLOTS = 24
#: Every seed needs this many bases before it.
REACH = 32

#: Last positions of contexts of K lengths: ``lengths``, bases of a context, from 2 to 31; ``log_slots``, log2 of
#: the number of slots; ``offsets``, the first slot of each; ``last``, int32, the position after the context, 0
#: where it was not seen; ``earlier``, shape (n or 0,), int32, for each position the last one before it with the
#: same context of the last length; ``forward`` and ``inverted``, position of the base that would follow on either
#: strand, or -1.
Seeds = namedtuple("Seeds", "lengths log_slots offsets last earlier forward inverted")


def new_seeds(lengths: tuple[int, ...], log_limit: int, chained: int) -> Seeds:
    """Empty tables of at most ``2**log_limit`` slots each, for ``chained`` bases (0: no chain)."""
    logs = [min(2 * length, log_limit) for length in lengths]
    offsets = np.cumsum([0, *(1 << log for log in logs)]).astype(np.int64)
    return Seeds(
        lengths=np.array(lengths, np.int64),
        log_slots=np.array(logs, np.int64),
        offsets=offsets[:-1],
        last=np.zeros(offsets[-1], np.int32),
        earlier=np.zeros(chained, np.int32),
        forward=np.full(len(lengths), -1, np.int64),
        inverted=np.full(len(lengths), -1, np.int64),
    )


@kernel
def _slot(seeds: Any, i: Any, context: Any) -> Any:
    """Slot of a context; four that differ in the last base lie side by side."""
    length, log_slots = seeds.lengths[i], seeds.log_slots[i]
    older = (context >> TWO) & low_bits(length - 1)
    if 2 * length > log_slots:
        older = (older * HASH) >> np.uint64(66 - log_slots)
    return seeds.offsets[i] + (np.int64(older) << 2) + np.int64(context & np.uint64(3))


@kernel
def find_seeds(seeds: Any, t: Any, past: Any, reverse: Any) -> None:
    """Note where the contexts that end at base t were seen last, and that they are here now.

    The inverted context is that of the step before, fetched from memory meanwhile.
    """
    for i in range(len(seeds.lengths)):
        length = seeds.lengths[i]
        slot = _slot(seeds, i, past)
        found = np.int64(seeds.last[slot])
        seeds.forward[i] = found if found >= REACH else -1
        seeds.last[slot] = t + 1
        if i == len(seeds.lengths) - 1 and len(seeds.earlier) > t + 1:
            seeds.earlier[t + 1] = found
        prefetch(seeds.last, _slot(seeds, i, past << TWO))
        found = np.int64(seeds.last[_slot(seeds, i, reverse >> np.uint64(62 - 2 * length))])
        found = found - length - 2
        seeds.inverted[i] = found if found >= 0 and found + REACH <= t else -1
        prefetch(seeds.last, _slot(seeds, i, reverse >> np.uint64(64 - 2 * length)))


@kernel
def remember_word(words: Any, t: Any, past: Any) -> None:
    """Keep the last bases, up to base t, in their packed word: the earliest of the 32 in the highest bits."""
    words[t >> 5] = past << np.uint64(2 * (31 - (t & 31)))


@kernel
def _word(words: Any, last: Any) -> Any:
    """The 32 bases that end at position ``last`` (at least 31)."""
    at, inside = last >> 5, last & 31
    if inside == 31:
        return words[at]
    return (words[at - 1] << np.uint64(2 * (inside + 1))) | (words[at] >> np.uint64(2 * (31 - inside)))


@kernel
def misses_before(words: Any, position: Any, inverted: Any, past: Any, reverse: Any) -> Any:
    """Which of the last 32 bases a copy that continues at ``position`` would have missed, latest in bit 0."""
    if inverted:
        return mirrored(mismatches(_word(words, position + REACH), reverse))
    return mismatches(_word(words, position - 1), past)
