"""Downloading a corpus of the registry, or a file on the web, once, verified."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pooch
import requests

from gfm_utils.corpora.addresses import is_address, parse_address
from gfm_utils.corpora.opening import is_html
from gfm_utils.corpora.registry import Entry, HubSource, PackageSource, SourceFile, WheelSource, cached_path, find
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
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError)
_WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
_ERROR = re.compile(r"(?:ERROR:?|E:)\s*(.*)")  # as pip and apt begin one
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
    source = parse_address(name).source if is_address(name) else find(name)
    if isinstance(source, HubSource) or source.file is None:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub; there is nothing to fetch: just use it"
        )
    if isinstance(source, Entry):
        return _fetched(name, source, f"corpus {name!r}", progress)
    url = str(source.sources[0])
    folder = f"web-{digest([url, source.sha256])}"
    return _fetched(folder, source, f"corpus {url!r}", progress, "the checksum behind the address")


def fetch_annotation(name: str, progress: bool = True) -> Path | None:
    """Download and verify the annotation of a corpus of the registry, as :func:`fetch` does.

    Returns:
        Path of the verified file in the cache; None if the registry names no annotation of it.

    Raises:
        GfmError: unknown corpus, every download failed, or a wrong checksum.
    """
    wanted = find(name).annotation
    return None if wanted is None else _fetched(name, wanted, f"the annotation of {name!r}", progress)


def _fetched(
    name: str, entry: Entry | SourceFile, what: str, progress: bool, pinned: str = "data/corpora.yaml"
) -> Path:
    """The verified file; ``pinned`` says where its checksum is written."""
    path = cached_path(name, entry)
    assert path is not None
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


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _expected(path: Path, entry: Entry | SourceFile, checksum: str) -> str:
    """The checksum that a file must have; where none is known, that of the first download, which is recorded."""
    record = _record_path(path)
    if entry.sha256 is None and not record.is_file():
        with atomic(record) as temporary:  # half a record would have every later use refused
            temporary.write_text(checksum + "\n", encoding="ascii")
    return entry.sha256 or record.read_text(encoding="ascii").strip()


def _trusted(path: Path, entry: Entry | SourceFile) -> bool:
    """Whether the file is in the cache and the one it should be; a damaged one is to be fetched again."""
    if not path.is_file():
        return False
    checksum = sha256_once(path)
    expected = _expected(path, entry, checksum)
    if checksum != expected and entry.sha256 is None:
        raise GfmError(
            f"{path} has changed since it was downloaded (expected SHA-256 {expected}, found {checksum}); "
            "delete it to download it again"
        )
    return checksum == expected


def _download(path: Path, entry: Entry | SourceFile, what: str, progress: bool, pinned: str) -> None:
    """Try the sources in order."""
    failures = []
    for source in entry.sources:
        try:
            with atomic(path) as temporary:
                if isinstance(source, PackageSource):
                    _from_package(source, temporary, progress)
                else:
                    _from_url(str(source), temporary, progress)
                _verify(temporary, path, entry, pinned)
            return
        except (_Failed, *_DAMAGE) as failure:
            failures.append(f"{source}: {failure}")
    raise GfmError(
        f"{what} is not in the cache and could not be downloaded ({'; '.join(failures)}); "
        f"check the network and try again, or put the file at {path}"
    )


def _verify(downloaded: Path, path: Path, entry: Entry | SourceFile, pinned: str) -> None:
    """Verify what was downloaded to become the file at ``path``."""
    checksum = sha256_of(downloaded)
    expected = _expected(path, entry, checksum)
    if checksum != expected:
        record = f"delete {_record_path(path)} to take what the source gives now"
        raise GfmError(
            f"{path.name} has the wrong checksum (expected SHA-256 {expected}, found {checksum}); the source has "
            f"changed or the download is damaged: try again, or {f'correct {pinned}' if entry.sha256 else record}"
        )


def _from_url(url: str, path: Path, progress: bool) -> None:
    try:
        _get(url, path, progress)
    except (requests.RequestException, OSError) as error:
        raise _Failed(_reason(error)) from None
    if is_html(path):
        raise _Failed("an HTML page was sent instead of the file")


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


def _from_package(source: PackageSource, path: Path, progress: bool) -> None:
    """Take the file out of a package; several that a glob names go into one zip archive."""
    package, (member, _, inner) = _package(source, progress), source.member.partition("!")
    members = _members(package, _pattern(member))
    if inner:
        members = (each for _, handle in members for each in _of_tar(handle, _pattern(inner)))
    if source.is_glob:
        files = {name.removesuffix(".gz"): _plain(name, handle.read()) for name, handle in members}
        if files:
            return _pack(files, path)
    for _, handle in members:
        with open(path, "wb") as copy:
            return shutil.copyfileobj(handle, copy)
    raise _Failed(f"the package has no member {source.member}")


def _plain(name: str, data: bytes) -> bytes:
    return gzip.decompress(data) if name.endswith(".gz") else data


def _pack(files: dict[str, bytes], path: Path) -> None:
    """Put files into a zip archive that depends on nothing else: stored, in the order of their paths, undated."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name)  # of 1 January 1980
            info.create_system = 3  # Unix, wherever it is made
            archive.writestr(info, files[name])


