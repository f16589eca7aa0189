"""Addresses that a corpus may be given by: ``https://host/genome.fa.gz`` and ``hf://datasets/OWNER/NAME``."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple, cast, get_args
from urllib.parse import unquote, urlsplit

from gfm_utils.corpora.readers import KNOWN, TABLES, format_named, known_format
from gfm_utils.corpora.registry import HubSource, SourceFile, UrlSource
from gfm_utils.corpora.segments import Kind
from gfm_utils.errors import GfmError, unknown

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_HUB = re.compile(
    r"hf://datasets/(?P<dataset>\w[\w.-]*/\w[\w.-]*)(/(?P<files>[^?#]+))?(\?(?P<options>[^#]+))?", re.ASCII
)
_HUB_OPTIONS = ("config", "split", "field", "revision", "kind")
_OUTSIDE = re.compile(r"(^|/)\.\.(/|$)|^/|://")  # files that are not inside the data set
_LONGEST = 100  # characters of a file's name in the cache


class Address(NamedTuple):
    """A file on the web or a data set of the hub.

    ``https://host/path/genome.fa.gz[#sha256=<64 hexadecimal digits>][:COLUMN[?kind=dna]]`` or
    ``hf://datasets/OWNER/NAME[/FILES][?config=…&split=…&field=…&revision=…&kind=…]``, where FILES is a file or a
    glob inside the data set.
    """

    name: str  # of the file, made plain; of a data set the address without hf://datasets/
    source: SourceFile | HubSource
    column: str | None
    kind: Kind | None


def is_address(source: str) -> bool:
    """Whether a corpus is given by an address, rather than by a name of the registry or a path."""
    return _SCHEME.match(source) is not None


def split_kind(text: str) -> tuple[str, Kind | None]:
    """What stands before ``?kind=dna`` (``text``, ``protein``), and the kind; None if that does not stand there.

    Raises:
        GfmError: there is no such kind.
    """
    match = re.search(r"\?kind=([^?&#:/@+]*)$", text)
    return (text[: match.start()], _kind(text, match[1])) if match else (text, None)


def _kind(source: str, kind: str) -> Kind:
    if kind not in get_args(Kind):
        raise GfmError(f"{source}: kind {kind!r} is none of {', '.join(get_args(Kind))}; give one of these")
    return cast("Kind", kind)


def parse_address(source: str) -> Address:
    """Read an address.

    Raises:
        GfmError: another scheme, or something in it is missing or wrong; says what.
    """
    scheme = source.partition("://")[0].lower()
    if scheme == "hf":
        return _hub(source)
    if scheme in ("http", "https"):
        return _web(source)
    raise GfmError(
        f"{source} begins with {scheme}://, which is not read; give http://, https:// or hf://datasets/, or a path"
    )


def _web(source: str) -> Address:
    url, mark, pin = source.partition("#")
    pin, _, column = pin.partition(":")
    if not mark and "?" not in source.rpartition(":")[0]:
        before, _, behind = url.rpartition(":")
        name = _file_name(before)
        if known_format(Path(name)) and format_named(name) in (*TABLES, None):
            url, column = before, behind
    column, kind = split_kind(column)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise GfmError(f"{source} is no address ({error}); give https://host/path/file") from None
    if not host:
        raise GfmError(f"{source} names no host; give https://host/path/file")
    if parts.password is not None:
        raise GfmError(
            f"the address of {parts.path} on {host} holds a password, which every result would repeat; leave it "
            "out and put it into ~/.netrc"
        )
    name = _file_name(url)
    if not known_format(Path(name)):
        raise GfmError(
            f"{source} does not end in the name of a corpus file; known are {KNOWN}: "
            "if it is one under another name, download it, rename it, and give its path"
        )
    if mark and not re.fullmatch(r"sha256=[0-9a-f]{64}", pin):
        raise GfmError(
            f"{source}: {mark + pin!r} is no checksum; only #sha256= and 64 hexadecimal digits in lower case may "
            "stand behind the address, and behind these the column of a table"
        )
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[-_LONGEST:].lstrip(".-")
    sources = (UrlSource(type="url", url=url),)
    file = SourceFile(file=plain, sources=sources, sha256=pin.removeprefix("sha256=") or None, size=None)
    return Address(plain, file, column or None, kind)


def _file_name(url: str) -> str:
    """What stands behind the last slash of the path; empty if the address has none."""
    path = re.split(r"[?#]", url)[0].partition("://")[2].partition("/")[2]
    return PurePosixPath(unquote(path)).name


def _hub(source: str) -> Address:
    match = _HUB.fullmatch(source)
    files = unquote(match["files"]) if match and match["files"] else None
    if match is None or (files and _OUTSIDE.search(files)):
        raise GfmError(
            f"{source} is not of the form hf://datasets/OWNER/NAME?split=train&field=text (a file or glob of the "
            f"data set may follow as NAME/FILES; options are {', '.join(_HUB_OPTIONS)})"
        )
    given = [part.partition("=")[::2] for part in match["options"].split("&")] if match["options"] else []
    options = {option: unquote(value) for option, value in given}
    if wrong := [option for option in options if option not in _HUB_OPTIONS]:
        raise unknown("option of a data set", wrong[0], _HUB_OPTIONS, hint=f"in {source}")
    if len(options) < len(given) or not all(options.values()):
        raise GfmError(f"{source} gives an option twice or no value for it; give each one value")
    kind = _kind(source, options.pop("kind")) if "kind" in options else None
    dataset = HubSource(type="hub", dataset=match["dataset"], data_files=files, **options)
    return Address(source.removeprefix("hf://datasets/"), dataset, None, kind)
