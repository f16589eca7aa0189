"""Near-duplicate records: groups that must stay on one side of a split."""

from collections.abc import Sequence

import numpy as np

from gfm_utils.corpora.segments import Kind, Segment
from gfm_utils.corpora.shingles import MATCH, elements, hashes, inside

#: No group of more than two records grows beyond this share of the corpus: boilerplate and repeats would
#: otherwise chain everything together. What is left between groups is what the leak check counts.
LARGEST = 0.05


def groups(records: Sequence[Sequence[Segment]], kind: Kind) -> np.ndarray:
    """Group records that share an exact run of 64 bases (on either strand) or 20 words.

    Pairs are joined (union-find) from the one that shares most runs to the one that shares fewest, and a join
    that would make a group of more than ``LARGEST`` of the corpus is left out. So isoforms of a gene and
    reprints of an article stay together, while a common phrase does not tie the whole corpus into one group.

    Args:
        records: the segments of each record.
        kind: of the segments.

    Returns:
        int64, shape (records,): number of the group of each record.
    """
    sizes = np.array([sum(map(len, record)) for record in records], dtype=np.int64)
    first, second = _pairs(records, kind)
    largest = max(LARGEST * sizes.sum(), np.sort(sizes)[-2:].sum())
    return _joined(first, second, sizes, int(largest))


def _pairs(records: Sequence[Sequence[Segment]], kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of records with a run in common, most in common first; of n records with one run, n - 1 pairs.

    Not every run is kept: of the shorter runs within a run (three quarters of its length) the one with the
    least hash stands for it (winnowing). Two records that share a run share its least, so no pair is missed,
    and a tenth of the hashes is left to sort. Pairs that share only the shorter run come in as well.
    """
    length = MATCH[kind]
    short = 3 * length // 4
    (parts,) = elements([[segment for record in records for segment in record]], kind)
    values = hashes(parts.codes, short)
    if kind == "dna":  # the same value on both strands
        values = np.minimum(values, hashes(parts.reverse_complement().codes, short)[::-1])
    record_of = np.repeat(np.arange(len(records)), [len(record) for record in records])[parts.owner]
    within = inside(parts, length)
    values, owners = _least(values, length - short + 1)[within], record_of[: len(within)][within]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    values, owners = values[fresh], owners[fresh]
    order = np.argsort(values)
    values, owners = values[order], owners[order]
    shared = (values[1:] == values[:-1]) & (owners[1:] != owners[:-1])
    pairs = owners[:-1][shared] * len(records) + owners[1:][shared]
    found, counts = np.unique(pairs, return_counts=True)
    found = found[np.argsort(-counts, kind="stable")]
    return found // len(records), found % len(records)


def _least(values: np.ndarray, width: int) -> np.ndarray:
    """Least of each ``width`` neighbours, by doubling: shape (n - width + 1,)."""
    if len(values) < width:
        return values[:0]
    reach = 1
    while 2 * reach <= width:
        values = np.minimum(values[:-reach], values[reach:])
        reach *= 2
    rest = width - reach
    return np.minimum(values[:-rest], values[rest:]) if rest else values


def _joined(first: np.ndarray, second: np.ndarray, sizes: np.ndarray, largest: int) -> np.ndarray:
    parent = list(range(len(sizes)))
    total = sizes.tolist()

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for left, right in zip(first.tolist(), second.tolist(), strict=True):
        a, b = root(left), root(right)
        if a != b and total[a] + total[b] <= largest:
            a, b = min(a, b), max(a, b)
            parent[b] = a
            total[a] += total[b]
    return np.array([root(node) for node in range(len(sizes))], dtype=np.int64)
