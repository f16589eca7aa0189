"""Look at the built pages in headless Chromium, without a network, as a reader would."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urlparse

from gfm_utils.errors import GfmError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
_WAIT_MS = 20_000
#: Entries of a menu that are chosen.
_ENTRIES = 12
#: The greatest height of a page with its folds closed, in windows that are at least so wide; in pixels.
_TALLEST, _WIDE = 6000, 1000
#: The greatest weight of a page with its scripts and styles, without the data of its charts; in bytes.
_HEAVIEST = 3_000_000

#: Scripts that run in the page; each returns a list of complaints or a count.
_CHARTS_PENDING = """() => [...document.querySelectorAll('[id^="altair-viz-"]')]
    .filter(div => !div.querySelector('canvas, svg.marks') && !div.querySelector('.error')).length"""
_CHARTS_EMPTY = """() => [...document.querySelectorAll('[id^="altair-viz-"]')].filter(div => {
    const marks = div.querySelector('canvas, svg.marks');
    return !marks || marks.clientWidth < 50 || marks.clientHeight < 20;
}).map(div => div.innerText.slice(0, 200) || 'drew nothing')"""
_CHARTS_CUT = """() => [...document.querySelectorAll('[id^="altair-viz-"] svg.marks')].flatMap(chart => {
    const edge = chart.getBoundingClientRect();
    return [...chart.querySelectorAll(['legend', 'axis', 'title'].map(role => `.role-${role} text`).join())]
        .filter(text => {
            const { left, right, width } = text.getBoundingClientRect();
            return width && (left < edge.left - 2 || right > edge.right + 2);
        }).map(text => `'${text.textContent}' is cut off`);
})"""
_CHARTS_UNTOLD = """() => {
    const labels = [...document.querySelectorAll('[id^="altair-viz-"]')].map(div => {
        const named = div.querySelector('[role="graphics-document"]') || div;
        return named.getAttribute('aria-label') || '';
    });
    return labels.flatMap((label, i) => /[0-9]/.test(label) && labels.indexOf(label) === i ? []
        : [`chart ${i + 1} has no description with a number of its own: '${label}'`]);
}"""
_TOOLTIPS = """() => [...document.querySelectorAll('svg.marks *')].flatMap(mark => {
    const told = mark.__data__ && mark.__data__.tooltip;
    const named = told && typeof told === 'object';
    const texts = named ? Object.entries(told).map(pair => pair.join(' ')) : [told || ''];
    const bad = text => /(?<!matched )\\b(undefined|null|NaN)\\b/.test(text);
    return texts.filter(bad).map(text => `tooltip '${text}'`);
})"""
_TABLES_WIDE = """() => [...document.querySelectorAll('main table')].filter(table => {
    let box = table.parentElement;
    while (getComputedStyle(box).display === 'inline') box = box.parentElement;
    return !table.closest('details:not([open])') && table.scrollWidth > box.clientWidth + 1;
}).map(table => `${table.scrollWidth} pixels in a narrower box: ${table.innerText.trim().slice(0, 60)}`)"""
_UNFOLD = "() => document.querySelectorAll('main details').forEach(fold => (fold.open = true))"
_MATH_PENDING = (
    "() => [...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
)
_MATH_RAW = r"""() => {
    const top = document.querySelector('main') || document.body;
    const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
    const errors = [...document.querySelectorAll('[data-mml-node="merror"]')];
    const bad = errors.map(node => 'error in ' + node.textContent);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.parentElement.closest('pre, code, script, style, mjx-container')) continue;
        if (/\\\(|\\\[|\$\$|\$\\/.test(node.data)) bad.push(node.data.trim().slice(0, 80));
    }
    return bad;
}"""
_MARKUP_RAW = r"""() => [...document.querySelectorAll('main p')].map(p => p.innerText.trim())
    .filter(text => /^\|.*\|$/m.test(text)).map(text => text.slice(0, 80))"""
_SIDEWAYS = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width + 1) return null;
    const wide = [...document.querySelectorAll('main *')]
        .filter(element => element.getBoundingClientRect().right > width + 1);
    const name = element => element.tagName.toLowerCase() + '.' + element.classList;
    return document.documentElement.scrollWidth + ' pixels; the first element that sticks out: '
        + (wide.length ? name(wide[0]) : 'unknown');
}"""
_LINKS = "() => [...document.querySelectorAll('a[href], img[src]')].map(e => e.href || e.src)"
_BROKEN_IMAGES = "() => [...document.images].filter(i => i.complete && !i.naturalWidth && i.src).map(i => i.src)"


