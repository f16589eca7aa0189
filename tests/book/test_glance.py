"""The table at a glance reads summary rows only, and shows what is missing as a dash."""

from pathlib import Path

from gfm_utils.book.glance import at_a_glance
from gfm_utils.tables import table, write_table


def row(condition: str, metric: str, value: float, **more: object) -> dict[str, object]:
    return {"condition": condition, "metric": metric, "value": value, "unit": "bits/token", **more}


def test_values_intervals_and_controls(tmp_path: Path) -> None:
    rows = [
        row("a@kmer2", "unigram_entropy", 6.704),
        row("a@kmer2", "nll", 7.01, state="no layers"),
        row("a@kmer2", "nll", 4.761, state="trained", low=4.70, high=4.82),
        row("a@kmer2", "nll", 8.02, state="untrained"),
        row("a@kmer2", "nll", 2.9, state="trained") | {"unit": "bits/base"},
        row("a@kmer2", "unigram_nll", 6.8),
        row("corpus", "unigram_entropy", 1.9),
        row("a@kmer2", "nll", 1.0, state="trained", member=1),
        row("a@kmer2", "topk_overlap", 0.9, state="trained", axis="k", x="5"),
        row("a@kmer2", "topk_overlap", 0.223, state="trained", axis="k", x="10"),
        row("c@bpe64", "unigram_entropy", 7.0),
    ]
    write_table(table(rows), tmp_path / "x.parquet")
    assert at_a_glance(tmp_path).splitlines() == [
        "| | `a@kmer2` | `c@bpe64` |",
        "| --- | ---: | ---: |",
        "| Unigram entropy (bits per token) | **6.70** | **7.00** |",
        "| Loss on hidden tokens, NLL (bits per token) "
        "| **4.76**<br>[4.70, 4.82]<br>untrained 8.02<br>token frequencies 6.80 | – |",
        "| Overlap of the 10 nearest embeddings | **22.3\u00a0%** | – |",
    ]


def test_no_summary_rows(tmp_path: Path) -> None:
    write_table(table([row("a@kmer2", "other", 1.0)]), tmp_path / "x.parquet")
    assert "no summary rows" in at_a_glance(tmp_path)
