"""Streaming from the Hugging Face hub (extra ``hub``), and records kept in the cache as one Parquet file."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from gfm_utils.corpora.registry import HubSource, find, registry
from gfm_utils.errors import GfmError, first_line
from gfm_utils.files import atomic, cache_dir, digest, locked

_SCHEMA = pa.schema({"record": pa.string(), "text": pa.large_string()})
_GROUP = 10_000  # records that are written at once
#: So often `datasets` tries each reading (by itself 20 times, each after five waits of the HTTP client).
_TRIES = 5
#: Seconds that the hub has to name a revision.
_ANSWER = 30.0


def write_records(path: Path, records: Iterable[tuple[str, str]], stats: dict[str, Any]) -> None:
    """Write names and texts of records, never half of them, and ``stats`` as they are after the last one."""
    rest = iter(records)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, write_page_checksum=True) as writer:
        while group := list(islice(rest, _GROUP)):
            writer.write_table(pa.table([list(column) for column in zip(*group, strict=True)], schema=_SCHEMA))
        writer.add_key_value_metadata({"stats": json.dumps(stats)})


def read_stats(path: Path) -> dict[str, Any] | None:
    """What is kept with the records; None if there is no such file."""
    return json.loads(pq.read_metadata(path).metadata[b"stats"]) if path.is_file() else None


def read_records(path: Path) -> Iterator[tuple[str, str]]:
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


@dataclass(frozen=True)
class Part:
    """The first records of a data set, of which one can iterate over the names and contents."""

    path: Path  # the file that they stand in, which may go on behind them
    records: int
    sha256: str  # of their names and contents
    revision: str  # of the data set, as the hub names it

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return islice(read_records(self.path), self.records)


def first_part(name: str, source: HubSource, max_symbols: int) -> Part:
    """The first records of a data set with at least ``max_symbols`` characters or bases, if it has so many.

    They are streamed where the cache holds too few. The revision that the hub names at the first use is kept to.
    Two processes that want the same data set wait for each other.

    Raises:
        GfmError: the package ``datasets`` is missing, the hub is out of reach, broke off, or has no such data
            set, the data set needs code of its own, or its field does not exist or is no text.
    """
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", source.dataset)
    path = cache_dir() / "hub" / f"{plain[-60:]}-{digest([source.model_dump()])}.parquet"
    with locked(path):
        stats = read_stats(path)
        if stats is None or not (stats["complete"] or stats["symbols"] >= max_symbols):
            if name in registry():
                find(name).announce(name)
            stats = _streamed(name, source, path, stats["revision"] if stats else None, max_symbols)
    return _part(path, stats["revision"], max_symbols)


@lru_cache(maxsize=64)
def _part(path: Path, revision: str, max_symbols: int) -> Part:
    """The first records in a file, which is read for their checksum once a process."""
    sha256, records, symbols = hashlib.sha256(), 0, 0
    for record in read_records(path):
        sha256.update(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        records, symbols = records + 1, symbols + len(record[1])
        if symbols >= max_symbols:
            break
    return Part(path, records, sha256.hexdigest(), revision)


def _streamed(name: str, source: HubSource, path: Path, revision: str | None, max_symbols: int) -> dict[str, Any]:
    """Stream the first records into a file; returns what is kept with them."""
    stats: dict[str, Any] = {"records": 0, "symbols": 0, "complete": False}

    def records(bar: "tqdm[Any]") -> Iterator[tuple[str, str]]:
        for row in _rows(name, source, stats["revision"]):
            text = _text(name, source, row)
            stats["records"] += 1
            stats["symbols"] += len(text)
            bar.update(len(text))
            yield str(row.get("title") or row.get("record") or f"row-{stats['records']}"), text
            if stats["symbols"] >= max_symbols:
                return
        stats["complete"] = True

    try:
        with tqdm(
            desc=name, total=max_symbols, unit=" symbols", unit_scale=True, leave=False, disable=None
        ) as bar:
            stats["revision"] = revision or _revision(source)
            write_records(path, records(bar), stats)
    except GfmError:
        raise
    except Exception as error:  # datasets, fsspec and the HTTP client each raise their own
        what = f"broke off after {stats['records']:,} records" if stats["records"] else "could not be streamed"
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GfmError(
            f"corpus {name!r} {what} ({reason}); check its name (a private one needs 'hf auth login') and the "
            "network, and try again"
        ) from None
    return stats


def _rows(name: str, source: HubSource, revision: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set, as the package ``datasets`` streams them."""
    try:
        import datasets
    except ImportError:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub and needs the package 'datasets'; "
            "install it with pip install 'gfm_utils[hub]'"
        ) from None
    if int(datasets.__version__.split(".")[0]) < 4:
        raise GfmError(
            f"corpus {name!r} is not streamed with 'datasets' {datasets.__version__}, which could run code of the "
            "data set; update it with pip install -U 'gfm_utils[hub]'"
        )
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = _TRIES
    yield from datasets.load_dataset(
        source.dataset, source.config, data_files=source.data_files, split=source.split, revision=revision,
        streaming=True,
    )  # fmt: skip


def _revision(source: HubSource) -> str:
    """The commit that the data set's branch or tag is at."""
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=_ANSWER).sha)


def _text(name: str, source: HubSource, row: Mapping[str, Any]) -> str:
    """The field that is asked for; empty where a record has none."""
    if source.field not in row:
        raise GfmError(f"corpus {name!r} has no field {source.field!r}; it has {', '.join(row)}")
    text = row[source.field]
    plain = text.decode() if isinstance(text, bytes) else text or ""
    if not isinstance(plain, str):
        what = f"{type(text).__name__}, not text"
        raise GfmError(f"field {source.field!r} of corpus {name!r} holds {what}; it has {', '.join(row)}")
    return plain.encode("utf-8", "replace").decode()  # half of a pair of surrogates is no text
