"""Logistic mixing: opinions x (log-probabilities up to a constant) become p = softmax(Σ_i w_i x_i).

One or two mixers work side by side.
In each, the weight of an opinion is the sum of two: one chosen by the opinion's own confidence, one by a
situation (how good the best copy is; the last bases) that differs between the mixers.
A last, small mix joins their verdicts.
All weights follow the gradient of their own code length (M. Mahoney, "Adaptive weighing of context models",
2005, with four symbols in place of two).
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import exponential, natural_log

_SHARE = np.float32(0.5)
_LAST_RATE = np.float32(0.002)
#: The least probability of any base.
FLOOR = np.float32(0.0001)
_REST = np.float32(1 - 4 * 0.0001)

#: Opinions and weights of M mixers; P is the number of opinions, padded to whole vectors. ``opinions``, shape (4,
#: P), float32, positive, up to a factor; ``logs``, their logarithms; ``confidence``, shape (P,), below 16;
#: ``situations``, shape (2,), what the mixers choose weights by (with one mixer the second is ignored);
#: ``by_confidence``, shape (M, P * 16); ``by_situation``, shape (sum of numbers of situations, P), of which
#: ``offsets`` gives each mixer's first row; ``weights``, shape (P,), of one mixer at this step, then its gradient;
#: ``verdicts``, shape (M, 4), log-probabilities up to a constant; ``shares``, shape (M, 4), probabilities of each
#: mixer; ``last``, shape (S, M), weights of the last mix, by the first mixer's situation / 16 (S values);
#: ``probabilities``, shape (4,).
Mixer = namedtuple(
    "Mixer",
    "opinions logs confidence situations by_confidence by_situation offsets weights "
    "verdicts shares last probabilities",
)


def new_mixer(opinions: int, situations: Sequence[int]) -> Mixer:
    """Equal weights that sum to two, so that what all opinions say is believed a little more than each alone.

    Args:
        opinions: how many there are.
        situations: number of situations of each mixer.
    """
    padded = -(-opinions // 8) * 8
    mixers = len(situations)
    return Mixer(
        opinions=np.ones((4, padded), np.float32),
        logs=np.zeros((4, padded), np.float32),
        confidence=np.zeros(padded, np.int64),
        situations=np.zeros(2, np.int64),
        by_confidence=np.full((mixers, padded * 16), 2 / opinions, np.float32),
        by_situation=np.zeros((sum(situations), padded), np.float32),
        offsets=np.cumsum([0, *situations])[:-1].astype(np.int64),
        weights=np.zeros(padded, np.float32),
        verdicts=np.zeros((mixers, 4), np.float32),
        shares=np.zeros((mixers, 4), np.float32),
        last=np.full((situations[0] // 16, mixers), 1 / mixers, np.float32),
        probabilities=np.zeros(4, np.float32),
    )


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
            logs[base, i] = natural_log(mixer.opinions[base, i])
    scores = mixer.probabilities
    for m in range(len(mixer.offsets)):
        row = mixer.offsets[m] + mixer.situations[m]
        for i in range(size):
            mixer.weights[i] = mixer.by_confidence[m, i * 16 + mixer.confidence[i]]
        a = c = g = u = np.float32(0)
        for i in range(size):
            weight = mixer.weights[i] + mixer.by_situation[row, i]
            a += weight * logs[0, i]
            c += weight * logs[1, i]
            g += weight * logs[2, i]
            u += weight * logs[3, i]
        top = max(max(a, c), max(g, u))
        mixer.verdicts[m, 0], mixer.verdicts[m, 1] = a - top, c - top
        mixer.verdicts[m, 2], mixer.verdicts[m, 3] = g - top, u - top
        _softmax(mixer.verdicts[m], mixer.shares[m])
    row = mixer.situations[0] >> 4
    for base in range(4):
        scores[base] = np.float32(0)
        for m in range(len(mixer.offsets)):
            scores[base] += mixer.last[row, m] * mixer.verdicts[m, base]
    _softmax(scores, scores)


@kernel
def learn_weights(mixer: Any, base: Any, rate: Any) -> None:
    """Move the weights of this step along the gradient, x_base − Σ p x."""
    size = len(mixer.weights)
    logs = mixer.logs
    last = mixer.situations[0] >> 4
    for m in range(len(mixer.offsets)):
        step = mixer.verdicts[m, base]
        for other in range(4):
            step -= mixer.probabilities[other] * mixer.verdicts[m, other]
        mixer.last[last, m] += _LAST_RATE * step
        row = mixer.offsets[m] + mixer.situations[m]
        p0, p1, p2, p3 = mixer.shares[m, 0], mixer.shares[m, 1], mixer.shares[m, 2], mixer.shares[m, 3]
        for i in range(size):
            step = rate * (logs[base, i] - (p0 * logs[0, i] + p1 * logs[1, i] + p2 * logs[2, i] + p3 * logs[3, i]))
            mixer.weights[i] = step
            mixer.by_situation[row, i] += step * _SHARE
        for i in range(size):
            mixer.by_confidence[m, i * 16 + mixer.confidence[i]] += mixer.weights[i]
