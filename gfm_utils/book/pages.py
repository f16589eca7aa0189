"""What a reader meets of a page: folds, charts described in words, and scripts that need no network.

As an extension of Sphinx it does this to the book's pages; the JavaScript libraries come from Python packages.
"""

import html
import importlib.metadata
import importlib.util
import json
import re
import shutil
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from gfm_utils.errors import GfmError
from gfm_utils.figures.description import described
from gfm_utils.files import atomic, cache_dir

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
_VEGA_BUNDLE = "vega-bundle.js"
_EXPORT = "window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed;"
#: What of MathJax does not typeset TeX in its own fonts, with MathML for screen readers: 20 of 24 MB.
_UNUSED = ("sre*", "ui", "adaptors", "mml*", "svg*", "asciimath*", "tex-*", "node*", "l*.js")
#: Words in the scripts of sphinx-thebe, which Jupyter Book 1 always adds and which point at a CDN, and of MathJax.
_THEBE, _FORMULAS = ("THEBE_JS_URL", "sphinx-thebe"), ("mathjax/", "window.MathJax")


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
    phone, on which rows are blocks. A link to a figure or to a term (``terms``: anchor -> definition) shows its
    caption or definition to a mouse.
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
    captions = {f"#{one['id']}": _words(one.figcaption) for one in soup.select("figure[id]") if one.figcaption}
    for link in soup.select('a.reference.internal[href*="#"]:not([title])'):
        anchor = str(link["href"]).partition("#")[2]
        if text := captions.get(str(link["href"])) or (terms or {}).get(anchor):
            link["title"] = textwrap.shorten(text.rstrip("# "), 300, placeholder=" …")
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


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in the versions that Altair's charts ask for.

    Altair's HTML loads each library from a CDN unless ``VEGA_DEBUG`` says that it is there in that version. The
    script is kept in the cache directory (making it takes seconds).
    """
    import altair
    import vl_convert

    versions = {
        "vega_version": altair.VEGA_VERSION,
        "vegalite_version": altair.VEGALITE_VERSION,
        "vegaembed_version": altair.VEGAEMBED_VERSION,
    }
    made_by = importlib.metadata.version("vl-convert-python")
    kept = cache_dir() / "vega" / f"{'-'.join(versions.values())}-{made_by}.js"
    if not kept.is_file():
        bundle = vl_convert.javascript_bundle(_EXPORT, ".".join(altair.VEGALITE_VERSION.split(".")[:2]))
        debug = f"Object.assign(window.VEGA_DEBUG || {{}}, {json.dumps(versions)})"
        with atomic(kept) as temporary:
            temporary.write_text(f"(function () {{\n{bundle}\n}})();\nwindow.VEGA_DEBUG = {debug};\n", "utf-8")
    return kept.read_text(encoding="utf-8")


def write_scripts(folder: Path) -> None:
    """Write the libraries of the book's pages: ``vega_bundle``, and MathJax 3 into the folder ``mathjax``.

    Raises:
        GfmError: the distribution ``sphinx-mathjax-offline`` is not installed.
    """
    (folder / _VEGA_BUNDLE).write_text(vega_bundle(), encoding="utf-8")
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise GfmError("the formulas need the package sphinx-mathjax-offline; install it with pip")
    source = Path(spec.origin).parent / "static" / "mathjax"
    shutil.copytree(source, folder / "mathjax", ignore=shutil.ignore_patterns(*_UNUSED))


def offline_page(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Make a page readable, and load what it uses: the Vega bundle, the game, MathJax; no live-code scripts."""
    del pagename, templatename, doctree
    if "body" in context:
        about = html.escape(first_words(context["body"]))
        if about and 'name="description"' not in context.get("metatags", ""):
            context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{about}">\n'
        context["body"] = readable(context["body"], _terms(app.env))
    body = context.get("body", "")
    if "altair-viz-" in body:
        app.add_js_file(_VEGA_BUNDLE)
    if 'class="guess-game"' in body:
        app.add_js_file("play.js")
        app.add_css_file("play.css")
    if scripts := context.get("script_files"):  # MathJax comes with a page if any page below it has a formula
        unused = _THEBE if 'class="math' in body else (*_THEBE, *_FORMULAS)
        scripts[:] = [script for script in scripts if not _names(script, unused)]


@lru_cache(maxsize=1)  # the same on each page
def _terms(env: Any) -> dict[str, str]:
    """Anchor of each term of the glossary -> its definition; empty in a book without one."""
    if "glossary" not in env.found_docs:
        return {}
    from docutils import nodes

    items = env.get_doctree("glossary").findall(nodes.definition_list_item)
    pairs = ((item.next_node(nodes.definition).astext(), item.findall(nodes.term)) for item in items)
    return {name: definition for definition, terms in pairs for term in terms for name in term["ids"]}


def _names(script: Any, words: tuple[str, ...]) -> bool:
    text = f"{getattr(script, 'filename', '')} {getattr(script, 'attributes', {}).get('body', '')}"
    return any(word in text for word in words)


def setup(app: Any) -> dict[str, Any]:
    """Entry point that Sphinx calls; the late priority lets every other extension add its scripts first."""
    app.connect("html-page-context", offline_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
