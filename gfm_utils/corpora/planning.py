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
from gfm_utils.corpora.opening import archive_of, expected_size, no_file, packed_names
from gfm_utils.corpora.readers import KNOWN, TABLES, Chunks, chunks, format_named, joined, known_format
from gfm_utils.corpora.registry import Format, HubSource, find, registry
from gfm_utils.corpora.segments import FORMAT, READER, Kind
from gfm_utils.corpora.sequences import PROTEIN_SHARE, translated
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, is_there, reading, sha256_once

#: Formats that hold sequences.
SEQUENCES = ("fasta", "fastq")
#: A table or a text holds DNA if so many first characters of so many records look like it.
_SEEN, _SEEN_RECORDS = 10_000, 1_000

#: A file, or one inside a zip archive, and its format.
File = tuple[Path, Format]


@dataclass(frozen=True)
class Plan:
    """How one source is to be read."""

    name: str  # in the registry, or of the file or directory
    kind: Kind
    form: Format  # of the source; of a directory, that of its first file
    files: tuple[File, ...]  # what is read, in this order; empty for a stream
    folder: Path | None = None  # the directory, if one was given
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
        """SHA-256 over the source's bytes (of a stream, of its first part), how they are read, and ``FORMAT``.

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
        packed = [archive_of(path)[0] for path, _ in self.files]
        if self.stream is not None:
            part = self.streamed(max_symbols)
            options |= {"stream": self.stream.model_dump(), "revision": part.revision, "sha256": part.sha256}
        elif self.folder is not None:
            options["files"] = {str(path.relative_to(self.folder)): sha256_once(path) for path in packed}
        else:
            options["sha256"] = sha256_once(packed[0])
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
    def parts(self) -> Sequence[File | None]:
        """What is read one after the other: the files, or the stream, which is None."""
        return self.files or (None,)

    def chunks(self, file: File | None, max_symbols: int | None, limit: int | None = None) -> Chunks:
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
        return sum(expected_size(path) for path, _ in self.files) if self.files else None

    def limit(self, max_symbols: int | None) -> int | None:
        """How many symbols are read of a stream if so many are used; None for files, which are read whole."""
        return max_symbols if self.stream is not None else None


def plan(source: str, progress: bool = False) -> Plan:
    """Find out how a source (see :func:`gfm_utils.corpora.load`) is to be read, and fetch it if need be.

    Raises:
        GfmError: unknown corpus, no such file, failed download, unknown extension, wrong address, or a directory
            without corpus files or of both kinds.
    """
    if is_address(source):
        name, remote, column, kind = parse_address(source)
        if isinstance(remote, HubSource):
            form: Format = "text" if kind in (None, "text") else "fasta"
            return Plan(name, kind or "text", form, (), stream=remote, source=source)
        path, place = fetch(source, progress), str(remote.sources[0])
    elif (given := _given(source)) is None:
        entry = find(source)
        files = () if entry.hub else files_of(fetch(source, progress), entry.format)
        return Plan(
            source, entry.kind, entry.format, files, None, entry.hub, entry.column, entry.encoding, entry.repairs,
            entry.licence, entry.citation, str(entry.sources[0]), registered=True, translate=entry.translate,
        )  # fmt: skip
    else:
        path, column, kind = given
        place, name = str(path), path.name or path.resolve().name
    with _named_by_address(place, path):
        files = files_of(path)
        kind = _kind(str(path), files[0], column, kind)
    folder = path if path.is_dir() else None
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


def _kind(place: str, file: File, column: str | None, asked: Kind | None) -> Kind:
    """Kind of what a file holds: FASTA by its letters or name; a text or a column that is a sequence is DNA."""
    path, form = file
    if (form in SEQUENCES and asked == "text") or (form == "fastq" and asked == "protein"):
        raise GfmError(f"{place} is {form.upper()}, which holds no {asked}; leave kind out or give another file")
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
    """The user's file or directory that a corpus is read from, and what stands behind its path.

    That is the column (``:COLUMN``) and the kind (``?kind=dna``), or nothing. None for a name of the registry, and
    for an address.

    Raises:
        GfmError: a kind that there is not.
    """
    given = None if is_address(source) else _given(source)
    if given is None or not is_there(given[0]):
        return None
    path, column, kind = given
    return path, (f":{column}" if column else "") + (f"?kind={kind}" if kind else "")


def files_of(path: Path, form: Format | None = None) -> tuple[File, ...]:
    """The files that a corpus is read from, in the order of their paths, and their formats.

    Of a directory these are all files below it, and of a zip archive those inside, without hidden ones and those
    with an unknown extension. The format is ``form``, or as the extension says; if that of no file in an archive
    does, as the name of the archive in front of ``.zip`` does.

    Raises:
        GfmError: there are none, one cannot be read, or they mix sequences with text, or several formats of text.
    """
    if path.is_dir():
        what, below = "directory", _below(path)
        files = tuple(file for each in below if known_format(each) for file in files_of(each))
    elif (names := packed_names(path)) is not None:
        what, below = "zip archive", [path / name for name in names]
        if form is None and not any(map(format_named, names)):
            form = format_named(path.name)
        files = tuple((each, known) for each in below if (known := form or format_named(each.name)))
    elif only := form or format_named(path.name):
        return ((path, only),)
    else:
        raise GfmError(f"{path} has an unknown extension; known are {KNOWN}")
    if not files:
        none = f"none of its {len(below)} files" if below else "no file"
        raise GfmError(f"{what} {path} holds no corpus: {none} has a known extension; known are {KNOWN}")
    kinds = {"sequences" if known in SEQUENCES else known: file for file, known in reversed(files)}
    if len(kinds) > 1:
        mixed = " and ".join(f"{kind} ({file.relative_to(path)})" for kind, file in sorted(kinds.items()))
        raise GfmError(f"{what} {path} mixes {mixed}; give files of one kind")
    return files


def _below(folder: Path) -> list[Path]:
    """The files in a directory and all below it, without hidden ones."""

    def refuse(error: OSError) -> None:
        raise error

    with reading(folder):  # a directory that may not be read is told, and not passed over
        places = [Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names]
    shown = (path for path in places if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in shown if path.is_file())


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
    return Path(os.path.expanduser(text))  # noqa: PTH111 an unknown user's ~ stays, and is no file
