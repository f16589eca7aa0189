"""Readers: a file of any supported format -> the names and contents of its records."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePath

from gfm_utils.corpora.columns import values
from gfm_utils.corpora.opening import COMPRESSED, COMPRESSIONS, decoded, not_one, opened, packed_names, place_of
from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.sequences import fasta_stretches, fastq_records
from gfm_utils.corpora.wiki import articles
from gfm_utils.errors import GfmError

#: Names of records, and stretches of their contents: what goes on has None for a name.
Stretches = Iterator[tuple[str | None, str]]

FORMATS: dict[str, Format] = {
    ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta", ".ffn": "fasta", ".fas": "fasta", ".faa": "fasta",
    ".fq": "fastq", ".fastq": "fastq",
    ".txt": "text", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".xml": "mediawiki",
}  # fmt: skip
#: Formats whose columns have names.
TABLES = ("csv", "tsv", "parquet")
#: The extensions that are known, as messages list them.
KNOWN = f"{', '.join(FORMATS)} (each also with {COMPRESSIONS})"


def format_of(path: Path) -> Format:
    """The format that a file's extension says, looking through those of compression.

    Of a zip archive the file inside decides, if it has an extension that is known.

    Raises:
        GfmError: unknown extension, or an archive that is damaged or does not hold just one file.
    """
    names = packed_names(path) if path.suffix.lower() == ".zip" and path.is_file() else None
    if names is not None and len(names) != 1:
        raise not_one(path, len(names))
    packed = names[0] if names else None
    for name in (packed, path.name):
        if name is not None and (form := format_named(name)) is not None:
            return form
    if packed is not None:
        raise GfmError(f"{path} holds {packed}, whose extension is unknown; known are {KNOWN}")
    raise GfmError(f"{path} has the unknown extension {_bare(path.name).suffix!r}; known are {KNOWN}")


def known_format(path: Path) -> bool:
    """Whether the extension says a format, or that of an archive, inside of which is one."""
    return format_named(path.name) is not None or path.suffix.lower() == ".zip"


def format_named(name: str) -> Format | None:
    """The format that a file's name says, looking through compression; None if it says none."""
    return FORMATS.get(_bare(name).suffix.lower())


def _bare(name: str) -> PurePath:
    """A file's name without the extensions of compression."""
    path = PurePath(name)
    while path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path


def stretches(
    path: Path,
    form: Format,
    column: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
    genes: bool = False,
) -> Stretches:
    """The records of a file as they stand in it (not cleaned), long ones of FASTA and text in stretches.

    Args:
        path: the file, plain or compressed (gzip, bzip2, xz, Zstandard, or a zip archive of one file), whatever
            its extension says; or one inside a zip archive of several.
        form: how to read it.
        column: column of a CSV, TSV or Parquet file; None: ``text``, ``sequence`` or ``content``, or the only
            one.
        encoding: of text files.
        limit: read no more than about so many characters of a text file.
        genes: see :func:`gfm_utils.corpora.sequences.fasta_stretches`.

    Yields:
        Name and content of each record, or its beginning; what goes on has None for a name. A text file is one
        record; a table gives one record a row.

    Raises:
        GfmError: missing, empty, truncated, in another encoding or another format; says where.
    """
    if form in TABLES:
        for row, value in enumerate(values(path, form, column, encoding), start=1):
            yield f"row-{row}", value
        return
    with opened(path, form) as handle:
        match form:
            case "fasta":
                yield from fasta_stretches(path, handle, genes)
            case "fastq":
                yield from fastq_records(path, handle)
            case "text":
                yield place_of(path), ""
                for text in decoded(path, handle, encoding):
                    yield None, text
                    if limit is not None and (limit := limit - len(text)) < 0:
                        break
            case _:
                yield from articles(handle, str(path))


def joined(stretches: Stretches) -> Iterator[tuple[str, str]]:
    """Name and content of each record."""
    name: str | None = None
    parts: list[str] = []
    for begun, text in chain(stretches, [("", "")]):  # the end of the last record
        if begun is not None:
            if name is not None:
                yield name, "".join(parts)
            name, parts = begun, []
        parts.append(text)
