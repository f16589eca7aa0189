"""Readers: a file of any supported format -> its records, as (name, text) pairs."""

import bz2
import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import dnaio
import pandas as pd
import pyarrow.parquet as pq

from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.wiki import articles
from gfm_utils.errors import GfmError

Records = Iterator[tuple[str, str]]

FORMATS: dict[str, Format] = {
    ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta", ".ffn": "fasta", ".fas": "fasta", ".faa": "fasta",
    ".fq": "fastq", ".fastq": "fastq",
    ".txt": "text", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".xml": "mediawiki", ".zip": "csv",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2")
#: Bytes that are read at once.
READ = 1 << 20
_ROWS = 1000  # of a table that are held at once
#: Columns that are meant when none is named.
#: Formats whose columns have names.
TABLES = ("csv", "tsv", "parquet")
_USUAL_COLUMNS = ("text", "sequence", "content")


def format_of(path: Path) -> Format:
    """The format that a file's extension says, looking through .gz and .bz2.

    Raises:
        GfmError: unknown extension.
    """
    suffix = Path(path.stem).suffix if path.suffix.lower() in COMPRESSED else path.suffix
    if suffix.lower() not in FORMATS:
        raise GfmError(
            f"{path} has the unknown extension {suffix!r}; known are {', '.join(FORMATS)} "
            "(each also with .gz or .bz2)"
        )
    return FORMATS[suffix.lower()]


def known_format(path: Path) -> bool:
    """Whether the extension says a format, looking through .gz and .bz2."""
    try:
        format_of(path)
    except GfmError:
        return False
    return True


def records(
    path: Path, form: Format, column: str | None = None, encoding: str = "utf-8", limit: int | None = None
) -> Records:
    """Records of a file, as they stand in it (not cleaned), one in memory at a time.

    Args:
        path: the file, plain or compressed with gzip, bzip2 or (one member) zip, whatever its extension says.
        form: how to read it.
        column: column of a CSV, TSV or Parquet file; None: ``text``, ``sequence`` or ``content``, or the only
            one.
        encoding: of text files.
        limit: read no more than about so many characters of a text file.

    Yields:
        Name and content of each record. A text file is one record; a table gives one record a row.

    Raises:
        GfmError: missing, empty, truncated, in another encoding or another format; says where.
    """
    with opened(path) as handle:
        match form:
            case "fasta" | "fastq":
                yield from _sequences(path, handle, form)
            case "text":
                yield path.name, _joined(decoded(path, handle, encoding), limit)
            case "mediawiki":
                yield from articles(handle, str(path))
            case _:
                yield from _column(path, handle, form, column, encoding)


def no_file(path: Path) -> GfmError:
    """Error for the path of a corpus where there is none."""
    return GfmError(f"no file {path}; give the path of a file, or the name of a corpus ('gfm corpora' lists them)")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed; damage met while they are read becomes one sentence.

    Raises:
        GfmError: missing, empty, truncated or damaged.
    """
    if not path.is_file():
        raise no_file(path)
    if path.stat().st_size == 0:
        raise GfmError(f"{path} is empty (0 bytes)")
    with open(path, "rb") as probe:
        magic = probe.read(4)
    try:
        if magic.startswith(b"\x1f\x8b"):
            with gzip.open(path) as handle:
                yield cast(BinaryIO, handle)
        elif magic.startswith(b"BZh"):
            with bz2.open(path) as handle:
                yield cast(BinaryIO, handle)
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                if len(names) != 1:
                    raise GfmError(f"{path} holds {len(names)} files; a zip archive must hold exactly one")
                if climbs(names[0]):
                    raise GfmError(
                        f"{path} holds a file whose path leads out of the archive ({names[0]}); pack it again "
                        "without folders"
                    )
                with archive.open(names[0]) as member:
                    yield cast(BinaryIO, member)
        else:
            if path.suffix.lower() in COMPRESSED:
                raise GfmError(
                    f"{path} is not compressed although its name ends in {path.suffix}; rename or compress it"
                )
            with open(path, "rb") as plain:
                yield plain
    except EOFError:
        raise GfmError(
            f"{path} is truncated: its compressed data ends too early; copy or download it again"
        ) from None
    except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise GfmError(f"{path} is damaged ({error}); copy or download it again") from None


def climbs(name: str) -> bool:
    """Whether a path inside an archive is absolute or leads above the folder that it would be unpacked in."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name.startswith(("/", "\\")) or (bool(parts) and parts[0].endswith(":"))


def _sequences(path: Path, handle: BinaryIO, form: str) -> Records:
    count = 0
    try:
        with dnaio.open(handle, fileformat=form) as reader:
            for record in reader:
                count += 1
                yield (record.name.split() or [f"record-{count}"])[0], record.sequence
    except dnaio.FileFormatError as error:
        line = "" if error.line is None else f" at line {error.line + 1}"
        reason = error.message.partition(" The incomplete")[0].rstrip(".")  # which quotes whole records
        raise GfmError(f"{path} is not {form.upper()}{line}: {reason}; give a {form.upper()} file") from None
    except UnicodeDecodeError:
        raise GfmError(
            f"{path} is not {form.upper()}: it holds bytes that are not ASCII; give a {form.upper()} file"
        ) from None
    if not count:
        raise GfmError(f"{path} holds no {form.upper()} records")


def decoded(path: Path, handle: BinaryIO, encoding: str) -> Iterator[str]:
    """The text of a file in stretches of at most ``READ`` characters.

    Raises:
        GfmError: a byte does not fit the encoding; says where.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    read = newlines = 0  # bytes read before this stretch, and line ends among them
    while True:
        data = handle.read(READ)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            place = read + len(data) - len(error.object) + error.start
            line = newlines + error.object.count(b"\n", 0, error.start) + 1
            raise GfmError(
                f"{path} is not {encoding.upper()} text (byte 0x{error.object[error.start]:02x} at offset "
                f"{place}, line {line}); convert it to UTF-8, e.g. with iconv"
            ) from None
        read += len(data)
        newlines += data.count(b"\n")
        if text:
            yield text
        if not data:
            return


def _joined(stretches: Iterator[str], limit: int | None) -> str:
    parts: list[str] = []
    taken = 0
    for text in stretches:
        parts.append(text)
        taken += len(text)
        if limit is not None and taken > limit:
            break
    return "".join(parts)


def _column(path: Path, handle: BinaryIO, form: str, column: str | None, encoding: str) -> Records:
    """Values of one column, a thousand rows in memory at a time."""
    try:
        if form == "parquet":
            file = pq.ParquetFile(handle)
            chosen = _chosen(
                path, [name for name in file.schema_arrow.names if name != "__index_level_0__"], column
            )
            parts = (part.column(0).to_pylist() for part in file.iter_batches(_ROWS, columns=[chosen]))
            values = (value for part in parts for value in part)
        else:
            text = io.TextIOWrapper(handle, "utf-8-sig" if encoding == "utf-8" else encoding, newline="")
            mark = "\t" if form == "tsv" else ","
            frames = iter(pd.read_csv(text, sep=mark, dtype=str, keep_default_na=False, chunksize=_ROWS))
            first = next(frames)
            chosen = _chosen(path, [str(name) for name in first.columns], column)
            values = (value for frame in chain([first], frames) for value in frame[chosen])
        for row, value in enumerate(values):
            yield f"row-{row + 1}", value if isinstance(value, str) else ""
    except pd.errors.EmptyDataError:
        raise GfmError(f"{path} is empty: it has no header line") from None
    except UnicodeDecodeError:
        with opened(path) as again:
            for _ in decoded(path, again, encoding):
                pass
        raise
    except (pd.errors.ParserError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GfmError(f"{path} cannot be read as {form.upper()} ({reason}); mend or convert it") from None


def _chosen(path: Path, present: list[str], column: str | None) -> str:
    usual = [name for name in _USUAL_COLUMNS if name in present]
    chosen = column or (usual[0] if usual else present[0] if len(present) == 1 else None)
    if chosen is None or chosen not in present:
        asked = f"no column {column!r}" if column else "no column named text, sequence or content"
        raise GfmError(f"{path} has {asked}; it has {', '.join(present)}: name one as {path}:COLUMN")
    return chosen


def lines(path: Path) -> Iterator[str]:
    """Lines of a file, decompressed, to find the place of a mistake."""
    with opened(path) as handle:
        for line in handle:
            yield line.decode("latin-1")
