"""Downloading a corpus of the registry, or a file on the web, once, verified."""

import gzip
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch
import requests

from gfm_utils.corpora.addresses import is_address, parse_address
from gfm_utils.corpora.opening import is_html
from gfm_utils.corpora.registry import Entry, HubSource, PackageSource, SourceFile, cached_path, find
from gfm_utils.errors import GfmError, Refused, first_line
from gfm_utils.files import atomic, cache_dir, digest, locked, sha256_of, sha256_once

#: Seconds to wait for a connection, and between two pieces: a server that is slow but sends is waited for.
TIMEOUT = (10.0, 60.0)
#: A download that breaks off is tried so often, after so many seconds.
TRIES = 4
PAUSE = 1.0
_CHUNK = 1 << 16
_PYTHON = "3.11"  # that a wheel is asked for, whichever runs


class _Failed(Exception):
    """One source did not give the file; the next may."""


def fetch(name: str, progress: bool = True) -> Path:
    """Download and verify a corpus of the registry or a file on the web, unless the cache holds it already.

    The sources are tried in order. Two processes that want the same corpus wait for each other. Where the
    registry or the address has no checksum, the one of the first download is kept beside the file and verified
    from then on. Returns the path in the cache.

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
    return _fetched(f"web-{digest([url, source.sha256])}", source, f"corpus {url!r}", progress)


def fetch_annotation(name: str, progress: bool = True) -> Path | None:
    """Download and verify the annotation of a corpus, as :func:`fetch` does; None if the registry names none.

    Raises:
        GfmError: unknown corpus, every download failed, or a wrong checksum.
    """
    wanted = find(name).annotation
    return None if wanted is None else _fetched(name, wanted, f"the annotation of {name!r}", progress)


def _fetched(name: str, entry: Entry | SourceFile, what: str, progress: bool) -> Path:
    path = cached_path(name, entry)
    assert path is not None
    try:
        with locked(path):
            if not _trusted(path, entry):
                if isinstance(entry, Entry):
                    entry.announce(name)
                _download(path, entry, what, progress)
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
    """Whether the file is in the cache and the one it should be; another one is to be fetched again."""
    if not path.is_file():
        return False
    checksum = sha256_once(path)
    return checksum == _expected(path, entry, checksum)


def _download(path: Path, entry: Entry | SourceFile, what: str, progress: bool) -> None:
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
                    accept = "correct it where it is given" if entry.sha256 else f"delete {_record(path)}"
                    raise GfmError(
                        f"{path.name} has the wrong checksum (expected SHA-256 {expected}, found {checksum} of "
                        f"{temporary.stat().st_size:,} bytes); the "
                        f"source has changed or the download is damaged: try again, or {accept} to take what the "
                        "source gives now"
                    )
            return
        except (_Failed, shutil.ReadError) as failure:
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
        except requests.RequestException as error:
            if attempt == TRIES or path.stat().st_size == 0:  # it has not even begun
                lost = isinstance(error, requests.ConnectionError)
                raise _Failed("no connection" if lost else first_line(error)[:200]) from None
            time.sleep(PAUSE * attempt)
    if is_html(path):
        raise _Failed("an HTML page was sent instead of the file")


def _from_package(source: PackageSource, path: Path, progress: bool) -> None:
    """Take the file out of a package; several that a glob names go into one zip archive.

    The archive depends on nothing but the files: they are stored, in the order of their paths, undated.
    """
    package = _package(source, progress)
    with TemporaryDirectory(dir=path.parent) as folder:
        if package.suffix == ".whl":
            shutil.unpack_archive(package, folder, "zip")
        else:
            _run(["dpkg-deb", "--extract", str(package), folder], progress=False)
        named = [file for file in Path(folder).glob(source.member) if file.is_file() and not file.is_symlink()]
        files = {file.relative_to(folder).as_posix(): file for file in named}
        if not files:
            raise _Failed(f"the package has no member {source.member}")
        if not source.is_glob:
            shutil.move(files[source.member], path)
            return
        with zipfile.ZipFile(path, "w") as archive:
            for name in sorted(files, key=lambda name: name.removesuffix(".gz")):
                info = zipfile.ZipInfo(name.removesuffix(".gz"))  # of 1 January 1980
                info.create_system = 3  # Unix, wherever it is made
                content = files[name].read_bytes()
                archive.writestr(info, gzip.decompress(content) if name.endswith(".gz") else content)


def _package(source: PackageSource, progress: bool) -> Path:
    """The package alone, which is kept in the cache, as several corpora may be in one."""
    parts = (source.package, source.version, source.platform)
    folder = cache_dir() / f"{source.type}s" / "-".join(filter(None, parts))
    with locked(folder):
        if not folder.is_dir():
            with atomic(folder) as temporary:
                temporary.mkdir(parents=True)
                command = [
                    "apt-get",
                    "download",
                    "--option=Acquire::Retries=2",
                    f"{source.package}={source.version}",
                ]
                if source.type == "wheel":
                    command = [
                        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
                        "--no-cache-dir", "--retries=2", "--disable-pip-version-check", "--no-input",
                        f"--python-version={_PYTHON}", f"--dest={temporary}",
                        *([f"--platform={source.platform}"] if source.platform else []),
                        f"{source.package}=={source.version}",
                    ]  # fmt: skip
                _run(command, progress, cwd=temporary)
        return next(path for path in folder.iterdir() if path.suffix in (".whl", ".deb"))


def _run(command: list[str], progress: bool, cwd: Path | None = None) -> None:
    """Run another program, which shows its own progress in a terminal."""
    shown = progress and sys.stderr.isatty()
    try:
        done = subprocess.run(
            command, cwd=cwd, env=os.environ | {"LC_ALL": "C.UTF-8"}, text=True, check=False,
            stdout=sys.stderr if shown else subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise _Failed(f"this machine has no {command[0]}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or f"{command[0]} failed without a word").splitlines()[-1]
        renew = " ('apt-get update' renews the lists of packages)" if command[0] == "apt-get" else ""
        raise _Failed(said[:300] + renew)
