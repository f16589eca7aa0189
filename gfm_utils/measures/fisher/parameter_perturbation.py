"""What Fisher information means: how far predictions move when parameters are jolted at random."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import log_probabilities, sampled, squared_gradients
from gfm_utils.measures.fisher.groups import BIAS, DECODER, groups_of
from gfm_utils.measures.fisher.measuring import TOKENS_A_WINDOW, each, masked_tokens
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile

#: By how much every parameter of a part is moved, up or down.
SIZES = (1e-3, 1e-2, 3e-2, 1e-1)
#: Jolts of each size that are averaged.
JOLTS = 2
#: The paper's groups of parameters, without layers told apart.
PARTS = ("embeddings", "encoder", "head")


def part_of(group: str) -> str:
    """The part of ``PARTS`` in which the parameters of a group are; of an untied decoder the head."""
    begin = group.partition(".")[0]
    return {"embedding": "embeddings", "encoder": "encoder"}.get(begin, "head")


@contextmanager
def jolted(model: Any, part: str, size: float, seed: int) -> Iterator[None]:
    """Every parameter of a part moved by ``size``, up or down at random; afterwards all are as they were."""
    generator = torch.Generator().manual_seed(seed)
    groups = groups_of(model)
    moved = [value for name, value in model.named_parameters() if part_of(groups[name]) == part]
    kept = [value.detach().clone() for value in moved]
    try:
        with torch.no_grad():
            for value in moved:
                signs = 2 * torch.randint(0, 2, value.shape, generator=generator) - 1
                value += size * signs.to(value)
        yield
    finally:
        with torch.no_grad():
            for value, before in zip(moved, kept, strict=True):
                value.copy_(before)


def jolt_divergences(model: Any, examples: MaskedTokens, seed: int) -> npt.NDArray[np.float64]:
    """Mean KL(p || p after a jolt) in nats per masked token, shape (parts, sizes)."""
    before = log_probabilities(model, examples)
    p = before.exp()
    divergences = np.zeros((len(PARTS), len(SIZES)))
    for row, part in enumerate(PARTS):
        for column, size in enumerate(SIZES):
            for jolt in range(JOLTS):
                with jolted(model, part, size, seed + jolt):
                    after = log_probabilities(model, examples)
                divergences[row, column] += float((p * (before - after)).sum(-1).mean()) / JOLTS
    return divergences


def expected_divergences(model: Any, examples: MaskedTokens, seed: int) -> npt.NDArray[np.float64]:
    """½ ε² tr F of each part in nats per masked token, shape (parts, sizes): the jolts' second order.

    KL(p_θ || p_θ+δ) = ½ δᵀ F δ + O(δ³) (Kullback, 1959), and the mean over signs of δ = ±ε is ½ ε² tr F.
    """
    sums = squared_gradients(model, sampled(model, examples, seed))
    tied = DECODER not in groups_of(model).values()
    traces = np.zeros(len(PARTS))
    for group, values in sums.items():
        inside = tied and group.startswith("decoder.") and group != BIAS
        traces[PARTS.index("embeddings" if inside else part_of(group))] += values.sum() / examples.tokens
    return 0.5 * traces[:, None] * np.square(SIZES)


def fisher_jolts(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of what a jolt of every parameter does to the predictions, and what the trace foretells.

    Metrics ``jolt_divergence`` (measured: mean KL over masked tokens and ``JOLTS`` random jolts) and
    ``jolt_expected`` (½ ε² tr F, tokens drawn from the model), both in nats/token, on the axis ``group|size``
    with ``x`` like ``encoder|0.001``; a row a member and the mean with its interval.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read.
        seed: of masks, tokens and jolts.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.fisher_mask, seed)
        read = examples.thinned(TOKENS_A_WINDOW)
        models = list(ensemble.models())
        for metric, way in (("jolt_divergence", jolt_divergences), ("jolt_expected", expected_divergences)):
            divergences = np.array(each(partial(way, examples=read, seed=seed), models))
            for row, part in enumerate(PARTS):
                for column, size in enumerate(SIZES):
                    base = {
                        "condition": ensemble.condition, "state": "trained", "metric": metric,
                        "unit": "nats/token", "axis": "group|size", "x": f"{part}|{size:g}",
                    }  # fmt: skip
                    rows += member_rows(base, ensemble.seeds, divergences[:, row, column], read.tokens)
    return tables.table(rows)