class Problem(NamedTuple):
    """Something wrong on a page, as a browser of that width shows it."""

    page: str
    width: int
    kind: str  # what is wrong: a chart, a link, the height of the page ...
    detail: str

    def __str__(self) -> str:
        return f"{self.page} at {self.width} px: {self.kind}: {self.detail}"


def find_chromium() -> Path:
    """Path of the browser: ``$GFM_CHROMIUM``, else the first Chromium or Chrome on the ``PATH``."""
    configured = os.environ.get("GFM_CHROMIUM")
    for path in map(shutil.which, (configured,) if configured else _BROWSERS):
        if path:
            return Path(path)
    raise GfmError(
        "no Chromium found to look at the pages with; install it (Debian: apt-get install chromium) "
        "or set GFM_CHROMIUM to its path"
    )


def page_files(html_dir: Path, pages: Sequence[str] | None = None) -> list[Path]:
    """The HTML files to look at: those named (without ``.html``), or all but index, search and redirects."""
    if pages is not None:
        return [html_dir / f"{name}.html" for name in pages]
    files = [
        path
        for path in sorted(html_dir.rglob("*.html"))
        if path.name not in {"search.html", "genindex.html"}
        and not {"_static", "_modules"} & set(path.relative_to(html_dir).parts)
        and b'http-equiv="Refresh"' not in path.read_bytes()[:200]  # Jupyter Book's index.html
    ]
    assert files, f"no pages in {html_dir}"
    return files


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = find_chromium()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(executable),
            args=list(_ARGUMENTS),
            env={**os.environ, "HOME": home},  # some builds write a profile into the home directory at start
        )
        try:
            yield chromium
        finally:
            chromium.close()


def check(
    html_dir: Path, pages: Sequence[str] | None = None, widths: Sequence[int] = (1280, 390)
) -> list[Problem]:
    """Open every page (or those named, such as ``chapters/corpora``) from the disk, and list what is wrong.

    With all that is folded closed a page is not too long for a wide window, and no table is wider than its box.
    With all of it open its charts have drawn with all their words, are described and have whole tooltips, formulas
    are typeset and tables are tables, the console is clean, nothing was asked of the network, the page does not
    scroll sideways, and every local link and image leads somewhere. In a wide window it is light enough, and axe
    finds nothing serious (contrast in light and in dark, keyboard, screen reader).
    """
    files = page_files(html_dir, pages)
    problems: list[Problem] = []
    anchors: dict[Path, set[str]] = {}
    with browser() as chromium:
        for width in widths:
            context = chromium.new_context(viewport={"width": width, "height": 900})
            for path in files:
                name, found = path.relative_to(html_dir).as_posix(), _look(context, path, anchors)
                problems += [Problem(name, width, kind, detail) for kind, detail in found]
            context.close()
    return problems


