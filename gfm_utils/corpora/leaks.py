"""The leak check: what of the test part stands word for word in the training part."""

from typing import Any

import numpy as np

from gfm_utils.corpora.segments import Kind, Split
from gfm_utils.corpora.shingles import MATCH, UNIT, Elements, elements, hashes, inside

#: A window is this many matches long: 256 bases or 80 words.
WINDOW = 4


def leakage(split: Split, kind: Kind, match: int | None = None, window: int | None = None) -> list[dict[str, Any]]:
    """Share of test and validation windows that hold an exact match with the training part.

    Each segment is tiled by windows; the last one may be shorter, down to one match. A window leaks if a run
    of ``match`` elements that lies wholly within it occurs anywhere in the training part. For DNA a second
    row counts matches with the training part's reverse complement.

    Args:
        split: from :func:`split`.
        kind: ``"dna"`` or ``"text"``.
        match: bases (default 64) or words (default 20) that make a match.
        window: bases or words a window; default four matches.

    Returns:
        Rows ``part``, ``match`` ("exact" or "reverse complement"), ``windows``, ``leaked`` (counts),
        ``share`` (0 to 1; null without windows), ``window``, ``match_length`` (in ``unit``), ``unit`` ("base"
        or "word").
    """
    match = match or MATCH[kind]
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
            rows.append(
                {
                    "part": part,
                    "match": name,
                    "windows": windows,
                    "leaked": leaked,
                    "share": leaked / windows if windows else None,
                    "window": window,
                    "match_length": match,
                    "unit": UNIT[kind],
                }
            )
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
