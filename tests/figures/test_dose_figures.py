"""Charts and tables of the causal test: every dose a point, numbers as they are, and nothing where nothing is."""

import json
import re
import xml.dom.minidom

import numpy as np
import pytest
from drawing import cells, data_of

from gfm_utils import figures
from gfm_utils.claims.dose import AXIS, GAIN
from gfm_utils.claims.effects import all_gap_parts, dose_effects, gap_parts
from gfm_utils.figures import hero
from gfm_utils.figures.dose import ACROSS, dose_rows, setting_name
from gfm_utils.figures.select import value_of
from gfm_utils.provenance import recorded
from gfm_utils.tables import table

GAINS = {"a@bpe9": 2.0, "a+noise0.3@bpe9": 0.8, "a+noise0.4@bpe9": 0.45, "a+shuffle@bpe9": 0.0, "b@kmer4": 0.5,
         "b+noise0.3@kmer4": 0.2, "b+shuffle@kmer4": 0.0,
         "b+markov4t0.33@kmer4": 1.1, "b+markov4t0.33+noise0.3@kmer4": 0.6}  # fmt: skip
MEASURED = {
    GAIN: lambda gain, dna: gain,
    "fisher_share": lambda gain, dna: 0.2 * gain,
    "js_distance": lambda gain, dna: 0.1 * gain * (1 + 5 * dna),
}


@pytest.fixture(scope="module")
def response():
    """The encoder's share follows the gain; the distance is DNA's own."""
    rng, rows = np.random.default_rng(3), []
    for name, gain in GAINS.items():
        unit = "bits/base" if name[0] == "b" else "bits/character"
        rate = {"condition": name, "axis": "source", "x": "code", "value": 1.9}
        rows += [{**rate, "metric": "entropy_rate", "unit": unit}]
        rows += [{**rate, "metric": "entropy_per_token", "unit": "bits/token", "value": 7.6}]
        for steps in (9, 90):
            for metric, measure in MEASURED.items():
                base = {"condition": name, "metric": metric, "axis": AXIS, "x": f"{steps}|toy", "unit": "share"}
                values = measure(gain, name[0] == "b") + rng.normal(0, 1e-3, 5)
                rows += [
                    {**base, "state": "trained", "member": i, "value": one} for i, one in enumerate(values, 1)
                ]
                ends = {"value": values.mean(), "low": values.min(), "high": values.max()}
                rows += [
                    {**base, "state": "trained", **ends}, {**base, "state": "untrained", "value": 0.01}
                ]  # fmt: skip
    return table(rows)


def test_every_dose_is_a_point_against_every_axis(response):
    rows = dose_rows(response)
    assert len(rows) == len(GAINS) * 2 * len(MEASURED) * 2
    assert set(rows["dose"]) == {"as it is", *(name[2:].partition("@")[0] for name in GAINS if "+" in name)}
    shown = data_of(figures.dose_chart(response))
    assert len(shown) == len(rows) and all(set(ACROSS) <= set(row) for row in shown)
    joined = {row["condition"] for row in shown if row["joined"]}
    assert joined == {name for name in GAINS if name[0] == "a"}
    text = json.dumps(figures.dose_chart(response).to_dict())
    assert setting_name("90|toy") == "90 steps, toy" and setting_name("90|toy") in text


