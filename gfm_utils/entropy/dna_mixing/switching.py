"""The last stage: a Bayesian mixture of the mixer and of the codes of each order, which may switch between them.

p(x) = Σ_i w_i p_i(x) over K parts, with weights that start equal, follow Bayes' rule, and of which a share
1 / (t + 1) is spread evenly after the t-th base (fixed share of M. Herbster and M. Warmuth, 1998, at the falling
rate of T. van Erven, P. Grünwald and S. de Rooij, 2012, and of W. Koolen and S. de Rooij, 2013).
So the code of n bases is at most log2 K + log2 n bits longer than that of its best part, and at most as much again
longer for each switch between parts: the best order of a small sample is not that of a large one.
"""

from typing import Any, NamedTuple

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.forward import count_forward


class Switch(NamedTuple):
    """Weights of K parts: the mixer first, then the codes of each order; P is K padded to whole vectors.

    Attributes:
        weights: shape (P,), float32, their sum is 1.
        even: shape (P,), float32, 1 / K; 0 of the padding.
        parts: shape (P,), float32, what each part gives the base that is asked for.
        seen, totals: shape (P,), int32, counts that the codes compute it from.
    """

    weights: Any
    even: Any
    parts: Any
    seen: Any
    totals: Any


def new_switch(parts: int) -> Switch:
    """Equal weights of so many parts."""
    padded = -(-parts // 8) * 8
    even = np.zeros(padded, np.float32)
    even[:parts] = 1 / parts
    return Switch(
        weights=even.copy(),
        even=even,
        parts=np.zeros(padded, np.float32),
        seen=np.zeros(padded, np.int32),
        totals=np.zeros(padded, np.int32),
    )


@kernel
def switched(switch: Any, mixed: Any, forward: Any, base: Any) -> Any:
    """The probability of a base; ``mixed``, shape (4,), are those of the mixer."""
    count_forward(forward, base, switch.seen, switch.totals)
    parts = switch.parts
    for i in range(len(parts)):
        parts[i] = (np.float32(switch.seen[i]) + np.float32(0.5)) / (np.float32(switch.totals[i]) + np.float32(2))
    parts[0] = mixed[base] / ((mixed[0] + mixed[1]) + (mixed[2] + mixed[3]))
    found = np.float32(0)
    for i in range(len(parts)):
        found += switch.weights[i] * parts[i]
    return found


@kernel
def update_switch(switch: Any, probability: Any, t: Any) -> None:
    """Learn from the base that was asked for last, the t-th (from 0), which was given this probability."""
    shared = np.float32(1) / np.float32(t + 2)
    kept = (np.float32(1) - shared) / probability
    for i in range(len(switch.weights)):
        switch.weights[i] = kept * switch.weights[i] * switch.parts[i] + shared * switch.even[i]
