"""Columns: the values of one column of a table, CSV, TSV or Parquet.

The reader of CSV is the standard library's, as it is strict and knows its line: pandas takes the first column for
an index where all rows are longer than the header, fills short rows, and lets a quote that is not closed swallow
the rows behind it; pyarrow refuses a field that is longer than its block.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from gfm_utils.corpora.cleaning import looks_like_dna
from gfm_utils.corpora.opening import archive_of, decoded, opened
from gfm_utils.errors import GfmError

#: Columns that are meant when none is named.
USUAL_COLUMNS = ("text", "sequence", "content")
_ROWS = 1000  # of a Parquet file that are held at once
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "'|'"}
_LONGEST_FIELD = 2**31 - 1
_LONGEST_NAME, _MOST_WORDS = 40, 5  # characters and words of the name of a column
_SHOWN = 20  # columns that a message lists
#: What the standard library says of quotes, and what a user may read.
_QUOTES = {
    "unexpected end of data": "a quote is opened and never closed",
    "expected after": "a quote is closed in the middle of a field (inside a field it is written twice)",
}


def values(path: Path, form: str, column: str | None, encoding: str) -> Iterator[str]:
    """The values of one column, a row or a thousand in memory at a time.

    Fields of CSV and TSV are separated as the header says: by the comma or tab of the format's name, or where the
    header has none of these by semicolons, tabs, commas or ``|``. Between tabs quotes enclose fields only if the
    whole file can be read so; else they are letters like others. Without a name the column is ``text``,
    ``sequence`` or ``content``, or the only one.

    Raises:
        GfmError: no such column, no text in it, no header, or a row that does not fit the header; says where.
    """
    if form == "parquet":
        yield from _parquet(path, column, encoding)
        return
    try:
        mark = _separator(path, "\t" if form == "tsv" else ",", encoding)
        quotes = mark != "\t" or _enclosed(path, encoding, archive_of(path)[0].stat().st_mtime_ns)
        rows = _rows(path, mark, encoding, quotes)
        header = next(rows)
        place = header.index(_chosen(path, header, column, has_header=False))
        yield from (row[place] for row in rows)
    except UnicodeDecodeError:
        with opened(path) as again:
            deque(decoded(path, again, encoding), maxlen=0)  # says where
        raise


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
                    f"column {chosen!r} of {path} holds {kind}, not text; {_columns(present)}: name one of text "
                    f"as {path}:COLUMN"
                )
            for batch in file.iter_batches(_ROWS, columns=[chosen]):
                for value in batch.column(0).to_pylist():
                    yield value.decode(encoding) if isinstance(value, bytes) else value or ""
        except UnicodeDecodeError as error:
            raise GfmError(
                f"column {chosen!r} of {path} holds bytes that are not {encoding.upper()} text (byte "
                f"0x{error.object[error.start]:02x}); convert it to strings"
            ) from None
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise GfmError(f"{path} cannot be read as PARQUET ({reason}); mend or convert it") from None


def _separator(path: Path, mark: str, encoding: str) -> str:
    """What separates the names in a header: the mark of the format, or what it holds most of instead."""
    with opened(path, "csv" if mark == "," else "tsv") as handle:
        header = next((line for line in _text(handle, encoding) if line.strip()), None)
    if header is None:
        raise GfmError(f"{path} is empty: it has no header line; give a table with one")
    return mark if mark in header else max((mark, *_SEPARATORS), key=header.count)


def _text(handle: BinaryIO, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(handle, "utf-8-sig" if encoding == "utf-8" else encoding, newline="")


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
    with opened(path) as handle:
        text = _text(handle, encoding)
        reader = csv.reader(
            text, delimiter=mark, strict=quotes, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
        )
        width, count, line = 0, 0, 1
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
                        f"{path} has {len(row)} fields in row {count} (line {begun}), but its header names "
                        f"{width} columns; mend that row (a field that holds a {_SEPARATORS[mark]} needs quotes "
                        "around it)"
                    )
                yield row
                count += 1
        except csv.Error as error:
            reason = next((words for sign, words in _QUOTES.items() if sign in str(error)), str(error))
            raise GfmError(
                f"{path} cannot be read as a table: in the row that begins at line {line} {reason}; mend it"
            ) from None


def _chosen(path: Path, present: list[str], column: str | None, has_header: bool = True) -> str:
    """The column that is meant; without a header for sure, the names may be the values of a first row."""
    headless = not has_header and not all(map(_is_name, present))
    if column is None and len(present) == 1 and headless:
        raise GfmError(
            f"{path} has no header: its first line is {_short(present[0])!r}; put a line with the name of the "
            "column (text or sequence) above it"
        )
    usual = [name for name in (*USUAL_COLUMNS, *present[: len(present) == 1]) if name in present]
    chosen = column or next(iter(usual), None)
    if chosen is None or chosen not in present:
        asked = f"no column {column!r}" if column else "no column named text, sequence or content"
        mend = " (if that is its first row, put one with the names of the columns above it)" if headless else ""
        raise GfmError(f"{path} has {asked}; {_columns(present)}{mend}: name one as {path}:COLUMN")
    return chosen


def _columns(present: list[str]) -> str:
    more = f" and {len(present) - _SHOWN} more" if len(present) > _SHOWN else ""
    return f"it has {', '.join(map(_short, present[:_SHOWN]))}{more}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _is_name(text: str) -> bool:
    """Whether a field of a first line may be the name of a column, rather than a number, a text or a sequence."""
    if len(text) > _LONGEST_NAME or len(text.split()) > _MOST_WORDS or looks_like_dna(text, 8, 1.0):
        return False
    return not text.replace(".", "", 1).replace("-", "", 1).isdigit()
