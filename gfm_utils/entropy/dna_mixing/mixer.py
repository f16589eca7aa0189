"""Logistic mixing of the models' predictions, and the last stage, which weighs the mixer against plain codes.

**Mixing**: predictions x (log-probabilities up to a constant) become p = softmax(Σ_i w_i x_i). One or two mixers
work side by side. In each, the weight of a prediction is the sum of two: one chosen by the prediction's own
confidence, one by a selector that differs between the mixers. A last, small mix joins their results. All weights
follow the gradient of their own code length (M. Mahoney, "Adaptive weighing of context models", 2005, with four
symbols in place of two).

**Last stage**: a Bayesian mixture p(x) = Σ_i w_i p_i(x) of K parts, the mixer and the code of each order, with
weights that start equal, follow Bayes' rule, and of which a share 1 / (t + 1) is spread evenly after the t-th base
(fixed share of M. Herbster and M. Warmuth, 1998, at the falling rate of T. van Erven, P. Grünwald and S. de Rooij,
2012, and of W. Koolen and S. de Rooij, 2013). So the code of n bases is at most log2 K + log2 n bits longer than
that of its best part, and at most as much again longer for each switch between parts.
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.numerics import cache_aligned, exponential, kernel, natural_log

_SHARE = np.float32(0.5)
_LAST_RATE = np.float32(0.002)
#: The least probability of any base.
FLOOR = np.float32(0.0001)
_REST = np.float32(1 - 4 * 0.0001)

#: Predictions and weights of M mixers; P is the number of predictions, padded to whole vectors. ``predictions``,
#: shape (4, P), float32, positive, up to a factor; ``logs``, their logarithms; ``confidence``, shape (P,), below
#: 16; ``selectors``, shape (2,), what the mixers choose weights by (with one mixer the second is ignored);
#: ``by_confidence``, shape (M, P * 16); ``by_selector``, shape (sum of weight sets, P), of which
#: ``offsets`` gives each mixer's first row; ``weights``, shape (P,), of one mixer at this step, then its gradient;
#: ``outputs``, shape (M, 4), log-probabilities up to a constant; ``shares``, shape (M, 4), probabilities of each
#: mixer; ``last``, shape (S, M), weights of the last mix, by the first mixer's selector / 16 (S values);
#: ``probabilities``, shape (4,).
Mixer = namedtuple(
    "Mixer",
    "predictions logs confidence selectors by_confidence by_selector offsets weights "
    "outputs shares last probabilities",
)


def new_mixer(predictions: int, selectors: Sequence[int]) -> Mixer:
    """Equal weights that sum to two; ``selectors``: number of weight sets of each mixer."""
    padded = -(-predictions // 8) * 8
    mixers = len(selectors)
    mixer = Mixer(
        predictions=cache_aligned((4, padded), np.float32),
        logs=cache_aligned((4, padded), np.float32),
        confidence=cache_aligned((padded,), np.int64),
        selectors=np.zeros(2, np.int64),
        by_confidence=cache_aligned((mixers, padded * 16), np.float32),
        by_selector=cache_aligned((sum(selectors), padded), np.float32),
        offsets=np.cumsum([0, *selectors])[:-1].astype(np.int64),
        weights=cache_aligned((padded,), np.float32),
        outputs=cache_aligned((mixers, 4), np.float32),
        shares=cache_aligned((mixers, 4), np.float32),
        last=np.full((selectors[0] // 16, mixers), 1 / mixers, np.float32),
        probabilities=cache_aligned((4,), np.float32),
    )
    mixer.predictions[:] = 1
    mixer.by_confidence[:] = 2 / predictions
    return mixer


@kernel
def _softmax(scores: Any, into: Any) -> None:
    """The probabilities of four scores, none below the floor."""
    top = max(max(scores[0], scores[1]), max(scores[2], scores[3]))
    total = np.float32(0)
    for base in range(4):
        into[base] = exponential(scores[base] - top)
        total += into[base]
    scale = _REST / total
    for base in range(4):
        into[base] = into[base] * scale + FLOOR


@kernel
def mix(mixer: Any) -> None:
    """Set the probabilities of the four bases."""
    size = len(mixer.weights)
    logs = mixer.logs
    for base in range(4):
        for i in range(size):
            logs[base, i] = natural_log(mixer.predictions[base, i])
    scores = mixer.probabilities
    for m in range(len(mixer.offsets)):
        row = mixer.offsets[m] + mixer.selectors[m]
        for i in range(size):
            mixer.weights[i] = mixer.by_confidence[m, i * 16 + mixer.confidence[i]]
        a = c = g = u = np.float32(0)
        for i in range(size):
            weight = mixer.weights[i] + mixer.by_selector[row, i]
            a += weight * logs[0, i]
            c += weight * logs[1, i]
            g += weight * logs[2, i]
            u += weight * logs[3, i]
        top = max(max(a, c), max(g, u))
        mixer.outputs[m, 0], mixer.outputs[m, 1] = a - top, c - top
        mixer.outputs[m, 2], mixer.outputs[m, 3] = g - top, u - top
        _softmax(mixer.outputs[m], mixer.shares[m])
    row = mixer.selectors[0] >> 4
    for base in range(4):
        scores[base] = np.float32(0)
        for m in range(len(mixer.offsets)):
            scores[base] += mixer.last[row, m] * mixer.outputs[m, base]
    _softmax(scores, scores)


@kernel
def learn_weights(mixer: Any, base: Any, rate: Any) -> None:
    """Move the weights of this step along the gradient, x_base − Σ p x."""
    size = len(mixer.weights)
    logs = mixer.logs
    last = mixer.selectors[0] >> 4
    for m in range(len(mixer.offsets)):
        step = mixer.outputs[m, base]
        for other in range(4):
            step -= mixer.probabilities[other] * mixer.outputs[m, other]
        mixer.last[last, m] += _LAST_RATE * step
        row = mixer.offsets[m] + mixer.selectors[m]
        p0, p1, p2, p3 = mixer.shares[m, 0], mixer.shares[m, 1], mixer.shares[m, 2], mixer.shares[m, 3]
        for i in range(size):
            step = rate * (logs[base, i] - (p0 * logs[0, i] + p1 * logs[1, i] + p2 * logs[2, i] + p3 * logs[3, i]))
            mixer.weights[i] = step
            mixer.by_selector[row, i] += step * _SHARE
        for i in range(size):
            mixer.by_confidence[m, i * 16 + mixer.confidence[i]] += mixer.weights[i]


#: Weights of K parts, the mixer first, then the codes of each order; shape (P,) each, K padded to whole vectors:
#: ``weights``, float32, their sum is 1; ``even``, 1 / K, 0 of the padding; ``parts``, what each part gives the
#: base that is asked for; ``seen`` and ``totals``, int32, counts that the codes compute it from.
Switch = namedtuple("Switch", "weights even parts seen totals")


def new_switch(parts: int) -> Switch:
    """Equal weights of so many parts."""
    padded = -(-parts // 8) * 8
    kinds = (np.float32, np.float32, np.float32, np.int32, np.int32)
    switch = Switch(*(cache_aligned((padded,), kind) for kind in kinds))
    switch.weights[:parts] = switch.even[:parts] = 1 / parts
    return switch


@kernel
def switched(switch: Any, mixed: Any, forward: Any, base: Any) -> Any:
    """The probability of a base; ``mixed``, shape (4,), are those of the mixer."""
    parts, seen, totals = switch.parts, switch.seen, switch.totals
    for i in range(len(forward.orders)):
        counts = forward.counts[forward.rows[i]]
        seen[1 + i] = np.int32(counts[base])
        totals[1 + i] = (np.int32(counts[0]) + np.int32(counts[1])) + (np.int32(counts[2]) + np.int32(counts[3]))
    for i in range(len(parts)):
        parts[i] = (np.float32(seen[i]) + np.float32(0.5)) / (np.float32(totals[i]) + np.float32(2))
    parts[0] = mixed[base] / ((mixed[0] + mixed[1]) + (mixed[2] + mixed[3]))
    probability = np.float32(0)
    for i in range(len(parts)):
        probability += switch.weights[i] * parts[i]
    return probability


@kernel
def update_switch(switch: Any, probability: Any, t: Any) -> None:
    """Learn from the base that was asked for last, the t-th (from 0), which was given this probability."""
    shared = np.float32(1) / np.float32(t + 2)
    kept = (np.float32(1) - shared) / probability
    for i in range(len(switch.weights)):
        switch.weights[i] = kept * switch.weights[i] * switch.parts[i] + shared * switch.even[i]
