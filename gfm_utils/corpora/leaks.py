"""Leaks: near-duplicate records, which stay on one side of a split, and the check of what leaks all the same.

Exact matches are seen by the 64-bit hashes of k-mers: of 64 bases, 16 residues or 20 words.
"""

import re
from collections.abc import Sequence
from functools import reduce
from hashlib import blake2b
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.corpora.segments import KINDS, Kind, Segment, Split

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_CHUNK = 1 << 15
#: A window is this many matches long: 256 bases, 64 residues or 80 words.
WINDOW = 4
#: No group of more than two records grows beyond this share of the corpus: boilerplate and repeats would
#: otherwise chain everything together. What is left between groups is what the leak check counts.
LARGEST = 0.05
#: Hashes that are compared at most, of 12 bytes each and some 60 at the peak: 1.9 GB. All of 300 million bases of
#: short records, or of 110 million words, are fewer.
MOST = 1 << 25
_GENE = re.compile(r" \[(locus_tag|gene)=[^\]]+\]")


class Encoded(NamedTuple):
    """The bases, residues or words of several segments, end to end."""

    codes: np.ndarray  # one number a base (0 to 3), a residue (0 to 19) or a word; uint64, shape (n,)
    lengths: np.ndarray  # of each segment, int64, shape (segments,)

    @property
    def owner(self) -> np.ndarray:
        """Number of the segment of each base, residue or word, shape (n,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def reverse_complement(self) -> "Encoded":
        """The other strand of all segments, end to end from the last to the first (DNA only)."""
        return Encoded(np.uint64(3) - self.codes[::-1], self.lengths[::-1])

    def inside(self, k: int) -> np.ndarray:
        """Whether the k-mer that starts at each place lies within one segment: bool, shape of :func:`hashes`."""
        starts = np.arange(max(len(self.codes) - k + 1, 0))
        return np.asarray(np.repeat(np.cumsum(self.lengths), self.lengths)[: len(starts)] - starts >= k)


def encoded(segments: Sequence[Segment], kind: Kind, lasting: bool = True) -> Encoded:
    """Number the bases, residues or words of some segments.

    Words are what white space separates, compared exactly; with ``lasting`` the number of one is a hash, the same
    in every call, else its rank of appearance.
    """
    if alphabet := KINDS[kind].alphabet:
        code = np.zeros(256, dtype=np.uint64)
        code[[ord(letter) for letter in alphabet]] = range(len(alphabet))
        letters = np.frombuffer("".join(segment.text for segment in segments).encode("ascii"), np.uint8)
        return Encoded(code[letters], np.array([len(segment) for segment in segments], np.int64))
    words = [segment.text.split() for segment in segments]
    flat = np.array([word for some in words for word in some], dtype=object)
    if lasting:
        codes = pd.util.hash_array(flat, categorize=False) if len(flat) else np.empty(0, np.uint64)
    else:
        codes = pd.factorize(flat)[0].astype(np.uint64) + np.uint64(1)
    return Encoded(codes, np.array([len(some) for some in words], np.int64))


def hashes(codes: np.ndarray, k: int) -> np.ndarray:
    """64-bit hash of each k-mer of ``codes``, shape (n,), by doubling: about log2(k) passes.

    Of shape (max(n - k + 1, 0),). Two different k-mers collide with probability about 2**-64.
    """
    if len(codes) < k:
        return np.empty(0, dtype=np.uint64)
    power, width = codes, 1
    whole, done = codes[:0], 0  # hashes of the first `done` places of each k-mer
    while True:
        if k & width:
            whole = _joined(power[: len(codes) - done - width + 1], whole[width:]) if done else power
            done += width
        width *= 2
        if width > k:
            return whole
        power = _joined(power[: -(width // 2)], power[width // 2 :])


def _joined(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hash of two neighbours from the hashes of each, in chunks that fit the processor's cache."""
    joined = np.empty(min(len(left), len(right)), dtype=np.uint64)
    for begin in range(0, len(joined), _CHUNK):
        mixed = joined[begin : begin + _CHUNK]
        np.multiply(left[begin : begin + len(mixed)], _GOLDEN, out=mixed)
        mixed += right[begin : begin + len(mixed)]
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX
        mixed ^= mixed >> np.uint64(29)
    return joined