def _pattern(member: str) -> re.Pattern[str]:
    """What the path of a member must match: ``*`` and ``?`` stand for no slash, ``**/`` for any folders."""
    pieces = re.split(r"(\*\*/|\*|\?)", member)
    return re.compile("".join(_WILD.get(piece) or re.escape(piece) for piece in pieces))


def _members(package: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Paths and contents of the files in a wheel, or of those that a Debian package would install."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            for name in filter(wanted.fullmatch, archive.namelist()):
                with archive.open(name) as member:
                    yield name, member
        return
    try:
        unpacking = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise _Failed("this machine has no dpkg-deb") from None
    with unpacking:
        assert unpacking.stdout is not None
        yield from _of_tar(unpacking.stdout, wanted)


def _of_tar(handle: IO[bytes], wanted: re.Pattern[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Paths and contents of files in a tar archive, which is read from its beginning to its end."""
    with tarfile.open(fileobj=handle, mode="r|*") as archive:
        for info in archive:
            name = info.name.removeprefix("./")
            member = archive.extractfile(info) if info.isreg() and wanted.fullmatch(name) else None
            if member is not None:
                yield name, member


def _package(source: PackageSource, progress: bool) -> Path:
    """The package, which is kept in the cache, as several corpora may be in one."""
    parts = (source.package, source.version, source.platform)
    folder = cache_dir() / f"{source.type}s" / "-".join(filter(None, parts))
    with locked(folder):
        if not folder.is_dir():
            with atomic(folder) as temporary:
                temporary.mkdir(parents=True)
                _ask_client(source, temporary, shown=progress and sys.stderr.isatty())
        return next(path for path in folder.iterdir() if path.suffix in (".whl", ".deb"))


def _ask_client(source: PackageSource, folder: Path, shown: bool) -> None:
    """Ask pip or apt for the package alone; in a terminal it shows its own progress."""
    quiet = [] if shown else ["--quiet"]
    if isinstance(source, WheelSource):
        command = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
            "--retries=2", "--disable-pip-version-check", "--no-input",
            f"--python-version={_PYTHON}", f"--dest={folder}",
            *([f"--platform={source.platform}"] if source.platform else []),
            *quiet, f"{source.package}=={source.version}",
        ]  # fmt: skip
    else:
        command = [
            "apt-get",
            "download",
            "--option=Acquire::Retries=2",
            *quiet,
            f"{source.package}={source.version}",
        ]
    try:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"LC_ALL": "C.UTF-8"}, text=True, check=False,
            stdout=sys.stderr if shown else subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise _Failed(f"this machine has no {command[0]}") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [error[1] for line in lines if (error := _ERROR.match(line))]
        advice = " ('apt-get update' renews the lists of packages)" if command[0] == "apt-get" else ""
        said = (errors or lines or ["the client of the package index failed without a word"])[-1][:300]
        raise _Failed(said + advice)
