"""What disagreement looks like between predictions that have nothing to do with each other."""

import numpy as np
from numpy.typing import NDArray


def matched_null(p: NDArray[np.float64], numbers: NDArray[np.int64], seed: int = 1) -> NDArray[np.float64]:
    """Distributions as certain as the given ones, whose ranking of the tokens is noise.

    Each distribution keeps its probabilities, and with them its entropy, its rank-probability curve and the size
    of every nucleus, but they go to tokens by a permutation drawn independently for every member and place: the
    logits are noise with exactly the histogram that the model's logits have. Gaussian logits scaled to the same
    entropy would match one number only, and would not fit peaked predictions.

    Two members whose curve is no lower than this share no preference for any token. A curve below it may still
    mean no more than token frequencies in common, which unrelated tokens show (``js_distance_mismatched``).

    Args:
        p: shape (members, tokens, vocabulary).
        numbers: of the tokens in the whole, shape (tokens,): a token's permutations depend on its number alone.
        seed: of the permutations.

    Returns:
        The same shape.
    """
    out = np.empty_like(p)
    for place, number in enumerate(numbers.tolist()):
        np.random.default_rng([seed, number]).permuted(p[:, place], axis=-1, out=out[:, place])
    return out
