"""From records as they stand in a file to cleaned segments, with counts of what was dropped."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gfm_utils.corpora.cleaning import DnaCounts, clean_dna, clean_text, first_foreign
from gfm_utils.corpora.segments import Segment
from gfm_utils.errors import GfmError

#: Above this share of letters that are no IUPAC nucleotide code, sequences are taken for protein.
PROTEIN_SHARE = 0.1

Assembled = tuple[list[Segment], dict[str, Any]]


class Met:
    """Names and contents of the records met so far, over all files of a corpus.

    Attributes:
        contents: sequences or cleaned texts.
    """

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self.contents: set[str] = set()

    def unique(self, name: str) -> str:
        """The name of a record made unique: a second ``x`` becomes ``x#2``."""
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name}#{self._names[name]}"


def dna_segments(
    pairs: Iterable[tuple[str, str]],
    limit: int | None,
    where: Callable[[int, str], str],
    source: str,
    met: Met | None = None,
) -> Assembled:
    """Segments of DNA records; empty records and exact duplicates are dropped.

    Args:
        pairs: name and sequence of each record.
        limit: stop after so many bases.
        where: words for the place of a letter in the record of that number, for the error below.
        source: what is read, for the error below.
        met: records of other files of the same corpus; is added to.

    Returns:
        Segments and counts (see ``Corpus.stats``).

    Raises:
        GfmError: the sequences look like protein.
    """
    counts, met = DnaCounts(), met or Met()
    segments: list[Segment] = []
    taken = kept = empty = duplicate = 0
    culprit: tuple[int, str, str] | None = None
    for number, (name, sequence) in enumerate(pairs):
        if sequence and sequence in met.contents:
            duplicate += 1
            continue
        met.contents.add(sequence)
        foreign = counts.foreign
        pieces = clean_dna(met.unique(name), sequence, counts, None if limit is None else limit - taken)
        if culprit is None and counts.foreign > foreign:
            culprit = (number, name, first_foreign(sequence))
        empty += not pieces
        kept += bool(pieces)
        segments += pieces
        taken += sum(map(len, pieces))
        if limit is not None and taken >= limit:
            break
    check_nucleotides(counts, culprit, where, source)
    return segments, {
        "records": kept,
        "segments": len(segments),
        "symbols": taken,
        "cut_symbols": counts.cut,
        "soft_masked_share": counts.soft_masked / taken if taken else 0.0,
        "dropped_empty": empty,
        "dropped_duplicate": duplicate,
    }


def check_nucleotides(
    counts: DnaCounts, culprit: tuple[int, str, str] | None, where: Callable[[int, str], str], source: str
) -> None:
    """Refuse sequences of whose letters more than ``PROTEIN_SHARE`` are no nucleotide code; gaps do not count.

    Args:
        counts: what cleaning them met.
        culprit: number and name of the first record with such a letter, and the letter.
        where: words for the place of a letter in the record of that number.
        source: what was read.

    Raises:
        GfmError: the sequences look like protein.
    """
    if culprit is not None and counts.foreign > PROTEIN_SHARE * counts.letters:
        number, name, letter = culprit
        raise GfmError(
            f"{source} looks like protein, not DNA (letter {letter!r} in record {name!r}"
            f"{where(number, letter)} is no nucleotide code); give a nucleotide file"
        )


def text_segments(
    pairs: Iterable[tuple[str, str]],
    limit: int | None,
    repairs: tuple[str, ...] = (),
    met: Met | None = None,
) -> Assembled:
    """One segment a text record; empty records and exact duplicates are dropped.

    Args:
        pairs: name and text of each record.
        limit: stop after so many characters.
        repairs: see :func:`gfm_utils.corpora.cleaning.clean_text`.
        met: records of other files of the same corpus; is added to.

    Returns:
        Segments and counts (see ``Corpus.stats``).
    """
    met = met or Met()
    segments: list[Segment] = []
    taken = empty = duplicate = repaired = 0
    for name, raw in pairs:
        text, mended = clean_text(raw, repairs)
        if limit is not None:
            text = text[: limit - taken]
        if not text:
            empty += 1
            continue
        if text in met.contents:
            duplicate += 1
            continue
        met.contents.add(text)
        repaired += mended
        segments.append(Segment(met.unique(name), 0, text))
        taken += len(text)
        if limit is not None and taken >= limit:
            break
    return segments, {
        "records": len(segments),
        "segments": len(segments),
        "symbols": taken,
        "repaired_records": repaired,
        "dropped_empty": empty,
        "dropped_duplicate": duplicate,
    }


def together(parts: Sequence[Assembled]) -> Assembled:
    """The segments of several files of one corpus, and their counts added up."""
    if len(parts) == 1:
        return parts[0]
    counts = [stats for _, stats in parts]
    total = {name: sum(stats[name] for stats in counts) for name in counts[0]}
    if "soft_masked_share" in total:
        masked = sum(stats["soft_masked_share"] * stats["symbols"] for stats in counts)
        total["soft_masked_share"] = masked / total["symbols"] if total["symbols"] else 0.0
    return [segment for segments, _ in parts for segment in segments], total
