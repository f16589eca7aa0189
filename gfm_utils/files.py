"""Files that are never half-written: atomic writes, locks, checksums and the cache directory."""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from gfm_utils.errors import Refused

#: A file that was changed so many nanoseconds ago or less may change again without another time of change.
_FRESH = 2 * 10**9


def cache_dir() -> Path:
    """Directory for downloads and derived files: ``$GFM_CACHE``, else the user's cache directory."""
    path = _cache_path()
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _cache_path() -> Path:
    configured = os.environ.get("GFM_CACHE")
    if configured:
        return Path(configured)
    with suppress(RuntimeError):
        path = Path(platformdirs.user_cache_dir("gfm_utils"))
        if path.is_absolute():
            return path
    raise Refused("no home folder is known that the cache could be in (HOME is not set): set HOME or GFM_CACHE")


@contextmanager
def _refusals(path: Path, verb: str, mend: str) -> Iterator[None]:
    """Raise what the system refuses as one sentence, with its error as the cause."""
    try:
        yield
    except Refused:
        raise
    except (OSError, NotImplementedError) as error:  # the latter: no locks there
        raise Refused(f"{path} cannot be {verb} ({_reason(error, path)}): {mend}") from error


def _writing(path: Path) -> AbstractContextManager[None]:
    """Refusals to write a file or folder become one sentence."""
    mend = "give a folder that you may write to, or make room and leave for it there"
    with suppress(Refused):
        if path.absolute().is_relative_to(_cache_path().absolute()):
            mend = "set GFM_CACHE to a folder of your own that you may write to"
    return _refusals(path, "written", mend)


def reading(path: Path) -> AbstractContextManager[None]:
    """Refusals to read a file or folder become one sentence (``Refused``)."""
    return _refusals(path, "read", "make it readable for you, or give a copy that is")


def is_there(path: Path) -> bool:
    """Whether there is a file or directory; ``Refused`` where the folder above it cannot be read."""
    with reading(path):
        return path.exists()


def _reason(error: Exception, path: Path) -> str:
    """Why the system refuses, and what, if that is not the path itself."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split())
    if isinstance(error, FileExistsError):
        return f"{error.filename} is no folder"
    return error.strerror + (f": {error.filename}" if error.filename not in (None, str(path)) else "")


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, with locks; one that was not there is not there afterwards."""
    folder = Path(folder)
    with _writing(folder):
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{uuid.uuid4().hex[:8]}"
    try:
        with locked(probe), atomic(probe) as temporary, _writing(probe):
            temporary.write_bytes(bytes(4096))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
            probe.with_name(f"{probe.name}.lock").unlink(missing_ok=True)
        for parent in missing:
            with suppress(OSError):  # another process may have put something there meanwhile
                parent.rmdir()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` to write (a file or a directory); flush and rename it if all went well.

    An existing directory is replaced. On an exception the temporary is removed and ``path`` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    try:
        yield temporary
        flush(temporary)
        retired = temporary.with_suffix(".old")
        if path.is_dir() and temporary.is_dir():
            os.replace(path, retired)
        os.replace(temporary, path)
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or every file in a directory, is on the disk: a later rename then never outruns it."""
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        with open(file, "r+b") as handle:
            os.fsync(handle.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an inter-process lock beside ``path`` (``NAME.lock``), so that two runs never make it at once.

    Raises:
        Refused: the folder cannot be written, the lock is another user's, or there are no locks.
    """
    path = Path(path)
    lock = FileLock(str(path) + ".lock")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with reading(path), open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """``sha256_of`` a large file, whose bytes are read once a process as long as nothing changes it."""
    with reading(path):
        status = Path(path).stat()
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _FRESH:
        return sha256_of(path)
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return _sha256_of_state(str(Path(path).absolute()), state)


@lru_cache(maxsize=4096)
def _sha256_of_state(path: str, state: tuple[int, ...]) -> str:
    return sha256_of(Path(path))


def digest(value: Any, length: int = 16) -> str:
    """Hash of a JSON-like value: the same for equal values whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
