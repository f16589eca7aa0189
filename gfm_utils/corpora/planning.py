"""Planning: from the name, path or address that a user gives to the files that are read, and how."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
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
    FORMATS,
    KNOWN,
    TABLES,
    Stretches,
    format_named,
    format_of,
    joined,
    known_format,
    stretches,
)
from gfm_utils.corpora.registry import Format, HubSource, find, registry
from gfm_utils.corpora.segments import FORMAT, READER, Kind
from gfm_utils.corpora.sequences import PROTEIN_SHARE, translated, without_gaps, without_spaces
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, is_there, reading, sha256_once

#: Formats that hold sequences.
SEQUENCES = ("fasta", "fastq")
#: Whether a table or a text holds DNA is seen in so many first characters, and in no more than so many records.
_SEEN, _SEEN_RECORDS = 10_000, 1_000
#: A compressed file is taken to hold so many times its bytes.
_EXPANSION = 4


@dataclass(frozen=True)
class Plan:
    """How one source is to be read.

    Attributes:
        name: name in the registry, or of the file or directory.
        kind: of the corpus.
        form: format of the source; of a directory, that of its first file.
        files: what is read, in this order, and the format of each; empty for a stream.
        folder: the directory, or the zip archive of several files, that they were found in, if one was given.
        stream: the data set of the hub, if it is one.
        column: column of a table.
        encoding: of text files.
        repairs: named repairs of text.
        licence: of the source.
        citation: how to cite it.
        source: where it comes from, in words.
        registered: it is a corpus of the registry.
        translate: its files hold coding sequences, which are translated.
    """

    name: str
    kind: Kind
    form: Format
    files: tuple[tuple[Path, Format], ...]
    folder: Path | None = None
    stream: HubSource | None = None
    column: str | None = None
    encoding: str = "utf-8"
    repairs: tuple[str, ...] = ()
    licence: str = "unknown"
    citation: str = ""
    source: str = ""
    registered: bool = False
    translate: bool = False

    def key(self, max_symbols: int | None) -> str:
        """SHA-256 over the source's bytes, how they are read, and ``FORMAT``, as 64 hexadecimal digits.

        Of a stream the bytes are those that are kept of it, which are streamed now if need be.

        Args:
            max_symbols: how much of the source is read; None: all.

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

    def stretches(
        self, file: tuple[Path, Format] | None, max_symbols: int | None, limit: int | None = None
    ) -> Stretches:
        """What is in a file, or in the stream, see :func:`gfm_utils.corpora.readers.stretches`.

        Args:
            file: one of ``parts``.
            max_symbols: read no more of a stream than so many symbols.
            limit: read no more than about so many characters of a text file.

        Raises:
            GfmError: as there; of the file of an address it says so of the address.
        """
        if file is None:
            read: Stretches = iter(self.streamed(max_symbols))
        else:
            read = stretches(*file, self.column, self.encoding, limit, genes=self.translate)
        if self.kind != "text" and not (file and file[1] in SEQUENCES):
            read = without_spaces(read)
        if self.translate:
            read = translated(joined(read))
        if self.kind == "protein":
            read = without_gaps(read)
        with _naming(self.source, file[0]) if file and is_address(self.source) else nullcontext():
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
    if is_address(source):
        return _from_address(source, progress)
    given = _given(source)
    if given is None:
        entry = find(source)
        fetched, folder = ((), None) if entry.hub else files_of(fetch(source, progress), entry.format)
        return Plan(
            source, entry.kind, entry.format, fetched, folder, entry.hub, entry.column, entry.encoding,
            entry.repairs, entry.licence, entry.citation, str(entry.sources[0]), registered=True,
            translate=entry.translate,
        )  # fmt: skip
    path, column, kind = given
    if not is_there(path):
        raise no_file(path)
    files, folder = (files_below(path), path) if path.is_dir() else files_of(path)
    kind = _kind(str(path), files[0], column, kind)
    name = path.name or path.resolve().name
    return Plan(name, kind, files[0][1], files, folder, column=column, source=str(path))


