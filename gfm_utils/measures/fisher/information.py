"""Result tables of the Fisher information: by group, with controls, and along training."""

from collections.abc import Iterator, Sequence
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
from gfm_utils.measures.fisher.measuring import (
    EMPIRICAL,
    INVARIANT,
    SAMPLED,
    Measure,
    each,
    group_rows,
    means,
    paper_measure,
    sequence_rows,
)
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Groups that are followed along training: with the paper's, the two paths.
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

    Axis ``group`` throughout: the groups of :mod:`.groups` and the derived ones (the paper's ``embeddings``,
    ``encoder.<i>``, ``head``; ``encoder``; the paths ``input`` and ``output``; ``head_with_decoder``). A row a
    member and the mean with its interval over members. ``fisher_trace`` (nats²; without an axis: of all)
    ``fisher_share`` (of that) are per token and empirical; ``fisher_share`` comes again with an interval over
    test windows (axis ``group_over_sequences``). Of trained members also, as both with a suffix: ``_sampled``
    (tokens drawn from the model), ``_paper`` (the paper's own form, in batches) and ``_invariant``
    (Σ θ² F, without a unit). Then ``gradient_noise_ratio`` (share) and ``effective_dimension``, both not of a
    random context, and ``context_gain`` (bits/token, axis ``on`` ``fisher_tokens``: on the tokens whose gradients
    are taken). ``symbols_per_token`` has no state.

    States: ``trained``, ``untrained``, ``random_context`` (trained members that read the visible tokens in
    random order), ``shuffled`` (trained on tokens in random order, and read there; of the plain condition), and
    ``no layers`` (embeddings and a head alone, which have no ``encoder.<i>`` and an ``encoder`` of 0).

    Args:
        ensembles: one a condition.
        profile: its ``fisher_windows`` and ``fisher_mask`` say which windows are read; the paper's form takes its
            ``fisher_batch`` at a time, or its ``batch``.
        seed: of the masks.
        shuffled: of ``shuffled_control``.
        no_layers: of ``no_layers_control``.
    """
    rows: list[Row] = []
    paper = paper_measure(profile.fisher_batch or profile.batch)

    def windows(ensemble: Ensemble) -> MaskedTokens:
        return masked_tokens(ensemble, profile.fisher_windows, profile.fisher_mask, seed)

    for ensemble in ensembles:
        examples = windows(ensemble)
        rows.append(symbols_per_token(ensemble.store))
        rows += _state_rows(ensemble, examples, "trained", [SAMPLED, paper, INVARIANT])
        rows += _state_rows(ensemble, examples, "untrained", [paper, INVARIANT])
        rows += _state_rows(ensemble, random_context(examples, seed), "random_context", [paper])
    for control in no_layers:
        rows += _state_rows(control, windows(control), NO_LAYERS, [paper, INVARIANT])
    if shuffled is not None:
        rows += _state_rows(shuffled, windows(shuffled), "shuffled", [paper, INVARIANT])
    return tables.table(rows)


def _base(ensemble: Ensemble, state: str) -> Row:
    """Condition, without the shuffle of a control, and state."""
    condition = Condition.parse(ensemble.condition)
    return {"condition": str(condition.transformed(None) if state == "shuffled" else condition), "state": state}


def fisher_flow(
    ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42, shuffled: Ensemble | None = None
) -> pd.DataFrame:
    """Result table along training: shares and traces at the steps whose weights were kept.

    Axis ``step``: ``fisher_trace`` and ``fisher_trace_paper`` (nats²) of all parameters, and ``fisher_inflation``:
    B² times the latter over the former, with B masked tokens a batch. It is 1 where gradients of tokens have
    nothing in common, since ‖mean of B gradients‖² is then their mean square over B, and B where all are equal.
    Axis ``group|step``, with ``x`` like ``encoder|63``: ``fisher_share`` of ``FOLLOWED``. The states are those of
    ``fisher_information``; the untrained one is step 0, and of a random context there are shares and trace.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read, one token of each.
        seed: of the masks.
        shuffled: of ``shuffled_control``.
    """
    rows: list[Row] = []
    followed: list[tuple[Ensemble, tuple[str, ...]]] = [(one, ("trained", "random_context")) for one in ensembles]
    if shuffled is not None:
        followed.append((shuffled, ("shuffled",)))
    for ensemble, states in followed:
        shown = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.fisher_mask, seed)
        for step in sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members))):
            models = list(ensemble.models(step))
            for state in states:
                examples = random_context(shown, seed) if state == "random_context" else shown
                base, batch = _base(ensemble, state), profile.fisher_batch or profile.batch
                rows += _step_rows(base, ensemble.seeds, models, examples, step, batch)
    return tables.table(rows)


def _step_rows(
    base: Row, seeds: Sequence[int], models: Sequence[Any], examples: MaskedTokens, step: int, batch: int
) -> Iterator[Row]:
    """Rows of the members at one step; of a random context without the paper's form."""
    read = examples.thinned(1)
    empirical = each(lambda model: EMPIRICAL.trace(model, read), models)
    for row in group_rows(base, seeds, empirical, read.tokens):
        if "axis" not in row:
            yield {**row, "axis": "step", "x": step}
        elif row["metric"] == "fisher_share" and row["x"] in FOLLOWED:
            yield {**row, "axis": "group|step", "x": f"{row['x']}|{step}"}
    if base["state"] == "random_context":
        return
    at, n = {**base, "axis": "step", "x": step}, examples.tokens
    paper = each(partial(paper_fisher, examples=examples, batch=batch), models)
    ours, theirs = (np.array([sum(trace.values()) for trace in traces]) for traces in (empirical, paper))
    yield from member_rows({**at, "metric": "fisher_trace_paper", "unit": "nats²"}, seeds, theirs, n)
    inflation = (n / -(-len(examples) // batch)) ** 2 * theirs / ours
    yield from member_rows({**at, "metric": "fisher_inflation", "unit": "1"}, seeds, inflation, n)


def _state_rows(
    ensemble: Ensemble, examples: MaskedTokens, state: str, further: Sequence[Measure]
) -> Iterator[Row]:
    """Rows of all members in one state, and of further measures than the empirical one."""
    read, base, seeds = EMPIRICAL.read(examples), _base(ensemble, state), ensemble.seeds
    models = list(ensemble.models("untrained" if state == "untrained" else "trained"))
    empirical = each(partial(squared_gradients, examples=read), models)
    yield from group_rows(base, seeds, list(map(means, empirical)), read.tokens)
    yield from sequence_rows(base, empirical)
    for measure in further:
        yield from measure.rows(base, seeds, models, examples)
    if state != "random_context":
        compared = read[:COMPARED].thinned(1)
        grams = each(partial(gram_matrix, examples=compared), models)
        for metric, unit, of_gram in (
            ("gradient_noise_ratio", "share", gradient_noise_ratio),
            ("effective_dimension", "dimensions", effective_dimension),
        ):
            values = np.array(list(map(of_gram, grams)))
            yield from member_rows({**base, "metric": metric, "unit": unit}, seeds, values, len(read))
    by_frequency = frequency_bits(ensemble.store.counts("train"))[read.targets.cpu().numpy()]
    bits = each(partial(_bits_of_true, examples=read), models)
    gains = np.array([float((by_frequency - one).mean()) for one in bits])
    gain = {**base, "metric": "context_gain", "unit": "bits/token", "axis": "on", "x": "fisher_tokens"}
    yield from member_rows(gain, seeds, gains, read.tokens)


def _bits_of_true(model: Any, examples: MaskedTokens) -> npt.NDArray[np.float64]:
    """Bits that the model spends on each true token, shape (n, m)."""
    log_p = log_probabilities(model, examples).gather(2, examples.targets[..., None])[..., 0]
    return -log_p.cpu().numpy() / LOG2
