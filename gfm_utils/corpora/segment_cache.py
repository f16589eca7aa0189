"""Cleaned text kept in the cache, for what is slow to clean."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gfm_utils.corpora.segments import Segment
from gfm_utils.files import atomic, cache_dir


def _path(checksum: str) -> Path:
    return cache_dir() / "segments" / f"{checksum}.parquet"


def keep(checksum: str, segments: Sequence[Segment], stats: dict[str, Any]) -> None:
    """Keep whole records of text and their counts under a corpus checksum."""
    columns = {
        "record": pa.array([segment.record for segment in segments], pa.string()),
        "text": pa.array([segment.text for segment in segments], pa.large_string()),
    }
    with atomic(_path(checksum)) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({"stats": json.dumps(stats)}), temporary)


def find(checksum: str) -> tuple[list[Segment], dict[str, Any]] | None:
    """Segments and counts kept under a corpus checksum, or None."""
    if not _path(checksum).is_file():
        return None
    table = pq.read_table(_path(checksum), columns=["record", "text"])
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [Segment(record, 0, text) for record, text in rows], json.loads(table.schema.metadata[b"stats"])
