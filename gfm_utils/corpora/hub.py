"""Streaming from the Hugging Face hub (extra ``hub``): no more than is wanted, kept in the cache as one file."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gfm_utils.corpora.kept_records import keep, kept, kept_stats
from gfm_utils.corpora.registry import HubSource, find, registry
from gfm_utils.errors import GfmError
from gfm_utils.files import cache_dir, digest, locked

#: The first version of `datasets` that never runs a data set's own code.
RUNS_NO_CODE = 4
#: So often `datasets` tries each reading (by itself 20 times, each after five waits of the HTTP client).
_TRIES = 5
#: Seconds that the hub has to name a revision.
_ANSWER = 30.0
_CODE = "scripts are no longer supported"


@dataclass(frozen=True)
class Part:
    """The first records of a data set, which hold at least so many symbols (or are all that there is).

    Attributes:
        path: the file that they stand in, which may go on behind them.
        records: how many.
        sha256: of their names and contents.
        revision: of the data set, as the hub names it.
    """

    path: Path
    records: int
    sha256: str
    revision: str

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name and content of each record."""
        return islice(kept(self.path), self.records)


def first_part(name: str, source: HubSource, max_symbols: int) -> Part:
    """The first records of a data set, from the cache; where that holds too few they are streamed anew.

    The revision that the hub names at the first use is kept to. Two processes that want the same data set wait for
    each other.

    Args:
        name: the corpus's name, for messages.
        source: which data set, files and field.
        max_symbols: characters or bases that the records hold together, at least.

    Raises:
        GfmError: the package ``datasets`` is missing, the hub is out of reach, broke off, or has no such data
            set, the data set needs code of its own, or its field does not exist or is no text.
    """
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", source.dataset)
    path = cache_dir() / "hub" / f"{plain[-60:]}-{digest([source.model_dump()])}.parquet"
    with locked(path):
        stats = kept_stats(path)
        if stats is None or not (stats["complete"] or stats["symbols"] >= max_symbols):
            if name in registry():
                find(name).announce(name)
            stats = _streamed(name, source, path, stats["revision"] if stats else None, max_symbols)
    return _part(path, stats["revision"], max_symbols)


@lru_cache(maxsize=64)
def _part(path: Path, revision: str, max_symbols: int) -> Part:
    """The first records in a file, which is read for their checksum once a process."""
    sha256, records, symbols = hashlib.sha256(), 0, 0
    for record in kept(path):
        sha256.update(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        records, symbols = records + 1, symbols + len(record[1])
        if symbols >= max_symbols:
            break
    return Part(path, records, sha256.hexdigest(), revision)


def _streamed(name: str, source: HubSource, path: Path, revision: str | None, max_symbols: int) -> dict[str, Any]:
    """Stream the first records into a file; returns what is kept with them."""
    stats: dict[str, Any] = {"records": 0, "symbols": 0, "complete": False}
    bar = tqdm(desc=name, total=max_symbols, unit=" symbols", unit_scale=True, leave=False, disable=None)

    def records() -> Iterator[tuple[str, str]]:
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
        with bar:
            stats["revision"] = revision or _revision(name, source)
            keep(path, records(), stats)
    except GfmError:
        raise
    except Exception as error:  # datasets, fsspec and the HTTP client each raise their own
        raise _broken(name, error, stats["records"]) from None
    return stats


def _broken(name: str, error: Exception, records: int) -> GfmError:
    if _CODE in str(error):
        return GfmError(
            f"corpus {name!r} needs code of its own to be read, which is never run; give a data set of "
            "plain files (Parquet, JSON lines, CSV or text)"
        )
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    what = f"broke off after {records:,} records" if records else "could not be streamed from the hub"
    return GfmError(f"corpus {name!r} {what} ({reason}); check its name and the network, and try again")


def _rows(name: str, source: HubSource, revision: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set, as the package ``datasets`` streams them."""
    try:
        import datasets
    except ImportError:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub and needs the package 'datasets'; "
            "install it with pip install 'gfm_utils[hub]'"
        ) from None
    if int(datasets.__version__.split(".")[0]) < RUNS_NO_CODE:
        raise GfmError(
            f"corpus {name!r} is not streamed with 'datasets' {datasets.__version__}, which could run code of the "
            "data set; update it with pip install -U 'gfm_utils[hub]'"
        )
    for tries in ("STREAMING_READ_MAX_RETRIES", "STREAMING_OPEN_MAX_RETRIES"):
        setattr(datasets.config, tries, _TRIES)
    yield from datasets.load_dataset(
        source.dataset, source.config, data_files=source.data_files, split=source.split, revision=revision,
        streaming=True,
    )  # fmt: skip


def _revision(name: str, source: HubSource) -> str:
    """The commit that the data set's branch or tag is at."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=_ANSWER).sha)
    except RevisionNotFoundError:
        what = f"no revision {source.revision!r} of data set {source.dataset!r}"
    except RepositoryNotFoundError:
        what = f"no data set {source.dataset!r} that you may read"
    raise GfmError(f"corpus {name!r}: the hub has {what}; check the name (a private one needs 'hf auth login')")


def _text(name: str, source: HubSource, row: Mapping[str, Any]) -> str:
    """The field that is asked for; empty where a record has none."""
    if source.field not in row:
        raise GfmError(f"corpus {name!r} has no field {source.field!r}; it has {', '.join(row)}")
    text = row[source.field]
    what = f"{type(text).__name__}, not text"
    try:
        if text is None or isinstance(text, str | bytes):
            plain = text.decode() if isinstance(text, bytes) else text or ""
            return plain.encode("utf-8", "replace").decode()  # half of a pair of surrogates is no text
    except UnicodeDecodeError as error:
        what = f"bytes that are not UTF-8 text (byte 0x{error.object[error.start]:02x})"
    raise GfmError(f"field {source.field!r} of corpus {name!r} holds {what}; it has {', '.join(row)}")
