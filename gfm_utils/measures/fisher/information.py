"""Result tables of the Fisher information: by group, with controls, and along training."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble
from gfm_utils.measures.controls import NO_LAYERS
from gfm_utils.measures.counting import frequency_bits
from gfm_utils.measures.datasets import symbols_per_token
from gfm_utils.measures.distributions import LOG2
from gfm_utils.measures.fisher.examples import MaskedTokens, masked_tokens, random_context
from gfm_utils.measures.fisher.fisher_types import (
    effective_dimension,
    gradient_noise_ratio,
    gram_matrix,
    log_probabilities,
    paper_fisher,
    squared_gradients,
)
from gfm_utils.measures.fisher.measuring import each, group_rows, means, sequence_rows, trace
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Groups that are followed along training: the paper's, and the two paths.
FOLLOWED = ("embeddings", "encoder", "head", "input", "output")
#: Windows whose gradients are compared with each other, all in memory together.
COMPARED = 128


def fisher_information(
    ensembles: Sequence[Ensemble],
    profile: Profile,
    seed: int = 42,
    shuffled: Ensemble | None = None,
    no_layers: Sequence[Ensemble] = (),
) -> pd.DataFrame:
    """Result table of the Fisher information by group of parameters, with its controls.

    A row a member and the mean with its interval over members. On the axis ``group`` (the groups of :mod:`.groups`
    and their sums, ``derived``), empirical and of single tokens: ``fisher_trace`` (nats²; without an axis: of all)
    and ``fisher_share``, which comes again with an interval over test windows (axis ``group_over_sequences``).
    Both also end in ``_paper`` (the paper's own form, in batches) and ``_invariant`` (Σ θ² F, without unit). Then
    ``gradient_noise_ratio`` (share), ``effective_dimension``, and ``context_gain`` (bits/token, axis ``on``,
    ``fisher_tokens``: on the tokens whose gradients are taken). ``symbols_per_token`` has no state.

    States: ``trained``, ``untrained``, ``random_context`` (trained members that read the visible tokens in
    random order; without ``_invariant`` and what compares gradients), ``shuffled`` (trained on tokens in random
    order, and read there; of the plain condition), and ``no layers`` (embeddings and a head alone).

    Args:
        ensembles: one a condition.
        profile: its ``fisher_windows`` and ``fisher_mask`` say which windows are read; the paper's form takes its
            ``fisher_batch`` at a time, or its ``batch``.
        seed: of the masks.
        shuffled: of ``shuffled_control``.
        no_layers: of ``no_layers_control``.
    """
    rows, batch = [symbols_per_token(one.store) for one in ensembles], profile.fisher_batch or profile.batch
    states = [(one, state) for one in ensembles for state in ("trained", "untrained", "random_context")]
    states += [(control, NO_LAYERS) for control in no_layers]
    states += [] if shuffled is None else [(shuffled, "shuffled")]
    for ensemble, state in states:
        rows += _state_rows(ensemble, _examples(ensemble, profile, seed, state), state, batch)
    return tables.table(rows)


def _examples(ensemble: Ensemble, profile: Profile, seed: int, state: str, one_in: int = 1) -> MaskedTokens:
    examples = masked_tokens(ensemble, profile, seed, one_in)
    return random_context(examples, seed) if state == "random_context" else examples


def _base(ensemble: Ensemble, state: str) -> Row:
    """Condition, without the shuffle of a control, and state."""
    condition = Condition.parse(ensemble.condition)
    return {"condition": str(condition.transformed(None) if state == "shuffled" else condition), "state": state}


def fisher_flow(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, shuffled: Ensemble | None = None
) -> pd.DataFrame:
    """Result table along training: shares and traces at the steps whose weights were kept.

    ``fisher_trace`` of all parameters (nats², axis ``step``), and ``fisher_share`` of ``FOLLOWED`` (axis
    ``group|step``, ``x`` like ``encoder|63``). States are those of ``fisher_information``, untrained is step 0.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read, one token of each.
        seed: of the masks.
        shuffled: of ``shuffled_control``.
    """
    rows: list[Row] = []
    followed: list[tuple[Ensemble, tuple[str, ...]]] = [(one, ("trained", "random_context")) for one in ensembles]
    followed += [] if shuffled is None else [(shuffled, ("shuffled",))]
    for ensemble, states in followed:
        read = {state: _examples(ensemble, profile, seed, state, one_in=4).thinned(1) for state in states}
        for step in sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members))):
            models = list(ensemble.models(step))
            for state, examples in read.items():
                traces = each(partial(trace, examples=examples), models)
                every = group_rows(_base(ensemble, state), ensemble.seeds, traces, examples.tokens)
                rows += _at_step(every, step)
    return tables.table(rows)


def _at_step(rows: Iterable[Row], step: int) -> Iterator[Row]:
    """Of the rows by group the whole trace and the shares that are followed, on the axes of a step."""
    for row in rows:
        if "axis" not in row:
            yield {**row, "axis": "step", "x": step}
        elif row["metric"] == "fisher_share" and row["x"] in FOLLOWED:
            yield {**row, "axis": "group|step", "x": f"{row['x']}|{step}"}


def _state_rows(ensemble: Ensemble, examples: MaskedTokens, state: str, batch: int) -> Iterator[Row]:
    """Rows of all members in one state."""
    read, base, seeds = examples.thinned(), _base(ensemble, state), ensemble.seeds
    models = list(ensemble.models("untrained" if state == "untrained" else "trained"))
    empirical = each(partial(squared_gradients, examples=read), models)
    yield from group_rows(base, seeds, list(map(means, empirical)), read.tokens)
    yield from sequence_rows(base, empirical)
    paper = each(partial(paper_fisher, examples=examples, batch=batch), models)
    yield from group_rows(base, seeds, paper, examples.tokens, "_paper")
    if state != "random_context":
        invariant = each(partial(trace, examples=read, scaled=True), models)
        yield from group_rows(base, seeds, invariant, read.tokens, "_invariant")
        grams = each(partial(gram_matrix, examples=read[:COMPARED].thinned(1)), models)
        for metric, unit, of_gram in (
            ("gradient_noise_ratio", "share", gradient_noise_ratio),
            ("effective_dimension", "dimensions", effective_dimension),
        ):
            values = np.array(list(map(of_gram, grams)))
            yield from member_rows({**base, "metric": metric, "unit": unit}, seeds, values, len(read))
    by_frequency = frequency_bits(ensemble.store.counts("train"))[read.targets.cpu().numpy()]
    gains = np.array([float((by_frequency - bits).mean()) for bits in each(partial(_bits, examples=read), models)])
    gain = {**base, "metric": "context_gain", "unit": "bits/token", "axis": "on", "x": "fisher_tokens"}
    yield from member_rows(gain, seeds, gains, read.tokens)


def _bits(model: Any, examples: MaskedTokens) -> npt.NDArray[np.float64]:
    """Bits that the model spends on each true token, shape (n, m)."""
    log_p = log_probabilities(model, examples).gather(2, examples.targets[..., None])[..., 0]
    return -log_p.cpu().numpy() / LOG2
