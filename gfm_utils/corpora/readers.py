"""Readers: a file of any supported format -> the names and contents of its records."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePath
from typing import BinaryIO
from xml.etree import ElementTree

import mwparserfromhell
from mwparserfromhell import nodes
from mwparserfromhell.wikicode import Wikicode

from gfm_utils.corpora.columns import values
from gfm_utils.corpora.opening import COMPRESSED, READ, archive_of, as_text, opened
from gfm_utils.corpora.registry import Format
from gfm_utils.corpora.sequences import fasta_chunks, fastq_records
from gfm_utils.errors import GfmError

#: Names of records, and stretches of their contents: what goes on has None for a name.
Chunks = Iterator[tuple[str | None, str]]

FORMATS: dict[str, Format] = {
    ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta", ".ffn": "fasta", ".fas": "fasta", ".faa": "fasta",
    ".fq": "fastq", ".fastq": "fastq",
    ".txt": "text", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".xml": "mediawiki",
}  # fmt: skip
#: Formats whose columns have names.
TABLES = ("csv", "tsv", "parquet")
#: The extensions that are known, as messages list them.
KNOWN = f"{', '.join(FORMATS)} (each also with {', '.join(COMPRESSED)})"
# Tags whose content is not running text.
_DROPPED = {
    "ref", "references", "table", "gallery", "math", "chem", "timeline", "imagemap", "score",
    "syntaxhighlight", "source", "graph", "hiero", "templatedata", "noinclude",
}  # fmt: skip
_NOT_PROSE = re.compile(r"\s*:?\s*(file|image|category|media|wiktionary|[a-z]{2,3}(-[a-z]+)*)\s*:", re.IGNORECASE)
# What is left of markup that does not close.
_BROKEN = re.compile(r"<ref\b[^<>]*>.*?</ref>|</?[a-z]+[^<>\n]*>|'{2,}|\[\[|\]\]|\{\||\|\}|\{\{|\}\}", re.DOTALL)


def format_named(name: str) -> Format | None:
    """The format that a file's name says, looking through compression; None if it says none."""
    endings = (ending.lower() for ending in reversed(PurePath(name).suffixes))
    return FORMATS.get(next((ending for ending in endings if ending not in COMPRESSED), ""))


def known_format(path: Path) -> bool:
    """Whether the extension says a format, or that of an archive, inside of which is one."""
    return format_named(path.name) is not None or path.suffix.lower() == ".zip"


def chunks(
    path: Path,
    form: Format,
    column: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
    genes: bool = False,
) -> Chunks:
    """The records of a file as they stand in it (not cleaned), long ones of FASTA and text in chunks.

    A text file is one record, of which about ``limit`` characters are read; a table gives one record a row.

    Yields:
        Name and content of each record, or its beginning; what goes on has None for a name.

    Raises:
        GfmError: missing, empty, truncated, in another encoding or another format; says where.
    """
    try:
        if form in TABLES:
            yield from ((f"row-{row}", value) for row, value in enumerate(values(path, form, column, encoding), 1))
            return
        with opened(path, form) as handle:
            if form == "fasta":
                yield from fasta_chunks(path, handle, genes)
            elif form == "fastq":
                yield from fastq_records(path, handle)
            elif form == "mediawiki":
                yield from articles(handle, str(path))
            else:
                yield archive_of(path)[1] or path.name, ""
                whole = as_text(handle, encoding)
                while (limit is None or limit >= 0) and (text := whole.read(READ)):
                    yield None, text
                    limit = None if limit is None else limit - len(text)
    except UnicodeDecodeError as error:
        wrong, near = error.object[error.start], error.object[max(error.start - 20, 0) : error.end + 20]
        raise GfmError(
            f"{path} is not {encoding.upper()} text (byte 0x{wrong:02x} in {near!r}); convert it to UTF-8, e.g. "
            "with iconv"
        ) from None


def joined(chunks: Chunks) -> Iterator[tuple[str, str]]:
    """Name and content of each record."""
    name: str | None = None
    parts: list[str] = []
    for begun, text in chain(chunks, [("", "")]):  # the end of the last record
        if begun is not None:
            if name is not None:
                yield name, "".join(parts)
            name, parts = begun, []
        parts.append(text)


def articles(handle: BinaryIO, name: str) -> Iterator[tuple[str, str]]:
    """Title and text of each article (name space 0, no redirects) of a dump, one page in memory at a time.

    Raises:
        GfmError: not a MediaWiki dump, or broken XML.
    """
    try:
        events = ElementTree.iterparse(handle, events=("start", "end"))
        _, root = next(events)
        if _local(root.tag) != "mediawiki":
            raise GfmError(f"{name} is XML, but no MediaWiki dump (its root is <{_local(root.tag)}>); give one")
        for event, element in events:
            if event == "end" and _local(element.tag) == "page":
                page = {_local(child.tag): child for child in element.iter()}
                if page["ns"].text == "0" and "redirect" not in page:
                    yield page["title"].text or "", plain(page["text"].text or "")
                root.clear()
    except ElementTree.ParseError as error:
        line, column = error.position
        raise GfmError(
            f"{name} is broken XML at line {line}, column {column}; it may be truncated: download it again"
        ) from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def plain(markup: str) -> str:
    """Running text of wiki markup: headings and lists stay as lines, templates and tables go."""
    return _BROKEN.sub("", _text(mwparserfromhell.parse(markup)))


def _text(code: Wikicode | None) -> str:
    return "" if code is None else "".join(map(_node, code.nodes))


def _node(node: nodes.Node) -> str:
    match node:
        case nodes.Text():
            return str(node.value)
        case nodes.Wikilink():
            if _NOT_PROSE.match(str(node.title)):
                return ""
            return _text(node.title if node.text is None else node.text)
        case nodes.ExternalLink():
            return _text(node.title) if node.brackets else ""
        case nodes.Heading():
            return _text(node.title).strip()
        case nodes.HTMLEntity():
            return str(node.normalize())
        case nodes.Tag():
            name = str(node.tag).strip().lower()
            return "\n" if name == "br" else "" if name in _DROPPED else _text(node.contents)
    return ""  # templates, arguments, comments
