"""Which Fisher information: of the true tokens, of tokens drawn from the model, or the paper's own form.

With g(x, y) the gradient of -ln p(y | x), the Fisher information is F = E_x E_{y ~ p(. | x)} g gᵀ (Martens, 2020);
the empirical one puts the true token for y (Kunstner et al., 2019).
"""

import sys
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from gfm_utils.ensembles import masked_logits
from gfm_utils.errors import GfmError
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.groups import groups_of
from gfm_utils.measures.fisher.layers import values_at_once
from gfm_utils.measures.fisher.per_example_gradients import (
    backpropagated,
    gradient,
    has_hooks,
    sums_of_squares,
)

#: What an example is: a masked token, or a window with the mean loss of its masked tokens.
Per = Literal["token", "sequence"]
#: Values that one batch holds on a CPU, roughly: activations of its windows, or gradients where these are formed.
BUDGET = 2**23
Arrays = dict[str, npt.NDArray[np.float64]]


def _check(model: Any) -> None:
    """Refuse a model that is not in evaluation mode or not in single or double precision."""
    precisions = {value.dtype for value in model.parameters()}
    if model.training or not precisions <= {torch.float32, torch.float64}:
        what = "in training mode" if model.training else f"in {', '.join(sorted(map(str, precisions)))}"
        raise GfmError(f"squared gradients need a model in evaluation mode in float32 or float64, not {what}")


def squared_gradients(model: Any, examples: MaskedTokens, per: Per = "token", scaled: bool = False) -> Arrays:
    """Squared norm of each example's gradient by group of parameters, exactly.

    BERT and ModernBERT need no more than a pass a batch; any other model takes a backward pass for each example,
    which a line on standard error says.

    Args:
        model: a masked language model in evaluation mode, in float32 or float64.
        examples: on the device of the model; with the true tokens as targets (the empirical Fisher information),
            or those of ``sampled``.
        per: what an example is.
        scaled: each gradient is multiplied by its parameter, for Σ θ² g(θ)². A rescaling that leaves the function
            as it was, θ -> cθ here and its inverse there, leaves θg as it was.

    Returns:
        Group of ``groups`` -> numbers in nats² (scaled: without a unit), shape (n,) for windows and (n, m) for
        tokens. The groups hold every parameter once; ``decoder.cross`` is there if the matrix is tied.

    Raises:
        GfmError: the model is in training mode or has another precision.
    """
    _check(model)
    if not has_hooks(model):
        tqdm.write(
            f"{type(model).__name__} has no fast way to squared gradients: those of each example are formed",
            file=sys.stderr,
        )
    taken, shape = (examples.apart(), examples.positions.shape) if per == "token" else (examples, (len(examples),))
    parts = [sums_of_squares(model, batch, scaled) for batch in taken.batches(batch_size(model, taken))]
    return {group: torch.cat([part[group] for part in parts]).reshape(shape).cpu().numpy() for group in parts[0]}


def batch_size(model: Any, examples: MaskedTokens) -> int:
    """Windows that are taken at once."""
    budget = values_at_once(BUDGET, model.device)
    if not has_hooks(model):
        return max(1, budget // sum(value.numel() for value in model.parameters()))
    shape, (_, window) = model.config, examples.ids.shape
    layer = 12 * shape.hidden_size + 3 * shape.intermediate_size + shape.num_attention_heads * window
    values = window * layer * shape.num_hidden_layers + 4 * examples.positions.shape[1] * shape.vocab_size
    return max(1, budget // values)


@torch.no_grad()
def log_probabilities(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Natural log-probabilities at the masked positions, float64, shape (n, m, vocabulary)."""
    batches = examples.batches(batch_size(model, examples))
    return torch.cat(
        [masked_logits(model, batch.ids, batch.positions).double().log_softmax(-1) for batch in batches]
    )


def sampled(model: Any, examples: MaskedTokens, seed: int = 0) -> MaskedTokens:
    """The same windows with tokens drawn from the model in place of the true ones, however they are batched.

    The squares of their gradients are unbiased for the Fisher information itself.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(examples.positions.shape, generator=generator, dtype=torch.float64)
    below = log_probabilities(model, examples).exp().cumsum(-1)
    place = drawn.to(below.device)[..., None] * below[..., -1:]
    tokens = torch.searchsorted(below, place, right=True)[..., 0].clamp(max=below.shape[-1] - 1)
    return replace(examples, targets=tokens)


def paper_fisher(model: Any, examples: MaskedTokens, batch: int) -> dict[str, float]:
    """What the paper's code computes: Σ over batches of ‖∇ mean loss of the batch's tokens‖², over all tokens.

    It is not the empirical Fisher information: gradients are averaged before they are squared, so what examples
    have in common weighs more the larger the batch is. With one window a batch its shares are those of windows.

    Returns:
        Group -> number in nats²; a tied matrix, whose two paths this form cannot tell apart, is in
        ``embedding.tokens``.
    """
    _check(model)
    groups, total = groups_of(model), dict.fromkeys(groups_of(model).values(), 0.0)
    for part in examples.batches(batch):
        for name, value in gradient(model, part).items():
            total[groups[name]] += float(value.double().square().sum())
    return {group: value / examples.tokens for group, value in total.items()}


@torch.no_grad()
def gram_matrix(model: Any, examples: MaskedTokens) -> npt.NDArray[np.float64]:
    """Inner products of the gradients of windows, g_i · g_j, shape (n, n), in nats²; all are in memory together.

    Raises:
        GfmError: the model is in training mode or has another precision.
    """
    _check(model)
    flat = (part.flatten(1) for part in backpropagated(model, examples).formed(len(examples)))
    return torch.as_tensor(sum((part @ part.mT).double() for part in flat)).cpu().numpy()


def gradient_noise_ratio(gram: npt.NDArray[np.float64]) -> float:
    """Share of E‖g‖² that is variance: 1 - ‖E g‖² / E‖g‖², with an unbiased ‖E g‖², of a ``gram_matrix``.

    Where it is 1 the examples pull in all directions; where it is near 0 the trace E‖g‖² of the empirical Fisher
    information is one common gradient, as early in training (tr Cov / ‖E g‖² is the noise scale of McCandlish et
    al., arXiv 1812.06162).
    """
    n = len(gram)
    diagonal = float(np.trace(gram))
    common = (float(gram.sum()) - diagonal) / (n * (n - 1))
    return 1 - common / (diagonal / n)


def effective_dimension(gram: npt.NDArray[np.float64]) -> float:
    """Participation ratio (tr F)² / tr F² of the empirical F = E g gᵀ, of a ``gram_matrix``: directions in use.

    tr F² is E (g · g')² over pairs of different examples, which is unbiased; (tr F)² likewise leaves out the
    pairs of an example with itself, and the number of pairs cancels.
    """
    norms = np.diag(gram)
    of_themselves = np.square(norms).sum()
    return float((norms.sum() ** 2 - of_themselves) / (np.square(gram).sum() - of_themselves))
