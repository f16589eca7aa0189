"""The toy book is right in a browser, and every kind of fault is seen."""

from pathlib import Path

import pytest
from browser import browser, check

from gfm_utils.book import BuildReport

FAULTY = """<!DOCTYPE html><html><head><script src="https://example.org/x.js"></script></head><body><main>
<div id="altair-viz-1"><div class="error">no data</div></div>
<div id="altair-viz-2"><svg class="marks" width="100" height="30">
<g class="role-legend"><text x="5" y="20">short</text><text x="60" y="20">a long label</text></g>
<path id="mark"/></svg></div><script>mark.__data__ = { tooltip: { seeds: "undefined", value: "0.123" } };</script>
<div id="altair-viz-3" aria-label="From 1 to 2."><svg class="marks" width="100" height="30"></svg></div>
<div style="width: 50px"><table><tr><td>averylongwordinacell</td></tr></table></div>
<details><table style="width: 3000px"><tr><td>folded</td></tr></table></details>
<div style="height: 7000px"></div>
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
    problems = check(tmp_path, widths=(390, 1280))
    kinds = {problem.kind for problem in problems}
    assert kinds == {
        "chart", "description", "tooltip", "table", "height", "console", "request", "scroll", "math", "markup",
        "link", "image", "accessibility",
    }  # fmt: skip
    told = {problem.detail for problem in problems if problem.kind in ("tooltip", "table", "description")}
    assert "tooltip 'seeds undefined'" in told and len(told) == 4, told  # two charts and one table
    cut = {problem.detail for problem in problems if "cut off" in problem.detail}
    assert cut == {"'a long label' is cut off"}
    links = {problem.detail.rpartition("/")[2] for problem in problems if problem.kind == "link"}
    assert links == {"missing.html", "faulty.html#nowhere", "missing.png"}
    assert "faulty.html at 390 px: request: https://example.org/x.js" in map(str, problems)


@pytest.mark.browser
def test_charts_fit_their_boxes_when_the_window_grows(toy_build: BuildReport) -> None:
    assert toy_build.html is not None
    wide = """() => [...document.querySelectorAll('.vega-embed')].filter(box =>
        Math.abs(box.querySelector('svg.marks').clientWidth - box.clientWidth) > 60).length"""
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 390, "height": 900})
        page.goto((toy_build.html.parent / "chapters/one.html").as_uri())
        page.wait_for_selector(".vega-embed svg.marks")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.wait_for_timeout(1500)
        assert page.evaluate(wide) == 0
