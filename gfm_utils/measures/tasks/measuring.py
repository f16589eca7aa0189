"""Result tables of tasks: probes of trained and untrained members against counting, and disrupted sequence."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from gfm_utils import corpora, tables
from gfm_utils.ensembles import STATES, Ensemble
from gfm_utils.errors import GfmError
from gfm_utils.measures.datasets import symbols_per_token
from gfm_utils.measures.intervals import over_sequences
from gfm_utils.measures.rows import Row, member_rows, pair_matrix, pair_rows, sequence_row
from gfm_utils.measures.tasks import disruptions, probes, states
from gfm_utils.measures.tasks.dna import dna_tasks
from gfm_utils.measures.tasks.examples import Source, Task
from gfm_utils.measures.tasks.text import read_lexicon, text_tasks
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, load_corpus

Floats = npt.NDArray[np.float64]
Models = Callable[[], Iterator[Any]]
#: Axis of what belongs to a task.
TASK = "task"
#: The task of each kind that the claim about tasks is judged by.
PRIMARY = {"dna": "coding", "text": "word class"}
#: States of members that are compared with counting, and the names of what needs no member.
COUNTING, COMPOSITION, POSITION = "counting", "composition", "position"
#: Labelled stretches of a learning curve.
SIZES = (32, 128, 512)
#: Share of the stretches that are disrupted, for every token of these is predicted.
DISRUPTED = 1 / 2
#: Share of the tokens that fit a window which a stretch of average tokens has.
_FILLED = 0.9


class TaskSet(NamedTuple):
    """What is asked of the models of a condition."""

    base: Row  # condition of their rows
    tasks: Sequence[Task]
    reader: states.Reader
    seed: int  # of all that is random


def task_performance(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of what the members' states are worth in tasks, on test parts that no member has read before.

    Of a control (``corpus+noise0.3``) the stretches are those of the corpus as it is. Corpora without an
    annotation have no tasks, and no rows. ``symbols_per_token`` has no state.

    Axis ``task``, ``x`` its name (``n``: stretches), each with a row a member, the mean with its interval over
    members, and the same with that over blocks on the axis ``task_over_sequences``:

    - ``probe_auc``: area under the curve of a probe, of the layer that other blocks chose; states ``trained`` and
      ``untrained``; without members ``counting`` (of k-mer or n-gram counts and of the symbols next to a site the
      better on other blocks), ``composition`` (of single symbols), and the checks ``position`` along the sequence
      and ``shuffled labels``, which must be at 0.5. Axes ``task|layer`` and ``task|examples``: by layer, and by
      the number of labelled stretches.
    - ``probe_gain``: ``probe_auc`` above ``counting``, paired by block; that of the primary task also without an
      axis, and with the state ``counting`` zero by definition.
    - ``probe_kappa``: a row a pair: agreement of two members' decisions beyond chance (Cohen, 1960).

    Axis ``disruption``: ``disruption_auc``, how often a disruption costs more in a stretch of the foreground than
    in one of the background, within blocks; ``disruption_effect``, the difference of the two means in standard
    deviations (Cohen's d); ``disruption_correlation``, a row a pair: Spearman's, of what disruptions of the
    foreground cost two members.

    Args:
        ensembles: one a condition.
        profile: its ``test_windows`` say how many stretches a task has at most.
        seed: of the split and of all that is random.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        if (read := _of_ensemble(ensemble, profile, seed)) is not None:
            models: dict[str, Models] = {state: partial(ensemble.models, state) for state in STATES}
            rows.append(symbols_per_token(ensemble.store))
            rows += task_rows(read, ensemble.seeds, models)
    return tables.table(rows)


def _of_ensemble(ensemble: Ensemble, profile: Profile, seed: int) -> TaskSet | None:
    """The tasks of a condition on the test part of its corpus; None, with a line on stderr, if there are none."""
    store, name = ensemble.store, Condition.parse(ensemble.condition).corpus
    known = name in corpora.registry() and corpora.fetch_annotation(name)
    if not known or store.streamed or not (store.genome or store.kind == "text"):
        return None
    split = corpora.split(load_corpus(name, profile), seed=seed, max_symbols=profile.max_symbols)
    none = np.empty(0, np.int64)
    reader = states.Reader(store.tokenizer, store.kind, ensemble.spec.window, (none, none))
    per_token = float(symbols_per_token(store)["value"])
    try:
        return read_tasks(ensemble.condition, split.test, known, reader, per_token, profile.test_windows, seed)
    except GfmError as error:
        print(f"{ensemble.condition}: {error}", file=sys.stderr)
        return None


def read_tasks(
    condition: str, segments: Sequence[corpora.Segment], annotation: Path, reader: states.Reader,
    symbols_per_token: float, most: int, seed: int,
) -> TaskSet:  # fmt: skip
    """The tasks of some sequence; why there are no others, a line on standard error says.

    Args:
        condition: name of the rows.
        segments: never seen in training.
        annotation: GFF3 of DNA, a lexicon of text.
        reader: how models read.
        symbols_per_token: on average.
        most: stretches of a task at most.
        seed: of all that is random.

    Raises:
        GfmError: the annotation is none, or no task has enough stretches.
    """
    span = max(16, int(_FILLED * reader.room * symbols_per_token) // 8 * 8)
    source = Source(condition, segments, span, most, seed)
    if reader.kind == "dna":
        makers = dna_tasks(source, corpora.read_annotation(annotation))
    else:
        makers = text_tasks(source, read_lexicon(annotation))
    tasks, reasons = list[Task](), list[str]()
    for make in makers:
        try:
            tasks.append(make())
        except GfmError as error:
            reasons.append(str(error))
    if not tasks:
        raise GfmError(reasons[0])
    for reason in reasons:
        print(f"{condition}: {reason}", file=sys.stderr)
    return TaskSet({"condition": condition}, tasks, reader, seed)


def task_rows(read: TaskSet, seeds: Sequence[int], models: Mapping[str, Models]) -> Iterator[Row]:
    """The rows of some members, by their state."""
    loaded = {state: list(make()) for state, make in models.items()}
    for task in read.tasks:
        yield from _probe_rows(read, task, seeds, loaded)
    yield from _disruption_rows(read, seeds, loaded)


def _probe_rows(
    read: TaskSet, task: Task, seeds: Sequence[int], models: Mapping[str, Sequence[Any]]
) -> Iterator[Row]:
    n, around = len(task.stretches), read.reader.width_around
    sizes = [size for size in SIZES if size <= n * (1 - 1 / probes.FOLDS)]
    base: Row = {**read.base, "unit": "area", "axis": TASK, "x": task.name}
    area, gain = {**base, "metric": "probe_auc"}, {**base, "metric": "probe_gain"}
    primary = [{**gain, "axis": None, "x": None}] if PRIMARY[read.reader.kind] == task.name else []
    counts = [*probes.counted(task), *probes.one_by_one(task)]
    counting = probes.probe(task, counts)
    composition, position = (
        probes.probe(task, one) for one in (probes.counted(task, [1]), probes.positions(task))
    )
    for state, one in ((COUNTING, counting), (COMPOSITION, composition), (POSITION, position)):
        yield {**area, "state": state, **over_sequences(one.blocks)._asdict(), "n": n}
    curve = probes.learning_curve(task, counts, counting, sizes, read.seed)
    yield from _curve_rows({**area, "state": COUNTING}, sizes, [curve])
    for whole in primary:
        zero = np.zeros((len(seeds), len(counting.blocks)))
        yield from block_rows({**whole, "state": COUNTING}, seeds, zero, n)
    tokens = states.read_task(task, read.reader)
    labels = probes.shuffled_labels(task, read.seed)
    for state, members in models.items():
        layers = [states.layer_features(model, tokens, around) for model in members]
        probed = [probes.probe(task, one) for one in layers]
        areas, here = np.array([one.blocks for one in probed]), {**area, "state": state}
        yield from block_rows(here, seeds, areas, n)
        for row in (gain, *primary):
            yield from block_rows({**row, "state": state}, seeds, areas - counting.blocks, n)
        for layer in range(len(layers[0])):  # the first knows no context
            name = "embeddings" if layer == 0 else f"encoder.{layer - 1}"
            values = np.array([one.forms[layer].mean() for one in probed])
            yield from member_rows({**here, "axis": "task|layer", "x": f"{task.name}|{name}"}, seeds, values, n)
        curves = [probes.learning_curve(task, *one, sizes, read.seed) for one in zip(layers, probed, strict=True)]
        yield from _curve_rows(here, sizes, curves, seeds)
        if len(seeds) > 1:
            kappa = {**base, "metric": "probe_kappa", "unit": "share", "state": state}
            yield from pair_rows(kappa, seeds, _kappas(task, probed), n)
        if state == "trained":
            checked = np.array([probes.probe(task, one, labels).blocks for one in layers])
            yield from block_rows({**area, "state": "shuffled labels"}, seeds, checked, n)


def block_rows(base: Row, seeds: Sequence[int], values: Floats, n: int) -> Iterator[Row]:
    """A row a member, the mean with its interval over members, and with that over blocks, of (members, blocks)."""
    yield from member_rows(base, seeds, values.mean(1), n)
    row = sequence_row(base, values.mean(0))
    yield row if base["axis"] is None else {**row, "axis": f"{base['axis']}_over_sequences", "x": base["x"]}


def _curve_rows(
    base: Row, sizes: Sequence[int], curves: Sequence[Floats], seeds: Sequence[int] = ()
) -> Iterator[Row]:
    """By the number of labelled stretches; without members a row each."""
    for size, values in zip(sizes, np.array(curves).T, strict=True):
        one = {**base, "axis": "task|examples", "x": f"{base['x']}|{size}"}
        yield from member_rows(one, seeds, values, size) if seeds else [{**one, "value": values[0], "n": size}]


def _kappas(task: Task, probed: Sequence[probes.Probed]) -> Floats:
    """Agreement of decisions beyond chance; a member decides for the half of each block with the higher scores."""
    decisions = []
    for one in probed:
        middle = pd.Series(one.scores).groupby(task.block).transform("median")
        decisions.append(one.scores > middle.to_numpy())
    return _of_pairs(decisions, cohen_kappa_score)


def _of_pairs(of_members: Sequence[Any], compare: Callable[[Any, Any], float]) -> Floats:
    return pair_matrix(np.array([compare(*pair) for pair in combinations(of_members, 2)], np.float64))


def _disruption_rows(read: TaskSet, seeds: Sequence[int], models: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
    mask = read.reader.tokenizer.mask_token_id
    if mask is None:
        return
    around = read.reader.width_around
    for task, name, edit in _disrupted(read):
        (before, after), n = read.reader.around, len(task.stretches)
        ids = [
            np.concatenate([before, tokens[: read.reader.room], after])
            for tokens in read.reader.tokens(disruptions.disrupted(task, edit, read.seed))
        ]
        base: Row = {**read.base, "axis": "disruption", "x": name}
        for state, members in models.items():
            bits = np.array([states.masked_bits(model, ids, around, mask) for model in members])
            cost = bits[:, n:] - bits[:, :n]
            one = {**base, "state": state}
            auc = np.array([probes.block_auc(task, task.labels, of_member) for of_member in cost])
            yield from block_rows({**one, "metric": "disruption_auc", "unit": "area"}, seeds, auc, n)
            effect = np.array([_cohens_d(of_member, task.labels) for of_member in cost])
            yield from member_rows({**one, "metric": "disruption_effect", "unit": "sd"}, seeds, effect, n)
            if len(seeds) > 1:
                same = _of_pairs(list(cost[:, task.labels]), lambda a, b: float(spearmanr(a, b)[0]))
                pair = {**one, "metric": "disruption_correlation", "unit": "correlation"}
                yield from pair_rows(pair, seeds, same, int(task.labels.sum()))


def _disrupted(read: TaskSet) -> Iterator[tuple[Task, str, disruptions.Edit]]:
    """Stretches, and the name of each disruption and what is done to them."""
    for task in read.tasks:
        few = task.first(round(DISRUPTED * len(task.stretches)))
        for name, edit in disruptions.OF_DNA.get(task.name, {}).items():
            yield few, name, edit
        if task.name == PRIMARY["text"]:
            yield disruptions.with_shuffled_words(few, read.seed), "words swapped", disruptions.swapped_words


def _cohens_d(values: Floats, first: npt.NDArray[np.bool_]) -> float:
    """Difference of two means in pooled standard deviations (Cohen, 1988)."""
    one, other = values[first], values[~first]
    spread = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    return float((one.mean() - other.mean()) / spread) if spread > 0 else 0.0
