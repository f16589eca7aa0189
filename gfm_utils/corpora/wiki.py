"""Articles out of a MediaWiki dump, their markup stripped."""

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

import mwparserfromhell
from mwparserfromhell import nodes
from mwparserfromhell.wikicode import Wikicode

from gfm_utils.errors import GfmError

# Tags whose content is not running text.
_DROPPED = {
    "ref", "references", "table", "gallery", "math", "chem", "timeline", "imagemap", "score",
    "syntaxhighlight", "source", "graph", "hiero", "templatedata", "noinclude",
}  # fmt: skip
_NOT_PROSE = re.compile(r"\s*:?\s*(file|image|category|media|wiktionary|[a-z]{2,3}(-[a-z]+)*)\s*:", re.IGNORECASE)
# What is left of markup that does not close.
_BROKEN = re.compile(r"<ref\b[^<>]*>.*?</ref>|</?[a-z]+[^<>\n]*>|'{2,}|\[\[|\]\]|\{\||\|\}|\{\{|\}\}", re.DOTALL)


def articles(handle: BinaryIO, name: str) -> Iterator[tuple[str, str]]:
    """Title and text of each article (name space 0, no redirects) of a dump, one page in memory at a time.

    Args:
        handle: the decompressed XML.
        name: the file's name, for error messages.

    Yields:
        Title, and text without templates, tables, references, files, categories and markup.

    Raises:
        GfmError: not a MediaWiki dump, or broken XML.
    """
    try:
        events = ElementTree.iterparse(handle, events=("start", "end"))
        _, root = next(events)
        if not root.tag.endswith("}mediawiki") and root.tag != "mediawiki":
            raise GfmError(
                f"{name} is XML but no MediaWiki dump (its root is <{_local(root.tag)}>, not <mediawiki>); "
                "give one"
            )
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
            if name == "br":
                return "\n"
            return "" if name in _DROPPED else _text(node.contents)
        case _:  # templates, arguments, comments
            return ""
