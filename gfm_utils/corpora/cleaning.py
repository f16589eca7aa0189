"""Cleaning: DNA and protein without invented letters, text without encoding damage."""

import re
import string
from collections import Counter

import ftfy
import numpy as np

from gfm_utils.corpora.segments import KINDS, Kind, Segment


def _table(letters: str) -> np.ndarray:
    """Byte -> its upper-case letter if that is one of these, else 0."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(f"{letters}{letters.lower()}".encode())] = list(2 * letters.encode())
    return table


_KEPT = {kind: _table(traits.alphabet) for kind, traits in KINDS.items()}
_KEPT["dna"][list(b"Uu")] = ord("T")  # RNA
_LETTER = _table(string.ascii_uppercase) > 0
#: Letters that no nucleotide code uses; X stands for a masked base, as N does.
FOREIGN = re.compile("[EFIJLOPQZefijlopqz]")
_FOREIGN = _table("EFIJLOPQZ") > 0


def clean_sequence(
    record: str, sequence: str, counts: Counter[str], limit: int | None = None, kind: Kind = "dna"
) -> list[Segment]:
    """Cut a sequence into segments of the upper-case letters of its kind, in source coordinates.

    Anything else (N, X, other IUPAC codes, gaps of DNA; of protein X, B, Z, J, U, O and ``*``) is cut out, never
    replaced; U of DNA is read as T. Only the first ``limit`` letters are read. ``counts`` is updated: symbols that
    are ``cut``, those left that are ``soft_masked`` (lower case), ``letters``, and ``foreign`` letters, which no
    nucleotide code uses.
    """
    raw = np.frombuffer(sequence[:limit].encode("ascii", errors="replace"), dtype=np.uint8)
    letters, soft = _KEPT[kind][raw], raw >= ord("a")
    edges = np.flatnonzero(np.diff(letters != 0, prepend=False, append=False))
    text = letters.tobytes().decode("ascii")
    segments = [
        Segment(record, int(begin), text[begin:end], soft[begin:end])
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    counts["cut"] += len(raw) - sum(map(len, segments))
    counts["soft_masked"] += int(soft[letters != 0].sum())
    counts["letters"] += int(_LETTER[raw].sum())
    counts["foreign"] += int(_FOREIGN[raw].sum())
    return segments


def looks_like_protein(text: str, share: float) -> bool:
    """Whether of the letters of a sequence more than such a share are no nucleotide code."""
    return len(FOREIGN.findall(text)) > share * len(re.findall(r"[A-Za-z]", text))


def looks_like_dna(text: str, least: int = 200, share: float = 0.95) -> bool:
    """Whether of the letters of a text, at least so many, such a share are A, C, G, T, U, N or X."""
    letters = len(re.findall(r"[A-Za-z]", text))
    return letters >= least and len(re.findall(r"[ACGTUNXacgtunx]", text)) >= share * letters


_FTFY = ftfy.TextFixerConfig(uncurl_quotes=False, explain=False)
_BLANK = re.compile(r"[^\S\n]+")
_BREAK = re.compile(r" ?\n[ \n]*")
# White space that is not blank for re, and characters without width: BOM, zero-width space, soft hyphen.
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\u00ad]")
_LOST = re.compile("\ufffd{2,}")
# Left after ftfy has taken out most control characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e\n]*")  # printable ASCII without '&': nothing for ftfy to mend

#: In ``news`` a closing quote or apostrophe was decoded to ``"?`` or ``"`` and U+FFFD, and swallowed the byte
#: after it, nearly always a space: ``DeVos"?highly`` was ``DeVos’ highly``, ``didn"t`` was ``didn’t``.
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\"(?=(?:t|s|re|ve|ll|d|m)\b)")
_SWALLOWED = re.compile('"(?:\ufffd|\\?)[\ufffd\u00a0]*(?=\\S)')


def clean_text(text: str, repairs: tuple[str, ...] = ()) -> tuple[str, bool]:
    """Mend encoding damage, normalise white space, drop control characters, and do named ``repairs``.

    Paragraphs stay, as single newlines. A run of replacement characters (what is lost cannot be known) becomes a
    single one. Typography (curly quotes, dashes) is kept. Also whether more than white space was mended.
    """
    mended = text
    if not _PLAIN.fullmatch(text):
        mended = ftfy.fix_text(text, config=_FTFY)
        mended = _LOST.sub("\ufffd", _CONTROL.sub("", _INVISIBLE.sub("", mended)))
    if "lost-quotes" in repairs:
        mended = _SWALLOWED.sub('" ', mended)
        mended = _APOSTROPHE.sub("'", mended)
    spaced = _BREAK.sub("\n", _BLANK.sub(" ", mended)).strip()
    return spaced, mended != text
