"""Controls made from the tokens of a condition: the same tokens with something taken away."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint16]
#: Bump when a transform gives other tokens than before.
FORMAT = 1


def shuffle(tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """The tokens of a part in random order: their frequencies stay, and nothing else (a source of order 0)."""
    return rng.permutation(tokens)


#: By the names of ``conditions.TRANSFORMS``.
FUNCTIONS: dict[str, Callable[[Tokens, np.random.Generator], Tokens]] = {"shuffle": shuffle}
