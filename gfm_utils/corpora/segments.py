"""What a corpus is: records cut into segments, and a split of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["text", "dna"]

#: Version of what cleaning and splitting give; part of every corpus checksum.
#: Bump it whenever the same source would give other segments (tests/corpora/test_golden.py notices).
FORMAT = 1
#: Version of how the files of users are read, part of their checksums too: of files that are not quite what their
#: format says earlier versions made other records. Those of the registry give what they always gave.
READER = 2


@dataclass(frozen=True)
class Segment:
    """A stretch of one record without any cut.

    Attributes:
        record: name of the article, chromosome or transcript.
        start: offset of ``text[0]`` in the record, from 0 (DNA: the FASTA coordinate; text: in the cleaned
            record).
        text: DNA: upper-case A, C, G, T only; text: cleaned characters.
        soft_mask: DNA: bool, shape (len(text),), True where the source was lower case; None for text.
            Not part of equality.
    """

    record: str
    start: int
    text: str
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
    """Named records of text or DNA.

    Attributes:
        name: name in the registry, or the file's name.
        kind: ``"text"`` or ``"dna"``.
        segments: in the order of the source.
        checksum: SHA-256 (64 digits) over the source's bytes, how it was read, and ``FORMAT``: a valid cache
            key.
        licence: licence of the source, or "unknown" for a user's own file.
        citation: how to cite it, or "".
        source: where it came from: a wheel and member, a URL, or a path.
        stats: counts from reading and cleaning: ``records``, ``segments``, ``symbols``; DNA also
            ``cut_symbols`` (N, IUPAC codes and gaps, by which records are cut) and ``soft_masked_share``;
            text also ``repaired_records``; both ``dropped_empty`` and ``dropped_duplicate`` records.
    """

    name: str
    kind: Kind
    segments: list[Segment]
    checksum: str
    licence: str
    citation: str
    source: str
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def symbols(self) -> int:
        """Bases or characters in all segments."""
        return sum(map(len, self.segments))

    @property
    def records_read(self) -> int:
        """Records of the source: those that are kept, empty ones, and copies of earlier ones."""
        return records_read(self.stats)

    @property
    def unit(self) -> Literal["base", "character"]:
        """What one symbol is."""
        return "base" if self.kind == "dna" else "character"


def copies_note(stats: Mapping[str, Any]) -> str:
    """How many of how many records were dropped as copies of an earlier one, in words; empty if none was."""
    copies = stats.get("dropped_duplicate", 0)
    if not copies:
        return ""
    what = "pieces" if "pieces" in stats else "records"
    return f"{copies:,} of {records_read(stats):,} {what} are copies of an earlier one and were dropped"


def records_read(stats: Mapping[str, Any]) -> int:
    """What ``Corpus.records_read`` says, from the counts of a corpus."""
    return sum(stats.get(name, 0) for name in ("records", "pieces", "dropped_empty", "dropped_duplicate"))


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of a corpus, each in the order of the source.

    Attributes:
        train: segments to learn from (tokenizers and models).
        validation: segments to choose by.
        test: segments to report on.
        seed: what made the choice.
        block: length of the blocks that long records were cut into, in symbols.
        gap: symbols dropped where blocks of different parts meet.
    """

    train: list[Segment]
    validation: list[Segment]
    test: list[Segment]
    seed: int
    block: int = 0
    gap: int = 0

    def parts(self) -> dict[str, list[Segment]]:
        """The segments of each part by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
