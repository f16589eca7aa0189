"""Loading: a registry name or a path -> a cleaned corpus."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from tqdm import tqdm

from gfm_utils.corpora import hub
from gfm_utils.corpora.assembling import Assembled, dna_segments, text_segments
from gfm_utils.corpora.fetching import fetch
from gfm_utils.corpora.readers import FORMATS, format_of, lines, records
from gfm_utils.corpora.registry import Entry, Format, HubSource, find, registry
from gfm_utils.corpora.remembering import recall, remember
from gfm_utils.corpora.segments import FORMAT, Corpus, Kind
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, sha256_of

#: Cleaned text that took longer than so many seconds is kept in the cache.
SLOW = 1.0


@dataclass(frozen=True)
class _Plan:
    """How one source is to be read."""

    name: str
    kind: Kind
    form: Format
    path: Path | None  # None: streamed
    stream: HubSource | None = None
    column: str | None = None
    encoding: str = "utf-8"
    repairs: tuple[str, ...] = ()
    licence: str = "unknown"
    citation: str = ""
    source: str = ""


def load(
    source: str,
    kind: Kind | None = None,
    column: str | None = None,
    max_symbols: int | None = None,
    progress: bool = False,
) -> Corpus:
    """Read and clean a corpus.

    Args:
        source: a name of the registry, or a path (``.fa``, ``.fasta``, ``.fna``, ``.fq``, ``.fastq``,
            ``.txt``, ``.csv``, ``.tsv``, ``.parquet``, ``.xml`` as a MediaWiki dump, each plain, ``.gz`` or
            ``.bz2``; ``.zip`` around one CSV). ``PATH:COLUMN`` names the column of a table.
        kind: ``"text"`` or ``"dna"``; None: what the registry or the extension says.
        column: column of a CSV, TSV or Parquet file.
        max_symbols: stop after so many bases or characters, counted from the beginning (a stream needs it; to
            take a sample from all over a corpus give ``max_symbols`` to :func:`split` instead).
        progress: show downloads and slow cleaning on standard error.

    Returns:
        The corpus, its segments in the order of the source.

    Raises:
        GfmError: unknown corpus, failed download, bad file, protein given as DNA, nothing left after
        cleaning.
    """
    plan = _plan(source, kind, column, max_symbols, progress)
    key = _key(plan, max_symbols)
    started = monotonic()
    assembled = recall(key)
    if assembled is None:
        assembled = _assembled(plan, max_symbols, progress)
        if plan.stream is not None or (plan.kind == "text" and monotonic() - started > SLOW):
            remember(key, assembled)
    segments, stats = assembled
    if not segments:
        what = "no stretch of A, C, G, T" if plan.kind == "dna" else "no text"
        raise GfmError(f"{plan.source} holds {what} after cleaning; give another file")
    return Corpus(plan.name, plan.kind, segments, key, plan.licence, plan.citation, plan.source, stats)


def is_streamed(source: str) -> bool:
    """Whether a corpus comes from a stream, of which ``max_symbols`` must say how much."""
    return source in registry() and registry()[source].hub is not None


def source_file(source: str) -> tuple[Path, str | None] | None:
    """The user's file that a corpus is read from and its column, if one is named; None if it is no file."""
    path, column = _path_and_column(source, None)
    return (path, column) if path.is_file() and source not in registry() else None


def checksum(source: str, max_symbols: int | None = None, progress: bool = False) -> str:
    """The checksum that the loaded corpus would have, without reading more than the source's bytes.

    Args:
        source: as for :func:`load`.
        max_symbols: likewise.
        progress: show downloads on standard error.

    Raises:
        GfmError: unknown corpus or failed download.
    """
    return _key(_plan(source, None, None, max_symbols, progress), max_symbols)


def _key(plan: _Plan, max_symbols: int | None) -> str:
    """SHA-256 over the source's bytes, how they are read, and ``FORMAT``, as 64 hexadecimal digits."""
    options: dict[str, Any] = {
        "format": FORMAT, "kind": plan.kind, "form": plan.form, "column": plan.column,
        "encoding": plan.encoding, "repairs": plan.repairs, "max_symbols": max_symbols,
    }  # fmt: skip
    if plan.stream is not None:
        options["stream"] = plan.stream.model_dump()
    else:
        assert plan.path is not None
        options["sha256"] = sha256_of(plan.path) if plan.path.is_file() else None
    return digest(options, length=64)


def _plan(source: str, kind: Kind | None, column: str | None, max_symbols: int | None, progress: bool) -> _Plan:
    path, column = _path_and_column(source, column)
    looks_like_path = path.exists() or "/" in source or "\\" in source or _suffixed(path)
    if not looks_like_path or source in registry():
        return _from_registry(source, find(source), kind, max_symbols, progress)
    form = format_of(path)
    sequences = form in ("fasta", "fastq")
    if sequences and kind == "text":
        raise GfmError(f"{path} is {form.upper()}, which holds DNA; leave kind out or give a text file")
    chosen: Kind = kind or ("dna" if sequences else "text")
    return _Plan(path.name, chosen, form, path, column=column, source=str(path))


def _suffixed(path: Path) -> bool:
    """Whether any part of the name is a known extension, so that a missing file is not taken for a corpus."""
    return any(suffix.lower() in FORMATS for suffix in path.suffixes)


def _path_and_column(source: str, column: str | None) -> tuple[Path, str | None]:
    """Split ``PATH:COLUMN``, unless a file has that very name."""
    path = Path(source).expanduser()
    head, colon, tail = source.rpartition(":")
    if path.exists() or not colon or not tail or not _suffixed(Path(head)):
        return path, column
    return Path(head).expanduser(), column or tail


def _from_registry(name: str, entry: Entry, kind: Kind | None, max_symbols: int | None, progress: bool) -> _Plan:
    if kind not in (None, entry.kind):
        raise GfmError(f"corpus {name!r} is of kind {entry.kind!r}, not {kind!r}; leave kind out")
    if entry.hub is not None and max_symbols is None:
        raise GfmError(f"corpus {name!r} is streamed and has no end; say how much of it with max_symbols")
    return _Plan(
        name, entry.kind, entry.format, None if entry.hub else fetch(name, progress), entry.hub, entry.column,
        entry.encoding, entry.repairs, entry.licence, entry.citation, str(entry.sources[0]),
    )  # fmt: skip


def _assembled(plan: _Plan, max_symbols: int | None, progress: bool) -> Assembled:
    """Read and clean."""
    pairs: Iterable[tuple[str, str]]
    if plan.stream is not None:
        assert max_symbols is not None
        pairs = hub.stream(plan.name, plan.stream, max_symbols)
    else:
        assert plan.path is not None
        pairs = records(plan.path, plan.form, plan.column, plan.encoding)
    if plan.kind == "text":
        bar = tqdm(pairs, desc=plan.name, unit=" records", leave=False, disable=None if progress else True)
        return text_segments(bar, max_symbols, plan.repairs)
    if plan.stream is not None or plan.form not in ("fasta", "fastq"):
        pairs = ((name, "".join(text.split())) for name, text in pairs)
    return dna_segments(pairs, max_symbols, partial(_place, plan), plan.source)


def _place(plan: _Plan, number: int, letter: str) -> str:
    """Line of a FASTA file where a letter first stands in a record; only looked for to word an error."""
    if plan.form != "fasta" or plan.path is None:
        return ""
    record = -1
    for count, line in enumerate(lines(plan.path), start=1):
        if line.startswith(">"):
            record += 1
        elif record == number and letter in line:
            return f", line {count},"
    return ""
