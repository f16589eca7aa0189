"""The last stage: a Bayesian mixture of the mixer and of the codes of each order, which may switch between them.

p(x) = Σ_i w_i p_i(x) over K parts, with weights that start equal, follow Bayes' rule, and of which a share
1 / (t + 1) is spread evenly after the t-th base (fixed share of M. Herbster and M. Warmuth, 1998, at the falling
rate of T. van Erven, P. Grünwald and S. de Rooij, 2012, and of W. Koolen and S. de Rooij, 2013).
So the code of n bases is at most log2 K + log2 n bits longer than that of its best part, and at most as much again
longer for each switch between parts: the best order of a small sample is not that of a large one.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel

#: Weights of K parts, the mixer first, then the codes of each order; shape (P,) each, K padded to whole vectors:
#: ``weights``, float32, their sum is 1; ``even``, 1 / K, 0 of the padding; ``parts``, what each part gives the
#: base that is asked for; ``seen`` and ``totals``, int32, counts that the codes compute it from.
Switch = namedtuple("Switch", "weights even parts seen totals")


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
