"""Result tables of the Fisher information: by group, with controls, and along training."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gfm_utils import tables
from gfm_utils.ensembles import STATES, Ensemble, State
from gfm_utils.measures.controls import NO_LAYERS
from gfm_utils.measures.datasets import symbols_per_token
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import squared_gradients
from gfm_utils.measures.fisher.measuring import (
    EMPIRICAL,
    INVARIANT,
    OF_WINDOWS,
    SAMPLED,
    Measure,
    context_gain,
    each,
    group_rows,
    masked_tokens,
    means,
    paper_measure,
    random_context,
    sequence_rows,
    spread,
)
from gfm_utils.measures.fisher.per_example_gradients import has_hooks
from gfm_utils.measures.fisher.rescaling import rescaled
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Groups that are followed along training: with the paper's, the two paths.
FOLLOWED = ("embeddings", "encoder", "head", "input", "output")
#: By which the demonstration multiplies the embeddings.
FACTOR = 2.0


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
    paper = paper_measure(_batch(profile))
    further = {"trained": [SAMPLED, paper, INVARIANT], "untrained": [paper, INVARIANT]}
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, profile.fisher_windows, profile.fisher_mask, seed)
        rows.append(symbols_per_token(ensemble.store))
        for state in STATES:
            rows += _state_rows(ensemble, examples, state, _base(ensemble, state), further[state])
        rows += _state_rows(
            ensemble, random_context(examples, seed), "trained", _base(ensemble, "random_context"), [paper]
        )
    controls = [(NO_LAYERS, ensemble) for ensemble in no_layers]
    if shuffled is not None:
        controls.append(("shuffled", shuffled))
    for name, control in controls:
        examples = masked_tokens(control, profile.fisher_windows, profile.fisher_mask, seed)
        rows += _state_rows(control, examples, "trained", _base(control, name), [paper, INVARIANT])
    return tables.table(rows)


def _batch(profile: Profile) -> int:
    """Windows a batch in the paper's form."""
    return profile.fisher_batch or profile.batch


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
    for ensemble, states in [(ensemble, ("trained", "random_context")) for ensemble in ensembles] + [
        (control, ("shuffled",)) for control in [shuffled] if control is not None
    ]:
        shown = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.fisher_mask, seed)
        steps = sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members)))
        for step in steps:
            models = list(ensemble.models(step))
            for state in states:
                examples = random_context(shown, seed) if state == "random_context" else shown
                base = _base(ensemble, state)
                rows += _step_rows(base, ensemble.seeds, models, examples, step, _batch(profile))
    return tables.table(rows)


def _step_rows(
    base: Row, seeds: Sequence[int], models: Sequence[Any], examples: MaskedTokens, step: int, batch: int
) -> Iterator[Row]:
    """Rows of the members at one step; of a random context without the paper's form."""
    one, paper = examples.thinned(1), paper_measure(batch)
    empirical = _traces(models, one, EMPIRICAL)
    for row in group_rows(base, seeds, empirical, one.tokens):
        if "axis" not in row:
            yield {**row, "axis": "step", "x": step}
        elif row["metric"] == "fisher_share" and row["x"] in FOLLOWED:
            yield {**row, "axis": "group|step", "x": f"{row['x']}|{step}"}
    if base["state"] == "random_context":
        return
    at = {**base, "axis": "step", "x": step}
    tokens = examples.tokens / -(-len(examples) // batch)
    whole = np.array([sum(trace.values()) for trace in empirical])
    theirs = np.array([sum(trace.values()) for trace in _traces(models, examples, paper)])
    yield from member_rows({**at, "metric": "fisher_trace_paper", "unit": "nats²"}, seeds, theirs, examples.tokens)
    inflation = tokens**2 * theirs / whole
    yield from member_rows({**at, "metric": "fisher_inflation", "unit": "1"}, seeds, inflation, examples.tokens)


def fisher_rescaling(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """What a rescaling that leaves every prediction as it was does to the shares: a demonstration.

    Metrics ``fisher_share_sequence`` and ``fisher_share_invariant_sequence`` (and their traces; windows with a
    mean loss, axis ``group``) of the states ``trained`` and ``rescaled``: the same functions with embeddings
    ``FACTOR`` times as large. Models other than BERT and ModernBERT have no rows.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read.
        seed: of the masks.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.fisher_mask, seed)
        models = list(ensemble.models())
        if not has_hooks(models[0]):
            continue
        for state, factor in (("trained", 1.0), ("rescaled", FACTOR)):
            base = {"condition": ensemble.condition, "state": state}
            written = [rescaled(model, factor) for model in models]
            for measure in OF_WINDOWS:
                rows += _trace_rows(ensemble, base, written, examples, measure)
    return tables.table(rows)


def _traces(models: Sequence[Any], read: MaskedTokens, measure: Measure) -> list[dict[str, float]]:
    """Traces of models, of the tokens that the measure takes."""
    return each(lambda model: measure.trace(model, read), models)


def _trace_rows(
    ensemble: Ensemble, base: Row, models: Sequence[Any], examples: MaskedTokens, measure: Measure
) -> Iterator[Row]:
    """Traces and shares of the members of an ensemble."""
    read = measure.read(examples)
    count = len(read) if measure.of_windows else read.tokens
    return group_rows(base, ensemble.seeds, _traces(models, read, measure), count, measure)


def _state_rows(
    ensemble: Ensemble, examples: MaskedTokens, state: State, base: Row, further: Sequence[Measure] = ()
) -> Iterator[Row]:
    """Rows of all members in one state; ``base`` says what the table calls it."""
    read = EMPIRICAL.read(examples)
    models = list(ensemble.models(state))
    empirical = each(partial(squared_gradients, examples=read), models)
    yield from group_rows(base, ensemble.seeds, list(map(means, empirical)), read.tokens)
    yield from sequence_rows(base, empirical)
    for measure in further:
        yield from _trace_rows(ensemble, base, models, examples, measure)
    if base["state"] != "random_context":
        spreads = np.array(each(partial(spread, examples=read), models))
        for metric, unit, values in (
            ("gradient_noise_ratio", "share", spreads[:, 0]),
            ("effective_dimension", "dimensions", spreads[:, 1]),
        ):
            yield from member_rows({**base, "metric": metric, "unit": unit}, ensemble.seeds, values, len(read))
    counts = ensemble.store.counts("train")
    gains = np.array(each(partial(context_gain, examples=read, counts=counts), models))
    gain = {**base, "metric": "context_gain", "unit": "bits/token", "axis": "on", "x": "fisher_tokens"}
    yield from member_rows(gain, ensemble.seeds, gains, read.tokens)
