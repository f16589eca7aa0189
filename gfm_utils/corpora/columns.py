"""Columns: the values of one column of a table, CSV, TSV or Parquet.

The reader of CSV is the standard library's, as it is strict and knows its line: pandas fills short rows and lets
an open quote swallow the rows behind it; pyarrow refuses a field that is longer than its block.
"""

import csv
import re
import textwrap
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gfm_utils.corpora.cleaning import looks_like_dna
from gfm_utils.corpora.opening import archive_of, as_text, opened
from gfm_utils.corpora.registry import Format
from gfm_utils.errors import GfmError, first_line

#: Columns that are meant when none is named.
USUAL_COLUMNS = ("text", "sequence", "content")
_ROWS = 1000  # of a Parquet file that are held at once
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "'|'"}
_LONGEST_FIELD = 2**31 - 1
_LONGEST_NAME, _MOST_WORDS = 40, 5  # characters and words of the name of a column
_LISTED = 600  # characters of the names of columns in a message


def values(path: Path, form: Format, column: str | None, encoding: str) -> Iterator[str]:
    """The values of one column, a row or a thousand in memory at a time.

    Fields of CSV and TSV are separated as the header says: by the comma or tab of the format's name, or where the
    header has none of these by semicolons, tabs, commas or ``|``. Between tabs quotes enclose fields only if the
    whole file can be read so. Without a name the column is ``text``, ``sequence`` or ``content``, or the only one.

    Raises:
        GfmError: no such column, no text in it, no header, or a row that does not fit the header; says where.
        UnicodeDecodeError: it is in another encoding.
    """
    if form == "parquet":
        yield from _parquet(path, column, encoding)
        return
    mark = _separator(path, form, encoding)
    quotes = mark != "\t" or _enclosed(path, encoding, archive_of(path)[0].stat().st_mtime_ns)
    rows = _rows(path, mark, encoding, quotes)
    header = next(rows)
    place = header.index(_chosen(path, header, column, has_header=False))
    yield from (row[place] for row in rows)


def _parquet(path: Path, column: str | None, encoding: str) -> Iterator[str]:
    with opened(path, "parquet") as handle:
        try:
            file = pq.ParquetFile(handle)
            present = [name for name in file.schema_arrow.names if name != "__index_level_0__"]
            chosen = _chosen(path, present, column)
            kind = file.schema_arrow.field(chosen).type
            values_of = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not re.match(r"(large_)?(string|binary)|fixed_size_binary", str(values_of)):
                raise GfmError(
                    f"column {chosen!r} of {path} holds {kind}, not text; {_listed(present)}: name one of text "
                    f"as {path}:COLUMN"
                )
            for batch in file.iter_batches(_ROWS, columns=[chosen]):
                for value in batch.column(0).to_pylist():
                    yield value.decode(encoding) if isinstance(value, bytes) else value or ""
        except (pa.ArrowException, OSError) as error:
            raise GfmError(f"{path} cannot be read as Parquet ({first_line(error)}); mend or convert it") from None


def _separator(path: Path, form: Format, encoding: str) -> str:
    """What separates the names in a header: the mark of the format, or what it holds most of instead."""
    mark = "\t" if form == "tsv" else ","
    with opened(path, form) as handle:
        header = next((line for line in as_text(handle, encoding) if line.strip()), None)
    if header is None:
        raise GfmError(f"{path} is empty: it has no header line; give a table with one")
    return mark if mark in header else max((mark, *_SEPARATORS), key=header.count)


@lru_cache(maxsize=64)
def _enclosed(path: Path, encoding: str, _changed: int) -> bool:
    """Whether a file with tabs can be read with quotes that enclose fields; also if it cannot be without them."""
    for quotes in (True, False):
        with suppress(GfmError):
            deque(_rows(path, "\t", encoding, quotes), maxlen=0)
            return quotes
    return True


def _rows(path: Path, mark: str, encoding: str, quotes: bool) -> Iterator[list[str]]:
    """The header, and each row, which has as many fields; blank lines are passed over.

    Fields behind those of the header are taken for a separator at the end of the line if nothing is in them.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    width, line = 0, 1
    with opened(path) as handle:
        text = as_text(handle, encoding)
        reader = csv.reader(
            text, delimiter=mark, strict=quotes, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
        )
        try:
            for row in reader:
                begun, line = line, reader.line_num + 1
                if not row or (len(row) == 1 and width != 1 and not row[0].strip()):
                    continue
                if not width:
                    row = [name.strip() for name in row]
                    width = len(row)
                elif len(row) < width or any(row[width:]):
                    raise GfmError(
                        f"{path} has {len(row)} fields in the row at line {begun}, but its header names {width} "
                        f"columns; mend that row (a field that holds a {_SEPARATORS[mark]} needs quotes around it)"
                    )
                yield row
        except csv.Error as error:
            raise GfmError(
                f"{path} cannot be read as a table: in the row that begins at line {line} a quote is not closed "
                f"or not written twice ({error}); mend it"
            ) from None


def _chosen(path: Path, present: list[str], column: str | None, has_header: bool = True) -> str:
    """The column that is meant; without a header for sure, the names may be the values of a first row."""
    usual = [name for name in (*USUAL_COLUMNS, *present[: len(present) == 1]) if name in present]
    chosen = column or next(iter(usual), None)
    headless = not has_header and not all(map(_is_name, present))
    if chosen is None or chosen not in present or (column is None and len(present) == 1 and headless):
        asked = f"no column {column!r}" if column else "no column named text, sequence or content"
        mend = " (if that is its first row, put one with the names of the columns above it)" if headless else ""
        raise GfmError(f"{path} has {asked}; {_listed(present)}{mend}: name one as {path}:COLUMN")
    return chosen


def _listed(present: list[str]) -> str:
    return f"it has {textwrap.shorten(', '.join(present), _LISTED, placeholder='…')}"


def _is_name(text: str) -> bool:
    """Whether a field of a first line may be the name of a column, rather than a number, a text or a sequence."""
    if len(text) > _LONGEST_NAME or len(text.split()) > _MOST_WORDS or looks_like_dna(text, 8, 1.0):
        return False
    return not text.replace(".", "", 1).replace("-", "", 1).isdigit()