def _look(context: Any, path: Path, anchors: dict[Path, set[str]]) -> list[tuple[str, str]]:
    """Kind and detail of what is wrong on one page."""
    from playwright.sync_api import TimeoutError as TooLong

    found: list[tuple[str, str]] = []
    page, weight = _open(context, path, found)
    found += [("table", text) for text in page.evaluate(_TABLES_WIDE)]
    height, width = page.evaluate("() => document.documentElement.scrollHeight"), page.viewport_size["width"]
    if width >= _WIDE and height > _TALLEST and path.stem != "references":
        found.append(("height", f"{height} pixels with all that is folded closed; at most {_TALLEST}"))
    page.evaluate(_UNFOLD)
    for kind, pending in (("chart", _CHARTS_PENDING), ("math", _MATH_PENDING)):
        try:
            page.wait_for_function(f"({pending})() === 0", timeout=_WAIT_MS)
        except TooLong:
            found.append((kind, f"{page.evaluate(pending)} not drawn after {_WAIT_MS // 1000} s"))
    found += [("chart", text) for script in (_CHARTS_EMPTY, _CHARTS_CUT) for text in page.evaluate(script)]
    found += [("chart", text) for text in _cut_by_choices(page)]
    found[:] = [one for one in found if "Infinite extent" not in one[1]]  # a layer without rows, once chosen
    for kind, script in (("description", _CHARTS_UNTOLD), ("tooltip", _TOOLTIPS), ("math", _MATH_RAW)):
        found += [(kind, text) for text in page.evaluate(script)]
    found += [("markup", text) for text in page.evaluate(_MARKUP_RAW)]
    if sideways := page.evaluate(_SIDEWAYS):
        found.append(("scroll", sideways))
    found += [("image", source) for source in page.evaluate(_BROKEN_IMAGES)]
    found += [("link", link) for link in sorted(set(page.evaluate(_LINKS))) if not _leads_somewhere(link, anchors)]
    if width >= _WIDE:
        if sum(weight) > _HEAVIEST:
            found.append(("weight", f"{sum(weight):,} bytes; at most {_HEAVIEST:,}"))
        found += [("accessibility", text) for text in _barriers(page)]
    page.close()
    return list(dict.fromkeys(found))


def _cut_by_choices(page: Any) -> list[str]:
    """What is cut off, or told wrongly, once an entry of a menu is chosen (of a long menu the first ones)."""
    found = []
    for menu in page.query_selector_all(".vega-bindings select"):
        for option in menu.query_selector_all("option")[:_ENTRIES]:
            name = option.inner_text()
            menu.select_option(label=name)
            page.wait_for_timeout(80)
            found += [
                f"{text}, with '{name}'" for script in (_CHARTS_CUT, _TOOLTIPS) for text in page.evaluate(script)
            ]
    return found


def _barriers(page: Any) -> list[str]:
    """What axe-core calls serious, in light; and its contrasts in dark."""
    from axe_playwright_python.sync_playwright import Axe

    axe, found = Axe(), []
    for theme, rules in (("light", None), ("dark", ["color-contrast"])):
        page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
        page.wait_for_timeout(400)  # colours fade into each other
        options = {"resultTypes": ["violations"], "preload": False, **({"runOnly": rules} if rules else {})}
        for violation in axe.run(page, options=options).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = violation["nodes"]
                found.append(f"{violation['help']} ({theme}, {len(nodes)} times): {nodes[0]['html'][:120]}")
    return found


def _open(context: Any, path: Path, found: list[tuple[str, str]]) -> tuple[Any, list[int]]:
    """Open a page with the network cut off; requests and the console's complaints are added to ``found``.

    Also the sizes of the page (without what its own scripts hold) and of the files that it loads, in bytes.
    """
    page = context.new_page()
    weight = [len(re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))]

    def route(request: Any) -> None:
        parts = urlparse(request.request.url)
        if parts.scheme in ("file", "data", "blob"):
            loaded = Path(unquote(parts.path))
            if parts.scheme == "file" and loaded != path.resolve() and loaded.is_file():
                weight.append(loaded.stat().st_size)
            request.continue_()
        else:
            found.append(("request", request.request.url))
            request.abort()

    def console(message: Any) -> None:
        if message.type in ("error", "warning"):
            found.append(("console", f"{message.type}: {message.text}"))

    page.route("**/*", route)
    page.on("console", console)
    page.on("pageerror", lambda error: found.append(("console", f"uncaught: {error}")))
    page.goto(path.resolve().as_uri(), wait_until="load")
    return page, weight


def _leads_somewhere(link: str, anchors: dict[Path, set[str]]) -> bool:
    """Whether a link is not to a local file, or is to one that exists and holds the link's anchor."""
    from bs4 import BeautifulSoup

    address, fragment = urldefrag(link)
    parts = urlparse(address)
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or not path.is_file():
        return parts.scheme != "file"
    if fragment and path.suffix == ".html" and path not in anchors:
        soup = BeautifulSoup(path.read_bytes(), "html.parser")
        anchors[path] = {str(tag["id"]) for tag in soup.find_all(id=True)}
    return not fragment or unquote(fragment) in anchors.get(path, {unquote(fragment)})
