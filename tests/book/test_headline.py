"""Numbers in the sentences of an answer: those of the tables, of the run that has trained longest."""

import numpy as np
import pandas as pd

from gfm_utils.book import headline
from gfm_utils.book.headline import THIS_RUN, headline_numbers, headline_runs, headline_table
from gfm_utils.measures.rows import member_rows
from gfm_utils.provenance import RecordedRun
from gfm_utils.tables import table


def run(text: float, *dna: float, tokens: int = 1000) -> pd.DataFrame:
    """Hits of five members of a condition of text and some of DNA, by chance 0.05."""
    rows: list[dict[str, object]] = []
    values = {"t@bpe9": text, **{f"d@kmer{k}": value for k, value in enumerate(dna, 2)}}
    for condition, value in values.items():
        unit = "bits/character" if condition == "t@bpe9" else "bits/base"
        base = {"condition": condition, "state": "trained", "unit": "share"}
        rows.append({"condition": condition, "metric": "symbols", "value": 1.0, "unit": unit})
        rows.append({**base, "metric": "majority_accuracy", "value": 0.05})
        rows += member_rows({**base, "metric": "accuracy"}, range(1, 6), value + 0.001 * np.arange(-2, 3), 9)
        rows.append(
            {**base, "state": None, "metric": "validation_unigram_nll", "value": 7.0, "unit": "bits/token"}
        )
        tail = {"metric": "validation_nll", "axis": "tokens", "x": tokens, "unit": "bits/token"}
        rows += member_rows({**base, **tail}, range(1, 6), np.full(5, 6.0), 9)
    return table(rows)


def test_numbers_are_those_of_the_table_and_of_several_the_ends():
    said = headline_numbers(run(0.3, 0.1, 0.2), {"right": "accuracy", "common": "accuracy:null"})
    assert said["right_text"] == "30\u00a0%" and said["common_dna"] == "5.0\u00a0%"
    assert said["right_dna"] == "10\u00a0% to 20\u00a0%"
    assert said["right_protein"] == "–"


def test_the_run_that_has_trained_longest_answers_if_it_has_all_conditions(monkeypatch):
    about = {"configuration": {"profile": "gpu", "steps": 9}, "device": "AMD; cpu"}
    runs = [RecordedRun("gpu", run(0.4, 0.1, tokens=5000), about), RecordedRun("less", run(0.9), about)]
    monkeypatch.setattr(headline, "recorded_runs", lambda: runs)
    found = headline_runs(run(0.3, 0.1), ["accuracy"], 1000)
    assert list(found) == [runs[0].title, THIS_RUN]
    assert next(iter(headline_runs(run(0.3, 0.1), ["accuracy"], 9999))) == THIS_RUN
    shown = headline_table(found, ["accuracy", "validation_level"])
    assert "40.0\u00a0% [" in shown and "30.0\u00a0% [" in shown and "commonest token 5.0\u00a0%" in shown
    assert "7.000" in shown and "untrained" not in shown  # of what needs no network
