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
from gfm_utils.corpora.opening import COMPRESSED, COMPRESSIONS, archive_of, decoded, not_one, opened, packed_names
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
KNOWN = f"{', '.join(FORMATS)} (each also with {COMPRESSIONS})"
# Tags whose content is not running text.
_DROPPED = {
    "ref", "references", "table", "gallery", "math", "chem", "timeline", "imagemap", "score",
    "syntaxhighlight", "source", "graph", "hiero", "templatedata", "noinclude",
}  # fmt: skip
_NOT_PROSE = re.compile(r"\s*:?\s*(file|image|category|media|wiktionary|[a-z]{2,3}(-[a-z]+)*)\s*:", re.IGNORECASE)
# What is left of markup that does not close.
_BROKEN = re.compile(r"<ref\b[^<>]*>.*?</ref>|</?[a-z]+[^<>\n]*>|'{2,}|\[\[|\]\]|\{\||\|\}|\{\{|\}\}", re.DOTALL)


def format_of(path: Path) -> Format:
    """The format that a file's extension says, looking through those of compression.

    Of a zip archive the file inside decides, if it has an extension that is known.

    Raises:
        GfmError: unknown extension, or an archive that is damaged or does not hold just one file.
    """
    names = packed_names(path) if path.suffix.lower() == ".zip" and path.is_file() else None
    if names is not None and len(names) != 1:
        raise not_one(path, len(names))
    for name in (*(names or ()), path.name):
        if form := format_named(name):
            return form
    if names:
        raise GfmError(f"{path} holds {names[0]}, whose extension is unknown; known are {KNOWN}")
    raise GfmError(f"{path} has the unknown extension {_uncompressed(path.name).suffix!r}; known are {KNOWN}")


def known_format(path: Path) -> bool:
    """Whether the extension says a format, or that of an archive, inside of which is one."""
    return format_named(path.name) is not None or path.suffix.lower() == ".zip"


def format_named(name: str) -> Format | None:
    """The format that a file's name says, looking through compression; None if it says none."""
    return FORMATS.get(_uncompressed(name).suffix.lower())


def _uncompressed(name: str) -> PurePath:
    path = PurePath(name)
    while path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path


def chunks(
    path: Path,
    form: Format,
    column: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
    genes: bool = False,
) -> Chunks:
    """The records of a file as they stand in it (not cleaned), long ones of FASTA and text in chunks.

    The file is plain or compressed (gzip, bzip2, xz, Zstandard, or a zip archive of one file), whatever its
    extension says, or one inside a zip archive of several; of text about ``limit`` characters are read.

    Yields:
        Name and content of each record, or its beginning; what goes on has None for a name. A text file is one
        record; a table gives one record a row.

    Raises:
        GfmError: missing, empty, truncated, in another encoding or another format; says where.
    """
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
            for text in decoded(path, handle, encoding):
                yield None, text
                if limit is not None and (limit := limit - len(text)) < 0:
                    break


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

    The text is without templates, tables, references, files, categories and markup.

    Raises:
        GfmError: not a MediaWiki dump, or broken XML.
    """
    try:
        events = ElementTree.iterparse(handle, events=("start", "end"))
        _, root = next(events)
        if _local(root.tag) != "mediawiki":
            root_tag = f"its root is <{_local(root.tag)}>, not <mediawiki>"
            raise GfmError(f"{name} is XML but no MediaWiki dump ({root_tag}); give one")
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
