"""Cleaned segments kept in the cache, for what is slow to clean."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gfm_utils.corpora.assembling import Assembled
from gfm_utils.corpora.segments import Segment
from gfm_utils.files import atomic, cache_dir


def _path(checksum: str) -> Path:
    return cache_dir() / "segments" / f"{checksum}.parquet"


def remember(checksum: str, assembled: Assembled) -> None:
    """Keep segments and counts under a corpus checksum."""
    segments, stats = assembled
    masks = [None if s.soft_mask is None else s.soft_mask.astype(np.uint8).tobytes() for s in segments]
    table = pa.table(
        {
            "record": pa.array([s.record for s in segments], pa.string()),
            "start": pa.array([s.start for s in segments], pa.int64()),
            "text": pa.array([s.text for s in segments], pa.large_string()),
            "soft_mask": pa.array(masks, pa.large_binary()),
        }
    )
    with atomic(_path(checksum)) as temporary:
        pq.write_table(table.replace_schema_metadata({"stats": json.dumps(stats)}), temporary)


def recall(checksum: str) -> Assembled | None:
    """Segments and counts kept under a corpus checksum, or None."""
    if not _path(checksum).is_file():
        return None
    table = pq.read_table(_path(checksum))
    columns = table.to_pydict()
    masks = (None if m is None else np.frombuffer(m, dtype=bool) for m in columns["soft_mask"])
    segments = [
        Segment(*row) for row in zip(columns["record"], columns["start"], columns["text"], masks, strict=True)
    ]
    return segments, json.loads(table.schema.metadata[b"stats"])
