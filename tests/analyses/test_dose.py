"""Doses of entropy: the rows are those of the chapters' own analyses, and the rates are known ones."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.analyses import disagreement
from gfm_utils.analyses.claims import AGAINST, FOR, UNDECIDED
from gfm_utils.analyses.dose import AXIS, DNA_DOSES, GAIN, MEASURES, TEXT_DOSES, dose_response, doses
from gfm_utils.analyses.effects import (
    HIGHER,
    RECORDED,
    SAME,
    dose_effects,
    kind_of,
    matched_rests,
    plain_rests,
    recorded_doses,
    settings_of,
)
from gfm_utils.analyses.intervals import pseudo_values
from gfm_utils.analyses.matching import holm
from gfm_utils.analyses.rates import LEAST_SEEN, TokenStore, entropy_rate, rate_rows
from gfm_utils.analyses.sweep import MATCHED, tokenizer_sweep
from gfm_utils.entropy import token_entropy
from gfm_utils.figures.select import value_of
from gfm_utils.tables import table
from gfm_utils.tokens import Condition, prepare

STEPS = (3, 6)


@pytest.fixture(scope="module")
def small(smoke):
    return smoke.model_copy(update={"test_windows": 8, "fisher_windows": 4})


@pytest.fixture(scope="module")
def response(trained, small):
    runs = trained[0].store.path.parents[1]
    names = doses([one.store for one in trained], (None, "noise0.5"), (None, "markov2"))
    return dose_response(names, small, runs, STEPS, members=3)


def test_doses_take_one_text_and_one_dna(trained):
    names = doses([one.store for one in trained])
    assert len(names) == len(TEXT_DOSES) + len(DNA_DOSES)
    assert [Condition.parse(name).transform for name in names] == [*TEXT_DOSES, *DNA_DOSES]
    assert {Condition.parse(name).tokenizer for name in names} == {"bpe64", "kmer3"}
    assert doses([trained[1].store], dna=("markov1",)) == [
        str(Condition.parse(trained[1].condition).transformed("markov1"))
    ]


def test_rows_of_every_dose_budget_and_measure(response):
    rows = response[response["axis"] == AXIS]
    means = rows[(rows["state"] == "trained") & rows["member"].isna() & (rows["metric"] != "training_time")]
    found = means.groupby(["condition", "x"])["metric"].agg(set)
    assert len(found) == 4 * len(STEPS)
    # Of a gain, of more than 100 tokens, and of members that do not all predict one token.
    rare = {"mutual_information_per_gain", "local_spearman", "top1_agreement"}
    assert all(set(MEASURES) - rare <= set(names) for names in found)
    members = rows[rows["member"].notna()].groupby(["condition", "x", "metric"])["value"]
    assert (members.size() == 3).all()
    keyed = means.set_index(["condition", "x", "metric"])["value"]
    pd.testing.assert_series_equal(members.mean().sort_index(), keyed.sort_index(), rtol=1e-9)
    assert (means["low"] <= means["value"]).all() and (means["value"] <= means["high"]).all()


def test_numbers_are_those_of_the_chapters(response, trained, small):
    from gfm_utils.ensembles import train_ensembles

    runs = trained[0].store.path.parents[1]
    size = small.changed(steps=STEPS[1])
    (one,) = train_ensembles([trained[1].condition], size, runs, members=3, progress=False)
    own = disagreement([one], size)
    here = response[(response["condition"] == one.condition) & (response["x"] == f"{STEPS[1]}|{size.preset}")]
    for metric in ("js_distance", "mutual_information"):
        known = value_of(own, one.condition, metric, state="trained")
        found = here[(here["metric"] == metric) & (here["state"] == "trained") & here["member"].isna()].iloc[0]
        assert found[["value", "low", "high"]].tolist() == pytest.approx(known[["value", "low", "high"]].tolist())
    pairs = own[(own["metric"] == "js_distance") & (own["state"] == "trained") & own["axis"].isna()]
    matrix = np.zeros((3, 3))
    for _, row in pairs[pairs["other"].notna()].iterrows():
        i, j = int(row["member"]) - 1, int(row["other"]) - 1
        matrix[i, j] = matrix[j, i] = row["value"]
    found = here[(here["metric"] == "js_distance") & here["member"].notna()].sort_values("member")["value"]
    np.testing.assert_allclose(found, pseudo_values(matrix))


def test_rates_are_the_sources(trained, small):
    text, dna = (one.store for one in trained)
    runs = text.path.parents[1]

    def rate(store, transform):
        return entropy_rate(prepare(str(Condition.parse(store.condition).transformed(transform)), small, runs))

    chain = rate(dna, "markov2")
    assert (
        chain.exact
        and 1.8 < chain.per_symbol < 2
        and chain.per_token == pytest.approx(3 * chain.per_symbol, rel=0.01)
    )
    mixed = rate(text, "shuffle")
    frame = token_entropy(text.condition, text.segments("train"), text.vocabulary, 1.0, "character", 1)
    unigram = frame[(frame["metric"] == "block_entropy") | (frame["metric"] == "conditional_entropy")][
        "value"
    ].iloc[0]
    assert mixed.exact and mixed.per_token == pytest.approx(unigram, abs=0.02)
    plain, noisy = entropy_rate(text), rate(text, "noise0.5")
    assert not plain.exact and plain.per_symbol < noisy.per_symbol
    bases = entropy_rate(dna)
    assert not bases.exact and bases.per_symbol == pytest.approx(chain.per_symbol, abs=0.05)
    uniform = rate(dna, "uniform")
    assert uniform.per_token == pytest.approx(np.log2(64), abs=0.01)


def test_the_rate_of_a_chain_that_remembers_is_that_of_a_code(trained, small):
    """A chain of order 8 on so few bases repeats them: its own rate is far below what the bases' is."""
    dna = trained[1].store
    name = str(Condition.parse(dna.condition).transformed("markov8"))
    store = prepare(name, small, dna.path.parents[1])
    chain, symbols = store.about["entropy_rate"], store.about["parts"]["train"]["symbols"]
    assert symbols < LEAST_SEEN * chain["contexts"]
    found = entropy_rate(store)
    assert not found.exact and found.per_symbol > chain["value"] + 0.1
    often = {**store.about, "entropy_rate": {**chain, "contexts": symbols // LEAST_SEEN}}
    assert entropy_rate(TokenStore(store.path, often)).per_symbol == chain["value"]
    rows = list(rate_rows(store))
    assert [(row["metric"], row["x"], row["unit"]) for row in rows] == [
        ("entropy_rate", "code", "bits/base"), ("entropy_per_token", "code", "bits/token")
    ]  # fmt: skip
    assert rows[1]["value"] == pytest.approx(3 * rows[0]["value"], rel=0.01)


def synthetic(offset=0.0):
    """Text and DNA whose measures follow the gain, and of DNA by an offset more."""
    rng, rows = np.random.default_rng(0), []
    gains = {"a@bpe9": 2.0, "a+noise0.3@bpe9": 0.8, "a+shuffle@bpe9": 0.0, "b@kmer4": 0.2,
             "b+markov4t0.33@kmer4": 1.1, "b+markov4@kmer4": 0.02}  # fmt: skip
    for name, gain in gains.items():
        unit = "bits/base" if name[0] == "b" else "bits/character"
        rows.append(
            {
                "condition": name,
                "metric": "entropy_rate",
                "unit": unit,
                "value": 2.0,
                "axis": "source",
                "x": "code",
            }
        )
        for metric in (GAIN, "fisher_share"):
            value = gain if metric == GAIN else 0.2 * gain + offset * (name[0] == "b")
            base = {"condition": name, "state": "trained", "metric": metric, "axis": AXIS, "x": "9|m", "unit": "1"}
            rows += [{**base, "member": i + 1, "value": value + rng.normal(0, 1e-3)} for i in range(5)]
    return table(rows)


def test_effects_and_rests_of_a_known_world():
    frame = synthetic()
    assert settings_of(frame) == ["9|m"] and list(kind_of(frame).values()) == ["text"] * 3 + ["dna"] * 3
    effects = dose_effects(frame, "9|m").set_index(["metric", "kind"])
    assert effects.loc[("fisher_share", "text"), "value"] == pytest.approx(0.2 * -1.2, abs=0.01)
    assert effects.loc[("fisher_share", "dna"), "value"] == pytest.approx(0.2 * -1.08, abs=0.01)
    assert set(effects["outcome"]) == {FOR} and (effects["p_holm"] >= effects["p"]).all()
    rests = matched_rests(frame, "9|m").set_index("condition")
    assert rests["value"].tolist() == pytest.approx([0] * 3, abs=0.003)
    assert rests.loc["b@kmer4", "explained"] == pytest.approx(1, abs=0.05)
    assert rests.loc["b@kmer4", "outcome"] == SAME
    shifted = matched_rests(synthetic(0.1), "9|m").set_index("condition")
    assert shifted["value"].tolist() == pytest.approx([0.1] * 3, abs=0.01)
    assert (shifted["p_holm"] < 0.05).all() and set(shifted["outcome"]) == {HIGHER}
    over_training = plain_rests(synthetic(0.1))
    assert over_training["condition"].tolist() == ["b@kmer4"] and over_training["setting"].tolist() == ["9|m"]


def test_the_correction_of_dna_as_it_is_does_not_depend_on_the_controls():
    """Neither does it hide a rest behind the number of controls that were recorded, nor they behind it."""
    frame = synthetic(0.1)
    rests = matched_rests(frame, "9|m")
    plain = rests["condition"] == "b@kmer4"
    for rows in (rests[plain], rests[~plain]):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
    fewer = matched_rests(frame[frame["condition"] != "b+markov4@kmer4"], "9|m")
    assert fewer.loc[fewer["condition"] == "b@kmer4", "p_holm"].tolist() == rests.loc[plain, "p_holm"].tolist()


def test_a_rest_without_enough_evidence_is_undecided():
    """Neither a difference nor its absence is read from noise as large as the gap."""
    frame, rng = synthetic(), np.random.default_rng(1)
    noisy = (frame["metric"] == "fisher_share") & frame["member"].notna()
    frame.loc[noisy, "value"] += rng.normal(0, 0.3, int(noisy.sum()))
    rests = matched_rests(frame, "9|m").set_index("condition")
    assert rests.loc["b@kmer4", "outcome"] == UNDECIDED


def test_all_contrasts_of_a_table_must_agree():
    frame = synthetic()
    noise = frame[frame["condition"] == "b@kmer4"].assign(condition="b+noise0.3@kmer4")
    against = noise["metric"] == "fisher_share"
    noise.loc[against, "value"] += 0.1
    frame = pd.concat([frame, noise], ignore_index=True)
    effects = dose_effects(frame, "9|m")
    own = effects[effects["metric"] == "fisher_share"]
    assert own["more"].tolist() == ["a+noise0.3@bpe9", "b+noise0.3@kmer4", "b+markov4@kmer4"]
    assert set(own["outcome"]) == {UNDECIDED}
    without = frame[~((frame["condition"] == "b+noise0.3@kmer4") & (frame["metric"] == "fisher_share"))]
    fewer = dose_effects(without, "9|m")  # a measure that lacks one of the contrasts has no verdict
    assert set(fewer.loc[fewer["metric"] == "fisher_share", "outcome"]) == {UNDECIDED}
    turned = frame.copy()
    turned.loc[turned["metric"] == "fisher_share", "value"] *= -1
    turned = turned[turned["condition"] != "b+noise0.3@kmer4"]
    said = dose_effects(turned, "9|m").set_index("metric").loc["fisher_share", "outcome"]
    assert set(said) == {AGAINST}


def test_the_recorded_runs_are_one_table():
    table, about = recorded_doses()
    assert len(about) == len(RECORDED) and all(one["seconds"] > 0 for one in about)
    rates = table[(table["axis"] == "source").fillna(False)]
    assert not rates.duplicated(["condition", "metric"]).any()
    rows = table[(table["axis"] == AXIS).fillna(False) & table["member"].notna()]
    members = rows.groupby(["x", "condition", "metric"]).size()
    assert (members == 5).all()
    assert rows.groupby("x")["condition"].nunique().nlargest(3).min() >= 12


def test_sweep_matches_tokens_or_bases(trained, small):
    dna = trained[1].store
    corpus = dna.condition.rpartition("@")[0]
    names = [f"{corpus}@kmer2", f"{corpus}@kmer4"]
    found = tokenizer_sweep(names, small.changed(steps=2), dna.path.parents[1], members=2)
    assert set(found["x"]) == set(MATCHED) and (found["axis"] == "matched").all()
    windows = found[found["metric"] == "window"].set_index(["condition", "x"])["value"]
    assert windows[names[0], "tokens"] == windows[names[1], "tokens"] == small.window
    assert windows[names[0], "bases"] == 2 * windows[names[1], "bases"] == 2 * small.window
    entropy = found[
        (found["metric"] == "output_entropy") & found["member"].isna() & (found["unit"] == "bits/token")
    ]
    assert (
        entropy["value"].between(0, np.log2(4**4 + 5)).all() and len(entropy) == 8
    )  # tokenizers, matched, states
