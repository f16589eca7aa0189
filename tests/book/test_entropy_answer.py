"""What the chapter on entropy says of code lengths, which are upper bounds."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.book.answers import entropy_answer
from gfm_utils.entropy.tables import entropy_rows
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


def test_the_recorded_chromosome_is_told_with_its_bound():
    whole, _ = recorded("entropy")
    answer = entropy_answer(rows("tair10-chr1", "base", 4, 1.94, 1000, zlib=1.96), whole)
    best = whole[(whole["condition"] == "tair10-chr1") & (whole["metric"] == "code_length")]["value"].min()
    assert f"no code here gets below {best:.3f}" in answer


def test_the_table_has_both_shares():
    html = rate_overview(TEXT).to_html()
    assert "22%" in html and "40%" in html
