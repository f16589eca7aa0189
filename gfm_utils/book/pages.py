"""What a reader meets of a chapter: its code and its long tables behind a click, its charts described in words."""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from bs4 import BeautifulSoup, Tag

from gfm_utils.figures.description import described

#: Tags of cells that the notebook needs and the page does not.
_PLUMBING = {"parameters", "injected-parameters", "remove-output"}
#: Where the specification of a chart begins in Altair's HTML.
_CHART = "\n  })("
#: The tag of the figure that is shown behind a chapter's answer, where it is not the first.
_KEY = "key-figure"
#: Sections that are never folded, unless there are figures in them.
_OPEN = {"Caveats", "Reading it", "What would change our mind"}
#: A table with more columns, rows or characters is folded.
_COLUMNS, _ROWS, _CHARACTERS = 4, 6, 600


def page_cells(notebook: dict[str, Any]) -> None:
    """Fold the code of an executed notebook, leave out cells that show nothing, and describe its charts.

    The key figure is moved behind the answer, which the first cell of text holds.
    """
    cells = notebook["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        tags = set(cell["metadata"].get("tags", ()))
        shown = [one for one in cell["outputs"] if one.get("name") != "stderr"]
        hidden = "hide-input" if shown and not tags & _PLUMBING else "remove-cell"
        cell["metadata"]["tags"] = sorted(tags | {hidden})
        caption = cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", "")
        for output in cell["outputs"]:
            text = output.get("data", {}).get("text/html")
            if text:
                output["data"]["text/html"] = _with_description("".join(text), caption)
    figures = [cell for cell in cells if cell["metadata"].get("mystnb", {}).get("figure")]
    answer = next((place for place, cell in enumerate(cells) if cell["cell_type"] == "markdown"), 0)
    for key in ([cell for cell in figures if _KEY in cell["metadata"]["tags"]] or figures)[:1]:
        cells.remove(key)
        cells.insert(answer + 1, key)


def _with_description(output: str, caption: str) -> str:
    """The HTML of an output; if it is a chart, with a description."""
    head, found, rest = output.partition(_CHART)
    if not found or "vegaEmbed" not in head:
        return output
    spec, end = json.JSONDecoder().raw_decode(rest)
    spec["description"] = described(spec, caption)
    # In a script "<" must not begin a tag.
    return head + found + json.dumps(spec).replace("<", "\\u003c") + rest[end:]


def readable(body: str, terms: Mapping[str, str] | None = None) -> str:
    """The HTML of a page with all folded that is not its answer, its key figure or its caveats.

    Of a chapter sections are folded, below their headings; code is moved below what it shows. Tables that cells
    show are folded where they are long or wide. Every cell of a table is named by the head of its column, for a
    phone, on which rows are blocks. A link to a figure or to a term (``terms``: end of the link ->
    definition) shows its caption or definition to a mouse.
    """
    soup = BeautifulSoup(body, "html.parser")
    for table in soup.find_all("table"):
        _fold_table(soup, table)
    for cell in soup.select("div.cell"):
        for code in cell.select(":scope > details.above-input"):
            cell.append(code)
    for citations in soup.select(".citation-list"):
        del citations["role"]  # that of a list, in which docutils puts no items
    for formula in soup.select("div.math"):
        formula["tabindex"] = "0"  # it scrolls where it is wide, by keyboard, too
    _preview(soup, terms or {})
    if soup.find(class_="cell"):
        for heading in soup.find_all("h2"):
            title = heading.get_text().lstrip("0123456789. ").rstrip("# ")
            if title not in _OPEN or (heading.parent and heading.parent.find("figure")):
                _fold_section(soup, heading)
    return str(soup)


def first_words(body: str) -> str:
    """The first paragraph of a page's HTML in plain text, as much as a search engine shows; empty without one."""
    paragraph = BeautifulSoup(body, "html.parser").find("p")
    return "" if paragraph is None else textwrap.shorten(paragraph.get_text(), 200, placeholder=" …")


def _preview(soup: BeautifulSoup, terms: Mapping[str, str]) -> None:
    """Put captions and definitions into the titles of the links to them."""
    figures = soup.select("figure[id] > figcaption")
    captions = {f"#{caption.parent['id']}": _words(caption) for caption in figures if caption.parent}
    for link in soup.select('a.reference.internal[href*="#"]:not([title])'):
        target = str(link["href"])
        said = captions.get(target) or terms.get(target[target.index("#") :])
        if said:
            link["title"] = textwrap.shorten(said.rstrip("# "), 300, placeholder=" …")


def _fold_section(soup: BeautifulSoup, heading: Tag) -> None:
    """Put what follows the heading of a section into a closed ``details``, of which the heading is the summary."""
    below = list(heading.next_siblings)
    fold, summary = _fold(soup, heading, "section")
    summary.append(heading)
    fold.extend(below)


def _fold(soup: BeautifulSoup, tag: Tag, kind: str) -> tuple[Tag, Tag]:
    """A closed ``details`` around a tag, and its summary, which is empty."""
    fold, summary = soup.new_tag("details", attrs={"class": kind}), soup.new_tag("summary")
    tag.wrap(fold)
    fold.insert(0, summary)
    return fold, summary


def _fold_table(soup: BeautifulSoup, table: Tag) -> None:
    """Name the cells of a table by their heads, and fold it where a cell shows it that says so or it is large."""
    heads = [_words(cell) for cell in _row(table.find("tr"))]
    rows = table.find_all("tr")[1:]
    for row in rows:
        for cell, head in zip(_row(row), heads, strict=False):
            cell["data-label"] = head
    if len(heads) > 2:
        table["class"] = " ".join([*filter(None, table.get_attribute_list("class")), "cards"])
    if not table.find_parent(class_="cell_output"):
        return
    hidden = table.find_parent("details", class_="below-input")
    if hidden:
        if hidden.summary:
            hidden.summary.decompose()
        hidden.unwrap()
    if hidden or len(heads) > _COLUMNS or len(rows) > _ROWS or len(_words(table)) > _CHARACTERS:
        names = list(dict.fromkeys(filter(None, (re.sub(r"\s*\([^)]*\)", "", head) for head in heads[1:]))))
        more = " …" if len(names) > _COLUMNS else ""
        _, summary = _fold(soup, table, "fold")
        summary.string = f"Table, {len(rows)} rows: {', '.join(names[:_COLUMNS])}{more}"


def _row(row: Tag | None) -> list[Tag]:
    return [] if row is None else row.find_all(["th", "td"], recursive=False)


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())
