"""Copy experts: an ensemble of copies of earlier sequence, direct and inverted, that tolerate mutations.

Each expert points at a place of the past and predicts the base there (its complement on the other strand).
Its trust is learned by how many of the last 32 bases it missed, which of the last four, and how long it has run;
how it errs (transitions, CpG decay) is learned by the base that it copies and its neighbours.
The ensemble has three predictions: the sum of the experts' log-probabilities, their mean weighted by trust, and
the most trusted expert's.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.matches import REACH, misses_before
from gfm_utils.entropy.dna_mixing.numerics import kernel, level, ones

#: Predictions of the ensemble.
PREDICTIONS = 3
#: Most misses of a new copy among the 32 bases before it, and of a running copy among the last 32 bases.
_SEED_MISSES, _MOST_MISSES = 10, 16
#: Earlier occurrences of the last seed length that are tried too (4 bytes of memory a base).
_TRIES = 4
_LEVELS = 32
_ONE = np.float32(1)
_TRUST_RATE = np.float32(0.004)
_ERROR_RATE = np.float32(0.003)
_SURE = np.float32(0.9995)
_NEVER = np.float32(0.0005)
_FLOOR = np.float32(0.0002)
_CEILING = np.float32(0.9994)
_FORWARD, _INVERTED = np.int64(1), np.int64(-1)
_LEAST = np.float32(np.exp(-14))

#: The ensemble; arrays of shape (R,) have one entry an expert, of which the first ``count[0]`` run: ``pointers``,
#: position of the base that is copied next; ``steps``, 1 or -1 (inverted); ``lengths``, bases since the seed
#: began; ``misses``, uint32, the last 32 bases, 1 where the expert missed, latest in bit 0; ``guesses``,
#: ``states`` and ``cells``, what the update needs. ``trust``, shape (16 * 33 * 16,), float32, probability of a hit
#: by state; ``errors``, shape (32 * 64, 4), float32, distribution by level of trust, base copied, the next base of
#: the copy, and the last base of the sequence; ``products`` and ``means`` over the experts, shape (4,).
Copies = namedtuple(
    "Copies", "count pointers steps lengths misses guesses states cells trust errors products means"
)


def new_copies(experts: int) -> Copies:
    """An empty ensemble of at most so many experts."""
    missed = np.tile(np.repeat(np.arange(33), 16), 16)
    levels = np.repeat((np.arange(_LEVELS) + 0.5) / _LEVELS, 64)
    copied = np.tile(np.repeat(np.arange(4), 16), _LEVELS)
    errors = np.repeat(((1 - levels) / 3)[:, None], 4, axis=1)
    errors[np.arange(len(errors)), copied] = levels
    pointers, steps, lengths, guesses, states, cells = np.zeros((6, experts), np.int64)
    return Copies(
        count=np.zeros(1, np.int64),
        pointers=pointers,
        steps=steps,
        lengths=lengths,
        misses=np.zeros(experts, np.uint32),
        guesses=guesses,
        states=states,
        cells=cells,
        trust=((33 - missed) / 34).astype(np.float32),
        errors=errors.astype(np.float32),
        products=np.zeros(4),  # at least 0.0002 to the power of experts: needs float64
        means=np.zeros(4, np.float32),
    )


@kernel
def predict_copies(
    copies: Any, codes: Any, t: Any, past: Any, predictions: Any, confidence: Any, first: Any
) -> Any:
    """Write three predictions from column ``first`` on; return how good the best expert is, 0 (none) to 15."""
    running = copies.count[0]
    for i in range(PREDICTIONS):
        confidence[first + i] = 0
        for base in range(4):
            predictions[base, first + i] = _ONE
    if running == 0:
        return 0
    products, means = copies.products, copies.means
    for base in range(4):
        products[base], means[base] = 1.0, np.float32(1e-4)
    weights = np.float32(4e-4)
    best, best_cell = np.float32(0), np.int64(0)
    previous = np.int64(past & np.uint64(3))
    for q in range(running):
        step, pointer = copies.steps[q], copies.pointers[q]
        guess = np.int64(codes[pointer])
        following = pointer + step
        beyond = np.int64(codes[following]) if 0 <= following < t else 0
        if step < 0:
            guess, beyond = 3 - guess, 3 - beyond
        misses, length = copies.misses[q], copies.lengths[q]
        bucket = length >> 2 if length < 32 else min(15, 8 + ((length - 32) >> 5))
        state = (bucket * 33 + np.int64(ones(misses))) * 16 + np.int64(misses & np.uint32(15))
        trust = copies.trust[state]
        cell = ((np.int64(trust * np.float32(_LEVELS)) * 4 + guess) * 4 + beyond) * 4 + previous
        copies.guesses[q], copies.states[q], copies.cells[q] = guess, state, cell
        weight = trust * trust
        weight *= weight
        weights += weight
        for base in range(4):
            p = copies.errors[cell, base]
            products[base] *= p
            means[base] += weight * p
        if trust > best:
            best, best_cell = trust, cell
    scale = 1.0 / max(max(products[0], products[1]), max(products[2], products[3]))
    largest = max(max(means[0], means[1]), max(means[2], means[3]))
    for base in range(4):
        predictions[base, first] = max(np.float32(products[base] * scale), _LEAST)
        predictions[base, first + 1] = means[base]
        predictions[base, first + 2] = copies.errors[best_cell, base]
    confidence[first] = min(15, running)
    confidence[first + 1] = level(largest / weights, 15)
    confidence[first + 2] = level(best, 15)
    return confidence[first + 2]


@kernel
def update_copies(copies: Any, base: Any) -> None:
    """Learn from the base that came, move the experts on and drop those that miss too much."""
    q = 0
    while q < copies.count[0]:
        hit = copies.guesses[q] == base
        state, cell = copies.states[q], copies.cells[q]
        copies.trust[state] += _TRUST_RATE * ((_SURE if hit else _NEVER) - copies.trust[state])
        for other in range(4):
            target = _CEILING if other == base else _FLOOR
            copies.errors[cell, other] += _ERROR_RATE * (target - copies.errors[cell, other])
        misses = np.uint32((copies.misses[q] << np.uint32(1)) | np.uint32(0 if hit else 1))
        copies.misses[q] = misses
        copies.lengths[q] += 1
        copies.pointers[q] += copies.steps[q]
        if copies.pointers[q] < 0 or np.int64(ones(misses)) > _MOST_MISSES:
            copies.count[0] -= 1
            last = copies.count[0]
            copies.pointers[q], copies.steps[q] = copies.pointers[last], copies.steps[last]
            copies.lengths[q], copies.misses[q] = copies.lengths[last], copies.misses[last]
            copies.guesses[q], copies.states[q] = copies.guesses[last], copies.states[last]
            copies.cells[q] = copies.cells[last]
        else:
            q += 1


@kernel
def _start(copies: Any, words: Any, pointer: Any, step: Any, past: Any, reverse: Any) -> Any:
    """Start an expert there if none points there and it would have hit often enough."""
    for q in range(copies.count[0]):
        if copies.pointers[q] == pointer and copies.steps[q] == step:
            return False
    misses = misses_before(words, pointer, step < 0, past, reverse)
    missed = np.int64(ones(misses))
    if missed > _SEED_MISSES:
        return False
    q = copies.count[0]
    if q == len(copies.pointers):  # full: in place of the worst, if that is worse
        worst = np.int64(-1)
        for other in range(len(copies.pointers)):
            lost = np.int64(ones(copies.misses[other]))
            if lost > worst:
                worst, q = lost, other
        if worst <= missed:
            return False
    else:
        copies.count[0] += 1
    copies.pointers[q], copies.steps[q] = pointer, step
    copies.misses[q], copies.lengths[q] = misses, 8
    return True


@kernel
def start_copies(copies: Any, seeds: Any, words: Any, t: Any, past: Any, reverse: Any) -> None:
    """Let the seeds of all lengths start experts; of the last length, earlier occurrences too."""
    for i in range(len(seeds.lengths)):
        if seeds.forward[i] >= 0:
            _start(copies, words, seeds.forward[i], _FORWARD, past, reverse)
        if seeds.inverted[i] >= 0:
            _start(copies, words, seeds.inverted[i], _INVERTED, past, reverse)
    last = len(seeds.lengths) - 1
    length = seeds.lengths[last]
    position = seeds.forward[last]
    for _ in range(_TRIES):
        if position < REACH:
            break
        position = np.int64(seeds.earlier[position])
        if position >= REACH and _start(copies, words, position, _FORWARD, past, reverse):
            break
    position = seeds.inverted[last] + length + 2
    for _ in range(_TRIES):
        if position < length + 2:
            break
        position = np.int64(seeds.earlier[position])
        pointer = position - length - 2
        if pointer >= 0 and pointer + REACH <= t and _start(copies, words, pointer, _INVERTED, past, reverse):
            break
