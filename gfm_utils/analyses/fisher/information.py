"""Result tables of the Fisher information: by group, with controls, and along training."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.analyses.fisher.kinds import squared_gradients
from gfm_utils.analyses.fisher.measuring import (
    EMPIRICAL,
    INVARIANT,
    OF_WINDOWS,
    SAMPLED,
    Measure,
    context_gain,
    group_rows,
    masked_tokens,
    means,
    paper_measure,
    random_context,
    sequence_rows,
    spread,
)
from gfm_utils.analyses.fisher.rescaling import can_rescale, rescaled
from gfm_utils.analyses.rows import Row, member_rows
from gfm_utils.ensembles import STATES, Ensemble, State, device, train_ensembles
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Members of the ensemble that is trained on shuffled tokens; there is one, of the first condition.
SHUFFLED_MEMBERS = 3
#: Groups that are followed along training: with the paper's, the two paths.
FOLLOWED = ("embeddings", "encoder", "head", "input", "output")
#: By which the demonstration multiplies the embeddings.
FACTOR = 2.0
Result = TypeVar("Result")


def _each(work: Callable[[Any], Result], models: Sequence[Any]) -> list[Result]:
    """The work for every model; on a CPU one model in each core: products of small ones are too short to share.

    Args:
        work: a function of one model.
        models: the members.
    """
    threads = torch.get_num_threads()
    if device() != "cpu" or threads == 1:
        return [work(model) for model in models]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, models))
    finally:
        torch.set_num_threads(threads)


def fisher_information(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of the Fisher information by group of parameters, with its controls.

    Axis ``group`` throughout: the groups of :mod:`.groups` and the derived ones (the paper's ``embeddings``,
    ``encoder.<i>``, ``head``; ``encoder``; the paths ``input`` and ``output``; ``head_with_decoder``). A row a
    member and the mean with its interval over members. ``fisher_trace`` (nats²; without an axis: of all)
    ``fisher_share`` (of that) are per token and empirical; ``fisher_share`` comes again with an interval over
    test windows (axis ``group_over_sequences``). Of trained members also, as both with a suffix: ``_sampled``
    (tokens drawn from the model), ``_paper`` (the paper's own form, in the profile's batches) and ``_invariant``
    (Σ θ² F, without a unit). Then ``gradient_noise_ratio`` (share), ``effective_dimension`` and ``context_gain``
    (bits/token, axis ``on`` ``fisher_tokens``: on the tokens whose gradients are taken).

    States: ``trained``, ``untrained``, and ``random_context`` (trained members that read the visible tokens in
    random order).

    Args:
        ensembles: one a condition.
        profile: its ``fisher_windows`` and ``test_mask`` say which windows are read; the paper's form takes its
            ``batch`` at a time.
        seed: of the masks.
    """
    rows: list[Row] = []
    paper = paper_measure(profile.batch)
    further = {"trained": [SAMPLED, paper, INVARIANT], "untrained": [paper, INVARIANT]}
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, profile.fisher_windows, profile.test_mask, seed)
        for state in STATES:
            rows += _state_rows(ensemble, examples, state, state, further[state])
        rows += _state_rows(ensemble, random_context(examples, seed), "trained", "random_context")
    return tables.table(rows)


