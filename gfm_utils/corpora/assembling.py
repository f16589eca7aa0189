"""From records as they stand in a file to cleaned segments, with counts of what was dropped."""

from collections.abc import Callable, Iterable
from typing import Any

from gfm_utils.corpora.cleaning import DnaCounts, clean_dna, clean_text, first_foreign
from gfm_utils.corpora.segments import Segment
from gfm_utils.errors import GfmError

#: Above this share of letters that are no IUPAC nucleotide code, sequences are taken for protein.
PROTEIN_SHARE = 0.1

Assembled = tuple[list[Segment], dict[str, Any]]


class _Names:
    """Makes the names of records unique: a second ``x`` becomes ``x#2``."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        self._seen[name] = self._seen.get(name, 0) + 1
        return name if self._seen[name] == 1 else f"{name}#{self._seen[name]}"


def dna_segments(
    pairs: Iterable[tuple[str, str]], limit: int | None, where: Callable[[int, str], str], source: str
) -> Assembled:
    """Segments of DNA records; empty records and exact duplicates are dropped.

    Args:
        pairs: name and sequence of each record.
        limit: stop after so many bases.
        where: words for the place of a letter in the record of that number, for the error below.
        source: what is read, for the error below.

    Returns:
        Segments and counts (see ``Corpus.stats``).

    Raises:
        GfmError: the sequences look like protein.
    """
    counts, names = DnaCounts(), _Names()
    segments: list[Segment] = []
    seen: set[str] = set()
    taken = kept = empty = duplicate = 0
    culprit: tuple[int, str, str] | None = None
    for number, (name, sequence) in enumerate(pairs):
        if sequence and sequence in seen:
            duplicate += 1
            continue
        seen.add(sequence)
        foreign = counts.foreign
        pieces = clean_dna(names(name), sequence, counts, None if limit is None else limit - taken)
        if culprit is None and counts.foreign > foreign:
            culprit = (number, name, first_foreign(sequence))
        empty += not pieces
        kept += bool(pieces)
        segments += pieces
        taken += sum(map(len, pieces))
        if limit is not None and taken >= limit:
            break
    if culprit is not None and counts.foreign > PROTEIN_SHARE * counts.read:
        number, name, letter = culprit
        raise GfmError(
            f"{source} looks like protein, not DNA (letter {letter!r} in record {name!r}"
            f"{where(number, letter)} is no nucleotide code); give a nucleotide file"
        )
    return segments, {
        "records": kept,
        "segments": len(segments),
        "symbols": taken,
        "cut_symbols": counts.cut,
        "soft_masked_share": counts.soft_masked / taken if taken else 0.0,
        "dropped_empty": empty,
        "dropped_duplicate": duplicate,
    }


def text_segments(pairs: Iterable[tuple[str, str]], limit: int | None, repairs: tuple[str, ...] = ()) -> Assembled:
    """One segment a text record; empty records and exact duplicates are dropped.

    Args:
        pairs: name and text of each record.
        limit: stop after so many characters.
        repairs: see :func:`gfm_utils.corpora.cleaning.clean_text`.

    Returns:
        Segments and counts (see ``Corpus.stats``).
    """
    names = _Names()
    segments: list[Segment] = []
    seen: set[str] = set()
    taken = empty = duplicate = repaired = 0
    for name, raw in pairs:
        text, mended = clean_text(raw, repairs)
        if limit is not None:
            text = text[: limit - taken]
        if not text:
            empty += 1
            continue
        if text in seen:
            duplicate += 1
            continue
        seen.add(text)
        repaired += mended
        segments.append(Segment(names(name), 0, text))
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
