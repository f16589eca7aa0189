"""The table at a glance reads measures from the registry, and shows what is missing as a dash."""

from pathlib import Path

from gfm_utils.book.glance import at_a_glance
from gfm_utils.tables import table, write_table


def row(condition: str, metric: str, value: float, **more: object) -> dict[str, object]:
    return {"condition": condition, "metric": metric, "value": value, "unit": "bits/token", **more}


def test_values_intervals_and_controls(tmp_path: Path) -> None:
    rows = [
        row("a@kmer2", "nll", 7.01, state="no layers"),
        row("a@kmer2", "nll", 4.761, state="trained", low=4.70, high=4.82),
        row("a@kmer2", "nll", 8.02, state="untrained"),
        row("a@kmer2", "nll", 2.9, state="trained") | {"unit": "bits/base"},
        row("a@kmer2", "unigram_nll", 6.8),
        row("corpus", "nll", 1.9, state="trained"),
        row("a@kmer2", "topk_overlap_corrected", 0.9, state="trained", axis="k", x="5"),
        row("a@kmer2", "topk_overlap_corrected", 0.223, state="trained", axis="k", x="10"),
        row("c@bpe64", "nll", 7.0, state="trained"),
        row("d@bpe64", "unigram_nll", 7.0),
    ]
    write_table(table(rows), tmp_path / "x.parquet")
    assert at_a_glance(tmp_path).splitlines() == [
        "| | `a@kmer2` | `c@bpe64` |",
        "| --- | ---: | ---: |",
        "| loss on hidden tokens, bits per token "
        "| **4.761**<br>[4.700, 4.820]<br>untrained 8.020<br>token frequencies 6.800 | **7.000** |",
        "| 10 nearest embeddings shared, beyond chance | **22.3\u00a0%** | – |",
    ]


def test_no_numbers(tmp_path: Path) -> None:
    write_table(table([row("a@kmer2", "other", 1.0)]), tmp_path / "x.parquet")
    assert "no numbers" in at_a_glance(tmp_path)
