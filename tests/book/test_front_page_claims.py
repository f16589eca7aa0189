"""The front page's table, with a recorded run beside it."""

from pathlib import Path

import pytest

from gfm_utils.analyses.rows import member_rows
from gfm_utils.book import claims
from gfm_utils.tables import table, write_table

SEEDS = (1, 2, 3, 4)


def run(dna: float) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for condition, unit, level in (("t@bpe9", "bits/character", 0.2), ("d@bpe9", "bits/base", dna)):
        rows.append({"condition": condition, "metric": "nll", "value": 1.0, "unit": unit, "state": "trained"})
        base = {"condition": condition, "state": "trained", "metric": "fisher_share", "unit": "share",
                "axis": "group", "x": "encoder"}  # fmt: skip
        rows += member_rows(base, SEEDS, [level + 0.001 * seed for seed in SEEDS], 5)
        rows += member_rows({**base, "state": "untrained"}, SEEDS, [0.5] * 4, 5)
    return rows


@pytest.fixture
def no_recorded_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "recorded_gpu_runs", dict)


@pytest.mark.usefixtures("no_recorded_run")
@pytest.mark.parametrize(
    ("dna", "verdict", "mark"), [(0.1, "supported", "for"), (0.3, "not supported", "**against**")]
)
def test_verdict_number_null_and_link(dna: float, verdict: str, mark: str, tmp_path: Path) -> None:
    write_table(table(run(dna)), tmp_path / "a.parquet")
    head, _, claim, measure = claims.front_page_claims(tmp_path).splitlines()
    assert head.startswith("| Claim, and what measures it | This run | Text<br>t@bpe9 | DNA<br>d@bpe9 |")
    assert claim.endswith(f"| **{verdict}** | | | |")
    points = 100 * (dna - 0.2)
    assert measure.startswith(
        f"| [encoder's share, token by token](chapters/fisher) | {mark} "
        f"| 20.2\u00a0%<br>(untrained 50.0\u00a0%) | {100 * dna + 0.25:.1f}\u00a0%"
    )
    assert f"{points:+.1f} [" in measure and measure.endswith("p = 0.029 |")


@pytest.mark.usefixtures("no_recorded_run")
def test_values_stand_in_the_order_of_the_heading(tmp_path: Path) -> None:
    """Also where a condition lacks one of the measures."""
    rows = run(0.1)
    more = [{**row, "condition": "e@kmer2"} for row in rows if row["condition"] == "d@bpe9"]
    more = [row for row in more if row["metric"] == "nll"] + [
        {**row, "metric": "js_distance", "axis": None, "x": None} for row in more if row["metric"] != "nll"
    ]
    texts = [
        {**row, "metric": "js_distance", "axis": None, "x": None}
        for row in rows
        if row["condition"] == "t@bpe9" and row["metric"] != "nll"
    ]
    write_table(table([*rows, *more, *texts]), tmp_path / "a.parquet")
    lines = claims.front_page_claims(tmp_path).splitlines()
    assert "| Text<br>t@bpe9 | DNA<br>" in lines[0]
    order = lines[0].partition("| DNA<br>")[2].partition(" |")[0].split(", ")
    cells = {line.partition("]")[0]: line.split(" | ")[3].partition("<br>")[0].split(", ") for line in lines[2:]}
    shares, distances = cells["| [encoder's share, token by token"], cells["| [Jensen–Shannon distance, full mass"]
    assert dict(zip(order, shares, strict=True)) == {"d@bpe9": "10.2\u00a0%", "e@kmer2": "–"}
    assert dict(zip(order, distances, strict=True)) == {"d@bpe9": "–", "e@kmer2": "0.103"}


@pytest.mark.usefixtures("no_recorded_run")
def test_a_run_that_only_tests_the_machinery_says_so(tmp_path: Path) -> None:
    write_table(table(run(0.1)), tmp_path / "a.parquet")
    assert "numbers say nothing about a corpus or a claim" in claims.front_page_claims(tmp_path, {"smoke"})
    assert "say nothing" not in claims.front_page_claims(tmp_path, {"quick"})


@pytest.mark.usefixtures("no_recorded_run")
def test_a_run_without_text_says_so(tmp_path: Path) -> None:
    write_table(table(run(0.1)[7:]), tmp_path / "a.parquet")
    assert "no text" in claims.front_page_claims(tmp_path)


def test_a_recorded_run_has_a_column_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(table(run(0.1)), tmp_path / "a.parquet")
    monkeypatch.setattr(claims, "recorded_gpu_runs", lambda: {"Recorded on NVIDIA H200": table(run(0.3))})
    head, _, claim, measure = claims.front_page_claims(tmp_path).splitlines()
    assert "| This run | Recorded on NVIDIA H200 | Text<br>t@bpe9 |" in head
    assert claim.endswith("| **supported** | **not supported** | | | |")
    assert "| for | **against**<br>+10.0 [+9.8, +10.2] points<br>p = 0.029 |" in measure