def test_the_key_figure_shows_every_dose_and_what_of_the_gap_is_gone(response, monkeypatch, tmp_path):
    """In this world the encoder's share follows the gain, and the distance goes away from DNA's."""
    monkeypatch.setattr(hero, "recorded_runs", list)
    page = figures.hero_figure(response).data
    distance, share = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for svg in (distance, share):
        assert len(re.findall("<title>", svg)) == len(GAINS) and svg.count("<circle") == 4
        assert len(re.findall(r'd="M[^"]*" fill="none"', svg)) == 2  # chains are hollow
        xml.dom.minidom.parseString(svg)
    assert "40\u00a0% of text, 10\u00a0% of DNA, and 10\u00a0% of text that is scrambled" in share
    assert re.search(r">(99|100|101)\u00a0% \[\d+, 10\d\]<", share) and "not explained" not in share
    assert ">moves away<" in distance and "explained" not in distance
    assert ">30\u00a0% scrambled<" in share and ">Markov chain<" in share
    tip = re.search("<title>(b, 4-mers, 30.*?)</title>", share)
    assert tip is not None and tip[1] == "b, 4-mers, 30\u00a0% scrambled: 4\u00a0% at 0.20 bits per token"
    hero.write_card(response, "A title", tmp_path / "card.png")
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    hero.write_card(response[:0], "A title", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_chart_has_no_layer_without_rows(response):
    """Vega would complain of it in the reader's console."""

    def marks(table):
        return [layer["mark"]["type"] for layer in figures.dose_chart(table).to_dict()["layer"]]

    every = ["line", "rule", "rule", "rule", "point", "text"]
    chains = response[response["condition"].str.contains("markov", regex=False)]
    assert marks(response) == every and marks(chains) == every[1:5]  # no text to join, no condition as it is
    assert marks(response[response["condition"].str.startswith("b")]) == every[1:]


def test_tables_say_what_the_numbers_say(response):
    effects = cells(figures.effects_table(dose_effects(response, "90|toy")).data)
    assert [(row[0], row[-1]) for row in effects] == [
        ("**Jensen–Shannon distance between members**", "**no, the opposite**"),
        ("**encoder's share of the Fisher information**", "yes"),
        ("context gain, bits per token", "by construction"),
    ]
    assert any(re.fullmatch(r"-2[34]\.\d \[-2\d\.\d, -2\d\.\d\] points", cell) for cell in effects[1])
    distance, share = cells(figures.gap_table(gap_parts(response, "90|toy")).data)
    assert distance[:5] == ["**Jensen–Shannon distance between members**", "4-mers", "0.201", "0.050", "0.300"]
    assert distance[-1] == "less than half"  # mixing moves it away from DNA
    assert share[-1] == "more than half" and re.fullmatch(
        r"(99|100|101)\u00a0% \[\d+\u00a0%, 1\d\d\u00a0%\]", share[6]
    )
    assert re.fullmatch(r"40\.\d\u00a0%, 10\.\d\u00a0%, 10\.\d\u00a0%, -?0\.\d\u00a0%", ", ".join(share[2:6]))
    over = cells(figures.gaps_over_training(all_gap_parts(response)).data)
    assert [row[0] for row in over] == ["9 steps, toy", "90 steps, toy"] and over[0][2] == "0.50"


def test_the_answer_says_what_the_numbers_say(response):
    said = figures.gap_numbers(response)
    assert re.fullmatch(r"(99|100|101)\u00a0% \[\d+\u00a0%, 1\d\d\u00a0%\]", said["gone_fisher_share"])
    assert said["gone_js_distance"].startswith("-") and said["gone_topk_overlap_corrected"] == "–"
    assert "a part of what" in said["lead"] and said["setting"] == "90 steps, toy" and said["dna"] == "b, 4-mers"
    found = [said[f"{column}_fisher_share"] for column in ("text", "beside", "dna")]
    assert found == ["40\u00a0%", "10\u00a0%", "10\u00a0%"]
    assert said["shuffled_js_distance"] in ("0.00", "-0.00") and said["kept"] == "0 of 0"


def test_where_nothing_is_a_sentence_says_so(response):
    """Nothing recorded, nothing learned, one kind of corpus alone."""
    empty, text = response[:0], response[response["condition"].str.startswith("a")]
    said = figures.gap_numbers(empty)
    assert said["gone_js_distance"] == said["coded"] == said["setting"] == "–" and said["dna"] == "DNA"
    for nothing in (figures.hero_figure(empty), figures.dose_chart(empty)):
        assert "not recorded yet" in nothing.data
    for parts in (gap_parts(empty, ""), gap_parts(text, "90|toy")):
        assert "nothing is matched" in figures.gap_table(parts).data
    assert "nothing is matched" in figures.gaps_over_training(all_gap_parts(empty)).data
    assert "no pair of doses" in figures.effects_table(dose_effects(empty, "")).data
    assert data_of(figures.dose_chart(text))


def test_recorded_runs_say_where_they_come_from():
    plain = {
        "date": "2026-11-26T10:00", "commit": "abc", "device": "cpu", "seconds": 61.4, "command": "python x.py",
        "configuration": {},
    }  # fmt: skip
    trained = {**plain, "configuration": {"seconds_of_training_added_up_over_members": 1200}}
    later = {"rows": "code lengths", "date": "2026-11-28T12:00", "commit": "def"}
    notes = figures.provenance_note(trained, {**plain, "made_anew": later, "remarks": ["One."]}).data.splitlines()
    assert "in 61 s, after 20 min of training, added up over models; reproduce with:* `python x.py`" in notes[0]
    assert "in 61 s; code lengths of 2026-11-28, commit def; reproduce" in notes[2] and notes[2].endswith("` One.")


def test_sweep_draws_both_ways_of_matching():
    sweep, _ = recorded("dose-response-tokenizers")
    shown = data_of(figures.sweep_chart(sweep))
    assert {row["matched"] for row in shown} == {"equal tokens", "equal bases"}
    at = {(row["shown"], row["state"]): row for row in shown
          if row["matched"] == "equal tokens" and row["tokenizer"] == "kmer2"}  # fmt: skip
    name = next(name for name in sweep["condition"] if name.endswith("@kmer2"))
    where = {"state": "trained", "axis": "matched", "x": "tokens", "unit": "bits/token"}
    entropy, share = (
        value_of(sweep, name, "output_entropy", **where),
        at["KL from uniform, share of log2 V", "trained"],
    )
    assert share["value"] == pytest.approx(1 - entropy["value"] / 4)  # of 16 tokens, without the special ones
    assert share["low"] == pytest.approx(1 - entropy["high"] / 4)
    level = value_of(sweep, name, "unigram_nll", axis="matched", x="tokens", unit="bits/base")["value"]
    assert at["loss, bits per base", "token frequencies"]["value"] == pytest.approx(level)
    assert at["context gain, bits per base", "token frequencies"]["value"] == 0