def _from_address(source: str, progress: bool) -> Plan:
    address = parse_address(source)
    if isinstance(address.source, HubSource):
        form: Format = "text" if address.kind in (None, "text") else "fasta"
        return Plan(address.name, address.kind or "text", form, (), stream=address.source, source=source)
    path, place = fetch(source, progress), str(address.source.sources[0])
    with _naming(place, path):
        files, folder = files_of(path)
        kind = _kind(str(path), files[0], address.column, address.kind)
    return Plan(address.name, kind, files[0][1], files, folder, column=address.column, source=place)


@contextmanager
def _naming(address: str, path: Path) -> Iterator[None]:
    try:
        yield
    except GfmError as error:
        if str(path) not in str(error):
            raise
        sentence = str(error).replace(str(path), address)
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
    begin = _beginning(path, form, column)
    if form == "fasta":
        named = ".faa" in (suffix.lower() for suffix in path.suffixes)
        return "protein" if named or looks_like_protein(begin, PROTEIN_SHARE) else "dna"
    return "dna" if form == "fastq" or looks_like_dna(begin) else "text"


def check_there(source: str) -> None:
    """Refuse a corpus that is not there, before anything is read or fetched; of an address, one that is none.

    Raises:
        GfmError: no corpus, file or directory has that name, or the address is wrong.
    """
    if is_address(source):
        parse_address(source)
    elif (given := _given(source)) is None:
        find(source)
    elif not is_there(given[0]):
        raise no_file(given[0])


def _beginning(path: Path, form: Format, column: str | None) -> str:
    """The beginning of a file or a column; what is wrong with the file is told when it is read."""
    begin = ""
    with suppress(GfmError, OSError):
        for _, text in islice(stretches(path, form, column, limit=_SEEN), _SEEN_RECORDS):
            begin += text[:_SEEN]
            if len(begin) >= _SEEN:
                break
    return begin


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
    below = sorted(path.relative_to(folder) for path in places if path.is_file())
    below = [path for path in below if not any(part.startswith(".") for part in path.parts)]
    files = tuple(
        (folder / path, format_of(folder / path)) for path in below if _suffixed(path) and known_format(path)
    )
    _check_alike(f"directory {folder}", folder, files, len(below))
    return files


def files_of(path: Path, form: Format | None = None) -> tuple[tuple[tuple[Path, Format], ...], Path | None]:
    """A file and its format, or those of a zip archive of several and the archive.

    Args:
        path: a file that is there.
        form: of all files in the archive; None: as the extension of each says (those with an unknown one are
            passed over), or that of the archive in front of ``.zip``.

    Raises:
        GfmError: as of :func:`files_below`.
    """
    names = (packed_names(path) or ()) if path.suffix.lower() == ".zip" else ()
    if len(names) < 2:
        return ((path, form or format_of(path)),), None
    if form is None and not any(map(format_named, names)):
        form = format_named(path.name)
    forms = [(path / name, form or format_named(name)) for name in names]
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


def _suffixed(path: Path) -> bool:
    """Whether any part of the name is a known extension, so that a missing file is not taken for a corpus."""
    return any(suffix.lower() in (*FORMATS, ".zip") for suffix in path.suffixes)


def _given(source: str) -> tuple[Path, str | None, Kind | None] | None:
    """Path, column and kind of a source that is no address; None if it is a name of the registry."""
    path, column, kind = _split_off(source)
    names_path = is_there(path) or "/" in source or "\\" in source or _suffixed(path)
    return (path, column, kind) if names_path and source not in registry() else None


def _split_off(source: str) -> tuple[Path, str | None, Kind | None]:
    """Split off column and kind, unless a file has that very name."""
    path = _expanded(source)
    if is_there(path):
        return path, None, None
    plain, kind = split_kind(source)
    head, _, column = plain.rpartition(":")
    path, before = _expanded(plain), _expanded(head)
    if head and column and not is_there(path) and (_suffixed(before) or before.is_dir()):
        return before, column, kind
    return path, None, kind


def _expanded(text: str) -> Path:
    """A path, with the home folder in place of ``~``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise GfmError(f"{text}: no home folder is known for its ~; give the whole path") from None
