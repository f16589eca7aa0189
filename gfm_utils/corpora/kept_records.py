"""Records kept in the cache as one Parquet file: of what is slow to clean, and of a data set that is streamed."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gfm_utils.errors import GfmError, first_line
from gfm_utils.files import atomic

_SCHEMA = pa.schema({"record": pa.string(), "text": pa.large_string()})
_GROUP = 10_000  # records that are written at once


def keep(path: Path, records: Iterable[tuple[str, str]], stats: dict[str, Any]) -> None:
    """Write names and texts of records, never half of them, and ``stats`` as they are after the last one."""
    rest = iter(records)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, write_page_checksum=True) as writer:
        while group := list(islice(rest, _GROUP)):
            writer.write_table(pa.table([list(column) for column in zip(*group, strict=True)], schema=_SCHEMA))
        writer.add_key_value_metadata({"stats": json.dumps(stats)})


def kept_stats(path: Path) -> dict[str, Any] | None:
    """What is kept with the records; None if there is no such file."""
    return json.loads(pq.read_metadata(path).metadata[b"stats"]) if path.is_file() else None


def kept(path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of the records.

    Raises:
        GfmError: the file is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(1000, columns=["record", "text"]):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (OSError, pa.ArrowException) as error:
        raise GfmError(f"{path} is damaged ({first_line(error)}); delete it to have it made again") from None
