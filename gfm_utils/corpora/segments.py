"""What a corpus is: records cut into segments, where these lie, and a split of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Kind = Literal["text", "dna", "protein"]


class Traits(NamedTuple):
    """What is particular to the corpora of one kind."""

    label: str  # as people read it
    unit: str  # what one symbol is
    alphabet: str  # the symbols that are kept, in their order; empty: any
    match: int  # bases, residues or words of an exact match of two records, see gfm_utils.corpora.leaks

    @property
    def nothing(self) -> str:
        """What a corpus has of which cleaning leaves nothing."""
        return f"no stretch of {', '.join(self.alphabet)}" if self.alphabet else "no text"


KINDS: Mapping[str, Traits] = {
    "text": Traits("text", "character", "", 20),
    "dna": Traits("DNA", "base", "ACGT", 64),
    "protein": Traits("protein", "residue", "ACDEFGHIKLMNPQRSTVWY", 16),
}

#: Version of what cleaning and splitting give; part of every corpus checksum. To be raised whenever the same
#: source would give other segments (tests/corpora/test_splitting.py notices).
FORMAT = 1
#: Version of how the files of users are read; part of their checksums, and not of those of the registry.
READER = 2


@dataclass(frozen=True)
class Segment:
    """A stretch of one record without any cut."""

    record: str  # name of the article, chromosome or transcript
    start: (
        int  # of text[0] in the record, from 0 (DNA: as in the FASTA; protein: without gaps; text: once cleaned)
    )
    text: str  # of the alphabet of its kind
    #: Of DNA and protein, bool, shape (len(text),): where the source was lower case.
    soft_mask: np.ndarray | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.text)

    def slice(self, begin: int, end: int) -> "Segment":
        """The symbols ``begin`` to ``end`` (exclusive, counted within this segment) as a segment."""
        begin, end, _ = slice(begin, end).indices(len(self.text))
        mask = None if self.soft_mask is None else self.soft_mask[begin:end]
        return Segment(self.record, self.start + begin, self.text[begin:end], mask)


@dataclass(frozen=True)
class Corpus:
    """Named records of text, DNA or protein."""

    name: str  # in the registry, or the file's
    kind: Kind
    segments: list[Segment]  # in the order of the source
    checksum: str  # SHA-256 over the source's bytes, how it was read, and FORMAT: a valid cache key
    licence: str  # "unknown" for a user's own file
    citation: str
    source: str  # a package and member, a URL, or a path
    #: Counts: ``records``, ``segments``, ``symbols``, ``dropped_empty`` and ``dropped_duplicate`` records; of text
    #: ``repaired_records``, else ``cut_symbols`` (out of the alphabet) and ``soft_masked_share``.
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def symbols(self) -> int:
        """Bases, residues or characters in all segments."""
        return sum(map(len, self.segments))

    @property
    def records_read(self) -> int:
        """Records of the source: those that are kept, empty ones, and copies of earlier ones."""
        return records_read(self.stats)

    @property
    def unit(self) -> str:
        """What one symbol is."""
        return KINDS[self.kind].unit


def copies_note(stats: Mapping[str, Any]) -> str:
    """How many of how many records were dropped as copies of an earlier one, in words; empty if none was."""
    if not (copies := stats.get("dropped_duplicate", 0)):
        return ""
    what = "pieces" if "pieces" in stats else "records"
    return f"{copies:,} of {records_read(stats):,} {what} are copies of an earlier one and were dropped"


def records_read(stats: Mapping[str, Any]) -> int:
    """What ``Corpus.records_read`` says, from the counts of a corpus."""
    return sum(stats.get(name, 0) for name in ("records", "pieces", "dropped_empty", "dropped_duplicate"))


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of a corpus, each in the order of the source."""

    train: list[Segment]
    validation: list[Segment]
    test: list[Segment]
    block: int = 0  # length of the blocks that long records were cut into, in symbols
    gap: int = 0  # symbols dropped where blocks of different parts meet

    def parts(self) -> dict[str, list[Segment]]:
        """The segments of each part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CoordinateMap:
    """Where the segments of a corpus lie in its records and in the concatenated sequence."""

    names: tuple[str, ...]  # of the records, in the order of their first segments
    record: Ints  # number of the record of each segment, shape (segments,)
    start: Ints  # position of each segment's first symbol in its record, from 0, shape (segments,)
    offset: Ints  # of that symbol in the concatenated sequence, and the length of that: shape (segments + 1,)

    @classmethod
    def of(cls, segments: Iterable[Segment], limit: int | None = None) -> "CoordinateMap":
        """The map of the concatenation of some segments, of at most ``limit`` symbols; empty ones are left out."""
        numbers: dict[str, int] = {}
        record, start, offset = [], [], [0]
        for segment in segments:
            length = len(segment) if limit is None else min(len(segment), limit - offset[-1])
            if length > 0:
                record.append(numbers.setdefault(segment.record, len(numbers)))
                start.append(segment.start)
                offset.append(offset[-1] + length)
        return cls(tuple(numbers), *(np.array(values, np.int64) for values in (record, start, offset)))

    @property
    def symbols(self) -> int:
        """Length of the concatenated sequence."""
        return int(self.offset[-1])

    def to_source(self, positions: npt.ArrayLike) -> tuple[Ints, Ints]:
        """Numbers of the records (into ``names``) and positions in them, from 0, of concatenated positions."""
        where = np.asarray(positions, np.int64)
        segment = np.searchsorted(self.offset, where, side="right") - 1
        return self.record[segment], self.start[segment] + where - self.offset[segment]

    def windows(self, size: int) -> tuple[Ints, Ints]:
        """Windows that cover the sequence and never cross a cut.

        Each segment is divided evenly into round(length / size) windows, at least one: so a window is between
        two thirds and three halves of ``size`` symbols long, and shorter only where its segment is.

        Returns:
            Begins and ends (exclusive) in the concatenated sequence, shape (windows,) each.
        """
        length = np.diff(self.offset)
        count = np.maximum(1, np.rint(length / size).astype(np.int64))
        segment = np.repeat(np.arange(len(count)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        begin = self.offset[segment] + within * length[segment] // count[segment]
        return begin, np.append(begin[1:], self.symbols)[: len(begin)]


def sums(values: npt.NDArray[Any], begin: Ints, kind: type = np.float64) -> npt.NDArray[Any]:
    """Sums over neighbouring windows that cover ``values``, shape (symbols,), from each ``begin`` to the next.

    ``begin`` rises strictly from 0, shape (windows,); ``kind`` is the type that the sums are made in.
    """
    return np.add.reduceat(values, begin, dtype=kind) if len(begin) else np.zeros(0, kind)
