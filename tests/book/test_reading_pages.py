"""What a reader meets first, what is folded, and what a chart says in words."""

import altair as alt
from bs4 import BeautifulSoup
from toybook import code, figure, text

from gfm_utils.book.pages import first_words, page_cells, readable

CHAPTER = """<section><h1>One</h1><p>The answer.</p>
<section><h2><span>1.1. </span>Method<a>#</a></h2>
<div class="cell"><details class="hide above-input">code</details>
<div class="cell_output"><table>{long}</table><table><tr><th>a</th><th>b</th><th>c</th></tr>
<tr><td>1</td><td>2</td><td>3</td></tr></table></div></div></section>
<section><h2><span>1.2. </span>Caveats<a>#</a></h2><p>One text.</p></section></section>"""
LONG = "<tr><th></th><th>loss (bits)</th></tr>" + "<tr><td>x</td><td>1</td></tr>" * 9


def shown(source: str, html: str, **metadata: object) -> dict[str, object]:
    """A code cell that has shown HTML."""
    output = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
    return {**code(source, **metadata), "outputs": [output]}


def test_the_key_figure_stands_behind_the_answer_and_plumbing_on_no_page() -> None:
    chart = alt.Chart({"values": [{"a": 1, "b": 2.5}]}).mark_point().encode(x="a:Q", y="b:Q")
    drawn = chart._repr_mimebundle_()["text/html"]
    key = shown("draw()", drawn, **figure("fig-key", "All of it. More."))
    cells = [code("profile = 1", ("parameters",)), text("# One"), code("import x"), shown("table", "<p>"), key]
    notebook = {"cells": cells}
    page_cells(notebook)
    tags = [(cell["source"], *cell["metadata"].get("tags", ())) for cell in notebook["cells"]]
    assert tags == [
        ("profile = 1", "parameters", "remove-cell"),
        ("# One",),
        ("draw()", "hide-input"),
        ("import x", "remove-cell"),
        ("table", "hide-input"),
    ]
    html = notebook["cells"][2]["outputs"][0]["data"]["text/html"]
    assert '"description": "All of it. b: 2.5."' in html and html.endswith(drawn[-30:])


def test_sections_and_long_tables_are_folded_and_caveats_are_not() -> None:
    page = BeautifulSoup(readable(CHAPTER.format(long=LONG)), "html.parser")
    assert [fold.find("h2").get_text() for fold in page.select("details.section > summary")] == ["1.1. Method#"]
    assert [fold.get_text() for fold in page.select("details.fold > summary")] == ["Table, 9 rows: loss"]
    assert [cell["data-label"] for cell in page.select("table.cards td")] == ["a", "b", "c"]
    assert page.select_one("div.cell").find_all(recursive=False)[-1].get_text() == "code"
    assert first_words(CHAPTER) == "The answer."
    assert "details" not in readable("<h2>Front</h2><table>" + LONG + "</table>")


def test_links_to_figures_and_terms_show_what_they_lead_to() -> None:
    links = """<a class="reference internal" href="#fig-one">Fig. 1.1</a>
    <a class="reference internal" href="../glossary.html#term-token">token</a>
    <a class="reference internal" href="../references.html#id1" title="cited">[1]</a>
    <a class="reference internal" href="#method">method</a>
    <figure id="fig-one"><figcaption><span>Fig. 1.1</span> A line.<a class="headerlink" href="#fig-one">#</a>
    </figcaption></figure>"""
    page = BeautifulSoup(readable(links, {"term-token": "What a model reads."}), "html.parser")
    titles = [link.get("title") for link in page.select("a.reference")]
    assert titles == ["Fig. 1.1 A line.", "What a model reads.", "cited", None]
