"""Which Fisher information: of the tokens that stand there, of tokens drawn from the model, or the paper's own.

With g(x, y) the gradient of -ln p(y | x), the Fisher information is F = E_x E_{y ~ p(. | x)} g gᵀ (Martens, 2020);
the empirical one puts the true token for y (Kunstner et al., 2019). Both are expectations over examples, each with
a gradient of its own. Where an example is a window, its loss is the mean over its masked tokens.
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
    formed_gradients,
    gradient,
    has_hooks,
    plain_sums_of_squares,
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

    Args:
        model: a masked language model in evaluation mode, in float32 or float64. BERT and ModernBERT take the fast
            way of :mod:`.per_example_gradients`; any other model takes a backward pass for each example, which a
            line on standard error says.
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
    _check(model)
    way = sums_of_squares
    if not has_hooks(model):
        way = plain_sums_of_squares
        tqdm.write(
            f"{type(model).__name__} has no fast way to squared gradients: those of each example are formed",
            file=sys.stderr,
        )
    taken, shape = (examples.apart(), examples.positions.shape) if per == "token" else (examples, (len(examples),))
    parts = [way(model, batch, scaled) for batch in taken.batches(batch_size(model, taken))]
    return {group: torch.cat([part[group] for part in parts]).reshape(shape).cpu().numpy() for group in parts[0]}


def batch_size(model: Any, examples: MaskedTokens) -> int:
    """Windows that are taken at once."""
    budget = values_at_once(BUDGET, model.device)
    parameters = sum(value.numel() for value in model.parameters())
    if not has_hooks(model):
        return max(1, budget // parameters)
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


def gram_matrix(model: Any, examples: MaskedTokens) -> npt.NDArray[np.float64]:
    """Inner products of the gradients of windows: g_i · g_j, shape (n, n), in nats².

    All windows are in memory together.

    Raises:
        GfmError: the model is in training mode or has another precision.
    """
    _check(model)
    if has_hooks(model):
        parts = (part.flatten(1) for part in formed_gradients(model, examples))
    else:
        rows = [gradient(model, one) for one in examples.batches(1)]
        parts = (torch.stack([row[name].flatten() for row in rows]) for name in rows[0])
    total = sum((part @ part.mT).double() for part in parts)
    return torch.as_tensor(total).cpu().numpy()


def gradient_noise_ratio(gram: npt.NDArray[np.float64]) -> float:
    """Share of E‖g‖² that is variance: 1 - ‖E g‖² / E‖g‖², with an unbiased ‖E g‖².

    The trace of an empirical Fisher information is E‖g‖². Where the ratio is 1 the examples pull in all directions
    and their mean is nothing; where it is near 0 the trace is one common gradient, as early in training
    (tr Cov / ‖E g‖² is the noise scale of McCandlish et al., arXiv 1812.06162).

    Of inner products of the gradients of independent examples, shape (n, n).
    """
    n = len(gram)
    diagonal = float(np.trace(gram))
    common = (float(gram.sum()) - diagonal) / (n * (n - 1))
    return 1 - common / (diagonal / n)


def effective_dimension(gram: npt.NDArray[np.float64]) -> float:
    """Participation ratio (tr F)² / tr F² of the empirical Fisher information F = E g gᵀ: directions in use.

    tr F² is E (g · g')² over pairs of different examples, which is unbiased; (tr F)² likewise leaves out the
    pairs of an example with itself, and the number of pairs cancels.

    Of inner products of the gradients of independent examples, shape (n, n).
    """
    norms = np.diag(gram)
    of_themselves = np.square(norms).sum()
    return float((norms.sum() ** 2 - of_themselves) / (np.square(gram).sum() - of_themselves))
