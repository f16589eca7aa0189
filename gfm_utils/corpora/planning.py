"""Planning: from the name, path or address that a user gives to the files that are read, and how."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gfm_utils.corpora import hub
from gfm_utils.corpora.addresses import is_address, parse_address, split_kind
from gfm_utils.corpora.cleaning import looks_like_dna, looks_like_protein
from gfm_utils.corpora.fetching import fetch
from gfm_utils.corpora.opening import COMPRESSED, no_file, packed_names, size_of
from gfm_utils.corpora.readers import (
    KNOWN,
    TABLES,
    Chunks,
    chunks,
    format_named,
    format_of,
    joined,
    known_format,
)
from gfm_utils.corpora.registry import Format, HubSource, find, registry
from gfm_utils.corpora.segments import FORMAT, READER, Kind
from gfm_utils.corpora.sequences import PROTEIN_SHARE, translated
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, is_there, reading, sha256_once

#: Formats that hold sequences.
SEQUENCES = ("fasta", "fastq")
#: A table or a text holds DNA if so many first characters of so many records look like it.
_SEEN, _SEEN_RECORDS = 10_000, 1_000
_EXPANSION = 4  # a compressed file is taken to hold so many times its bytes


@dataclass(frozen=True)
class Plan:
    """How one source is to be read."""

    name: str  # in the registry, or of the file or directory
    kind: Kind
    form: Format  # of the source; of a directory, that of its first file
    files: tuple[tuple[Path, Format], ...]  # what is read, in this order; empty for a stream
    folder: Path | None = None  # the directory, or the zip archive of several files, if one was given
    stream: HubSource | None = None  # the data set of the hub, if it is one
    column: str | None = None
    encoding: str = "utf-8"  # of text files
    repairs: tuple[str, ...] = ()  # of text, by name
    licence: str = "unknown"
    citation: str = ""
    source: str = ""  # where it comes from, in words
    registered: bool = False
    translate: bool = False  # its files hold coding sequences, which are translated

    def key(self, max_symbols: int | None) -> str:
        """SHA-256 over the source's bytes, how they are read, and ``FORMAT``, as 64 hexadecimal digits.

        Of a stream the bytes are those that are kept of it, which are streamed now if need be.

        Raises:
            GfmError: all of a stream is asked for, or it cannot be had.
        """
        options: dict[str, Any] = {
            "format": FORMAT, "kind": self.kind, "form": self.form, "column": self.column,
            "encoding": self.encoding, "repairs": self.repairs, "max_symbols": max_symbols,
        }  # fmt: skip
        if self.files and not self.registered:
            options["reader"] = READER
        if self.translate:
            options["translate"] = "standard code"
        if self.stream is not None:
            part = self.streamed(max_symbols)
            options |= {"stream": self.stream.model_dump(), "revision": part.revision, "sha256": part.sha256}
        elif self.folder is not None and self.folder.is_dir():
            options["files"] = {str(path.relative_to(self.folder)): sha256_once(path) for path, _ in self.files}
        else:
            options["sha256"] = sha256_once(self.folder or self.files[0][0])
        return digest(options, length=64)

    def streamed(self, max_symbols: int | None) -> hub.Part:
        """The first records of a stream, which are streamed now if they are not in the cache.

        Raises:
            GfmError: all of it is asked for, or it cannot be had.
        """
        assert self.stream is not None
        if max_symbols is None:
            raise GfmError(f"corpus {self.name!r} is streamed and has no end; say how much of it with max_symbols")
        return hub.first_part(self.name, self.stream, max_symbols)

    @property
    def parts(self) -> Sequence[tuple[Path, Format] | None]:
        """What is read one after the other: the files, or the stream, which is None."""
        return self.files or (None,)

    def chunks(
        self, file: tuple[Path, Format] | None, max_symbols: int | None, limit: int | None = None
    ) -> Chunks:
        """What is in one of ``parts``, see :func:`gfm_utils.corpora.readers.chunks`.

        No more of a stream is read than ``max_symbols``, and of a text file than about ``limit`` characters.

        Raises:
            GfmError: as there; of the file of an address it says so of the address.
        """
        if file is None:
            read: Chunks = iter(self.streamed(max_symbols))
        else:
            read = chunks(*file, self.column, self.encoding, limit, genes=self.translate)
        if self.kind != "text" and not (file and file[1] in SEQUENCES):  # numbers of positions are no sequence
            read = ((name, re.sub(r"[\s0-9]+", "", text)) for name, text in read)
        if self.translate:
            read = translated(joined(read))
        if self.kind == "protein":  # the gaps of an alignment
            read = ((name, re.sub("[-.]+", "", text)) for name, text in read)
        with _named_by_address(self.source, file[0] if file else Path()):
            yield from read

    @property
    def symbols(self) -> int | None:
        """About how many symbols the source holds, from the sizes of its files; None for a stream."""
        if self.stream is not None:
            return None
        return sum(
            size_of(path) * (_EXPANSION if path.suffix.lower() in COMPRESSED else 1) for path, _ in self.files
        )

    def limit(self, max_symbols: int | None) -> int | None:
        """How many symbols are read of a stream if so many are used; None for files, which are read whole."""
        return max_symbols if self.stream is not None else None


def plan(source: str, progress: bool = False) -> Plan:
    """Find out how a source is to be read; a corpus of the registry or on the web is fetched.

    Args:
        source: a name of the registry, the path of a file or directory, or the address of a file on the web or
            of a data set of the hub (:mod:`gfm_utils.corpora.addresses`). Behind a path may stand the column of a
            table and what it holds, ``PATH:COLUMN?kind=dna``; without the kind the extension says it, or of a text
            or a table its first characters.
        progress: show a download on standard error.

    Raises:
        GfmError: unknown corpus, no such file, failed download, unknown extension, wrong address, or a directory
            without corpus files or of both kinds.
    """
    form: Format
    if is_address(source):
        address = parse_address(source)
        column, kind, name = address.column, address.kind, address.name
        if isinstance(address.source, HubSource):
            form = "text" if kind in (None, "text") else "fasta"
            return Plan(name, kind or "text", form, (), stream=address.source, source=source)
        path, place = fetch(source, progress), str(address.source.sources[0])
    elif (given := _given(source)) is None:
        entry = find(source)
        files, folder = ((), None) if entry.hub else files_of(fetch(source, progress), entry.format)
        return Plan(
            source, entry.kind, entry.format, files, folder, entry.hub, entry.column, entry.encoding,
            entry.repairs, entry.licence, entry.citation, str(entry.sources[0]), registered=True,
            translate=entry.translate,
        )  # fmt: skip
    else:
        path, column, kind = given
        place, name = str(path), path.name or path.resolve().name
        if not is_there(path):
            raise no_file(path)
    with _named_by_address(place, path):
        files, folder = (files_below(path), path) if path.is_dir() else files_of(path)
        kind = _kind(str(path), files[0], column, kind)
    return Plan(name, kind, files[0][1], files, folder, column=column, source=place)


@contextmanager
def _named_by_address(source: str, path: Path) -> Iterator[None]:
    """Errors of a file that was fetched from an address say so."""
    try:
        yield
    except GfmError as error:
        if not is_address(source) or str(path) not in str(error):
            raise
        sentence = str(error).replace(str(path), source)
        raise GfmError(f"{sentence} (it is kept as {path}: delete that to download it again)") from None


def _kind(place: str, file: tuple[Path, Format], column: str | None, asked: Kind | None) -> Kind:
    """Kind of what a file holds: FASTA by its letters or name; a text or a column that is a sequence is DNA."""
    path, form = file
    if (form in SEQUENCES and asked == "text") or (form == "fastq" and asked == "protein"):
        holds = "sequences" if form == "fasta" else "DNA"
        raise GfmError(f"{place} is {form.upper()}, which holds {holds}; leave kind out or give another file")
    if column is not None and form not in TABLES:
        raise GfmError(f"{place} is no table and has no column {column!r}; leave out what stands behind the colon")
    if asked is not None or form == "mediawiki":
        return asked or "text"
    begin = ""
    with suppress(GfmError, OSError):  # what is wrong with the file is told when it is read
        for _, text in islice(chunks(path, form, column, limit=_SEEN), _SEEN_RECORDS):
            begin += text[:_SEEN]
            if len(begin) >= _SEEN:
                break
    if form == "fasta":
        named = ".faa" in (suffix.lower() for suffix in path.suffixes)
        return "protein" if named or looks_like_protein(begin, PROTEIN_SHARE) else "dna"
    return "dna" if form == "fastq" or looks_like_dna(begin) else "text"


def check_there(source: str) -> None:
    """Refuse a corpus that is not there, before anything is read or fetched.

    Raises:
        GfmError: no corpus, file or directory has that name, or the address is wrong.
    """
    if is_address(source):
        parse_address(source)
    elif (given := _given(source)) is None:
        find(source)
    elif not is_there(given[0]):
        raise no_file(given[0])


def user_path(source: str) -> tuple[Path, str] | None:
    """The user's file or directory that a corpus is read from, and what stands behind its path; else None.

    Behind it stand the column (``:COLUMN``) and the kind (``?kind=dna``), or nothing. None for a name of the
    registry, and for an address.

    Raises:
        GfmError: a kind that there is not.
    """
    given = None if is_address(source) else _given(source)
    if given is None or not is_there(given[0]):
        return None
    path, column, kind = given
    return path, (f":{column}" if column else "") + (f"?kind={kind}" if kind else "")


def files_below(folder: Path) -> tuple[tuple[Path, Format], ...]:
    """The corpus files in a directory and all below it, sorted by their paths, and their formats.

    Hidden files, files of hidden directories and files with other extensions are passed over.

    Raises:
        GfmError: there are none, one cannot be read, or the directory mixes sequences with text, or several
            formats of text.
    """

    def refuse(error: OSError) -> None:
        raise error

    with reading(folder):  # a directory that may not be read is told, and not passed over
        places = [Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names]
    shown = (path for path in places if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    below = sorted(path for path in shown if path.is_file())
    files = tuple((path, format_of(path)) for path in below if known_format(path))
    _check_alike(f"directory {folder}", folder, files, len(below))
    return files


def files_of(path: Path, form: Format | None = None) -> tuple[tuple[tuple[Path, Format], ...], Path | None]:
    """A file and its format, or those of a zip archive of several and the archive.

    Their format is ``form``, or as the extension of each says (those with an unknown one are passed over), or
    that of the archive in front of ``.zip``.

    Raises:
        GfmError: as of :func:`files_below`.
    """
    names = (packed_names(path) or ()) if path.suffix.lower() == ".zip" else ()
    if len(names) < 2:
        return ((path, form or format_of(path)),), None
    if form is None and not any(map(format_named, names)):
        form = format_named(path.name)
    forms = ((path / name, form or format_named(name)) for name in names)
    files = tuple((inside, known) for inside, known in forms if known)
    _check_alike(f"zip archive {path}", path, files, len(names))
    return files, path


def _check_alike(what: str, folder: Path, files: tuple[tuple[Path, Format], ...], count: int) -> None:
    """Refuse a directory or an archive that has no corpus among so many files, or several kinds of them."""
    if not files:
        none = f"none of its {count} files" if count else "no file"
        raise GfmError(f"{what} holds no corpus: {none} has a known extension; known are {KNOWN}")
    kinds = {"sequences" if form in SEQUENCES else form: path for path, form in reversed(files)}
    if len(kinds) > 1:
        mixed = " and ".join(f"{kind} ({path.relative_to(folder)})" for kind, path in sorted(kinds.items()))
        raise GfmError(f"{what} mixes {mixed}; give files of one kind")


def _given(source: str) -> tuple[Path, str | None, Kind | None] | None:
    """Path, column and kind of a source that is no address; None if it is a name of the registry.

    Column and kind are split off, unless a file has that very name.
    """
    path, column, kind = _expanded(source), None, None
    if not is_there(path):
        plain, kind = split_kind(source)
        path = _expanded(plain)
        head, _, tail = plain.rpartition(":")
        before = _expanded(head)
        if head and tail and not is_there(path) and (known_format(before) or before.is_dir()):
            path, column = before, tail
    names_path = is_there(path) or "/" in source or "\\" in source or known_format(path)
    return (path, column, kind) if names_path and source not in registry() else None


def _expanded(text: str) -> Path:
    """A path, with the home folder in place of ``~``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise GfmError(f"{text}: no home folder is known for its ~; give the whole path") from None
