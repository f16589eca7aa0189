"""Loading: a registry name, a path or an address -> a cleaned corpus."""

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import Any

from tqdm import tqdm

from gfm_utils.corpora.cleaning import clean_sequence, clean_text
from gfm_utils.corpora.hub import read_records, read_stats, write_records
from gfm_utils.corpora.planning import Plan, plan
from gfm_utils.corpora.readers import joined
from gfm_utils.corpora.segments import KINDS, Corpus, Segment, copies_note, records_read
from gfm_utils.corpora.sequences import check_letters
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import cache_dir

#: Cleaned text that took longer than so many seconds is kept in the cache.
SLOW = 1.0
#: Copies that are dropped are told of where they are at least this share of the records.
MANY_COPIES = 0.01


def load(source: str, max_symbols: int | None = None, progress: bool = False) -> Corpus:
    """Read and clean a corpus.

    Args:
        source: a name of the registry, an address (:class:`gfm_utils.corpora.addresses.Address`), or a path of a
            file, directory or ``.zip`` (:data:`gfm_utils.corpora.readers.FORMATS`, plain or compressed) of one
            kind, whose records are taken in the order of the files' paths. ``PATH:COLUMN`` names the column of a
            table; ``?kind=dna`` (``text``, ``protein``) behind either says what it holds, else its name and its
            first letters do.
        max_symbols: stop after so many bases, residues or characters, counted from the beginning (a stream needs
            it; to take a sample from all over a corpus give ``max_symbols`` to :func:`split` instead).
        progress: show downloads and slow cleaning on standard error, and, once a process, that many copies were
            dropped.

    Returns:
        The corpus, its segments in the order of the source.

    Raises:
        GfmError: unknown corpus, failed download, bad file or a file that is something else than its name
        says, protein given as DNA or DNA as protein, nothing left after cleaning.
    """
    read = plan(source, progress)
    key = read.key(max_symbols)
    place, started = cache_dir() / "segments" / f"{key}.parquet", monotonic()
    stats = read_stats(place)
    if stats is not None:
        segments = [Segment(record, 0, text) for record, text in read_records(place)]
    else:
        segments, stats = _cleaned(read, max_symbols, progress)
        if read.kind == "text" and monotonic() - started > SLOW:
            with suppress(Refused):  # a cache that is only read keeps nothing, and the text is cleaned again
                write_records(place, [(segment.record, segment.text) for segment in segments], stats)
    if not segments:
        raise GfmError(f"{read.source} holds {KINDS[read.kind].nothing} after cleaning; give another file")
    if progress:
        warn_many_copies(read.source, stats)
    return Corpus(read.name, read.kind, segments, key, read.licence, read.citation, read.source, stats)


def warn_many_copies(source: str, stats: Mapping[str, Any]) -> None:
    """Say on standard error, once a process, that many records of a source were dropped as copies."""
    if stats["dropped_duplicate"] > MANY_COPIES * records_read(stats):
        _write_once(f"{source}: {copies_note(stats)}")


@cache
def _write_once(sentence: str) -> None:
    tqdm.write(sentence, file=sys.stderr)


def _cleaned(read: Plan, max_symbols: int | None, progress: bool) -> tuple[list[Segment], dict[str, Any]]:
    """The segments of a source and counts (see ``Corpus.stats``); empty records and exact copies are dropped."""
    segments: list[Segment] = []
    contents: set[str] = set()
    names: Counter[str] = Counter()
    stats = Counter(records=0, symbols=0, repaired_records=0, dropped_empty=0, dropped_duplicate=0)
    total, limit = Counter[str](), sys.maxsize if max_symbols is None else max_symbols
    for file in read.parts:
        counts = Counter[str]()
        records = joined(read.chunks(file, max_symbols, limit - stats["symbols"]))
        bar = tqdm(records, desc=read.name, unit=" records", leave=False, disable=None if progress else True)
        for name, content in bar:
            left, repaired = limit - stats["symbols"], False
            if read.kind == "text":
                content, repaired = clean_text(content, read.repairs)
                content = content[:left]
            if content and content in contents:
                stats["dropped_duplicate"] += 1
                continue
            contents.add(content)
            names[name] += bool(content) or read.kind != "text"
            unique = name if names[name] == 1 else f"{name}#{names[name]}"
            if read.kind == "text":
                cut = [Segment(unique, 0, content)] if content else []
            else:
                cut = clean_sequence(unique, content, counts, left, read.kind)
            segments += cut
            stats["records" if cut else "dropped_empty"] += 1
            stats["repaired_records"] += bool(cut) and repaired
            stats["symbols"] += sum(map(len, cut))
            if stats["symbols"] >= limit:
                break
        check_letters(counts, read.kind, str(file[0]) if file and len(read.files) > 1 else read.source, file)
        total += counts
        if stats["symbols"] >= limit:
            break
    of_kind: dict[str, Any] = {"repaired_records": stats.pop("repaired_records")}
    if read.kind != "text":
        of_kind = {
            "cut_symbols": total["cut"],
            "soft_masked_share": total["soft_masked"] / max(stats["symbols"], 1),
        }
    return segments, {**stats, "segments": len(segments), **of_kind}
