"""Addresses that a corpus may be given by: ``https://host/genome.fa.gz`` and ``hf://datasets/OWNER/NAME``."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast, get_args
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


@dataclass(frozen=True)
class Address:
    """A file on the web or a data set of the hub.

    ``https://host/path/genome.fa.gz[#sha256=<64 hexadecimal digits>][:COLUMN[?kind=dna]]`` or
    ``hf://datasets/OWNER/NAME[/FILES][?config=…&split=…&field=…&revision=…&kind=…]``, where FILES is a file or a
    glob inside the data set.

    Attributes:
        name: of the file, made plain; of a data set the address without ``hf://datasets/``.
        source: the file with its address, and its checksum if that is given, or the data set.
        column: of a table, if one is named.
        kind: that stands behind it; None if none does.
    """

    name: str
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
    scheme = source.partition("://")[0]
    if scheme.lower() == "hf":
        return _hub(source)
    if scheme.lower() in ("http", "https"):
        return _web(source)
    begin = f"{source} begins with {scheme.lower()}://, which is not read"
    raise GfmError(f"{begin}; give http://, https:// or hf://datasets/, or a path")


def _web(source: str) -> Address:
    url, colon, tail = source.rpartition(":")
    name, column, kind = _file_name(url), None, None
    # Behind the address of a table may stand a column, unless it has a query that no checksum ends.
    table = known_format(Path(name)) and format_named(name) in (*TABLES, None)
    if colon and table and ("?" not in url or "#" in url):
        column, kind = split_kind(tail)
    if column and "#sha256=" in column:
        raise GfmError(
            f"{source}: the column stands in front of the checksum; give it behind: {url}#sha256=…:COLUMN"
        )
    url, mark, pin = (url if column else source).partition("#")
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
    if mark and not re.fullmatch(r"sha256=[0-9a-f]{64}", pin):
        raise GfmError(
            f"{source}: {mark + pin!r} is no checksum; only #sha256= and 64 hexadecimal digits in lower case may "
            "stand behind the address, and behind these the column of a table"
        )
    name = _file_name(url)
    if not known_format(Path(name)):
        raise GfmError(
            f"{source} does not end in the name of a corpus file; known are {KNOWN}: "
            "if it is one under another name, download it, rename it, and give its path"
        )
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[-_LONGEST:].lstrip(".-")
    sha256 = pin.removeprefix("sha256=") or None
    sources = (UrlSource(type="url", url=url),)
    return Address(plain, SourceFile(file=plain, sources=sources, sha256=sha256, size=None), column, kind)


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
    options: dict[str, str] = {}
    for part in (match["options"] or "").split("&") if match["options"] else ():
        option, _, value = part.partition("=")
        if option not in _HUB_OPTIONS:
            raise unknown("option of a data set", option, _HUB_OPTIONS, hint=f"in {source}")
        if not value or option in options:
            wrong = "twice" if value else "no value"
            raise GfmError(f"{source} gives option {option!r} {wrong}; give it one value")
        options[option] = unquote(value)
    kind = options.pop("kind", None)
    dataset = HubSource(type="hub", dataset=match["dataset"], data_files=files, **options)
    return Address(source.removeprefix("hf://datasets/"), dataset, None, _kind(source, kind) if kind else None)
