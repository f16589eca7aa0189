"""The front page's table, with a recorded run beside it."""

from pathlib import Path

import pytest

from gfm_utils.analyses.rows import member_rows
from gfm_utils.book import claims
from gfm_utils.errors import GfmError
from gfm_utils.tables import table, write_table

SEEDS = (1, 2, 3, 4)


def run(dna: float) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for condition, unit, level in (("t@x", "bits/character", 0.2), ("d@x", "bits/base", dna)):
        rows.append({"condition": condition, "metric": "nll", "value": 1.0, "unit": unit, "state": "trained"})
        base = {"condition": condition, "state": "trained", "metric": "fisher_share", "unit": "share",
                "axis": "group", "x": "encoder"}  # fmt: skip
        rows += member_rows(base, SEEDS, [level + 0.001 * seed for seed in SEEDS], 5)
        rows += member_rows({**base, "state": "untrained"}, SEEDS, [0.5] * 4, 5)
    return rows


@pytest.fixture
def no_recorded_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def recorded(name: str) -> None:
        raise GfmError(f"nothing recorded as {name}")

    monkeypatch.setattr(claims, "recorded", recorded)


@pytest.mark.usefixtures("no_recorded_run")
@pytest.mark.parametrize(
    ("dna", "verdict", "mark"), [(0.1, "supported", "for"), (0.3, "not supported", "**against**")]
)
def test_verdict_number_null_and_link(dna: float, verdict: str, mark: str, tmp_path: Path) -> None:
    write_table(table(run(dna)), tmp_path / "a.parquet")
    head, _, claim, measure = claims.front_page_claims(tmp_path).splitlines()
    assert head.startswith("| Claim, and what measures it | This run | Text |")
    assert claim.endswith(f"| **{verdict}** | | | |")
    points = 100 * (dna - 0.2)
    assert measure.startswith(
        f"| [encoder's share, token by token](chapters/fisher) | {mark} | 20.2 %<br>(untrained 50.0 %) | "
        f"{100 * dna + 0.25:.1f} %"
    )
    assert f"{points:+.1f} [" in measure and measure.endswith("p = 0.029 |")


@pytest.mark.usefixtures("no_recorded_run")
def test_a_run_without_text_says_so(tmp_path: Path) -> None:
    write_table(table(run(0.1)[7:]), tmp_path / "a.parquet")
    assert "no text" in claims.front_page_claims(tmp_path)


def test_a_recorded_run_has_a_column_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(table(run(0.1)), tmp_path / "a.parquet")
    monkeypatch.setattr(claims, "recorded", lambda name: (table(run(0.3)), {"device": "Xeon; NVIDIA H200"}))
    head, _, claim, measure = claims.front_page_claims(tmp_path).splitlines()
    assert "| This run | Recorded on NVIDIA H200 | Text |" in head
    assert claim.endswith("| **supported** | **not supported** | | | |")
    assert "| for | **against**<br>+10.0 [+9.8, +10.2] points<br>p = 0.029 |" in measure
