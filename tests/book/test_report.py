import browser
import pytest

from gfm_utils import tables
from gfm_utils.book.report import SECTIONS, write_report

MEASURED = ("predictions", "disagreement", "static_embeddings", "contextual_embeddings")
SHOWN = sum(len(SECTIONS[name].charts) for name in MEASURED)


@pytest.fixture(scope="module")
def found(trained, measured):
    """The tables of an ensemble as those of foreign models: no untrained members, no n-grams, a hostile name."""
    made = {}
    for name in MEASURED:
        table = measured(name)
        table = table[table["condition"] == trained[1].condition]
        kept = (table["state"] != "untrained").fillna(True) & ~table["metric"].str.contains("ngram")
        kept &= (table["axis"] != "against").fillna(True)
        made[name] = table[kept].assign(condition="a</script><b>@c")
    return made


def test_every_chart_of_every_chapter_is_on_the_page(found, tmp_path):
    page = write_report(found, tmp_path / "report.html", "gfm analyse 'x<y'").read_text()
    page = page.rpartition("<body>")[2]  # without the library
    assert page.count('vegaEmbed("#altair-viz-') == SHOWN
    assert page.count("<table") == len(MEASURED) and "gfm analyse &#x27;x&lt;y&#x27;" in page
    assert "<b>" not in page
    assert page.lower().count("</script>") == SHOWN


def test_charts_without_rows_are_left_out(found, tmp_path):
    static = found["static_embeddings"]
    bare = static[~static["axis"].isin(["band", "band_at_k10"])]
    page = write_report(
        {"static_embeddings": bare, "fisher": tables.table([])}, tmp_path / "r.html", ""
    ).read_text()
    page = page.rpartition("<body>")[2]
    assert page.count('vegaEmbed("#altair-viz-') == 2 and page.count("<h2>") == 1


@pytest.mark.browser
def test_the_report_draws_without_a_network(found, tmp_path):
    write_report(found, tmp_path / "report.html", "gfm analyse")
    problems = browser.check(tmp_path, ["report"])
    assert not [one for one in problems if one.kind != "height"]  # it is all chapters on one page
