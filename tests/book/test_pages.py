"""The toy book is right in a browser, and every kind of fault is seen."""

from pathlib import Path

import pytest

from gfm_utils.book import BuildReport
from gfm_utils.book.pages import check, find_chromium, page_files, screenshots
from gfm_utils.errors import GfmError

FAULTY = """<!DOCTYPE html><html><head><script src="https://example.org/x.js"></script></head><body><main>
<div id="altair-viz-1"><div class="error">no data</div></div>
<p>| a | b |
| --- | --- |</p>
<p>A formula \\(x^2\\) left raw.</p>
<div style="width: 2000px">wide</div>
<a href="missing.html">gone</a> <a href="#nowhere">gone too</a> <a href="https://example.org">elsewhere</a>
<img src="missing.png">
<script>console.error("complaint"); undefinedFunction();</script>
</main></body></html>"""


@pytest.mark.browser
def test_the_toy_book_is_right(toy_build: BuildReport) -> None:
    assert toy_build.html is not None
    problems = check(toy_build.html.parent)
    assert not problems, "\n".join(map(str, problems))


@pytest.mark.browser
def test_every_kind_of_fault_is_seen(tmp_path: Path) -> None:
    (tmp_path / "faulty.html").write_text(FAULTY)
    problems = check(tmp_path, widths=(390,))
    kinds = {problem.kind for problem in problems}
    assert kinds == {"chart", "console", "request", "scroll", "math", "markup", "link", "image"}
    links = {problem.detail.rpartition("/")[2] for problem in problems if problem.kind == "link"}
    assert links == {"missing.html", "faulty.html#nowhere", "missing.png"}
    assert "faulty.html at 390 px: request: https://example.org/x.js" in map(str, problems)


@pytest.mark.browser
def test_screenshots(toy_build: BuildReport, tmp_path: Path) -> None:
    assert toy_build.html is not None
    taken = screenshots(toy_build.html.parent, tmp_path, ["chapters/one"], (390,))
    assert [path.name for path in taken] == ["chapters-one-390.png"]
    assert taken[0].read_bytes().startswith(b"\x89PNG")


def test_no_pages_and_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GfmError, match="no pages in"):
        page_files(tmp_path)
    with pytest.raises(GfmError, match="no page"):
        page_files(tmp_path, ["intro"])
    monkeypatch.setenv("GFM_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(GfmError, match="no Chromium found"):
        find_chromium()
