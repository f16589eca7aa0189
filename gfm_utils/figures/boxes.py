"""Room for labels: what is taken on a drawing, in pixels, and the first place that is free."""

from collections.abc import Iterable
from typing import NamedTuple


class Box(NamedTuple):
    """What is taken by a label, a point or a piece of a line."""

    left: float
    top: float
    right: float
    bottom: float


def box_around(x: float, y: float, half: float) -> Box:
    """A square box around a point."""
    return Box(x - half, y - half, x + half, y + half)


def first_free(places: Iterable[Box], taken: list[Box]) -> Box | None:
    """The first of some places that meets nothing which is taken, and is taken then; None without one."""
    for one in places:
        if not any(_meet(one, other) for other in taken):
            taken.append(one)
            return one
    return None


def _meet(one: Box, other: Box) -> bool:
    across = one.left < other.right and other.left < one.right
    return across and one.top < other.bottom and other.top < one.bottom
