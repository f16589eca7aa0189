"""Matches: for some seed lengths and both strands, one running copy of the longest recent match.

Its trust is learned by how long it has run and which of the last eight bases it missed.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import leading_zeros, level, mirrored, ones
from gfm_utils.entropy.dna_mixing.seeds import misses_before

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
def predict_matches(matches: Any, codes: Any, opinions: Any, confidence: Any, first: Any) -> Any:
    """Write the opinions from column ``first`` on; return how good the best match is, 0 (none) to 7."""
    best = 0
    for i in range(len(matches.lengths)):
        length = matches.lengths[i]
        for base in range(4):
            opinions[base, first + i] = _ONE
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
            opinions[base, first + i] = (_ONE - trust) * _THIRD
        opinions[guess, first + i] = trust
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
