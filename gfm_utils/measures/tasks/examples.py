"""Labelled stretches of held-out sequence, balanced within blocks: what probes are trained and tested on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora import Segment
from gfm_utils.errors import GfmError

#: The sequence is cut into so many blocks of equal length. Blocks, not examples, are the independent units.
BLOCKS = 20
#: A block has at least so many examples of either class, or none; and so many blocks are needed.
LEAST, FEWEST_BLOCKS = 4, 5
#: Stretches of the second class from which those of the first get one that matches, for each.
CANDIDATES = 20
#: A question about a stretch as a whole, about the first token right of a site, the last token left of it, or
#: about a word that is hidden there.
Where = Literal["whole", "right", "left", "hidden"]
Match = Callable[[str], float]


class Stretch(NamedTuple):
    """One labelled stretch."""

    left: str  # symbols left of the site; empty where there is no site
    right: str  # symbols from the site on, without a hidden word
    label: bool  # whether it belongs to the first of the two classes
    place: int  # of its site in the sequence, in symbols


@dataclass(frozen=True)
class Task:
    """A question with two answers about stretches of held-out sequence, as many of either class in each block."""

    name: str
    where: Where
    stretches: Sequence[Stretch]
    block: npt.NDArray[np.int64]  # of each stretch, shape (n,)
    total: int  # symbols of the sequence that blocks are cut from

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Shape (n,)."""
        return np.array([one.label for one in self.stretches])

    def first(self, most: int) -> "Task":
        """The same with fewer stretches, as many of either class in each block."""
        blocks, labels = np.unique(self.block), self.labels
        each = max(1, most // (2 * len(blocks)))
        kept = np.concatenate([
            np.flatnonzero((self.block == block) & (labels == label))[:each]
            for block in blocks for label in (True, False)
        ])  # fmt: skip
        return replace(self, stretches=[self.stretches[number] for number in kept], block=self.block[kept])


@dataclass(frozen=True)
class Source:
    """Held-out sequence, never seen in training, that stretches are drawn from."""

    corpus: str
    segments: Sequence[Segment]
    span: int  # symbols of a stretch
    most: int  # stretches a task at most
    seed: int  # of the choice among them

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each segment begins in the sequence, and where the last one ends; shape (segments + 1,)."""
        return np.cumsum([0, *map(len, self.segments)])

    def block_of(self, place: int) -> int:
        """The block that a symbol lies in."""
        return int(place * BLOCKS // self.offsets[-1])


def balanced(
    source: Source, name: str, where: Where, find: Callable[[], Iterable[Stretch]], match: Match | None = None
) -> Task:
    """A task of as many stretches of either class in each block, chosen at random; none overlap in their class.

    Those that ``find`` gives and that reach over the border of two blocks are left out. For each stretch of the
    first class one of the second is taken, of ``CANDIDATES`` that with the nearest ``match`` if that is given.

    Raises:
        GfmError: too few blocks have enough of them.
    """
    by_class: dict[tuple[int, bool], list[Stretch]] = {}
    for one in find():
        begin, end = one.place - len(one.left), one.place + max(1, len(one.right)) - 1
        if source.block_of(begin) == (block := source.block_of(end)):
            by_class.setdefault((block, one.label), []).append(one)
    rng, most = np.random.default_rng(source.seed), max(LEAST, source.most // (2 * BLOCKS))
    chosen: list[Stretch] = []
    blocks: list[int] = []
    for block in range(BLOCKS):
        first = _apart(by_class.get((block, True), []), rng, most)
        second = _apart(by_class.get((block, False), []), rng, most * (1 if match is None else CANDIDATES))
        count = min(len(first), len(second))
        if count >= LEAST:
            other = second[:count] if match is None else _nearest(first[:count], second, match)
            chosen += first[:count] + other
            blocks += [block] * 2 * count
    if len(set(blocks)) < FEWEST_BLOCKS:
        raise GfmError(
            f"task {name!r}: {len(set(blocks))} of {BLOCKS} blocks of {source.corpus} have {LEAST} examples of "
            f"either class, and {FEWEST_BLOCKS} are needed; give a longer corpus"
        )
    return Task(name, where, chosen, np.array(blocks), int(source.offsets[-1]))


def _apart(stretches: Sequence[Stretch], rng: np.random.Generator, most: int) -> list[Stretch]:
    """So many stretches at most, in random order, without those that overlap one before them."""
    kept: list[Stretch] = []
    taken: set[int] = set()
    for number in rng.permutation(len(stretches)):
        one = stretches[number]
        # Two stretches of one length overlap if one holds an end of the other.
        ends = (one.place - len(one.left), one.place + len(one.right) - 1)
        if not taken.intersection(ends):
            taken.update(range(ends[0], ends[1] + 1))
            kept.append(one)
        if len(kept) == most:
            break
    return kept


def _nearest(wanted: Sequence[Stretch], among: list[Stretch], match: Match) -> list[Stretch]:
    """For each wanted stretch the unused one whose number is nearest."""
    levels = np.array([match(one.left + one.right) for one in among])
    found = []
    for one in wanted:
        distance = np.abs(levels - match(one.left + one.right))
        nearest = int(np.argmin(distance))
        levels[nearest] = np.inf
        found.append(among[nearest])
    return found
