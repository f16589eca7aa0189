"""Which Fisher information: of the tokens that stand there, of tokens drawn from the model, or the paper's own.

With g(x, y) the gradient of -ln p(y | x), the Fisher information is F = E_x E_{y ~ p(. | x)} g gᵀ (Martens, 2020);
the empirical one puts the true token for y (Kunstner et al., 2019). Both are expectations over examples, each with
a gradient of its own. Where an example is a window, its loss is the mean over its masked tokens.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from gfm_utils.analyses.fisher import exact, fallback, formed, layers
from gfm_utils.analyses.fisher.exact import Per, Sums
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import groups_of
from gfm_utils.analyses.fisher.layers import values_at_once

#: Values that one batch holds on a CPU, roughly: activations of its windows, or gradients where these are formed.
BUDGET = 2**23
Arrays = dict[str, npt.NDArray[np.float64]]


def squared_gradients(model: Any, examples: MaskedTokens, per: Per = "token", scaled: bool = False) -> Arrays:
    """Squared norm of each example's gradient by group of parameters, exactly.

    Args:
        model: a masked language model in evaluation mode, in float32 or float64. BERT and ModernBERT take the fast
            way of :mod:`.exact`; any other model takes a backward pass for each example, which a line on standard
            error says.
        examples: masked windows, on the device of the model; their targets are the true tokens (the empirical
            Fisher information), or those of ``sampled``.
        per: what an example is: a masked token, or a window with the mean loss of its masked tokens.
        scaled: each gradient is multiplied by its parameter, for Σ θ² g(θ)². A rescaling that leaves the function
            as it was, θ -> cθ here and its inverse there, divides g by c and so leaves θg as it was: unlike the
            plain squares these do not depend on how the function is written down.

    Returns:
        Group of ``groups`` -> numbers in nats² (scaled: without a unit), shape (n,) for windows and (n, m) for
        tokens. The groups hold every parameter once; ``decoder.cross`` is there if the matrix is tied.

    Raises:
        GfmError: the model is in training mode or has another precision.
    """
    exact.check(model)
    way: Callable[[Any, MaskedTokens, Per], Sums] = formed.scaled_sums if scaled else exact.sums_of_squares
    size = batch_size(model, examples)
    if not exact.has_hooks(model):
        way, size = partial(fallback.sums_of_squares, scaled=scaled), len(examples)
        tqdm.write(
            f"{type(model).__name__} has no fast way to squared gradients: those of each example are formed",
            file=sys.stderr,
        )
    elif scaled:  # the gradients of one matrix of all windows of a batch are held together
        held = values_at_once(layers.BUDGET, model.device)
        size = max(1, min(size, held // (model.config.vocab_size * 64)))
    parts = [way(model, batch, per) for batch in examples.batches(size)]
    return {group: torch.cat([part[group] for part in parts]).cpu().numpy() for group in parts[0]}


def batch_size(model: Any, examples: MaskedTokens) -> int:
    """Windows that are taken at once."""
    budget = values_at_once(BUDGET, model.device)
    parameters = sum(value.numel() for value in model.parameters())
    if not exact.has_hooks(model):
        return max(1, budget // parameters)
    shape, (_, window) = model.config, examples.ids.shape
    layer = 12 * shape.hidden_size + 3 * shape.intermediate_size + shape.num_attention_heads * window
    values = window * layer * shape.num_hidden_layers + 4 * examples.positions.shape[1] * shape.vocab_size
    return max(1, budget // values)


@torch.no_grad()
def log_probabilities(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Natural log-probabilities at the masked positions, float64, shape (n, m, vocabulary)."""
    batches = examples.batches(batch_size(model, examples))
    return torch.cat([fallback.logits_at(model, batch).double().log_softmax(-1) for batch in batches])


def sampled(model: Any, examples: MaskedTokens, seed: int = 0) -> MaskedTokens:
    """The same windows with tokens drawn from the model in place of the true ones, however they are batched.

    The squares of their gradients are unbiased for the Fisher information itself.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(examples.positions.shape, generator=generator, dtype=torch.float64)
    below = log_probabilities(model, examples).exp().cumsum(-1)
    place = drawn.to(below.device)[..., None] * below[..., -1:]
    tokens = torch.searchsorted(below, place, right=True)[..., 0].clamp(max=below.shape[-1] - 1)
    return examples.with_targets(tokens)


def paper_fisher(model: Any, examples: MaskedTokens, batch: int) -> dict[str, float]:
    """What the paper's code computes: Σ over batches of ‖∇ mean loss of the batch's tokens‖², over all tokens.

    It is not the empirical Fisher information: gradients are averaged before they are squared, so what examples
    have in common weighs more the larger the batch is. With one window a batch its shares are those of windows.

    Args:
        model: a masked language model in evaluation mode.
        examples: masked windows.
        batch: windows a batch.

    Returns:
        Group -> number in nats²; a tied matrix, whose two paths this form cannot tell apart, is in
        ``embedding.tokens``.
    """
    exact.check(model)
    groups, total = groups_of(model), dict.fromkeys(groups_of(model).values(), 0.0)
    for part in examples.batches(batch):
        for name, value in fallback.gradient(model, part).items():
            total[groups[name]] += float(value.double().square().sum())
    return {group: value / examples.tokens for group, value in total.items()}
