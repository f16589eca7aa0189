"""Where in the past a context was seen last (seeds), and matches: running copies of the sequence from there.

The past is kept in packed words, 32 bases each. For each seed length and either strand one copy of the longest
recent match runs. Its trust is learned by how long it has run and which of the last eight bases it missed.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.numerics import (
    HASH,
    TWO,
    kernel,
    leading_zeros,
    level,
    low_bits,
    mirrored,
    mismatches,
    ones,
    prefetch,
)

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


_THIRD = np.float32(1 / 3)
_ONE = np.float32(1)
_RATE = np.float32(0.006)
_SURE = np.float32(0.9995)
_NEVER = np.float32(0.0005)
#: A match ends when it missed more than so many of the last 16 bases.
_MOST_MISSES = 10

#: Running matches of K seed lengths on two strands (2 i forward, 2 i + 1 inverted): ``pointers``, position of the
#: base that is copied next; ``lengths``, bases matched, cut by misses, 0: no match runs; ``misses``, uint32, the
#: last bases, 1 where the match missed, latest in bit 0; ``guesses``; ``states``; ``trust``, shape (2 K, 4096),
#: float32, probability of a hit by state.
Matches = namedtuple("Matches", "pointers lengths misses guesses states trust")


def new_matches(seed_lengths: int) -> Matches:
    """No match running, for so many seed lengths."""
    runs = 2 * seed_lengths
    return Matches(
        pointers=np.zeros(runs, np.int64),
        lengths=np.zeros(runs, np.int64),
        misses=np.zeros(runs, np.uint32),
        guesses=np.zeros(runs, np.int64),
        states=np.zeros(runs, np.int64),
        trust=np.full((runs, 4096), 0.9, np.float32),
    )


@kernel
def predict_matches(matches: Any, codes: Any, predictions: Any, confidence: Any, first: Any) -> Any:
    """Write the predictions from column ``first`` on; return how good the best match is, 0 (none) to 7."""
    best = 0
    for i in range(len(matches.lengths)):
        length = matches.lengths[i]
        for base in range(4):
            predictions[base, first + i] = _ONE
        confidence[first + i] = 0
        if length == 0:
            continue
        guess = np.int64(codes[matches.pointers[i]])
        if i & 1:
            guess = 3 - guess
        bucket = length >> 1 if length < 16 else min(15, 8 + ((length - 16) >> 4))
        state = bucket * 256 + np.int64(matches.misses[i] & np.uint32(255))
        trust = matches.trust[i, state]
        matches.guesses[i], matches.states[i] = guess, state
        for base in range(4):
            predictions[base, first + i] = (_ONE - trust) * _THIRD
        predictions[guess, first + i] = trust
        confidence[first + i] = level(trust, 15)
        best = max(best, level(trust, 7))
    return best


@kernel
def update_matches(matches: Any, base: Any, t: Any) -> None:
    """Move the matches on, and end those that miss too much."""
    for i in range(len(matches.lengths)):
        if matches.lengths[i] == 0:
            continue
        hit = matches.guesses[i] == base
        state = matches.states[i]
        matches.trust[i, state] += _RATE * ((_SURE if hit else _NEVER) - matches.trust[i, state])
        matches.misses[i] = (matches.misses[i] << np.uint32(1)) | np.uint32(0 if hit else 1)
        matches.lengths[i] = matches.lengths[i] + 1 if hit else max(1, matches.lengths[i] >> 2)
        matches.pointers[i] += -1 if i & 1 else 1
        if matches.pointers[i] < 0 or ones(matches.misses[i] & np.uint32(0xFFFF)) > _MOST_MISSES:
            matches.lengths[i] = 0


@kernel
def start_matches(matches: Any, seeds: Any, words: Any, past: Any, reverse: Any) -> None:
    """Let seeds start matches, or replace short ones that have missed."""
    for i in range(len(matches.lengths)):
        if matches.lengths[i] >= 16 or (matches.lengths[i] > 0 and matches.misses[i] & np.uint32(255) == 0):
            continue
        found = seeds.inverted[i >> 1] if i & 1 else seeds.forward[i >> 1]
        if found < 0 or (matches.lengths[i] > 0 and found == matches.pointers[i]):
            continue
        misses = misses_before(words, found, i & 1 == 1, past, reverse)
        length = np.int64(leading_zeros(mirrored(misses)))
        if length >= seeds.lengths[i >> 1] and length > matches.lengths[i]:
            matches.pointers[i], matches.lengths[i], matches.misses[i] = found, length, np.uint32(0)
