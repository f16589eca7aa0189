"""Logistic mixing: opinions x (log-probabilities up to a constant) become p = softmax(Σ_i w_i x_i).

The weight of an opinion is a sum of weights chosen by its own confidence, by how good the best copy is and by
the last bases; all follow the gradient of the code length (M. Mahoney, "Adaptive weighing of context models",
2005, with four symbols in place of two).
"""

from typing import Any, NamedTuple


import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel

_SHARE_SITUATION = np.float32(0.5)
_SHARE_BASES = np.float32(0.3)
#: The least probability of any base.
FLOOR = np.float32(0.0001)
_REST = np.float32(1 - 4 * 0.0001)


class Mixer(NamedTuple):
    """Opinions and weights; P is the number of opinions, padded to whole vectors.

    Attributes:
        opinions: shape (4, P), float32.
        confidence: shape (P,), int64, below 16.
        by_confidence: shape (P, 16), float32.
        by_situation: shape (S, P), float32.
        by_bases: shape (256, P), float32.
        weights: shape (P,), float32, of this step.
        steps: shape (P,), float32, gradient.
        probabilities: shape (4,), float32.
    """

    opinions: Any
    confidence: Any
    by_confidence: Any
    by_situation: Any
    by_bases: Any
    weights: Any
    steps: Any
    probabilities: Any


def new_mixer(opinions: int, situations: int) -> Mixer:
    """Weights that give all opinions the same small say."""
    padded = -(-opinions // 8) * 8
    return Mixer(
        opinions=np.zeros((4, padded), np.float32),
        confidence=np.zeros(padded, np.int64),
        by_confidence=np.full((padded, 16), 0.15, np.float32),
        by_situation=np.zeros((situations, padded), np.float32),
        by_bases=np.zeros((256, padded), np.float32),
        weights=np.zeros(padded, np.float32),
        steps=np.zeros(padded, np.float32),
        probabilities=np.zeros(4, np.float32),
    )


@kernel
def mix(mixer: Any, situation: Any, bases: Any) -> None:
    """Set the probabilities of the four bases."""
    size = len(mixer.weights)
    a = c = g = u = np.float32(0)
    for i in range(size):
        weight = (
            mixer.by_confidence[i, mixer.confidence[i]]
            + mixer.by_situation[situation, i]
            + mixer.by_bases[bases, i]
        )
        a += weight * mixer.opinions[0, i]
        c += weight * mixer.opinions[1, i]
        g += weight * mixer.opinions[2, i]
        u += weight * mixer.opinions[3, i]
    top = max(max(a, c), max(g, u))
    a, c, g, u = np.exp(a - top), np.exp(c - top), np.exp(g - top), np.exp(u - top)
    scale = _REST / (a + c + g + u)
    mixer.probabilities[0] = a * scale + FLOOR
    mixer.probabilities[1] = c * scale + FLOOR
    mixer.probabilities[2] = g * scale + FLOOR
    mixer.probabilities[3] = u * scale + FLOOR


@kernel
def learn_weights(mixer: Any, base: Any, rate: Any, situation: Any, bases: Any) -> None:
    """Move the weights of this step along the gradient, x_base − Σ p x."""
    p0, p1, p2, p3 = (
        mixer.probabilities[0],
        mixer.probabilities[1],
        mixer.probabilities[2],
        mixer.probabilities[3],
    )
    for i in range(len(mixer.weights)):
        step = mixer.opinions[base, i] - (
            p0 * mixer.opinions[0, i]
            + p1 * mixer.opinions[1, i]
            + p2 * mixer.opinions[2, i]
            + p3 * mixer.opinions[3, i]
        )
        step *= rate
        mixer.steps[i] = step
        mixer.by_situation[situation, i] += step * _SHARE_SITUATION
        mixer.by_bases[bases, i] += step * _SHARE_BASES
    for i in range(len(mixer.weights)):
        mixer.by_confidence[i, mixer.confidence[i]] += mixer.steps[i]
