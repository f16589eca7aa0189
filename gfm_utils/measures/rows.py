"""Rows of result tables for numbers that each member, or each pair of members, has: written, and read again."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.measures import intervals

Row = dict[str, Any]
#: Axis of what all members but one give together; ``x`` is the seed of that one.
WITHOUT = "without"
#: Axis and position of rows whose interval is over test sequences instead of members.
OVER_SEQUENCES = {"axis": "interval_over", "x": "sequences"}


def member_rows(
    base: Mapping[str, Any], seeds: Sequence[int], values: npt.NDArray[np.float64], n: int
) -> Iterator[Row]:
    """A row a member, each from ``n`` observations, and the mean over members with its interval."""
    for seed, value in zip(seeds, values, strict=True):
        yield {**base, "member": seed, "value": float(value), "n": n}
    yield {**base, **intervals.over_members(values)._asdict(), "n": len(seeds)}


def pair_rows(
    base: Mapping[str, Any], seeds: Sequence[int], values: npt.NDArray[np.float64], n: int
) -> Iterator[Row]:
    """A row a pair of a symmetric matrix, from ``n`` observations, and the mean with its interval over members."""
    for i, j in combinations(range(len(seeds)), 2):
        yield {**base, "member": seeds[i], "other": seeds[j], "value": float(values[i, j]), "n": n}
    yield {**base, **intervals.over_pairs(values)._asdict(), "n": len(seeds)}


def sequence_row(
    base: Mapping[str, Any], values: npt.NDArray[np.floating], weights: npt.NDArray[np.floating] | None = None
) -> Row:
    """The mean over test sequences, of one number each, with the interval of ``intervals.over_sequences``."""
    return {**base, **OVER_SEQUENCES, **intervals.over_sequences(values, weights)._asdict(), "n": len(values)}


def members_of(table: pd.DataFrame, axis: str) -> dict[tuple[str, str, str], pd.Series]:
    """(condition, position on the axis, metric) -> seed -> value of each member."""
    rows = table[(table["axis"] == axis).fillna(False) & table["member"].notna()].sort_values("member")
    return {
        (str(condition), str(x), str(metric)): values
        for (condition, x, metric), values in rows.set_index("member").groupby(
            ["condition", "x", "metric"], sort=False
        )["value"]
    }


def pair_matrix(pairs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Symmetric matrices, (..., members, members), of pairs in the order of ``itertools.combinations``."""
    members = round((1 + np.sqrt(1 + 8 * pairs.shape[-1])) / 2)
    matrix, (i, j) = np.zeros((*pairs.shape[:-1], members, members)), np.triu_indices(members, 1)
    matrix[..., i, j] = matrix[..., j, i] = pairs
    return matrix
