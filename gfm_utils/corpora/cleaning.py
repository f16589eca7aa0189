"""Cleaning: DNA and protein without invented letters, text without encoding damage."""

import re
import string
from dataclasses import dataclass

import ftfy
import numpy as np

from gfm_utils.corpora.segments import KINDS, Kind, Segment


def _kept(letters: str) -> np.ndarray:
    """Byte -> the upper-case letter that is kept of it, else 0."""
    table = np.zeros(256, dtype=np.uint8)
    for letter in letters:
        table[[ord(letter), ord(letter.lower())]] = ord(letter)
    return table


_KEPT = {kind: _kept(traits.alphabet) for kind, traits in KINDS.items()}
_BASE = _KEPT["dna"]
_BASE[[ord("U"), ord("u")]] = ord("T")  # RNA

# byte -> whether it is a letter, and one that no nucleotide code uses; X stands for a masked base, as N does
_LETTER = np.zeros(256, dtype=bool)
_LETTER[[ord(letter) for letter in string.ascii_letters]] = True
_FOREIGN = np.zeros(256, dtype=bool)
_FOREIGN[[ord(letter) for letter in "EFIJLOPQZefijlopqz"]] = True

_LOWER = ord("a")  # every lower-case letter is at least this, every upper-case one below


@dataclass
class LetterCounts:
    """What cleaning sequences met so far.

    Attributes:
        cut: symbols that are no bases, or no residues.
        soft_masked: bases or residues in lower case.
        letters: symbols that are letters, rather than gaps and signs.
        foreign: letters that no nucleotide code uses.
        culprit: number and name of the first record with such a letter, and the letter.
    """

    cut: int = 0
    soft_masked: int = 0
    letters: int = 0
    foreign: int = 0
    culprit: tuple[int, str, str] | None = None

    def add(self, other: "LetterCounts") -> None:
        """Add what was met behind this."""
        self.cut += other.cut
        self.soft_masked += other.soft_masked
        self.letters += other.letters
        self.foreign += other.foreign
        self.culprit = self.culprit or other.culprit


def clean_sequence(
    record: str,
    sequence: str,
    counts: LetterCounts,
    limit: int | None = None,
    number: int = 0,
    kind: Kind = "dna",
) -> list[Segment]:
    """Cut a sequence into segments of the upper-case letters of its kind, and keep the soft mask apart.

    Anything else (N, X, other IUPAC codes, gaps of DNA; of protein X, B, Z, J, U, O and ``*``) is cut out, never
    replaced; U of DNA is read as T. No Python work is done per letter.

    Args:
        record: name of the record.
        sequence: as in the file, any case.
        counts: updated in place.
        limit: read no more than so many letters of it.
        number: of the record in its file.
        kind: ``"dna"`` or ``"protein"``.

    Returns:
        Segments in source coordinates, each at least one letter long.
    """
    raw = np.frombuffer(sequence[:limit].encode("ascii", errors="replace"), dtype=np.uint8)
    letters = _KEPT[kind][raw]
    soft = raw >= _LOWER
    edges = np.flatnonzero(np.diff(letters != 0, prepend=False, append=False))
    text = letters.tobytes().decode("ascii")
    segments = [
        Segment(record, int(begin), text[begin:end], soft[begin:end])
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    kept = sum(map(len, segments))
    counts.cut += len(raw) - kept
    counts.soft_masked += int(soft[letters != 0].sum())
    counts.letters += int(_LETTER[raw].sum())
    foreign = raw[_FOREIGN[raw]]
    counts.foreign += len(foreign)
    if len(foreign) and counts.culprit is None:
        counts.culprit = (number, record, chr(foreign[0]))
    return segments


def looks_like_protein(text: str, share: float) -> bool:
    """Whether of the letters of a sequence more than such a share are no nucleotide code."""
    raw = np.frombuffer(text.encode("ascii", errors="ignore"), dtype=np.uint8)
    return int(_FOREIGN[raw].sum()) > share * int(_LETTER[raw].sum())


def looks_like_dna(text: str, least: int = 200, share: float = 0.95) -> bool:
    """Whether a text is a sequence of nucleotides: of its letters nearly all are A, C, G, T, U, N or X.

    Args:
        text: any.
        least: letters that there must be.
        share: of them that must be these.
    """
    raw = np.frombuffer(text.encode("ascii", errors="ignore"), dtype=np.uint8)
    letters = raw[_LETTER[raw]]
    masked = np.isin(letters, np.frombuffer(b"NnXx", dtype=np.uint8))
    return len(letters) >= least and int(((_BASE[letters] > 0) | masked).sum()) >= share * len(letters)


_FTFY = ftfy.TextFixerConfig(uncurl_quotes=False, explain=False)
_BLANK = re.compile(r"[^\S\n]+")
_BREAK = re.compile(r" ?\n[ \n]*")
# White space that is not blank for re, and characters without width: BOM, zero-width space, soft hyphen.
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\u00ad]")
_LOST = re.compile("\ufffd{2,}")
# Left after ftfy has taken out most control characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e\n]*")  # printable ASCII without '&': nothing for ftfy to mend

_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\"(?=(?:t|s|re|ve|ll|d|m)\b)")
_SWALLOWED = re.compile('"(?:\ufffd|\\?)[\ufffd\u00a0]*(?=\\S)')


def clean_text(text: str, repairs: tuple[str, ...] = ()) -> tuple[str, bool]:
    """Mend encoding damage, normalise white space, drop control characters.

    Paragraphs stay, as single newlines. A run of replacement characters (what is lost cannot be known)
    becomes a single one. Typography (curly quotes, dashes) is kept as the author wrote it.

    Args:
        text: one record.
        repairs: named repairs for the damage of one source; ``lost-quotes``: see :func:`lost_quotes`.

    Returns:
        The cleaned text (may be empty), and whether damage other than white space was mended.
    """
    mended = text
    if not _PLAIN.fullmatch(text):
        mended = ftfy.fix_text(text, config=_FTFY)
        mended = _LOST.sub("\ufffd", _CONTROL.sub("", _INVISIBLE.sub("", mended)))
    if "lost-quotes" in repairs:
        mended = lost_quotes(mended)
    spaced = _BREAK.sub("\n", _BLANK.sub(" ", mended)).strip()
    return spaced, mended != text


def lost_quotes(text: str) -> str:
    """Mend curly quotes that a wrong decoding turned into ``"?`` or ``"`` and a replacement character.

    In the ``news`` corpus a closing quote or apostrophe swallowed the byte after it: ``DeVos"?highly`` was
    ``DeVos’ highly``, ``case."?Trump`` was ``case.” Trump``, ``didn"t`` was ``didn’t``. The swallowed byte
    was nearly always a space, so that is what is put back; a contraction gets its apostrophe.
    """
    return _APOSTROPHE.sub("'", _SWALLOWED.sub('" ', text))
