"""Charts of entropy tables compile, stay small and mark what is undersampled."""

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from gfm_utils.entropy.blocks import block_entropies
from gfm_utils.entropy.calibration import calibrate
from gfm_utils.entropy.rows import EXTRA, token_entropy
from gfm_utils.entropy.sources import random_markov, uniform
from gfm_utils.figures.entropy import (
    calibration_chart,
    conditional_entropy_chart,
    nsb_overview,
    trust_overview,
    unigram_overview,
)
from gfm_utils.figures.names import chart_names, estimator_name
from gfm_utils.figures.palette import DNA_BPE, KIND_COLOURS, NEUTRAL, condition_colours
from gfm_utils.tables import table


def corpus_rows(name, unit, alphabet):
    noise = np.random.default_rng(0).integers(0, alphabet, 3_000).astype(np.uint8)
    for r in block_entropies([noise], alphabet, 7):
        yield {
            "condition": name, "metric": "conditional_entropy", "value": r.conditional, "unit": unit,
            "n": r.observations, "estimator": r.estimator.value, "order": r.order, "se": r.conditional_se,
            "trusted": r.trusted,
        }  # fmt: skip
    for coder, value in (("bz2", 2.1), ("context_mixing", 1.9)):
        yield {"condition": name, "metric": "code_length", "value": value, "unit": unit, "estimator": coder}
    yield {"condition": name, "metric": "uniform_entropy", "value": np.log2(alphabet), "unit": unit}


def corpora():
    rows = [*corpus_rows("news", "bits/character", 9), *corpus_rows("chr1", "bits/base", 4)]
    return table(rows, extra=EXTRA)


def test_conditional_entropy_chart():
    _, svg, data = drawn(conditional_entropy_chart(corpora(), corpora()))
    assert "chance" in svg and len(data) < 500
    assert {row["sample"] for row in data if "sample" in row} == {"trusted", "not trusted"}
    curve = [row for row in data if row.get("condition") == "news" and row.get("order") == 1]
    assert curve[0]["y"] == pytest.approx(curve[0]["value"] / np.log2(9))


def test_the_largest_trusted_order_stands_in_the_table():
    rows = corpora()
    shown, trusted = trust_overview(rows).data.set_index("estimator"), rows["trusted"].fillna(False).astype(bool)
    for (condition, estimator), counted in rows[trusted].groupby(["condition", "estimator"]):
        last = max(counted.to_dict("records"), key=lambda row: row["order"])
        assert shown.loc[estimator_name(estimator), condition] == f"{last['value']:.3f} (k = {last['order']})"


def test_unigram_entropy_of_tokens_stands_beside_that_of_single_symbols():
    tokens = token_entropy("chr1@kmer2", [np.arange(4_000) % 16], 16, 2.0, "base")
    symbols = token_entropy("chr1", [np.arange(4_000) % 3], 4, 1.0, "base")
    shown = unigram_overview(pd.concat([symbols, tokens])).data
    assert shown.iloc[:, 0].tolist() == ["chr1, single symbols", "chr1@kmer2"]
    assert shown.iloc[:, 1].astype(float).tolist() == pytest.approx([np.log2(3), 2.0], abs=0.01)


def test_calibration_chart_and_overview():
    found = calibrate([uniform(), random_markov(1)], (500, 2000), repeats=2)
    spec, _, rows = drawn(calibration_chart(found, "markov_1"))
    source = next(p for p in spec["params"] if p["name"] == "source")
    assert source["value"] == "markov_1" and source["bind"]["options"] == ["uniform_4", "markov_1"]
    rows = [row for row in rows if "low" in row]
    assert len(rows) == 2 * 2 * 10
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert nsb_overview(found).data.shape == (4, 6)


def test_a_thing_has_one_colour_and_name_whatever_stands_beside_it():
    conditions = [
        "tair10-chr1@kmer4",
        "my/genome.fa@bpe256",
        "alyrata-chr12@kmer4",
        "news@bpe256",
        "tair10-chr1@bpe256",
    ]
    colours = dict(zip(conditions, condition_colours(conditions), strict=True))
    assert len(set(colours.values())) == len(conditions)
    assert colours["news@bpe256"] == condition_colours(["news@bpe256"])[0] == KIND_COLOURS["text"]
    assert colours["tair10-chr1@kmer4"] == KIND_COLOURS["dna"] and colours["tair10-chr1@bpe256"] == DNA_BPE
    assert condition_colours(["news+shuffle@bpe256"]) == [NEUTRAL]
    names = chart_names(conditions)
    assert names["tair10-chr1@bpe256"] == "DNA, BPE" and names["my/genome.fa@bpe256"] == "genome.fa@bpe256"
    assert names["tair10-chr1@kmer4"] == "tair10-chr1@kmer4"  # two are DNA in 4-mers
    assert chart_names(conditions[:2])["tair10-chr1@kmer4"] == "DNA, 4-mers"
