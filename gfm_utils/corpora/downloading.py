"""A file by HTTP that comes in pieces: what breaks off or stalls is continued, in this run or the next."""

import json
import time
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

#: Seconds to wait for a connection, and between two pieces: a server that is slow but sends is waited for.
TIMEOUT = (10.0, 60.0)
#: A download that got further is continued without end; one that did not, so often, after so many seconds.
TRIES = 4
PAUSE = 1.0
_PIECE = 1 << 16


def download(url: str, part: Path, progress: bool = True) -> None:
    """Download a file, from where an earlier attempt ended if the server's file is the same still.

    The bytes as they are sent are the file: a server that sends a ``.gz`` with ``Content-Encoding: gzip`` means no
    more than that, and the checksum, the length and the place to continue from are those of the compressed bytes.

    Args:
        url: http or https.
        part: where the bytes go; kept when the download fails, with ``NAME.json`` beside it, which names the
            server's version of the file (its ``ETag`` or ``Last-Modified``).
        progress: show a bar on standard error.

    Raises:
        requests.RequestException: the server refused, sent nothing, or broke off ``TRIES`` times without another
            byte.
        OSError: the disk did.
    """
    failed = 0
    while True:
        before = _size(part)
        try:
            _piece(url, part, progress)
            _version(part).unlink(missing_ok=True)
            return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            have = _size(part)
            if not have:
                raise
            failed = 0 if have > before else failed + 1
            if failed == TRIES:
                raise requests.ConnectionError(f"broke off after {have:,} bytes, {TRIES} times") from error
            time.sleep(PAUSE * failed)


def forget(part: Path) -> None:
    """Remove what an attempt left."""
    part.unlink(missing_ok=True)
    _version(part).unlink(missing_ok=True)


def _piece(url: str, part: Path, progress: bool) -> None:
    """One request, for what is missing."""
    have, asked = _size(part), {"Accept-Encoding": "identity"}
    known = json.loads(_version(part).read_text()) if have and _version(part).is_file() else {}
    if known.get("url") == url and known.get("version"):
        asked |= {"Range": f"bytes={have}-", "If-Range": known["version"]}
    with requests.get(url, headers=asked, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            forget(part)  # the file has become shorter
            return _piece(url, part, progress)
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have = 0
        left = response.headers.get("Content-Length")
        total = have + int(left) if left is not None else None
        etag = response.headers.get("ETag", "")
        version = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        _version(part).write_text(json.dumps({"url": url, "version": version}))
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.name, disable=not progress)
        with open(part, "ab" if have else "wb") as file, bar:
            try:
                for piece in response.raw.stream(_PIECE, decode_content=False):
                    bar.update(file.write(piece))
            except urllib3.exceptions.HTTPError as error:
                raise requests.ConnectionError(error) from error
        if total is not None and _size(part) < total:
            raise requests.ConnectionError(f"broke off before {total:,} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _version(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
