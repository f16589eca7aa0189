"""Local composition: distributions of low order that forget within tens to hundreds of bases.

They follow what counts over a whole chromosome average away: isochores, low-complexity stretches, microsatellites.
"""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import kernel
from gfm_utils.entropy.dna_mixing.numerics import approach, low_bits

#: K models: their ``orders``; ``rates``, the share of a distribution that one base replaces; ``distributions``,
#: shape (K, 4**largest order, 4), float32.
Composition = namedtuple("Composition", "orders rates distributions")


def new_composition(models: Sequence[tuple[int, int]]) -> Composition:
    """Uniform distributions of these models, each an order and the number of bases that it remembers."""
    contexts = 4 ** max((order for order, _ in models), default=0)
    return Composition(
        orders=np.array([order for order, _ in models], np.int64),
        rates=np.array([1 / memory for _, memory in models], np.float32),
        distributions=np.full((len(models), contexts, 4), 0.25, np.float32),
    )


@kernel
def predict_composition(models: Any, past: Any, opinions: Any, confidence: Any, first: Any) -> None:
    """Write the opinions from column ``first`` on."""
    for i in range(len(models.orders)):
        context = np.int64(past & low_bits(models.orders[i]))
        for base in range(4):
            opinions[base, first + i] = models.distributions[i, context, base]
        confidence[first + i] = 0


@kernel
def update_composition(models: Any, base: Any, past: Any) -> None:
    """Learn the base that came after ``past``."""
    for i in range(len(models.orders)):
        context = np.int64(past & low_bits(models.orders[i]))
        approach(models.distributions[i, context], base, models.rates[i])
