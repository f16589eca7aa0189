"""Rows of result tables for numbers that each member, or each pair of members, has."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from gfm_utils.analyses import intervals

Row = dict[str, Any]


def member_rows(
    base: Mapping[str, Any], seeds: Sequence[int], values: npt.NDArray[np.float64], n: int
) -> Iterator[Row]:
    """A row a member, and the mean over members with its interval.

    Args:
        base: condition, state, metric, unit (and axis, x).
        seeds: of the members.
        values: one number a member.
        n: observations behind each member's number.
    """
    for seed, value in zip(seeds, values, strict=True):
        yield {**base, "member": seed, "value": float(value), "n": n}
    yield {**base, **intervals.over_members(values)._asdict(), "n": len(seeds)}


def pair_rows(
    base: Mapping[str, Any], seeds: Sequence[int], values: npt.NDArray[np.float64], n: int
) -> Iterator[Row]:
    """A row a pair, and the mean over pairs with the interval over members.

    Args:
        base: condition, state, metric, unit (and axis, x).
        seeds: of the members.
        values: symmetric matrix, shape (members, members).
        n: observations behind each pair's number.
    """
    for first, second in combinations(range(len(seeds)), 2):
        yield {
            **base,
            "member": seeds[first],
            "other": seeds[second],
            "value": float(values[first, second]),
            "n": n,
        }
    yield {**base, **intervals.over_pairs(values)._asdict(), "n": len(seeds)}
