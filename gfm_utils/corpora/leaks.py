"""The leak check: what of the test part stands word for word in the training part.

Every run of 64 bases, 16 residues or 20 words has a hash, by which exact matches between segments are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gfm_utils.corpora.segments import KINDS, Kind, Segment, Split

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_CHUNK = 1 << 15


@dataclass(frozen=True)
class Elements:
    """The bases, residues or words of several segments, end to end.

    Attributes:
        codes: uint64, shape (n,); one number a base (0 to 3), a residue (0 to 19) or a word.
        lengths: int64, shape (segments,); elements of each segment.
    """

    codes: np.ndarray
    lengths: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Index of the first element of each segment, shape (segments,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def owner(self) -> np.ndarray:
        """Number of the segment of each element, shape (n,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def reverse_complement(self) -> "Elements":
        """The other strand of all segments, end to end from the last to the first (DNA only)."""
        return Elements(np.uint64(3) - self.codes[::-1], self.lengths[::-1])


def elements(groups: Sequence[Sequence[Segment]], kind: Kind, lasting: bool = False) -> list[Elements]:
    """Number the bases, residues or words of several groups of segments alike.

    Words are what white space separates, compared exactly.

    Args:
        groups: lists of segments, e.g. the parts of a split.
        kind: of the segments.
        lasting: a word has the same number (a hash) in every call, and not only in this one.

    Returns:
        One :class:`Elements` a group.
    """
    if alphabet := KINDS[kind].alphabet:
        code = np.zeros(256, dtype=np.uint64)
        code[[ord(letter) for letter in alphabet]] = range(len(alphabet))
        return [
            Elements(
                code[np.frombuffer("".join(s.text for s in group).encode("ascii"), dtype=np.uint8)],
                np.array([len(s) for s in group], dtype=np.int64),
            )
            for group in groups
        ]
    words = [[segment.text.split() for segment in group] for group in groups]
    flat = np.array([word for group in words for segment in group for word in segment], dtype=object)
    if lasting:
        codes = pd.util.hash_array(flat, categorize=False) if len(flat) else np.empty(0, np.uint64)
    else:
        codes = pd.factorize(flat)[0].astype(np.uint64) + np.uint64(1)
    ends = np.cumsum([sum(map(len, group)) for group in words])
    return [
        Elements(part, np.array([len(segment) for segment in group], dtype=np.int64))
        for part, group in zip(np.split(codes, ends[:-1]), words, strict=True)
    ]


def hashes(codes: np.ndarray, length: int) -> np.ndarray:
    """64-bit hash of each run of ``length`` elements, by doubling: about log2(length) passes.

    Equal runs have equal hashes; two different ones collide with probability about 2**-64, which for 10**7
    runs against 10**6 is one chance in two million that a single run is wrongly called a match.

    Args:
        codes: uint64, shape (n,).
        length: elements a run.

    Returns:
        uint64, shape (max(n - length + 1, 0),).
    """
    if len(codes) < length:
        return np.empty(0, dtype=np.uint64)
    power, width = codes, 1
    whole: np.ndarray | None = None  # hash of the runs of `done` elements
    done = 0
    while True:
        if length & width:
            whole = power if whole is None else _joined(power[: len(codes) - done - width + 1], whole[width:])
            done += width
        width *= 2
        if width > length:
            assert whole is not None
            return whole
        power = _joined(power[: -(width // 2)], power[width // 2 :])


def _joined(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hash of two neighbouring runs from the hashes of each, in chunks that fit the processor's cache."""
    size = min(len(left), len(right))
    joined = np.empty(size, dtype=np.uint64)
    for begin in range(0, size, _CHUNK):
        mixed = joined[begin : begin + _CHUNK]
        np.multiply(left[begin : begin + len(mixed)], _GOLDEN, out=mixed)
        mixed += right[begin : begin + len(mixed)]
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX
        mixed ^= mixed >> np.uint64(29)
    return joined


def inside(parts: Elements, length: int) -> np.ndarray:
    """Whether the run that starts at each place lies within one segment: bool, shape of :func:`hashes`."""
    runs = max(len(parts.codes) - length + 1, 0)
    left = np.repeat(np.cumsum(parts.lengths), parts.lengths)[:runs] - np.arange(runs)
    return np.asarray(left >= length)


#: A window is this many matches long: 256 bases, 64 residues or 80 words.
WINDOW = 4


def leakage(split: Split, kind: Kind, match: int | None = None, window: int | None = None) -> list[dict[str, Any]]:
    """Share of test and validation windows that hold an exact match with the training part.

    Each segment is tiled by windows; the last one may be shorter, down to one match. A window leaks if a run
    of ``match`` elements that lies wholly within it occurs anywhere in the training part. For DNA a second
    row counts matches with the training part's reverse complement.

    Args:
        split: from :func:`split`.
        kind: of the corpus.
        match: bases (default 64), residues (16) or words (20) that make a match.
        window: bases, residues or words a window; default four matches.

    Returns:
        Rows ``part``, ``match`` ("exact" or "reverse complement"), ``windows``, ``leaked`` (counts),
        ``share`` (0 to 1; null without windows), ``window``, ``match_length`` (in ``unit``), ``unit`` ("base",
        "residue" or "word").
    """
    match = match or KINDS[kind].match
    window = max(window or WINDOW * match, match)
    train, validation, test = elements([split.train, split.validation, split.test], kind)
    known = hashes(train.codes, match)[inside(train, match)]
    rows = []
    for part, queried in (("validation", validation), ("test", test)):
        queries = {"exact": hashes(queried.codes, match)}
        if kind == "dna":
            queries["reverse complement"] = hashes(queried.reverse_complement().codes, match)[::-1]
        tile, valid, windows = _tiles(queried, match, window)
        for name, query in queries.items():
            leaked = len(np.unique(tile[valid][np.isin(query[valid], known)]))
            rows.append({
                "part": part, "match": name, "windows": windows, "leaked": leaked,
                "share": leaked / windows if windows else None, "window": window, "match_length": match,
                "unit": KINDS[kind].match_unit,
            })  # fmt: skip
    return rows


def _tiles(parts: Elements, match: int, window: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Number of the window that each run starts in, whether it lies wholly within it, and how many windows.

    Returns:
        int64 and bool, both of shape (runs,), and the count of windows of at least one match.
    """
    runs = max(len(parts.codes) - match + 1, 0)
    counts = -(-parts.lengths // window)
    owner = parts.owner[:runs]
    offset = np.arange(runs) - parts.starts[owner]
    tile = (np.cumsum(counts) - counts)[owner] + offset // window
    valid = inside(parts, match) & (offset % window + match <= window)
    rest = parts.lengths % window
    return tile, valid, int((parts.lengths // window + (rest >= match)).sum())
