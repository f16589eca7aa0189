"""Files that are never half-written: atomic writes, locks, checksums and the cache directory."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock


def cache_dir() -> Path:
    """Directory for downloads and derived files: ``$GFM_CACHE``, else the user's cache directory."""
    configured = os.environ.get("GFM_CACHE")
    path = Path(configured) if configured else Path(platformdirs.user_cache_dir("gfm_utils"))
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` to write (a file or a directory); flush and rename it if all went well.

    On an exception the temporary is removed and whatever stood at ``path`` is untouched.
    An existing directory at ``path`` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        flush(temporary)
        if path.is_dir() and temporary.is_dir():
            retired = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
            os.replace(path, retired)
            os.replace(temporary, path)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or every file in a directory, is on the disk: a later rename then never outruns it."""
    for file in [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]:
        with open(file, "r+b") as handle:
            os.fsync(handle.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an inter-process lock beside ``path`` (``NAME.lock``), so that two runs never make it at once."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(path) + ".lock"):
        yield


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any, length: int = 16) -> str:
    """Hash of a JSON-like value: the same for equal values whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
