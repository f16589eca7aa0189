"""Streaming from the Hugging Face hub (extra ``hub``), no more than is wanted, and each record once."""

import inspect
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gfm_utils.corpora.keeping import Kept, Part
from gfm_utils.corpora.registry import HubSource, find, registry
from gfm_utils.errors import GfmError
from gfm_utils.files import cache_dir, digest, locked

#: A stream that got further is continued without end; one that did not, so often, after so many seconds.
TRIES = 4
PAUSE = 1.0
#: After so many symbols what came is made safe, and a process that is killed loses no more.
SAVED = 4_000_000
#: So often `datasets` waits inside each try (by itself 20 times, each after five waits of the HTTP client).
_INNER_TRIES = 2
#: Seconds that the hub has to name a revision.
_ANSWER = 30.0
_CODE = ("trust_remote_code", "scripts are no longer supported")


def stream(name: str, source: HubSource, max_symbols: int | None) -> Iterator[tuple[str, str]]:
    """Records of a data set on the hub (or in a local folder of that name), until they hold ``max_symbols``.

    Args:
        name: the corpus's name, for messages.
        source: which data set, files and field.
        max_symbols: characters or bases after which to stop; None: all of it.

    Yields:
        Name and content of each record.

    Raises:
        GfmError: as :func:`keep`.
    """
    yield from keep(name, source, max_symbols)


def keep(name: str, source: HubSource, max_symbols: int | None) -> Part:
    """The first records of a data set, from the cache; what is missing there is streamed and added to it.

    The revision that the hub names at the first use is kept to. A stream that breaks off is continued at the
    record where it was, in this run or the next; two processes that want the same one wait for each other.

    Args:
        name: the corpus's name, for messages.
        source: which data set, files and field.
        max_symbols: characters or bases that the records hold together, at least; None: all of it.

    Raises:
        GfmError: the package ``datasets`` is missing, the hub is out of reach, broke off ``TRIES`` times without
            another record, or has no such data set, the data set needs code of its own, its field does not exist
            or is no text, or what is in the cache has changed.
    """
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", source.dataset)
    folder = cache_dir() / "hub" / f"{plain[-60:]}-{digest([source.model_dump(), *_local_files(source)])}"
    with locked(folder):
        kept = Kept(folder)
        part = kept.part(max_symbols)
        if part is None:
            if name in registry():
                find(name).announce(name)
            with kept:
                _continue(name, source, kept, max_symbols)
            part = kept.part(max_symbols)
    assert part is not None
    return part


def _local_files(source: HubSource) -> list[tuple[str, int, int]]:
    """Path, size and time of each file of a local folder; none of a data set on the hub."""
    folder = Path(source.dataset)
    found = [(str(path.resolve()), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(name, about.st_size, about.st_mtime_ns) for name, about in found]


def _continue(name: str, source: HubSource, kept: Kept, max_symbols: int | None) -> None:
    """Stream what is missing, in as many attempts as get further, and some that do not."""
    failed = 0
    while True:
        before = kept.about.records
        try:
            return _attempt(name, source, kept, max_symbols)
        except GfmError:
            raise
        except Exception as error:  # datasets, fsspec and the HTTP client each raise their own
            kept.save()
            have, reason = kept.about.records, _reason(error)
            if any(mark in str(error) for mark in _CODE):
                raise GfmError(
                    f"corpus {name!r} needs code of its own to be read, which is never run; give a data set of "
                    "plain files (Parquet, JSON lines, CSV or text)"
                ) from None
            if not have:
                raise GfmError(
                    f"corpus {name!r} could not be streamed from the hub ({reason}); check its name "
                    "and the network, and try again"
                ) from None
            failed = 0 if have > before else failed + 1
            if failed == TRIES:
                raise GfmError(
                    f"the stream of corpus {name!r} broke off after {have:,} records, {TRIES} times ({reason}); "
                    "check the network and try again: it is continued there"
                ) from None
            if failed == TRIES - 1:  # the place may be what is wrong: count from the first record
                kept.about.place, kept.about.place_records = None, 0
            time.sleep(PAUSE * failed)


def _attempt(name: str, source: HubSource, kept: Kept, max_symbols: int | None) -> None:
    """One request for what is missing.

    Raises:
        GfmError: see :func:`keep`; anything else is worth another attempt.
    """
    about, number = kept.about, 0
    if not about.records:
        about.revision = _revision(name, source)
    rows = _opened(name, source, about.revision)
    if about.place is not None:
        rows.load_state_dict(about.place)
        number = about.place_records
    saved = about.symbols
    bar = tqdm(
        desc=name, total=max_symbols, initial=saved, unit=" symbols", unit_scale=True, leave=False, disable=None
    )
    with bar:
        for row in rows:
            number += 1
            if number <= about.records:
                continue
            text = _text(name, source, row)
            kept.append(str(row.get("title") or row.get("record") or f"row-{number}"), text)
            bar.update(len(text))
            if max_symbols is not None and about.symbols >= max_symbols:
                return kept.save(rows.state_dict())
            if about.symbols - saved >= SAVED:
                kept.save(rows.state_dict())
                saved = about.symbols
    if number < about.records:
        raise EOFError(f"it ended after {number:,} records")
    about.complete = True


def _opened(name: str, source: HubSource, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub and needs the package 'datasets'; "
            "install it with pip install 'gfm_utils[hub]'"
        ) from None
    for waits in ("STREAMING_READ_MAX_RETRIES", "STREAMING_OPEN_MAX_RETRIES"):
        setattr(datasets.config, waits, _INNER_TRIES)
    known = inspect.signature(datasets.load_dataset).parameters
    safe = {"trust_remote_code": False} if "trust_remote_code" in known else {}  # gone in datasets 4
    return datasets.load_dataset(
        source.dataset, source.config, data_files=source.data_files, split=source.split, revision=revision,
        streaming=True, **safe,
    )  # fmt: skip


def _revision(name: str, source: HubSource) -> str | None:
    """The commit that the data set's branch or tag is at; None for a local folder.

    Raises:
        GfmError: the hub has no such data set or revision.
    """
    if Path(source.dataset).exists():
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return HfApi().dataset_info(source.dataset, revision=source.revision, timeout=_ANSWER).sha
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
    if isinstance(text, bytes):
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            wrong = f"bytes that are not UTF-8 text (byte 0x{text[error.start]:02x})"
            raise GfmError(
                f"field {source.field!r} of corpus {name!r} holds {wrong}; it has {', '.join(row)}"
            ) from None
    if not isinstance(text, str | None):
        found = f"{type(text).__name__}, not text; it has {', '.join(row)}"
        raise GfmError(f"field {source.field!r} of corpus {name!r} holds {found}")
    return text or ""


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