def fisher_of_shuffled(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """The same for a few members trained on the tokens of one condition in random order: nothing but frequencies.

    Args:
        ensembles: of the run; the first of text is taken, or else the first.
        profile: of the run; with its budget the members are trained, if they are not there.
        seed: of the masks.

    Returns:
        Result table as of ``fisher_information`` with the state ``shuffled``, of the plain condition.
    """
    chosen = next((ensemble for ensemble in ensembles if ensemble.store.kind == "text"), ensembles[0])
    name = str(Condition.parse(chosen.condition).transformed("shuffle"))
    runs_dir, members = chosen.store.path.parents[1], min(SHUFFLED_MEMBERS, profile.members)
    (shuffled,) = train_ensembles([name], profile, runs_dir, chosen.spec.data_seed, members)
    examples = masked_tokens(shuffled, profile.fisher_windows, profile.test_mask, seed)
    rows = list(_state_rows(shuffled, examples, "trained", "shuffled", [INVARIANT]))
    return tables.table({**row, "condition": chosen.condition} for row in rows)


def fisher_flow(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table along training: shares and traces at the steps whose weights were kept.

    Axis ``step``: ``fisher_trace`` and ``fisher_trace_paper`` (nats²) of all parameters. Axis ``group|step``, with
    ``x`` like ``encoder|63``: ``fisher_share`` of ``FOLLOWED``.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read.
        seed: of the masks.
    """
    rows: list[Row] = []
    paper = paper_measure(profile.batch)
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.test_mask, seed)
        steps = sorted(set.intersection(*(set(member.checkpoints) for member in ensemble.members)))
        for step in steps:
            base = {"condition": ensemble.condition, "state": "trained"}
            models = [member.model(step, device()) for member in ensemble.members]
            for measure in (EMPIRICAL, paper):
                found = _each(partial(_means, examples=examples, measure=measure), models)
                for row in group_rows(base, ensemble.seeds, found, examples.tokens, measure):
                    if "axis" not in row:
                        rows.append({**row, "axis": "step", "x": step})
                    elif measure is EMPIRICAL and row["metric"] == "fisher_share" and row["x"] in FOLLOWED:
                        rows.append({**row, "axis": "group|step", "x": f"{row['x']}|{step}"})
    return tables.table(rows)


def fisher_rescaling(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """What a rescaling that leaves every prediction as it was does to the shares: a demonstration.

    Metrics ``fisher_share_sequence`` and ``fisher_share_invariant_sequence`` (and their traces; windows with a
    mean loss, axis ``group``) of the states ``trained`` and ``rescaled``: the same functions with embeddings
    ``FACTOR`` times as large. Models that cannot be rescaled (see :mod:`.rescaling`) have no rows.

    Args:
        ensembles: one a condition.
        profile: a quarter of its ``fisher_windows`` are read.
        seed: of the masks.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        examples = masked_tokens(ensemble, max(2, profile.fisher_windows // 4), profile.test_mask, seed)
        models = [member.model("trained", device()) for member in ensemble.members]
        if not can_rescale(models[0]):
            continue
        for state, factor in (("trained", 1.0), ("rescaled", FACTOR)):
            base = {"condition": ensemble.condition, "state": state}
            written = [rescaled(model, factor) for model in models]
            for measure in OF_WINDOWS:
                found = _each(partial(_means, examples=examples, measure=measure), written)
                rows += group_rows(base, ensemble.seeds, found, len(examples), measure)
    return tables.table(rows)


def _means(model: Any, examples: MaskedTokens, measure: Measure) -> dict[str, float]:
    """Traces of one model."""
    return means(measure.of(model, examples), examples, measure)


def _state_rows(
    ensemble: Ensemble, examples: MaskedTokens, state: State, name: str, further: Sequence[Measure] = ()
) -> Iterator[Row]:
    """Rows of all members in one state; ``name`` is what the table calls it."""
    base, n = {"condition": ensemble.condition, "state": name}, examples.tokens
    models = [member.model(state, device()) for member in ensemble.members]
    empirical = _each(partial(squared_gradients, examples=examples), models)
    yield from group_rows(base, ensemble.seeds, [means(one, examples, EMPIRICAL) for one in empirical], n)
    yield from sequence_rows(base, empirical)
    for measure in further:
        found = _each(partial(_means, examples=examples, measure=measure), models)
        yield from group_rows(base, ensemble.seeds, found, n, measure)
    spreads = np.array(_each(partial(spread, examples=examples), models))
    counts = ensemble.store.counts("train")
    gains = np.array(_each(partial(context_gain, examples=examples, counts=counts), models))
    for metric, unit, values in (
        ("gradient_noise_ratio", "share", spreads[:, 0]),
        ("effective_dimension", "dimensions", spreads[:, 1]),
    ):
        yield from member_rows({**base, "metric": metric, "unit": unit}, ensemble.seeds, values, len(examples))
    gain = {**base, "metric": "context_gain", "unit": "bits/token", "axis": "on", "x": "fisher_tokens"}
    yield from member_rows(gain, ensemble.seeds, gains, n)
