"""Loading: a registry name or a path -> a cleaned corpus."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

from tqdm import tqdm

from gfm_utils.corpora.assembling import Assembled, Met, dna_segments, text_segments, together
from gfm_utils.corpora.blocks import place_of, without_spaces
from gfm_utils.corpora.planning import SEQUENCES, Plan, plan
from gfm_utils.corpora.readers import records
from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.remembering import recall, remember
from gfm_utils.corpora.segments import Corpus, Kind, records_read, told_copies
from gfm_utils.errors import GfmError, Refused

#: Cleaned text that took longer than so many seconds is kept in the cache.
SLOW = 1.0
#: Copies that are dropped are told of where they are at least this share of the records.
MANY_COPIES = 0.01


def load(
    source: str,
    kind: Kind | None = None,
    column: str | None = None,
    max_symbols: int | None = None,
    progress: bool = False,
) -> Corpus:
    """Read and clean a corpus.

    Args:
        source: a name of the registry, an address (:mod:`gfm_utils.corpora.addresses`), or a path (``.fa``,
            ``.fasta``, ``.fna``, ``.fq``, ``.fastq``, ``.txt``, ``.csv``, ``.tsv``, ``.parquet``, ``.xml`` as a
            MediaWiki dump, each plain, ``.gz``, ``.bz2``, ``.xz``, ``.zst``, or in a ``.zip``) of a file, or of a
            directory of files of one of these kinds, whose records are taken in the order of the files' paths.
            ``PATH:COLUMN`` names the column of a table; ``?kind=dna`` behind either says what it holds.
        kind: ``"text"`` or ``"dna"``; None: what the registry, the source or the extension says, or of a text or a
            table its first characters.
        column: column of a CSV, TSV or Parquet file.
        max_symbols: stop after so many bases or characters, counted from the beginning (a stream needs it; to
            take a sample from all over a corpus give ``max_symbols`` to :func:`split` instead).
        progress: show downloads and slow cleaning on standard error, and, once a process, that many copies were
            dropped.

    Returns:
        The corpus, its segments in the order of the source.

    Raises:
        GfmError: unknown corpus, failed download, bad file or a file that is something else than its name
        says, protein given as DNA, nothing left after cleaning.
    """
    read = plan(source, kind, column, progress)
    key = read.key(max_symbols)
    started = monotonic()
    assembled = recall(key)
    if assembled is None:
        assembled = _assembled(read, max_symbols, progress)
        if read.kind == "text" and monotonic() - started > SLOW:
            with suppress(Refused):  # a cache that is only read keeps nothing, and the text is cleaned anew
                remember(key, assembled)
    segments, stats = assembled
    if not segments:
        what = "no stretch of A, C, G, T" if read.kind == "dna" else "no text"
        raise GfmError(f"{read.source} holds {what} after cleaning; give another file")
    corpus = Corpus(read.name, read.kind, segments, key, read.licence, read.citation, read.source, stats)
    if progress:
        tell_many_copies(read.source, stats)
    return corpus


def tell_many_copies(source: str, stats: Mapping[str, Any]) -> None:
    """Say on standard error, once a process, that many records of a source were dropped as copies."""
    if stats["dropped_duplicate"] > MANY_COPIES * records_read(stats):
        _tell(f"{source}: {told_copies(stats)}")


@cache
def _tell(sentence: str) -> None:
    tqdm.write(sentence, file=sys.stderr)


def _assembled(read: Plan, max_symbols: int | None, progress: bool) -> Assembled:
    """Read and clean."""
    met = Met()
    if read.stream is not None:
        return _cleaned(read, read.streamed(max_symbols), max_symbols, met, None, progress)
    parts: list[Assembled] = []
    left = max_symbols
    for path, form in read.files:
        pairs = records(path, form, read.column, read.encoding, left)
        with read.told():
            parts.append(_cleaned(read, pairs, left, met, (path, form), progress))
        if left is not None:
            left -= parts[-1][1]["symbols"]
            if left <= 0:
                break
    return together(parts)


def _cleaned(
    read: Plan,
    pairs: Iterable[tuple[str, str]],
    limit: int | None,
    met: Met,
    file: tuple[Path, Format] | None,
    progress: bool,
) -> Assembled:
    """The records of one file, or of the stream, cleaned."""
    if read.kind == "text":
        bar = tqdm(pairs, desc=read.name, unit=" records", leave=False, disable=None if progress else True)
        return text_segments(bar, limit, read.repairs, met)
    if file is None or file[1] not in SEQUENCES:
        return dna_segments(without_spaces(pairs), limit, lambda *_: "", read.source, met)
    return dna_segments(pairs, limit, partial(place_of, *file), str(file[0]) if read.folder else read.source, met)
