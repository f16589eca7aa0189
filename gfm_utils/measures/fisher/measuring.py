"""What is measured of one member in one state, by group of parameters, and the rows of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from gfm_utils.ensembles import device
from gfm_utils.measures import intervals
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import Arrays, Per, paper_fisher, sampled, squared_gradients
from gfm_utils.measures.fisher.groups import PATHS, derived
from gfm_utils.measures.rows import Row, member_rows

#: Masked tokens of a window whose gradients are taken; tokens of one window are much alike.
TOKENS_A_WINDOW = 2
#: What the rows of the paper's form have at the end of their names.
PAPER = "_paper"
Result = TypeVar("Result")
#: Group -> mean over the examples.
Trace = dict[str, float]


def each(work: Callable[[Any], Result], models: Sequence[Any]) -> list[Result]:
    """The work for every model; on a CPU one model in each core: products of small ones are too short to share."""
    threads = torch.get_num_threads()
    if device() != "cpu" or threads == 1:
        return [work(model) for model in models]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, models))
    finally:
        torch.set_num_threads(threads)


def means(squares: Arrays) -> Trace:
    """Group -> mean over tokens or windows."""
    return {group: float(values.sum()) / values.size for group, values in squares.items()}


@dataclass(frozen=True)
class Measure:
    """One way to Fisher information: what its rows are called and what it computes.

    Attributes:
        name: what follows ``fisher_share`` and ``fisher_trace``, e.g. ``_sampled``.
        trace: group -> mean over the examples, of a model and examples.
        whole: takes all masked tokens of a window, not ``TOKENS_A_WINDOW`` of them.
        of_windows: examples are windows, not masked tokens.
    """

    name: str
    trace: Callable[[Any, MaskedTokens], Trace]
    whole: bool = False
    of_windows: bool = False

    def read(self, examples: MaskedTokens) -> MaskedTokens:
        """What it takes of masked windows."""
        return examples if self.whole else examples.thinned(TOKENS_A_WINDOW)

    def rows(
        self, base: Row, seeds: Sequence[int], models: Sequence[Any], examples: MaskedTokens
    ) -> Iterator[Row]:
        """Traces and shares of members by group, of masked windows."""
        read = self.read(examples)
        traces = each(lambda model: self.trace(model, read), models)
        return group_rows(base, seeds, traces, len(read) if self.of_windows else read.tokens, self)


def _mean_squares(per: Per = "token", scaled: bool = False) -> Callable[[Any, MaskedTokens], Trace]:
    return lambda model, examples: means(squared_gradients(model, examples, per, scaled))


#: True tokens, each with a gradient of its own.
EMPIRICAL = Measure("", _mean_squares())
#: Tokens drawn from the model.
SAMPLED = Measure("_sampled", lambda model, examples: EMPIRICAL.trace(model, sampled(model, examples)))
#: Σ θ² F.
INVARIANT = Measure("_invariant", _mean_squares(scaled=True))
#: Both on windows with a mean loss.
OF_WINDOWS = (
    Measure("_sequence", _mean_squares("sequence"), whole=True, of_windows=True),
    Measure("_invariant_sequence", _mean_squares("sequence", scaled=True), whole=True, of_windows=True),
)


def paper_measure(batch: int) -> Measure:
    """The paper's own computation, in batches of a size."""
    return Measure(PAPER, lambda model, examples: paper_fisher(model, examples, batch), whole=True)


def group_rows(
    base: Row, seeds: Sequence[int], traces: Sequence[Mapping[str, float]], n: int, measure: Measure = EMPIRICAL
) -> Iterator[Row]:
    """Rows of traces and shares by group, each with the derived groups.

    A group that only some members have, as the last layer of the deepest, has rows of these alone.

    A trace is group -> mean over n examples, one a member.
    """
    whole = np.array([sum(trace.values()) for trace in traces])
    named = [dict(trace) | derived(trace) for trace in traces]
    if measure.name == PAPER:  # its two paths are not told apart
        named = [{name: view for name, view in derived(trace).items() if name not in PATHS} for trace in traces]
    unit = "1" if "invariant" in measure.name else "nats²"
    total = {**base, "metric": f"fisher_trace{measure.name}", "unit": unit}
    share = {**base, "metric": f"fisher_share{measure.name}", "unit": "share"}
    yield from member_rows(total, seeds, whole, n)
    for group in dict.fromkeys(group for trace in named for group in trace):
        having = [place for place, trace in enumerate(named) if group in trace]
        values, of_seeds = np.array([named[place][group] for place in having]), [seeds[place] for place in having]
        at = {"axis": "group", "x": group}
        yield from member_rows(total | at, of_seeds, values, n)
        yield from member_rows(share | at, of_seeds, values / whole[having], n)


def sequence_rows(base: Row, squares: Sequence[Arrays]) -> Iterator[Row]:
    """Shares once more, with intervals over test windows (axis ``group_over_sequences``): means over members.

    Squares are group -> numbers of the tokens (n, m), one a member.
    """
    of_windows = [{group: values.sum(1) for group, values in one.items()} for one in squares]
    wholes = [sum(one.values()) for one in of_windows]
    weights = np.mean([whole / whole.mean() for whole in wholes], axis=0)
    named = [one | derived(one) for one in of_windows]
    for group in named[0]:
        sums = np.mean([one[group] / whole.mean() for one, whole in zip(named, wholes, strict=True)], axis=0)
        at = {**base, "metric": "fisher_share", "axis": "group_over_sequences", "x": group, "unit": "share"}
        yield {**at, **intervals.over_sequences(sums, weights)._asdict(), "n": len(weights)}
