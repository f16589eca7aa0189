"""Near-duplicate records: groups that must stay on one side of a split."""

import re
from collections.abc import Sequence
from functools import reduce
from hashlib import blake2b

import numba
import numpy as np
import numpy.typing as npt

from gfm_utils.corpora.leaks import elements, hashes, inside
from gfm_utils.corpora.segments import KINDS, Kind, Segment

#: No group of more than two records grows beyond this share of the corpus: boilerplate and repeats would
#: otherwise chain everything together. What is left between groups is what the leak check counts.
LARGEST = 0.05
#: Hashes of runs that are compared at most, of 12 bytes each and some 60 at the peak: 1.9 GB. All runs of 300
#: million bases of short records, or of 110 million words, are fewer.
MOST = 1 << 25


_GENE = re.compile(r" \[(locus_tag|gene)=[^\]]+\]")


def content_key(text: str) -> int:
    """64 bits of the hash of a text: equal texts have equal keys, others almost never."""
    key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(key, "little", signed=True)


def runs(
    records: Sequence[Sequence[Segment]], kind: Kind, lasting: bool = False
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hashes of some of the runs of 48 bases (on either strand), 12 residues or 15 words, and the record of each.

    Of the runs within one of 64 bases, 16 residues or 20 words that with the least hash stands for it (winnowing):
    two records that share such a run share its least, so none is missed, and a tenth of the hashes is left.
    Records that share only the shorter run may be told, too.

    The gene that stands in the names of records (``[locus_tag=…]``, see
    :func:`gfm_utils.corpora.sequences.fasta_stretches`) is one more run: so isoforms stay together.

    Args:
        records: the segments of each record.
        kind: of the segments.
        lasting: hashes can be compared with those of other calls.

    Returns:
        Hashes and numbers of records, of the same shape, in the order of the source.
    """
    length = KINDS[kind].match
    short = 3 * length // 4
    (parts,) = elements([[segment for record in records for segment in record]], kind, lasting)
    values = hashes(parts.codes, short)
    if kind == "dna":  # the same value on both strands
        values = np.minimum(values, hashes(parts.reverse_complement().codes, short)[::-1])
    record_of = np.repeat(np.arange(len(records)), [len(record) for record in records])[parts.owner]
    within = inside(parts, length)
    values, owners = _least(values, length - short + 1)[within], record_of[: len(within)][within]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    values, owners = values[fresh], owners[fresh]
    genes = {number: _GENE.search(record[0].record) for number, record in enumerate(records) if record}
    of = np.array([number for number, gene in genes.items() if gene], np.int64)
    if len(of):
        keys = np.array([content_key(gene[0]) for gene in genes.values() if gene], np.int64).view(np.uint64)
        places = np.searchsorted(owners, of)
        values, owners = np.insert(values, places, keys), np.insert(owners, places, of)
    return values, owners


class Groups:
    """Records that share a run, together.

    Pairs are joined (union-find) from the one that shares most runs to the one that shares fewest, and a join
    that would make a group of more than ``LARGEST`` of the corpus is left out. So isoforms of a gene and
    reprints of an article stay together, while a common phrase does not tie the whole corpus into one group.

    Of more than ``most`` hashes only those below a bound are compared, which is halved until they are few enough:
    the same in all records, so that of records that share n of the hashes one is found with probability
    1 - (1 - share)^n (Irber et al. 2022, FracMinHash). The outcome depends on neither the number nor the size of
    the calls that add them.

    Attributes:
        share: of all hashes, those that are compared: 1, or a power of 1/2.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._halvings = most, 0
        self._held: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]] = []
        self._count = 0

    @property
    def share(self) -> float:
        """See the class."""
        return 0.5**self._halvings

    def add(self, values: npt.NDArray[np.uint64], owners: npt.NDArray[np.int64]) -> None:
        """Add hashes of runs, and the numbers of their records."""
        self._held.append(self._few(values, owners.astype(np.int32)))
        self._count += len(self._held[-1][0])
        while self._count > self._most:
            self._halvings += 1
            self._held = [self._few(*runs) for runs in self._held]
            self._count = sum(len(values) for values, _ in self._held)

    def _few(
        self, values: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """Those of some hashes that are compared, and the numbers of their records."""
        below = values <= np.uint64((1 << 64 - self._halvings) - 1)
        return values[below], owners[below]

    def joined(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of the group of each record, which is that of its first record.

        Args:
            sizes: of the records, in symbols, shape (records,).
        """
        first, second = self._pairs(len(sizes))
        largest = max(LARGEST * sizes.sum(), np.sort(sizes)[-2:].sum())
        return np.asarray(_joined(first, second, sizes.astype(np.int64), int(largest)))

    def _pairs(self, records: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs of records, most runs in common first: each that has a run with the first that has it."""
        values = np.concatenate([np.empty(0, np.uint64), *(values for values, _ in self._held)])
        owners = np.concatenate([np.empty(0, np.int32), *(owners for _, owners in self._held)])
        self._held.clear()
        order = np.argsort(values, kind="stable")  # the same on every processor
        values, owners = values[order], owners[order].astype(np.int64)
        begins = np.ones(len(values), dtype=bool)
        begins[1:] = values[1:] != values[:-1]
        first = owners[np.maximum.accumulate(np.where(begins, np.arange(len(values)), 0))]
        shared = first != owners
        pairs, counts = np.unique(first[shared] * records + owners[shared], return_counts=True)
        pairs = pairs[np.argsort(-counts, kind="stable")]
        return pairs // records, pairs % records


def _least(values: np.ndarray, width: int) -> np.ndarray:
    """Least of each ``width`` neighbours: shape (n - width + 1,), or empty."""
    count = max(len(values) - width + 1, 0)
    return reduce(np.minimum, (values[first : first + count] for first in range(width)))


@numba.njit(cache=True)
def _root(parent, node):  # type: ignore[no-untyped-def]
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(cache=True)
def _joined(first, second, sizes, largest):  # type: ignore[no-untyped-def]
    parent, total = np.arange(len(sizes)), sizes.copy()
    for i in range(len(first)):
        a, b = _root(parent, first[i]), _root(parent, second[i])
        if a != b and total[a] + total[b] <= largest:
            a, b = min(a, b), max(a, b)
            parent[b] = a
            total[a] += total[b]
    for node in range(len(sizes)):
        parent[node] = _root(parent, node)
    return parent
