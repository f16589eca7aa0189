"""Planning: from the name, path or address that a user gives to the files that are read, and how."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfm_utils.corpora import hub
from gfm_utils.corpora.addresses import WebAddress, is_address, parse_address
from gfm_utils.corpora.fetching import fetch
from gfm_utils.corpora.readers import COMPRESSED, FORMATS, format_of, known_format, no_file
from gfm_utils.corpora.registry import Entry, Format, HubSource, find, registry
from gfm_utils.corpora.segments import FORMAT, Kind
from gfm_utils.errors import GfmError
from gfm_utils.files import digest, sha256_of

#: Formats that hold sequences.
SEQUENCES = ("fasta", "fastq")
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
        folder: the directory that the files were found in, if one was given.
        stream: the data set of the hub, if it is one.
        column: column of a table.
        encoding: of text files.
        repairs: named repairs of text.
        licence: of the source.
        citation: how to cite it.
        source: where it comes from, in words.
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

    def key(self, max_symbols: int | None) -> str:
        """SHA-256 over the source's bytes, how they are read, and ``FORMAT``, as 64 hexadecimal digits.

        Of a stream the bytes are those that are kept of it, which are streamed now if need be.

        Args:
            max_symbols: how much of the source is read; None: all.

        Raises:
            GfmError: all of a stream is asked for, or it cannot be had.
        """
        if self.stream is not None and max_symbols is None:
            raise GfmError(f"corpus {self.name!r} is streamed and has no end; say how much of it with max_symbols")
        options: dict[str, Any] = {
            "format": FORMAT, "kind": self.kind, "form": self.form, "column": self.column,
            "encoding": self.encoding, "repairs": self.repairs, "max_symbols": max_symbols,
        }  # fmt: skip
        if self.stream is not None:
            part = hub.keep(self.name, self.stream, max_symbols)
            options |= {"stream": self.stream.model_dump(), "revision": part.revision, "sha256": part.sha256}
        elif self.folder is not None:
            options["files"] = {str(path.relative_to(self.folder)): sha256_of(path) for path in self.paths}
        else:
            options["sha256"] = sha256_of(self.paths[0]) if self.paths[0].is_file() else None
        return digest(options, length=64)

    @contextmanager
    def told(self) -> Iterator[None]:
        """What is wrong with the file of an address is said of the address, with the file's place in the cache.

        Raises:
            GfmError: as raised inside, reworded.
        """
        try:
            yield
        except GfmError as error:
            place = str(self.paths[0]) if self.files else ""
            if not (is_address(self.source) and place in str(error)) or not place:
                raise
            told = str(error).replace(place, self.source)
            raise GfmError(f"{told} (it is kept as {place}: delete that to download it again)") from None

    @property
    def paths(self) -> list[Path]:
        """The files alone."""
        return [path for path, _ in self.files]

    @property
    def symbols(self) -> int | None:
        """About how many symbols the source holds, from the sizes of its files; None for a stream."""
        if self.stream is not None:
            return None
        return sum(
            path.stat().st_size * (_EXPANSION if path.suffix.lower() in (*COMPRESSED, ".zip") else 1)
            for path in self.paths
            if path.is_file()
        )

    def limit(self, max_symbols: int | None) -> int | None:
        """How many symbols are read of a stream if so many are used; None for files, which are read whole."""
        return max_symbols if self.stream is not None else None


def plan(source: str, kind: Kind | None = None, column: str | None = None, progress: bool = False) -> Plan:
    """Find out how a source is to be read; a corpus of the registry or on the web is fetched.

    Args:
        source: a name of the registry, the path of a file or directory, or the address of a file on the web or
            of a data set of the hub (:mod:`gfm_utils.corpora.addresses`).
        kind: ``"text"`` or ``"dna"``; None: what the registry or the extension says.
        column: column of a table.
        progress: show a download on standard error.

    Raises:
        GfmError: unknown corpus, failed download, unknown extension, wrong address, or a directory without corpus
            files or of both kinds.
    """
    if is_address(source):
        return _from_address(source, kind, column, progress)
    path, column = _path_and_column(source, column)
    if not _names_path(source, path):
        return _from_registry(source, find(source), kind, progress)
    folder = path if path.is_dir() else None
    found = files_below(path) if folder else ((path, format_of(path)),)
    name, chosen = path.name or path.resolve().name, _kind(str(path), found[0][1], kind)
    return Plan(name, chosen, found[0][1], found, folder, column=column, source=str(path))


def _from_address(source: str, kind: Kind | None, column: str | None, progress: bool) -> Plan:
    address = parse_address(source)
    if isinstance(address, WebAddress):
        chosen = _kind(address.url, address.form, kind)
        files = ((fetch(source, progress), address.form),)
        return Plan(address.file, chosen, address.form, files, column=column or address.column, source=address.url)
    if None not in (kind, address.kind) and kind != address.kind:
        raise GfmError(f"{source} is of kind {address.kind!r}, not {kind!r}; leave kind out")
    chosen = kind or address.kind or "text"
    form: Format = "fasta" if chosen == "dna" else "text"
    return Plan(address.name, chosen, form, (), stream=address.source, source=source)


def _kind(place: str, form: Format, asked: Kind | None) -> Kind:
    """Kind of a file of that format; sequences are DNA, and a table of DNA is text unless asked for."""
    if form in SEQUENCES and asked == "text":
        raise GfmError(f"{place} is {form.upper()}, which holds DNA; leave kind out or give a text file")
    return asked or ("dna" if form in SEQUENCES else "text")


def check_there(source: str) -> None:
    """Refuse a corpus that is not there, before anything is read or fetched; of an address, one that is none.

    Raises:
        GfmError: no corpus, file or directory has that name, or the address is wrong.
    """
    if is_address(source):
        parse_address(source)
        return
    path, _ = _path_and_column(source, None)
    if not _names_path(source, path):
        find(source)
    elif not path.exists():
        raise no_file(path)


def _names_path(source: str, path: Path) -> bool:
    """Whether a source that is no address is a path, rather than a name of the registry."""
    there = path.exists() or "/" in source or "\\" in source or _suffixed(path)
    return there and source not in registry()


def user_path(source: str) -> tuple[Path, str | None] | None:
    """The user's file or directory that a corpus is read from and its column, if one is named; else None.

    None for a name of the registry, and for an address.
    """
    if is_address(source):
        return None
    path, column = _path_and_column(source, None)
    return (path, column) if path.exists() and source not in registry() else None


def address_key(source: str, max_symbols: int | None) -> str | None:
    """Key of a corpus that is given by an address, over the bytes that are kept of it; None for any other source.

    Args:
        source: see :func:`plan`.
        max_symbols: how much is read of a stream.

    Raises:
        GfmError: it is not kept yet and cannot be had.
    """
    if not is_address(source):
        return None
    read = plan(source)
    return read.key(read.limit(max_symbols))


def files_below(folder: Path) -> tuple[tuple[Path, Format], ...]:
    """The corpus files in a directory and all below it, sorted by their paths, and their formats.

    Hidden files, files of hidden directories and files with other extensions are passed over.

    Raises:
        GfmError: there are none, or the directory mixes sequences with text, or several formats of text.
    """
    below = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    below = [path for path in below if not any(part.startswith(".") for part in path.parts)]
    found = tuple((folder / path, format_of(path)) for path in below if _suffixed(path) and known_format(path))
    if not found:
        what = f"none of its {len(below)} files" if below else "no file"
        raise GfmError(
            f"directory {folder} holds no corpus: {what} has one of the extensions {', '.join(FORMATS)} (each "
            "also with .gz or .bz2)"
        )
    kinds = {"sequences" if form in SEQUENCES else form: path for path, form in reversed(found)}
    if len(kinds) > 1:
        mixed = " and ".join(f"{kind} ({path.relative_to(folder)})" for kind, path in sorted(kinds.items()))
        raise GfmError(f"directory {folder} mixes {mixed}; keep files of one kind in it")
    return found


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


def _from_registry(name: str, entry: Entry, kind: Kind | None, progress: bool) -> Plan:
    if kind not in (None, entry.kind):
        raise GfmError(f"corpus {name!r} is of kind {entry.kind!r}, not {kind!r}; leave kind out")
    files = () if entry.hub else ((fetch(name, progress), entry.format),)
    return Plan(
        name, entry.kind, entry.format, files, None, entry.hub,
        entry.column, entry.encoding, entry.repairs, entry.licence, entry.citation, str(entry.sources[0]),
    )  # fmt: skip
