"""The atlas's charts, tables and sentences, of the recorded run and of one whose numbers are known."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from drawing import drawn

from gfm_utils import claims, figures
from gfm_utils.claims.dose import LEAST_GAIN
from gfm_utils.claims.forecast import COUNTED, FORECAST, NO_BETTER
from gfm_utils.provenance import recorded


@pytest.fixture(scope="module")
def table():
    return recorded("atlas")[0]


@pytest.fixture(scope="module")
def points(table):
    return claims.atlas_points(table)


def test_the_charts_have_every_corpus_with_its_name_and_its_null(table, points):
    _, svg, rows = drawn(figures.atlas_map(table))
    assert {row["corpus"] for row in rows} == set(points["label"]) and "Slime mould" in svg
    _, svg, rows = drawn(figures.atlas_chart(table))
    measured = [row for row in rows if row["drawn"] == "point"]
    assert len(measured) == 3 * len(points) and all(row["null"] is not None for row in measured)
    lines = pd.DataFrame(row for row in rows if row["drawn"] == "line")
    assert lines.groupby("metric")["kind"].nunique().tolist() == [3, 3, 3]
    forecasts = claims.left_out(points)
    _, _, rows = drawn(figures.forecast_chart(forecasts))
    assert len([row for row in rows if "label" in row]) == len(FORECAST) * len(points)
    assert figures.judged_table(forecasts).data.count("\n| ") == 2 * len(FORECAST) + 1


def test_the_table_sorts_by_what_its_cells_hold_and_every_corpus_unfolds(table, points):
    page = BeautifulSoup(figures.atlas_table(points).data, "html.parser")
    rows = page.tbody.find_all("tr")
    assert len(rows) == len(points) and all(head.get("onclick") for head in page.thead.find_all("th"))
    gains = [float(row.find_all("td")[4]["data-v"]) for row in rows]
    assert gains == pytest.approx(points["context_gain"].tolist(), abs=1e-4)
    reports = BeautifulSoup(figures.corpus_reports(table).data, "html.parser").find_all("details")
    assert len(reports) == len(points) and all("Licence: " in one.p.text for one in reports)


def test_tables_tell_kinds_apart_and_say_where_they_cannot(points):
    text = figures.contrasts_table(points).data
    assert "DNA less text" in text and "not separable (0 in the common range)" in text
    assert figures.spread_table(points).data.count("DNA alone") == 3
    assert figures.residuals_table(points).data.splitlines()[0] == "| Measure | DNA | text | protein |"
    steps = [line.split(" | ")[0] for line in figures.dogma_table(points).data.splitlines()[2:]]
    assert steps == ["| genome", "| mRNA", "| coding sequence", "| protein"]


def test_the_answer_has_the_numbers_of_the_atlas(points):
    said = figures.atlas_numbers(points, claims.left_out(points))
    assert said["corpora"].startswith("14 genomes, 4 sets of transcripts")
    gains = points.loc[points["kind"] == "dna", "context_gain"]
    assert said["gain_dna"] == f"{gains.min():.2f} to {gains.max():.2f}"
    of_genomes = points[(points["kind"] == "dna") & (points["group"] != "transcript")]
    gain, share = np.log2(of_genomes["context_gain"].clip(lower=LEAST_GAIN)), of_genomes["fisher_share"]
    assert said["explained_fisher_share"] == f"{100 * np.corrcoef(gain, share)[0, 1] ** 2:.0f}\u00a0%"
    assert said["better"].endswith(f" of {len(FORECAST)}") and said["held"].endswith("\u00a0%")
    own = points.loc[points["kind"] == "text", "fisher_share"]
    assert said["fisher_share_text"] == f"{100 * own.min():.0f}\u00a0% to {100 * own.max():.0f}\u00a0%"


def test_a_forecast_that_knows_no_better_than_the_mean_says_so():
    rows = [{"corpus": "x.fa", "metric": COUNTED[0], "value": 0.25, "outcome": "counted"}]
    rows += [
        {"corpus": "x.fa", "metric": name, "value": value, "low": value, "high": value, "outcome": outcome,
         "mean_value": 0.1, "mean_low": 0.0, "mean_high": 0.2}
        for name, value, outcome in (("accuracy", 0.5, "forecast"), ("fisher_share", float("nan"), NO_BETTER))
    ]  # fmt: skip
    text = figures.forecasts_table(pd.DataFrame(rows), ["x.fa: short"]).data
    assert f"| {NO_BETTER} | 10.0" in text.replace("\u00a0", " ") and "- x.fa: short." in text
    assert text.count("\n| `x.fa`") == 3
