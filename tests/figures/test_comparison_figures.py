"""Charts of the comparison: a point a condition, names that fit, and Altair that a browser can read."""

import altair as alt
import pandas as pd
import pytest

from gfm_utils.errors import GfmError
from gfm_utils.figures.comparison import comparison_chart, comparison_rows, entropy_gain_chart, short_names
from gfm_utils.tables import table


@pytest.fixture
def found() -> pd.DataFrame:
    rows = []
    for place, (name, kind) in enumerate(
        (("/d/a.fa@kmer2", "dna"), ("/d/a.fa@kmer4", "dna"), ("news@bpe64", "text"))
    ):
        own = {"condition": name, "axis": "kind", "x": kind, "unit": "share", "state": "trained"}
        for metric in ("entropy_share", "context_gain_share", "fisher_share"):
            rows.append({**own, "metric": metric, "value": 0.1 * place, "low": 0.05 * place, "high": 0.2 * place})
        rows.append({**own, "metric": "fisher_share", "state": "untrained", "value": 0.3})
        rows.append({**own, "metric": "js_distance", "value": 0.4})  # two members: no interval
    return table(rows)


def test_a_row_a_condition_with_its_null(found: pd.DataFrame) -> None:
    rows = comparison_rows(found, "fisher_share")
    assert rows["name"].tolist() == ["a.fa@kmer2", "a.fa@kmer4", "news@bpe64"]
    assert rows["kind"].tolist() == ["DNA", "DNA", "text"] and rows["null"].tolist() == [0.3] * 3
    single = comparison_rows(found, "js_distance")
    assert (single["low"] == single["value"]).all() and single["null"].isna().all()
    with pytest.raises(GfmError, match="topk_overlap_corrected"):
        comparison_rows(found, "topk_overlap_corrected")


@pytest.mark.parametrize(("conditions", "names"), [
    (["/x/a.fa@kmer2", "news@bpe64"], ["a.fa@kmer2", "news@bpe64"]),
    (["/x/y/a.fa@kmer2", "/x/z/a.fa@kmer2", "/x/b.fa@kmer2"], ["y/a.fa@kmer2", "z/a.fa@kmer2", "x/b.fa@kmer2"]),
    (["/a.fa@kmer2", "/x/a.fa@kmer2"], ["//a.fa@kmer2", "x/a.fa@kmer2"]),
    ([], []),
])  # fmt: skip
def test_names_are_as_short_as_they_can_be(conditions: list[str], names: list[str]) -> None:
    assert list(short_names(conditions).values()) == names


def test_charts_have_a_point_a_condition_and_a_tick_a_null(found: pd.DataFrame) -> None:
    kinds = {
        metric: [layer["mark"]["type"] for layer in comparison_chart(found, metric).to_dict()["layer"]]
        for metric in ("fisher_share", "js_distance")
    }
    assert kinds == {"fisher_share": ["tick", "rule", "point"], "js_distance": ["rule", "point"]}
    chart = entropy_gain_chart(found).to_dict()
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["rule", "rule", "point", "text"]
    named = [rows for rows in chart["datasets"].values() if len(rows) == 2]
    assert {row["corpus"] for rows in named for row in rows} == {"a.fa", "news"}  # each once


def names_in(chart: alt.LayerChart) -> dict[str, str]:
    """Corpus -> the side of its point on which its name stands."""
    spec = chart.to_dict()
    texts = [layer for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    return {
        row["corpus"]: "above" if layer["mark"]["dy"] < 0 else "below"
        for layer in texts for row in spec["datasets"][layer["data"]["name"]]
    }  # fmt: skip


def test_names_stand_where_they_have_room(found: pd.DataFrame) -> None:
    def moved(name: str, entropy: float, gain: float) -> pd.DataFrame:
        at = {"entropy_share": entropy, "context_gain_share": gain}
        rows = found[(found["condition"] == "news@bpe64") & found["metric"].isin(at)].copy()
        value = rows["metric"].map(at)
        return rows.assign(condition=f"{name}@bpe64", value=value, low=value, high=value)

    def chart(*places: tuple[str, float, float]) -> alt.LayerChart:
        return entropy_gain_chart(pd.concat([moved(*place) for place in places], ignore_index=True))

    assert names_in(chart(("left", 0.1, 0.2), ("right", 0.9, 0.2))) == {"left": "above", "right": "above"}
    beside = chart(("one-name", 0.1, 0.200), ("other-name", 0.15, 0.199), ("far", 0.9, 0.3))
    assert names_in(beside) == {"one-name": "above", "other-name": "below", "far": "above"}
    same = chart(*((f"name-{number}", 0.5, 0.2) for number in range(5)), ("far", 0.9, 0.3))
    assert len(names_in(same)) == 3  # one above, one below; the tooltips have the others
