"""Streaming from the Hugging Face hub (extra ``hub``): no more than is wanted, kept in the cache as Parquet.

Of each data set a folder has the first records as files ``00000.parquet`` and so on, with columns ``record`` and
``text``. The metadata of the last one say how many records and symbols there are up to its end, whether these are
all, which revision of the data set they are of, and from where the package ``datasets`` goes on.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
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

#: Symbols a file; a process that is killed, or a stream that breaks off, loses no more.
FILE_SYMBOLS = 10_000_000
#: So often `datasets` tries each reading (by itself 20 times, each after five waits of the HTTP client).
_TRIES = 5
#: Seconds that the hub has to name a revision.
_ANSWER = 30.0
_CODE = ("trust_remote_code", "scripts are no longer supported")
_METADATA = b"stream"


@dataclass(frozen=True)
class Part:
    """The first records of a data set, which hold at least so many symbols (or are all that there is).

    Attributes:
        paths: the files that they stand in, of which the last may go on behind them.
        records: how many.
        sha256: of their names and contents.
        revision: of the data set, as the hub names it.
    """

    paths: tuple[Path, ...]
    records: int
    sha256: str
    revision: str

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name and content of each record."""
        return islice(_records(self.paths), self.records)


@dataclass(frozen=True)
class _State:
    """How far a data set is kept: see the module."""

    revision: str
    records: int = 0
    symbols: int = 0
    complete: bool = False
    place: dict[str, Any] | None = None
    package: str = ""


def keep(name: str, source: HubSource, max_symbols: int) -> Part:
    """The first records of a data set, from the cache; what is missing there is streamed and added to it.

    The revision that the hub names at the first use is kept to. A stream that breaks off is continued by the next
    run; two processes that want the same one wait for each other.

    Args:
        name: the corpus's name, for messages.
        source: which data set, files and field.
        max_symbols: characters or bases that the records hold together, at least.

    Raises:
        GfmError: the package ``datasets`` is missing, the hub is out of reach, broke off, or has no such data
            set, the data set needs code of its own, or its field does not exist or is no text.
    """
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", source.dataset)
    folder = cache_dir() / "hub" / f"{plain[-60:]}-{digest([source.model_dump()])}"
    with locked(folder):
        state = _state(folder)
        if state is None or not (state.complete or state.symbols >= max_symbols):
            if name in registry():
                find(name).announce(name)
            state = _stream(name, source, folder, state, max_symbols)
        paths = tuple(sorted(folder.glob("*.parquet")))
    return _part(paths, state.revision, max_symbols)


@lru_cache(maxsize=64)
def _part(paths: tuple[Path, ...], revision: str, max_symbols: int) -> Part:
    """The first records in some files, which are read for their checksum once a process."""
    sha256, records, symbols = hashlib.sha256(), 0, 0
    for record in _records(paths):
        sha256.update(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        records, symbols = records + 1, symbols + len(record[1])
        if symbols >= max_symbols:
            break
    return Part(paths, records, sha256.hexdigest(), revision)


def _records(paths: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(1000):
                    yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (OSError, pa.ArrowException) as error:
            mend = "delete the folder that it is in to stream it again"
            raise GfmError(f"{path} is damaged ({first_line(error)}); {mend}") from None


def _state(folder: Path) -> _State | None:
    """How far a data set is kept; None if nothing of it is."""
    paths = sorted(folder.glob("*.parquet"))
    return _State(**json.loads(pq.read_schema(paths[-1]).metadata[_METADATA])) if paths else None


def _stream(name: str, source: HubSource, folder: Path, state: _State | None, max_symbols: int) -> _State:
    """Stream what is missing, and add it file by file."""
    try:
        state = state or _State(_revision(name, source))
        package, rows = _opened(name, source, state.revision)
        if state.place is not None and state.package == package:
            rows.load_state_dict(state.place)
        elif state.records:  # another version may know other places
            rows = rows.skip(state.records)
        bar = tqdm(
            desc=name, total=max_symbols, initial=state.symbols, unit=" symbols", unit_scale=True, leave=False,
            disable=None,
        )  # fmt: skip
        names: list[str] = []
        texts: list[str] = []
        records, symbols = state.records, state.symbols
        with bar:
            for row in rows:
                records += 1
                texts.append(_text(name, source, row))
                names.append(str(row.get("title") or row.get("record") or f"row-{records}"))
                symbols += len(texts[-1])
                bar.update(len(texts[-1]))
                if symbols >= max_symbols or symbols - state.symbols >= FILE_SYMBOLS:
                    state = _State(state.revision, records, symbols, False, rows.state_dict(), package)
                    _write(folder, names, texts, state)
                    names, texts = [], []
                if symbols >= max_symbols:
                    return state
        state = _State(state.revision, records, symbols, True)
        _write(folder, names, texts, state)
        return state
    except GfmError:
        raise
    except Exception as error:  # datasets, fsspec and the HTTP client each raise their own
        raise _broken(name, error, state.records if state else 0) from None


def _write(folder: Path, names: list[str], texts: list[str], state: _State) -> None:
    columns = {"record": pa.array(names, pa.string()), "text": pa.array(texts, pa.large_string())}
    table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(asdict(state), default=str)})
    with atomic(folder / f"{len(list(folder.glob('*.parquet'))):05d}.parquet") as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def _broken(name: str, error: Exception, records: int) -> GfmError:
    if any(mark in str(error) for mark in _CODE):
        return GfmError(
            f"corpus {name!r} needs code of its own to be read, which is never run; give a data set of "
            "plain files (Parquet, JSON lines, CSV or text)"
        )
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if not records:
        return GfmError(
            f"corpus {name!r} could not be streamed from the hub ({reason}); check its name "
            "and the network, and try again"
        )
    return GfmError(
        f"the stream of corpus {name!r} broke off after {records:,} records ({reason}); check the network and try "
        "again: it is continued there"
    )


def _opened(name: str, source: HubSource, revision: str) -> tuple[str, Any]:
    """The version of the package ``datasets``, and the rows."""
    try:
        import datasets
    except ImportError:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub and needs the package 'datasets'; "
            "install it with pip install 'gfm_utils[hub]'"
        ) from None
    for tries in ("STREAMING_READ_MAX_RETRIES", "STREAMING_OPEN_MAX_RETRIES"):
        setattr(datasets.config, tries, _TRIES)
    known = inspect.signature(datasets.load_dataset).parameters
    safe = {"trust_remote_code": False} if "trust_remote_code" in known else {}  # gone in datasets 4
    rows = datasets.load_dataset(
        source.dataset, source.config, data_files=source.data_files, split=source.split, revision=revision,
        streaming=True, **safe,
    )  # fmt: skip
    return datasets.__version__, rows


def _revision(name: str, source: HubSource) -> str:
    """The commit that the data set's branch or tag is at.

    Raises:
        GfmError: the hub has no such data set or revision.
    """
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
    if text is None or isinstance(text, str):
        return (text or "").encode("utf-8", "replace").decode()  # half of a pair of surrogates is no text
    what = f"{type(text).__name__}, not text"
    if isinstance(text, bytes):
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            what = f"bytes that are not UTF-8 text (byte 0x{text[error.start]:02x})"
    raise GfmError(f"field {source.field!r} of corpus {name!r} holds {what}; it has {', '.join(row)}")
