"""Logistic mixing: opinions x (log-probabilities up to a constant) become p = softmax(Σ_i w_i x_i).

Several mixers work side by side.
In each, the weight of an opinion is the sum of two: one chosen by the opinion's own confidence, one by a
situation (how good the best copy is, the last bases, ...) that differs between the mixers.
A last, small mix joins their verdicts.
All weights follow the gradient of their own code length (M. Mahoney, "Adaptive weighing of context models",
2005, with four symbols in place of two).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel

_SHARE = np.float32(0.5)
_LAST_RATE = np.float32(0.002)
#: The least probability of any base.
FLOOR = np.float32(0.0001)
_REST = np.float32(1 - 4 * 0.0001)


class Mixer(NamedTuple):
    """Opinions and weights of M mixers; P is the number of opinions, padded to whole vectors.

    Attributes:
        opinions: shape (4, P), float32.
        confidence: shape (P,), int64, below 16.
        situations: shape (M,), int64, the present situation of each mixer, as a row of ``by_situation``.
        by_confidence: shape (M, P * 16), float32.
        by_situation: shape (sum of numbers of situations, P), float32.
        offsets: shape (M,), int64, first row of each mixer in ``by_situation``.
        weights: shape (P,), float32, of one mixer at this step; then its gradient.
        verdicts: shape (M, 4), float32, log-probabilities up to a constant.
        shares: shape (M, 4), float32, probabilities of each mixer.
        last: shape (256, M), float32, weights of the last mix by the first mixer's situation / 16.
        probabilities: shape (4,), float32.
    """

    opinions: Any
    confidence: Any
    situations: Any
    by_confidence: Any
    by_situation: Any
    offsets: Any
    weights: Any
    verdicts: Any
    shares: Any
    last: Any
    probabilities: Any


def new_mixer(opinions: int, situations: Sequence[int]) -> Mixer:
    """Weights that give all opinions the same small say.

    Args:
        opinions: how many there are.
        situations: number of situations of each mixer.
    """
    padded = -(-opinions // 8) * 8
    mixers = len(situations)
    return Mixer(
        opinions=np.zeros((4, padded), np.float32),
        confidence=np.zeros(padded, np.int64),
        situations=np.zeros(mixers, np.int64),
        by_confidence=np.full((mixers, padded * 16), 0.15, np.float32),
        by_situation=np.zeros((sum(situations), padded), np.float32),
        offsets=np.cumsum([0, *situations])[:-1].astype(np.int64),
        weights=np.zeros(padded, np.float32),
        verdicts=np.zeros((mixers, 4), np.float32),
        shares=np.zeros((mixers, 4), np.float32),
        last=np.full((256, mixers), 1 / mixers, np.float32),
        probabilities=np.zeros(4, np.float32),
    )


@kernel
def _softmax(scores: Any, into: Any) -> None:
    """The probabilities of four scores, none below the floor."""
    top = max(max(scores[0], scores[1]), max(scores[2], scores[3]))
    a, c, g, u = np.exp(scores[0] - top), np.exp(scores[1] - top), np.exp(scores[2] - top), np.exp(scores[3] - top)
    scale = _REST / (a + c + g + u)
    into[0] = a * scale + FLOOR
    into[1] = c * scale + FLOOR
    into[2] = g * scale + FLOOR
    into[3] = u * scale + FLOOR


@kernel
def mix(mixer: Any) -> None:
    """Set the probabilities of the four bases."""
    size = len(mixer.weights)
    values = mixer.opinions
    scores = mixer.probabilities
    for m in range(len(mixer.situations)):
        row = mixer.offsets[m] + mixer.situations[m]
        for i in range(size):
            mixer.weights[i] = mixer.by_confidence[m, i * 16 + mixer.confidence[i]]
        a = c = g = u = np.float32(0)
        for i in range(size):
            weight = mixer.weights[i] + mixer.by_situation[row, i]
            a += weight * values[0, i]
            c += weight * values[1, i]
            g += weight * values[2, i]
            u += weight * values[3, i]
        top = max(max(a, c), max(g, u))
        mixer.verdicts[m, 0], mixer.verdicts[m, 1] = a - top, c - top
        mixer.verdicts[m, 2], mixer.verdicts[m, 3] = g - top, u - top
        _softmax(mixer.verdicts[m], mixer.shares[m])
    row = mixer.situations[0] >> 4
    for base in range(4):
        scores[base] = np.float32(0)
        for m in range(len(mixer.situations)):
            scores[base] += mixer.last[row, m] * mixer.verdicts[m, base]
    _softmax(scores, scores)


@kernel
def learn_weights(mixer: Any, base: Any, rate: Any) -> None:
    """Move the weights of this step along the gradient, x_base − Σ p x."""
    size = len(mixer.weights)
    values = mixer.opinions
    last = mixer.situations[0] >> 4
    for m in range(len(mixer.situations)):
        step = mixer.verdicts[m, base]
        for other in range(4):
            step -= mixer.probabilities[other] * mixer.verdicts[m, other]
        mixer.last[last, m] += _LAST_RATE * step
        row = mixer.offsets[m] + mixer.situations[m]
        p0, p1, p2, p3 = mixer.shares[m, 0], mixer.shares[m, 1], mixer.shares[m, 2], mixer.shares[m, 3]
        for i in range(size):
            step = rate * (
                values[base, i] - (p0 * values[0, i] + p1 * values[1, i] + p2 * values[2, i] + p3 * values[3, i])
            )
            mixer.weights[i] = step
            mixer.by_situation[row, i] += step * _SHARE
        for i in range(size):
            mixer.by_confidence[m, i * 16 + mixer.confidence[i]] += mixer.weights[i]
