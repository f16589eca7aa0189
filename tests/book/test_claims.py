"""The verdicts follow from the intervals alone."""

from pathlib import Path

import pytest

from gfm_utils.book.claims import claims_table
from gfm_utils.tables import table, write_table


def row(condition: str, metric: str, value: float, **more: object) -> dict[str, object]:
    return {"condition": condition, "metric": metric, "value": value, "unit": "share", "state": "trained", **more}


@pytest.mark.parametrize(
    ("dna", "verdict"), [((0.5, 0.4, 0.6), "as claimed"), ((0.05, 0.0, 0.1), "the opposite"),
                         ((0.3, 0.15, 0.45), "undecided")],
)  # fmt: skip
def test_verdict_of_a_claim_that_dna_has_more(
    dna: tuple[float, float, float], verdict: str, tmp_path: Path
) -> None:
    rows = [
        row("t@x", "nll", 1.0, unit="bits/character"),
        row("d@x", "nll", 1.0, unit="bits/base"),
        row("t@x", "js_distance", 0.25, low=0.2, high=0.3),
        row("t@x", "js_distance", 9.0, member=1, other=2),
        row("t@x", "js_distance", 9.0, state="untrained"),
        row("d@x", "js_distance", dna[0], low=dna[1], high=dna[2]),
        row("t@x", "fisher_share", 0.4, low=0.3, high=0.5, axis="group", x="encoder"),
        row("d@x", "fisher_share", 0.1, low=0.05, high=0.15, axis="group", x="encoder"),
    ]
    write_table(table(rows), tmp_path / "a.parquet")
    lines = claims_table(tmp_path).splitlines()
    assert len(lines) == 4
    assert lines[2].endswith(f"| 0.25<br>(untrained 9.00) | {dna[0]:.2f} | **{verdict}** |")
    assert lines[3].endswith("| 40 % | 10 % | **as claimed** |")


def test_a_run_without_text_says_so(tmp_path: Path) -> None:
    write_table(table([row("d@x", "nll", 1.0, unit="bits/base")]), tmp_path / "a.parquet")
    assert "no text" in claims_table(tmp_path)
