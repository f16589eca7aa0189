"""Perturbed parameters, which move predictions, and rescaled ones, which move shares alone."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import BertForMaskedLM

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble
from gfm_utils.measures.fisher.examples import MaskedTokens, masked_tokens
from gfm_utils.measures.fisher.fisher_types import log_probabilities, sampled, squared_gradients
from gfm_utils.measures.fisher.groups import derived, groups_of
from gfm_utils.measures.fisher.measuring import each, group_rows, trace
from gfm_utils.measures.fisher.per_example_gradients import has_hooks
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile

#: By how much every parameter of a part is moved, up or down.
SIZES = (1e-3, 1e-2, 3e-2, 1e-1)
#: Perturbations of each size that are averaged.
PERTURBATIONS = 2
#: The paper's groups of parameters, all layers in one.
PARTS = ("embeddings", "encoder", "head")
#: By which the demonstration multiplies the embeddings.
FACTOR = 2.0


def part_of(group: str) -> str:
    """The part of ``PARTS`` in which the parameters of a group are; of an untied decoder the head."""
    return {"embedding": "embeddings", "encoder": "encoder"}.get(group.partition(".")[0], "head")


@contextmanager
def perturbed(model: Any, part: str, size: float, seed: int) -> Iterator[None]:
    """Every parameter of a part moved by ``size``, up or down at random; afterwards all are as they were."""
    generator, groups = torch.Generator().manual_seed(seed), groups_of(model)
    moved = [value.detach() for name, value in model.named_parameters() if part_of(groups[name]) == part]
    kept = [value.clone() for value in moved]
    try:
        for value in moved:
            signs = 2 * torch.randint(0, 2, value.shape, generator=generator) - 1
            value += size * signs.to(value)
        yield
    finally:
        for value, before in zip(moved, kept, strict=True):
            value.copy_(before)


def perturbation_divergences(model: Any, examples: MaskedTokens, seed: int) -> npt.NDArray[np.float64]:
    """Mean KL(p || p after a perturbation) in nats per masked token, shape (parts, sizes)."""
    before = log_probabilities(model, examples)
    p = before.exp()
    divergences = np.zeros((len(PARTS), len(SIZES)))
    for (row, part), (column, size), perturbation in product(
        enumerate(PARTS), enumerate(SIZES), range(PERTURBATIONS)
    ):
        with perturbed(model, part, size, seed + perturbation):
            after = log_probabilities(model, examples)
        divergences[row, column] += float((p * (before - after)).sum(-1).mean()) / PERTURBATIONS
    return divergences


def expected_divergences(model: Any, examples: MaskedTokens, seed: int) -> npt.NDArray[np.float64]:
    """½ ε² tr F of each part in nats per masked token, shape (parts, sizes): the perturbations' second order.

    KL(p_θ || p_θ+δ) = ½ δᵀ F δ + O(δ³) (Kullback, 1959), and the mean over signs of δ = ±ε is ½ ε² tr F.
    """
    sums = squared_gradients(model, sampled(model, examples, seed))
    traces = np.array([derived(sums)[part].sum() for part in PARTS]) / examples.tokens
    return 0.5 * traces[:, None] * np.square(SIZES)


def fisher_perturbations(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of what perturbing every parameter does to the predictions, and what the trace foretells.

    Metrics ``perturbation_divergence`` (measured: mean KL over masked tokens and ``PERTURBATIONS`` random ones)
    and ``perturbation_expected`` (½ ε² tr F, tokens drawn from the model), both in nats/token, on the axis
    ``group|size`` with ``x`` like ``encoder|0.001``; a row a member and the mean with its interval.

    Of a quarter of the profile's ``fisher_windows``; the seed is that of masks, tokens and perturbations.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, profile, seed, one_in=4).thinned()
        models = list(ensemble.models())
        for metric, way in (
            ("perturbation_divergence", perturbation_divergences),
            ("perturbation_expected", expected_divergences),
        ):
            divergences = np.array(each(partial(way, examples=examples, seed=seed), models))
            base: Row = {"condition": ensemble.condition, "state": "trained", "metric": metric}
            base |= {"unit": "nats/token", "axis": "group|size"}
            for (row, part), (column, size) in product(enumerate(PARTS), enumerate(SIZES)):
                at = {**base, "x": f"{part}|{size:g}"}
                rows += member_rows(at, ensemble.seeds, divergences[:, row, column], examples.tokens)
    return tables.table(rows)


@torch.no_grad()
def rescaled(model: Any, factor: float) -> Any:
    """A copy of a BERT or ModernBERT with embeddings so many times as large (above 0) and the same predictions.

    The norm after them undoes the factor (its epsilon grows with it). A tied decoder is multiplied too, and the
    norm before it divided.
    """
    other = copy.deepcopy(model)
    embeddings = other.base_model.embeddings
    for module in embeddings.children():
        if isinstance(module, torch.nn.Embedding):
            module.weight *= factor
    if isinstance(other, BertForMaskedLM):
        norm, last = embeddings.LayerNorm, other.cls.predictions.transform.LayerNorm
    else:
        norm, last = embeddings.norm, other.head.norm
    norm.eps *= factor**2
    if other.get_output_embeddings().weight is other.get_input_embeddings().weight:
        for value in last.parameters():
            value.div_(factor)
    return other


def fisher_rescaling(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """What a rescaling that leaves every prediction as it was does to the shares: a demonstration.

    Metrics ``fisher_share_sequence`` and ``fisher_share_invariant_sequence`` (and their traces; windows with a
    mean loss, axis ``group``) of the states ``trained`` and ``rescaled``: the same functions with embeddings
    ``FACTOR`` times as large. Models other than BERT and ModernBERT have no rows.

    Of a quarter of the profile's ``fisher_windows``.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, profile, seed, one_in=4)
        models = [model for model in ensemble.models() if has_hooks(model)]
        for state, factor in (("trained", 1.0), ("rescaled", FACTOR)) if models else ():
            written = [rescaled(model, factor) for model in models]
            base = {"condition": ensemble.condition, "state": state}
            for form, scaled in (("_sequence", False), ("_invariant_sequence", True)):
                read = partial(trace, examples=examples, per="sequence", scaled=scaled)
                rows += group_rows(base, ensemble.seeds, each(read, written), len(examples), form)
    return tables.table(rows)
