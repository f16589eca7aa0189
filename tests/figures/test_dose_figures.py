"""Charts and tables of the causal test: every dose a point, numbers as they are, and nothing where nothing is."""

import json
import re

import numpy as np
import pytest

from gfm_utils import figures
from gfm_utils.analyses.dose import AXIS, GAIN
from gfm_utils.analyses.effects import dose_effects, matched_rests, plain_rests
from gfm_utils.book.answers import causal_answer, causal_verdicts
from gfm_utils.figures.dose import ACROSS, dose_name, dose_rows, setting_name
from gfm_utils.tables import table

GAINS = {"a@bpe9": 2.0, "a+noise0.3@bpe9": 0.8, "a+shuffle@bpe9": 0.0, "b@kmer4": 0.2,
         "b+markov4t0.33@kmer4": 1.1, "b+markov4@kmer4": 0.02}  # fmt: skip


@pytest.fixture(scope="module")
def response():
    """The encoder's share follows the gain; the distance is DNA's own."""
    rng, rows = np.random.default_rng(3), []
    for name, gain in GAINS.items():
        unit = "bits/base" if name[0] == "b" else "bits/character"
        rate = {"condition": name, "axis": "source", "x": "code", "value": 1.9}
        rows += [{**rate, "metric": "entropy_rate", "unit": unit}]
        rows += [{**rate, "metric": "entropy_per_token", "unit": "bits/token", "value": 5.0}]
        for steps in (9, 90):
            for metric, value in (
                (GAIN, gain), ("fisher_share", 0.2 * gain), ("js_distance", 0.1 * gain + 0.3 * (name[0] == "b"))
            ):  # fmt: skip
                base = {"condition": name, "metric": metric, "axis": AXIS, "x": f"{steps}|toy", "unit": "share"}
                values = value + rng.normal(0, 1e-3, 5)
                rows += [
                    {**base, "state": "trained", "member": i, "value": one} for i, one in enumerate(values, 1)
                ]
                ends = {"value": values.mean(), "low": values.min(), "high": values.max()}
                rows += [
                    {**base, "state": "trained", **ends}, {**base, "state": "untrained", "value": 0.01}
                ]  # fmt: skip
    return table(rows)


def drawn(chart):
    """Values of the data of a chart, after a look at whether it is valid."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_every_dose_is_a_point_against_every_axis(response):
    rows = dose_rows(response)
    assert len(rows) == len(GAINS) * 2 * 3 * 2
    assert set(rows["dose"]) == {"as it is", "noise0.3", "shuffle", "markov4t0.33", "markov4"}
    shown = drawn(figures.dose_chart(response))
    assert len(shown) == len(rows) * len(ACROSS)
    part = response[~((response["metric"] == "js_distance") & (response["x"] == "9|toy"))]
    empty = [row for row in drawn(figures.dose_chart(part)) if "value" not in row]
    assert empty == [{"measure": "Jensen–Shannon distance between members", "setting": "9 steps, toy"}]
    text = json.dumps(figures.dose_chart(response).to_dict())
    assert setting_name("90|toy") == "90 steps, toy" and setting_name("90|toy") in text
    main = drawn(figures.main_chart(response))
    assert {row["setting"] for row in main} == {"90 steps, toy"}
    assert {row["metric"] for row in main} == {"fisher_share", "js_distance"}
    at = {(row["condition"], row["metric"]): row for row in main if row["state"] == "trained"}
    one = at["b@kmer4", "fisher_share"]
    assert one["value"] == pytest.approx(0.04, abs=2e-3) and one["gain"] == pytest.approx(0.2, abs=2e-3)
    assert one["kind"] == "DNA" and dose_name("b+markov4@kmer4") == "markov4"


def test_tables_and_answer_say_what_the_numbers_say(response):
    effects, rests = dose_effects(response, "90|toy"), matched_rests(response, "90|toy")
    lines = figures.effects_table(effects).data.splitlines()
    share = next(line for line in lines if line.startswith("| encoder's share of the Fisher"))
    assert "-24." in share and "-21." in share and share.endswith("| yes |")
    distance = next(line for line in lines if line.startswith("| Jensen"))
    assert distance.endswith("| **no, the opposite** |")
    left = figures.rests_table(rests).data
    assert "+0.30" in left and "| 10" in left  # of the share all of the gap is gone: 100 % or so
    assert len(figures.rests_table(rests, list(GAINS)).data.splitlines()) == 2 + 3 * 2
    words = figures.rests_over_training(plain_rests(response)).data.splitlines()
    assert "`as it is kmer4`, 9 steps, toy" in words[0] and words[2].endswith("| DNA higher | DNA higher |")
    said = causal_answer(response, response)
    assert "**as the paper says** in: context gain" in said
    assert "**DNA higher** in Jensen–Shannon distance between members" in said
    assert re.search(r"\*\*the same\*\* in encoder's share of the Fisher information \((99|100|101) % of", said)
    verdicts = causal_verdicts(response)
    assert "| the other way | DNA higher" in verdicts and "| as the paper says | the same (" in verdicts


def test_one_kind_alone_says_so(response):
    text = response[response["condition"].str.startswith("a")]
    assert "no pair of doses" in figures.effects_table(dose_effects(text[text["x"] == "none"], "90|toy")).data
    assert "no match" in figures.rests_table(matched_rests(text, "90|toy")).data
    said = causal_answer(text, text)
    assert "there is only text here" in said and "**lowers**: context gain" in said
    assert "no doses to compare" in said  # of the live run's contrasts
    assert drawn(figures.dose_chart(text))


def test_sweep_draws_both_ways_of_matching():
    rows = []
    for name, bases, size in (("b@kmer2", 2, 16), ("b@bpe9", 2.5, 9)):
        for matched in ("tokens", "bases"):
            base = {"condition": name, "axis": "matched", "x": matched}
            for unit, scale in (("bits/token", 1), ("bits/base", bases)):
                for metric, value in (("output_entropy", 2.0), ("nll", 2.2), ("context_gain", 0.3)):
                    one = {**base, "metric": metric, "unit": unit}
                    ends = {"value": value / scale, "low": (value - 0.1) / scale, "high": (value + 0.1) / scale}
                    rows += [{**one, "state": "trained", **ends}, {**one, "state": "untrained", **ends}]
                rows += [{**base, "metric": "unigram_nll", "unit": unit, "value": 2.5 / scale}]
            rows += [{**base, "metric": "bases_per_token", "unit": "1", "value": bases}]
            rows += [{**base, "metric": "vocabulary", "unit": "1", "value": size + 5}]
    shown = drawn(figures.sweep_chart(table(rows)))
    assert len(shown) == 2 * 2 * 5 * 2  # tokenizers, matchings, quantities, models and token frequencies
    assert {row["kind"] for row in shown} == {"k-mers", "BPE"}
    assert {row["bases_per_token"] for row in shown} == {2, 2.5}
    at = {(row["tokenizer"], row["shown"], row["state"]): row for row in shown if row["matched"] == "equal tokens"}
    share = at["kmer2", "KL from uniform, share of log2 V", "trained"]  # of 16 tokens, without the special ones
    assert [share[end] for end in ("value", "low", "high")] == pytest.approx([0.5, 0.475, 0.525])
    assert at["kmer2", "KL from uniform, bits per token", "token frequencies"]["value"] == pytest.approx(1.5)
    assert at["bpe9", "loss, bits per base", "token frequencies"]["value"] == pytest.approx(1.0)
    assert at["bpe9", "context gain, bits per base", "token frequencies"]["value"] == 0
