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
from gfm_utils.corpora.registry import Entry, HubSource, PackageSource, SourceFile, cached_path, find
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import atomic, cache_dir, digest, locked, sha256_of, sha256_once

#: Seconds to wait for a connection, and between two pieces: a server that is slow but sends is waited for.
TIMEOUT = (10.0, 60.0)
#: A download that breaks off is tried so often, after so many seconds.
TRIES = 4
PAUSE = 1.0
_CHUNK = 1 << 16
_PYTHON = "3.11"  # that a wheel is asked for, whichever runs
#: What errors of the network are told as, the first that fits.
_REASONS = {
    requests.exceptions.ChunkedEncodingError: "the connection broke off",
    requests.Timeout: "no answer",
    requests.ConnectionError: "no connection",
}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError)
_WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
_ERROR = re.compile(r"(?:ERROR:?|E:)\s*(.*)")  # as pip and apt begin one


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


def _record(path: Path) -> Path:
    """Where the checksum of the first download is kept."""
    return path.with_name(path.name + ".sha256")


def _expected(path: Path, entry: Entry | SourceFile, checksum: str) -> str:
    """The checksum that a file must have; where none is known, that of the first download, which is recorded."""
    if entry.sha256 is None and not _record(path).is_file():
        with atomic(_record(path)) as temporary:  # half a record would have every later use refused
            temporary.write_text(checksum + "\n", encoding="ascii")
    return entry.sha256 or _record(path).read_text(encoding="ascii").strip()


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
    """Try the sources in order, and verify what the first one gives."""
    failures = []
    for source in entry.sources:
        try:
            with atomic(path) as temporary:
                if isinstance(source, PackageSource):
                    _from_package(source, temporary, progress)
                else:
                    _from_url(str(source), temporary, progress)
                checksum = sha256_of(temporary)
                expected = _expected(path, entry, checksum)
                if checksum != expected:
                    record = f"delete {_record(path)} to take what the source gives now"
                    raise GfmError(
                        f"{path.name} has the wrong checksum (expected SHA-256 {expected}, found {checksum}); the "
                        "source has changed or the download is damaged: try again, or "
                        f"{f'correct {pinned}' if entry.sha256 else record}"
                    )
            return
        except (_Failed, *_DAMAGE) as failure:
            failures.append(f"{source}: {failure}")
    raise GfmError(
        f"{what} is not in the cache and could not be downloaded ({'; '.join(failures)}); "
        f"check the network and try again, or put the file at {path}"
    )


def _from_url(url: str, path: Path, progress: bool) -> None:
    """Download a file, again if it breaks off.

    The bytes as they are sent are the file: a server that sends a ``.gz`` with ``Content-Encoding: gzip`` means no
    more than that, and the checksum is that of the compressed bytes.
    """

    def not_decoded(response: requests.Response, **_: object) -> None:
        response.raw.headers.pop("Content-Encoding", None)

    download = pooch.HTTPDownloader(
        progressbar=progress, chunk_size=_CHUNK, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"},
        hooks={"response": not_decoded},
    )  # fmt: skip
    for attempt in range(1, TRIES + 1):
        try:
            download(url, str(path), None)
            break
        except (requests.RequestException, OSError) as error:
            if isinstance(error, tuple(_REASONS)) and attempt < TRIES and path.stat().st_size:
                time.sleep(PAUSE * attempt)
                continue
            reason = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), "")
            if isinstance(error, requests.HTTPError) and error.response is not None:
                reason = f"HTTP {error.response.status_code}"
            raise _Failed(reason or " ".join(str(error).split())[:200] or type(error).__name__) from None
    if is_html(path):
        raise _Failed("an HTML page was sent instead of the file")


def _from_package(source: PackageSource, path: Path, progress: bool) -> None:
    """Take the file out of a package; several that a glob names go into one zip archive.

    The archive depends on nothing but the files: they are stored, in the order of their paths, undated.
    """
    members = _members(_package(source, progress), _pattern(source.member))
    found = False
    if source.is_glob:
        files = {name: handle.read() for name, handle in members}
        with zipfile.ZipFile(path, "w") as archive:
            for name in sorted(files, key=lambda name: name.removesuffix(".gz")):
                info = zipfile.ZipInfo(name.removesuffix(".gz"))  # of 1 January 1980
                info.create_system = 3  # Unix, wherever it is made
                archive.writestr(info, gzip.decompress(files[name]) if name.endswith(".gz") else files[name])
        found = bool(files)
    else:
        for _, handle in members:
            with open(path, "wb") as copy:
                shutil.copyfileobj(handle, copy)
            found = True
            break
    if not found:
        raise _Failed(f"the package has no member {source.member}")


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
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    try:
        unpacking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise _Failed("this machine has no dpkg-deb") from None
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|*") as archive:
        for info in archive:  # read from its beginning to its end
            name = info.name.removeprefix("./")
            contents = archive.extractfile(info) if info.isreg() and wanted.fullmatch(name) else None
            if contents is not None:
                yield name, contents


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
    advice, quiet = "", [] if shown else ["--quiet"]
    if source.type == "wheel":
        command = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
            "--retries=2", "--disable-pip-version-check", "--no-input",
            f"--python-version={_PYTHON}", f"--dest={folder}",
            *([f"--platform={source.platform}"] if source.platform else []),
            *quiet, f"{source.package}=={source.version}",
        ]  # fmt: skip
    else:
        wanted = f"{source.package}={source.version}"
        command = ["apt-get", "download", "--option=Acquire::Retries=2", *quiet, wanted]
        advice = " ('apt-get update' renews the lists of packages)"
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
        said = (errors or lines or ["the client of the package index failed without a word"])[-1][:300]
        raise _Failed(said + advice)
