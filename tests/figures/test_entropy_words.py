"""What the chapter on entropy says of code lengths and of the calibration."""

import numpy as np
import pandas as pd

from gfm_utils.entropy.rows import entropy_rows
from gfm_utils.figures import calibration_overview, entropy_words, rate_overview
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


DNA = rows("genome", "base", 4, 1.9, 1000, zlib=1.96, context_mixing=1.8, context_mixing_repeat_free=1.9)
TEXT = rows("novel", "character", 256, 4.5, 2000, zlib=3.0, ppmd=1.8)


def test_codes_are_told_per_symbol_and_against_both_baselines():
    other = rows("other", "base", 4, 1.8, 1000, context_mixing=1.5)
    said = entropy_words(pd.concat([DNA, TEXT, other], ignore_index=True), DNA[:0])
    assert said["bits_text"] == "1.80" and said["bits_dna"] == "1.50 to 1.80" and said["bits_protein"] == "–"
    assert said["share_text"] == "22\u00a0%" and said["single_text"] == "40\u00a0%"
    assert said["share_dna"] == "75\u00a0% to 90\u00a0%" and said["single_dna"] == "83\u00a0% to 95\u00a0%"
    assert said["near_dna"] == "95\u00a0%" and said["near_text"] == said["whole_bits_dna"] == "–"


def test_whole_corpora_are_those_of_the_run():
    whole = pd.concat([rows("genome", "base", 4, 1.9, 9000, context_mixing=1.6), TEXT], ignore_index=True)
    said = entropy_words(DNA, whole)
    assert (said["bits_dna"], said["whole_bits_dna"], said["whole_bits_text"]) == ("1.80", "1.60", "–")


def test_the_table_has_both_shares():
    html = rate_overview(TEXT).to_html()
    assert "22%" in html and "40%" in html


def test_the_calibration_is_told_in_the_numbers_of_its_table():
    table, _ = recorded("calibration")
    said = calibration_overview(table).data.set_index("estimator")
    bias = table[(table["metric"] == "entropy_bias") & (table["estimator"] == "nsb")]
    bias = bias.loc[bias.astype({"x": float}).groupby("condition")["x"].idxmax()]
    off = bias["value"].abs()[bias["trusted"].astype(bool) & (bias["condition"] != "repeats")]
    assert said.loc["NSB", "trusted"] == f"{off.median():.4f} ({off.max():.3f})"
    assert said.loc["match length, harmonic", "trusted"] == "–" and len(said) == 11
