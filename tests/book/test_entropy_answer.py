"""What the chapter on entropy says of code lengths, which are upper bounds, of matches and of the calibration."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.book.answers.data import calibration_answer, entropy_answer, match_sentence
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.entropy.rows import entropy_rows
from gfm_utils.figures import rate_overview
from gfm_utils.provenance import recorded


def rows(corpus, unit, alphabet, single, symbols, **codes):
    base = {"condition": corpus, "unit": f"bits/{unit}", "n": symbols, "trusted": True}
    found = [
        {"metric": "uniform_entropy", "value": np.log2(alphabet), "estimator": "uniform", "kind": "upper bound"},
        {"metric": "unigram_entropy", "value": single, "estimator": "grassberger", "kind": "estimate"},
    ]
    found += [
        {"metric": "code_length", "value": value, "estimator": coder, "kind": "upper bound"}
        for coder, value in codes.items()
    ]
    return entropy_rows(base | one for one in found)


DNA = rows("genome", "base", 4, 1.9, 1000, zlib=1.96, context_mixing=1.8)
TEXT = rows("novel", "character", 256, 4.5, 2000, zlib=3.0, ppmd=1.8)


def test_a_code_is_told_per_symbol_against_the_alphabet_and_against_single_symbols():
    dna, text = entropy_answer(pd.concat([DNA, TEXT], ignore_index=True)).split("- **novel**")
    assert "no code here gets below 1.800 bits per base (context mixer, 1,000 bases)" in dna
    assert "90\u00a0% of a uniform choice among the 4 bases that occur (2.00 bits)" in dna
    assert "95\u00a0% of what single bases cost by their frequencies (1.90)" in dna
    assert "no code here gets below 1.800 bits per character (PPMd, 2,000 characters)" in text
    assert "22\u00a0% of a uniform choice among the 256 characters that occur (8.00 bits)" in text
    assert "40\u00a0% of what single characters cost" in text
    # of 8 - 1.8 bits, 8 - 4.5 need no other character to be seen
    assert "of the 6.20 bits between code and uniform choice 56\u00a0% are these frequencies alone" in text
    assert "upper bound" in text


def test_a_code_longer_than_chance_has_no_parts():
    answer = entropy_answer(rows("noise", "base", 4, 2.0, 1000, zlib=2.01))
    assert "no code here gets below 2.010" in answer and "between code and uniform choice" not in answer


@pytest.mark.parametrize("read, told", [(1000, True), (9000, False)])
def test_the_whole_corpus_stands_beside_the_part_that_a_run_reads(read, told):
    part, whole = (rows("genome", "base", 4, 1.9, n, context_mixing=c) for n, c in ((read, 1.8), (9000, 1.6)))
    answer = entropy_answer(part, pd.concat([whole, TEXT], ignore_index=True))
    assert ("All of it, recorded" in answer) == told
    assert "1.600 bits per base (context mixer, 9,000 bases)" in answer or not told
    assert "novel" not in answer


def test_the_table_has_both_shares():
    html = rate_overview(TEXT).to_html()
    assert "22%" in html and "40%" in html


def test_matches_stand_beside_the_shortest_code():
    base = {"condition": "genome", "unit": "bits/base", "metric": "entropy_rate", "trusted": True}
    matches = entropy_rows([
        {**base, "value": 1.7, "estimator": "match_length_harmonic"},
        {**base, "value": 1.9, "estimator": "match_length_arithmetic"},
        {**base, "value": 0.25, "metric": "longest_matches_share", "unit": "share"},
    ])  # fmt: skip
    assert match_sentence(pd.concat([DNA, TEXT, matches], ignore_index=True)).data == (
        "- **genome**: the longest 1 % of the matches carry 25.0\u00a0% of the harmonic form's sum; "
        "harmonic 1.700, arithmetic 1.900, shortest code 1.800 bits per symbol."
    )


def test_the_calibration_is_told_in_the_numbers_of_its_table():
    table, _ = recorded("calibration")
    said = calibration_answer(table).data
    bias = [row for row in table.to_dict("records") if row["metric"] == "entropy_bias"]
    counted = [row for row in bias if row["estimator"] in set(Estimator) - {Estimator.PLUGIN}]
    seen = [row for row in counted if row["condition"] != "repeats"]
    trusted = [abs(row["value"]) for row in seen if row["trusted"]]
    assert f"({len(trusted)} of {len(seen)} cases)" in said
    assert f"{np.median(trusted):.5f} bits in the median and by {max(trusted):.3f} at most" in said
    hidden = min(abs(row["value"]) for row in counted if row["condition"] == "repeats")
    assert f"every estimator from counts errs by {hidden:.3f} bits or more" in said
    size = max(float(row["x"]) for row in bias if row["estimator"] in set(Matching))
    largest = [
        abs(row["value"])
        for row in bias
        if row["estimator"] in set(Matching) and float(row["x"]) == size and row["condition"] != "repeats"
    ]
    assert f"{np.median(largest):.3f} bits in the median and by {max(largest):.3f} at most" in said