def leakage(split: Split, kind: Kind) -> list[dict[str, Any]]:
    """Share of test and validation windows that hold an exact match with the training part.

    Each segment is tiled by windows of ``WINDOW`` matches; the last one may be shorter, down to one match. A
    window leaks if a stretch of 64 bases, 16 residues or 20 words that lies wholly within it occurs anywhere in
    the training part. For DNA a second row counts matches with the training part's reverse complement.

    Returns:
        Rows ``part``, ``match`` ("exact" or "reverse complement"), ``windows`` (a count), ``share`` (of these, 0
        to 1; null without windows).
    """
    match = KINDS[kind].match
    window = WINDOW * match
    train = encoded(split.train, kind)
    known = hashes(train.codes, match)[train.inside(match)]
    rows = []
    for part in ("validation", "test"):
        queried = encoded(split.parts()[part], kind)
        queries = {"exact": hashes(queried.codes, match)}
        if kind == "dna":
            queries["reverse complement"] = hashes(queried.reverse_complement().codes, match)[::-1]
        tile, valid = _tiles(queried, match, window)
        windows = int((queried.lengths // window + (queried.lengths % window >= match)).sum())
        for name, query in queries.items():
            leaked = len(np.unique(tile[valid][np.isin(query[valid], known)]))
            share = leaked / windows if windows else None
            rows.append({"part": part, "match": name, "windows": windows, "share": share})
    return rows


def _tiles(parts: Encoded, match: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the window that each k-mer starts in, and whether it lies wholly within it."""
    kmers = max(len(parts.codes) - match + 1, 0)
    owner, counts = parts.owner[:kmers], -(-parts.lengths // window)
    offset = np.arange(kmers) - (np.cumsum(parts.lengths) - parts.lengths)[owner]
    tile = (np.cumsum(counts) - counts)[owner] + offset // window
    return tile, parts.inside(match) & (offset % window + match <= window)


def content_hash(text: str) -> int:
    """64 bits of the hash of a text."""
    key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(key, "little", signed=True)


def minimizers(records: Sequence[Sequence[Segment]], kind: Kind, lasting: bool = False) -> tuple[Hashes, Integers]:
    """Hashes of some of the k-mers of records: of 48 bases (on either strand), 12 residues or 15 words.

    Of the k-mers within 64 bases, 16 residues or 20 words that with the least hash is taken (winnowing: Schleimer
    et al. 2003): two records that share such a stretch share its least hash, so none is missed, and a tenth of the
    hashes is left. Records that share only the shorter k-mer may be met, too.

    The gene that stands in the names of records (``[locus_tag=…]``) is one more hash: so isoforms stay together.
    With ``lasting`` the hashes can be compared with those of other calls.

    Returns:
        Hashes and numbers of records, of the same shape, in the order of the source.
    """
    length = KINDS[kind].match
    k = 3 * length // 4
    parts = encoded([segment for record in records for segment in record], kind, lasting)
    values = hashes(parts.codes, k)
    if kind == "dna":  # the same value on both strands
        values = np.minimum(values, hashes(parts.reverse_complement().codes, k)[::-1])
    count, width = max(len(parts.codes) - length + 1, 0), length - k + 1
    values = reduce(np.minimum, (values[first : first + count] for first in range(width)))
    owners = np.repeat(np.arange(len(records)), [len(record) for record in records])[parts.owner][:count]
    within = parts.inside(length)
    values, owners = values[within], owners[within]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    values, owners = values[fresh], owners[fresh]
    genes = {i: gene[0] for i, record in enumerate(records) if record and (gene := _GENE.search(record[0].record))}
    keys = np.array([content_hash(gene) for gene in genes.values()], np.int64).view(np.uint64)
    places = np.searchsorted(owners, np.array(list(genes), np.int64))
    return np.insert(values, places, keys), np.insert(owners, places, list(genes))


class Groups:
    """Records that share a hash, together.

    Pairs are joined (union-find) from the one that shares most hashes to the one that shares fewest, and a join
    that would make a group of more than ``LARGEST`` of the corpus is left out, so that no common phrase ties the
    whole corpus into one group.

    Of more than ``most`` hashes only those below a bound are compared, which is halved until they are few enough:
    of records that share n of the hashes one is found with probability 1 - (1 - share)^n (Irber et al. 2022,
    FracMinHash). The outcome does not depend on the calls that add them.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._halvings, self._count = most, 0, 0
        self._held: list[tuple[Hashes, npt.NDArray[np.int32]]] = []

    @property
    def share(self) -> float:
        """Of all hashes, those that are compared: 1, or a power of 1/2."""
        return 0.5**self._halvings

    def add(self, values: Hashes, owners: Integers) -> None:
        """Add hashes, and the numbers of their records."""
        self._held.append(self._few(values, owners.astype(np.int32)))
        self._count += len(self._held[-1][0])
        while self._count > self._most:
            self._halvings += 1
            self._held = [self._few(*held) for held in self._held]
            self._count = sum(len(held) for held, _ in self._held)

    def _few(self, values: Hashes, owners: npt.NDArray[np.int32]) -> tuple[Hashes, npt.NDArray[np.int32]]:
        below = values <= np.uint64((1 << 64 - self._halvings) - 1)
        return values[below], owners[below]

    def joined(self, sizes: Integers) -> Integers:
        """The number of the group of each record, which is that of its first record, by the records' ``sizes``."""
        values = np.concatenate([np.empty(0, np.uint64), *(values for values, _ in self._held)])
        owners = np.concatenate([np.empty(0, np.int32), *(owners for _, owners in self._held)])
        self._held.clear()
        order = np.argsort(values, kind="stable")  # the same on every processor
        values, owners = values[order], owners[order].astype(np.int64)
        begins = np.ones(len(values), dtype=bool)
        begins[1:] = values[1:] != values[:-1]
        first = owners[np.maximum.accumulate(np.where(begins, np.arange(len(values)), 0))]
        shared = first != owners  # each record with the first that has the hash
        pairs, counts = np.unique(first[shared] * len(sizes) + owners[shared], return_counts=True)
        pairs = pairs[np.argsort(-counts, kind="stable")]
        largest = max(LARGEST * sizes.sum(), np.sort(sizes)[-2:].sum())
        return np.asarray(_union(pairs // len(sizes), pairs % len(sizes), sizes.astype(np.int64), int(largest)))


@numba.njit(cache=True)
def _root(parent, node):  # type: ignore[no-untyped-def]
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(cache=True)
def _union(first, second, sizes, largest):  # type: ignore[no-untyped-def]
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
