"""Which Fisher information: of the tokens that stand there, of tokens drawn from the model, or the paper's own.

With g(x, y) the gradient of -ln p(y | x), the Fisher information is F = E_x E_{y ~ p(. | x)} g gᵀ (Martens, 2020);
the empirical one puts the true token for y (Kunstner et al., 2019). Both are expectations over examples, each with
a gradient of its own. Where an example is a window, its loss is the mean over its masked tokens.
"""

import sys
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from tqdm import tqdm

from gfm_utils.analyses.fisher import exact, fallback
from gfm_utils.analyses.fisher.exact import Per
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.groups import groups_of
from gfm_utils.analyses.fisher.memory import values_at_once
from gfm_utils.ensembles import masked_features
from gfm_utils.errors import GfmError

#: Values that one batch holds on a CPU, roughly: activations of its windows, or gradients where these are formed.
BUDGET = 2**23
#: Largest vocabulary over which an expectation is taken token by token.
LARGEST_VOCABULARY = 1024
Arrays = dict[str, npt.NDArray[np.float64]]


class Kind(Enum):
    """Where the tokens come from whose gradients are squared."""

    EMPIRICAL = "empirical"
    """The true tokens."""
    SAMPLED = "sampled"
    """One token for each place, drawn from the model: unbiased for ``EXPECTED``."""
    EXPECTED = "expected"
    """Every token of the vocabulary, with the model's probability: the Fisher information itself."""


def squared_gradients(
    model: Any, examples: MaskedTokens, per: Per = "token", kind: Kind = Kind.EMPIRICAL, seed: int = 0
) -> Arrays:
    """Squared norm of each example's gradient by group of parameters, exactly.

    Args:
        model: a masked language model in evaluation mode, in float32 or float64. BERT and ModernBERT take the fast
            way of :mod:`.exact`; of any other model the gradients are formed (``torch.func``), which a line on
            standard error says.
        examples: masked windows, on the device of the model.
        per: what an example is: a masked token, or a window with the mean loss of its masked tokens.
        kind: see ``Kind``.
        seed: of the tokens drawn.

    Returns:
        Group of ``groups`` -> numbers in nats², shape (n,) for windows and (n, m) for tokens, 0 where a window
        has no token. The groups hold every parameter once; ``decoder.cross`` is there if the matrix is tied.

    Raises:
        GfmError: the model has another precision; or the vocabulary is too large for ``EXPECTED``.
    """
    check(model)
    if kind is Kind.EXPECTED:
        return _expected(model, examples, per)
    if kind is Kind.SAMPLED:
        examples = examples.with_targets(sampled_targets(model, examples, seed))
    return _sums(model, examples, per)


def check(model: Any) -> None:
    """Refuse a model that is not in evaluation mode or not in single or double precision.

    Raises:
        GfmError: it is neither.
    """
    found = {value.dtype for value in model.parameters()}
    if model.training or not found <= {torch.float32, torch.float64}:
        what = "in training mode" if model.training else f"in {', '.join(sorted(map(str, found)))}"
        raise GfmError(f"squared gradients need a model in evaluation mode in float32 or float64, not {what}")


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


def _sums(model: Any, examples: MaskedTokens, per: Per) -> Arrays:
    way = exact.sums_of_squares
    if not exact.has_hooks(model):
        way = fallback.sums_of_squares
        tqdm.write(
            f"{type(model).__name__} has no fast way to squared gradients: those of each example are formed",
            file=sys.stderr,
        )
    parts = [way(model, batch, per) for batch in examples.batches(batch_size(model, examples))]
    return {group: torch.cat([part[group] for part in parts]).cpu().numpy() for group in parts[0]}


def _logits(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Logits at the masked positions, shape (n, m, vocabulary); of position 0 where there is none."""
    places = examples.positions.clamp(min=0)
    if exact.has_hooks(model):
        features = masked_features(model, examples.ids, places, examples.attention)
        found: torch.Tensor = model.get_output_embeddings()(features)
        return found
    whole = model(input_ids=examples.ids, attention_mask=examples.attention).logits
    return whole.gather(1, places[..., None].expand(-1, -1, whole.shape[-1]))


@torch.no_grad()
def log_probabilities(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Natural log-probabilities at the masked positions, float64, shape (n, m, vocabulary)."""
    batches = examples.batches(batch_size(model, examples))
    return torch.cat([_logits(model, batch).double().log_softmax(-1) for batch in batches])


def sampled_targets(model: Any, examples: MaskedTokens, seed: int) -> torch.Tensor:
    """Tokens drawn from the model at the masked positions, shape (n, m): the same however they are batched."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(examples.positions.shape, generator=generator, dtype=torch.float64)
    below = log_probabilities(model, examples).exp().cumsum(-1)
    place = drawn.to(below.device)[..., None] * below[..., -1:]
    return torch.searchsorted(below, place, right=True)[..., 0].clamp(max=below.shape[-1] - 1)


def _expected(model: Any, examples: MaskedTokens, per: Per) -> Arrays:
    """Σ_y p(y) ‖g(y)‖²; tokens of a window are drawn independently and their gradients have mean zero."""
    p = log_probabilities(model, examples).exp().cpu().numpy()
    if p.shape[-1] > LARGEST_VOCABULARY:
        raise GfmError(
            f"the expectation over {p.shape[-1]} tokens takes a backward pass for each, and {LARGEST_VOCABULARY} "
            "are the most: take Kind.SAMPLED, which is unbiased for it"
        )
    total: Arrays = {}
    for token in range(p.shape[-1]):
        labelled = examples.with_targets(torch.full_like(examples.targets, token))
        for group, values in _sums(model, labelled, "token").items():
            total[group] = total.get(group, 0) + p[..., token] * values
    if per == "token":
        return total
    counts = examples.there.sum(1).cpu().numpy()
    return {group: values.sum(1) / np.square(counts) for group, values in total.items()}


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
    check(model)
    groups, total = groups_of(model), dict.fromkeys(groups_of(model).values(), 0.0)
    for part in examples.batches(batch):
        for name, value in _gradient(model, part, torch.ones_like(part.targets) / part.tokens).items():
            total[groups[name]] += float(value.double().square().sum())
    return {group: value / examples.tokens for group, value in total.items()}


def _gradient(model: Any, examples: MaskedTokens, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradient of the weighted sum of the losses of masked tokens, of every parameter (0 where there is none)."""
    named = dict(model.named_parameters())
    wanted = {name: value.requires_grad for name, value in named.items()}
    try:
        model.requires_grad_(True)
        with torch.enable_grad():
            there = examples.there
            losses = functional.cross_entropy(
                _logits(model, examples)[there], examples.targets[there], reduction="none"
            )
            loss = losses @ weights[there].to(losses.dtype)
        found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
    finally:
        for name, value in named.items():
            value.requires_grad_(wanted[name])
    return dict(zip(named, found, strict=True))
