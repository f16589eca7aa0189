"""What is measured of one member in one state, by group of parameters, and the rows of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch

from gfm_utils.ensembles import device
from gfm_utils.measures import intervals
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.fisher_types import Arrays, Per, squared_gradients
from gfm_utils.measures.fisher.groups import PATHS, derived
from gfm_utils.measures.rows import Row, member_rows

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


def trace(model: Any, examples: MaskedTokens, per: Per = "token", scaled: bool = False) -> Trace:
    """Mean of ``squared_gradients``."""
    return means(squared_gradients(model, examples, per, scaled))


def group_rows(
    base: Row, seeds: Sequence[int], traces: Sequence[Mapping[str, float]], n: int, form: str = ""
) -> Iterator[Row]:
    """Rows ``fisher_trace`` and ``fisher_share`` by group, each with the derived groups.

    A trace is group -> mean over n examples, one a member. A group that only some members have, as the last layer
    of the deepest, has rows of these alone. The form ends the names of the metrics: ``_invariant`` has no unit,
    and of ``_paper`` the two paths are not known apart.
    """
    whole = np.array([sum(trace.values()) for trace in traces])
    named = [dict(trace) | derived(trace) for trace in traces]
    if form == "_paper":
        named = [{name: view for name, view in derived(trace).items() if name not in PATHS} for trace in traces]
    total = {**base, "metric": f"fisher_trace{form}", "unit": "1" if "invariant" in form else "nats²"}
    share = {**base, "metric": f"fisher_share{form}", "unit": "share"}
    yield from member_rows(total, seeds, whole, n)
    for group in dict.fromkeys(group for trace in named for group in trace):
        having = [place for place, trace in enumerate(named) if group in trace]
        values, of_seeds = np.array([named[place][group] for place in having]), [seeds[place] for place in having]
        at = {"axis": "group", "x": group}
        yield from member_rows(total | at, of_seeds, values, n)
        yield from member_rows(share | at, of_seeds, values / whole[having], n)


def sequence_rows(base: Row, squares: Sequence[Arrays]) -> Iterator[Row]:
    """Shares again, with intervals over test windows (axis ``group_over_sequences``): means over members.

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
