"""Doses of entropy: the rows are those of the chapters' own analyses, and the rates are known ones."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.claims import dose, effects
from gfm_utils.claims.claim import AGAINST, FOR, NOT_TESTED, UNDECIDED
from gfm_utils.claims.dose import AXIS, DOSE_MEASURES, GAIN, dose_response, doses
from gfm_utils.claims.effects import PRIMARY, dose_effects, gap_parts
from gfm_utils.corpora import Segment
from gfm_utils.corpora.controls import MarkovChain
from gfm_utils.ensembles import train_ensembles
from gfm_utils.entropy import token_entropy
from gfm_utils.measures import disagreement
from gfm_utils.measures.entropy import LEAST_SEEN, TokenStore, both_sides, entropy_rate, rate_rows
from gfm_utils.measures.estimates import estimate, null_of
from gfm_utils.measures.intervals import holm
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
    kept = runs / "doses"
    every = [
        dose_response(names, small.changed(steps=steps), runs, members=3, coded=2000, kept=kept) for steps in STEPS
    ]
    return pd.concat(every, ignore_index=True)


def test_doses_take_one_text_and_one_dna(trained):
    stores = [one.store for one in trained]
    names = [Condition.parse(name) for name in doses(stores, alike=dose.ALIKE_DOSES)]
    assert [name.transform for name in names] == [*dose.TEXT_DOSES, *dose.DNA_DOSES, *dose.ALIKE_DOSES]
    cut = {(name.corpus, name.tokenizer): 0 for name in names}
    assert [tokenizer for _, tokenizer in cut] == ["bpe64", "kmer3", "bpe64"] and len({c for c, _ in cut}) == 2
    assert len(doses(stores)) == len(dose.TEXT_DOSES) + len(dose.DNA_DOSES)
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
    assert all(set(DOSE_MEASURES) - rare <= set(names) for names in found)
    members = rows[rows["member"].notna()].groupby(["condition", "x", "metric"])["value"]
    assert (members.size() == 3).all()
    keyed = means.set_index(["condition", "x", "metric"])["value"]
    pd.testing.assert_series_equal(members.mean().sort_index(), keyed.sort_index(), rtol=1e-9)
    assert (means["low"] <= means["value"]).all() and (means["value"] <= means["high"]).all()


def test_a_run_that_goes_on_measures_nothing_twice(response, trained, small, monkeypatch):
    """Rows of finished conditions are found again; other members, windows or seeds are something else."""
    runs, measured = trained[0].store.path.parents[1], []
    names = list(dict.fromkeys(response["condition"]))
    size, kept = small.changed(steps=STEPS[0]), runs / "doses"
    monkeypatch.setattr(dose, "_cell", lambda ensemble, *_: measured.append(ensemble.condition) or [])
    again = dose_response(names, size, runs, members=3, coded=2000, kept=kept)
    here = response["axis"].ne(AXIS) | response["x"].eq(f"{STEPS[0]}|{size.preset}")
    expected = response[here.fillna(True)].drop_duplicates(ignore_index=True)
    pd.testing.assert_frame_equal(again.reset_index(drop=True), expected, check_dtype=False)
    assert not measured
    dose_response(names[:1], size.model_copy(update={"test_windows": 4}), runs, members=3, coded=2000, kept=kept)
    dose_response(names[:1], size, runs, members=2, coded=2000, kept=kept)
    assert measured == 2 * names[:1]


def test_numbers_are_those_of_the_chapters(response, trained, small):
    size = small.changed(steps=STEPS[1])
    runs = trained[0].store.path.parents[1]
    (one,) = train_ensembles([trained[1].condition], size, runs, members=3, progress=False)
    own = disagreement([one], size)
    here = response[(response["condition"] == one.condition) & (response["x"] == f"{STEPS[1]}|{size.preset}")]
    for metric in ("js_distance", "mutual_information"):
        whole = estimate(DOSE_MEASURES[metric], own)
        rows = here[(here["metric"] == metric) & (here["state"] == "trained")]
        mean = rows.loc[rows["member"].isna(), ["value", "low", "high"]].iloc[0]
        assert mean.tolist() == pytest.approx(whole.interval)
        np.testing.assert_allclose(rows[rows["member"].notna()].sort_values("member")["value"], whole.members)
    null = here[(here["metric"] == "js_distance") & (here["state"] == "matched null")]["value"].item()
    assert null == pytest.approx(null_of(DOSE_MEASURES["js_distance"], own).interval.value)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_between_neighbours_is_the_entropy_of_the_joint_distribution(order):
    """Against all stretches of three tokens and their probabilities."""
    rng = np.random.default_rng(order)
    letters = "".join("AC"[int(u < 0.2 + 0.5 * (i % 3 == 0))] for i, u in enumerate(rng.random(400))) + "ACCA" * 9
    chain = MarkovChain.fit([Segment("a", 0, letters)], order, 0.7)
    joint = {}

    def walk(context, drawn, p):
        if len(drawn) == 3 * order:
            joint[drawn] = joint.get(drawn, 0.0) + p
            return
        before = 0.0
        for edge in range(chain.first[context], chain.first[context + 1]):
            weight = chain.cumulative[edge] - before
            before = chain.cumulative[edge]
            walk(chain.following[edge], (*drawn, int(chain.symbols[edge])), p * weight)

    for context, share in enumerate(chain.stationary):
        walk(context, (), share)
    assert sum(joint.values()) == pytest.approx(1)
    around = {}
    for drawn, p in joint.items():
        key = drawn[:order], drawn[2 * order :]
        around[key] = around.get(key, 0.0) + p
    truth = -sum(p * np.log2(p / around[drawn[:order], drawn[2 * order :]]) for drawn, p in joint.items() if p > 0)
    assert both_sides(chain) == pytest.approx(truth, abs=1e-9)
    assert both_sides(chain) <= order * chain.rate + 1e-9  # what is known of one side alone


def test_rates_are_the_sources(trained, small):
    text, dna = (one.store for one in trained)
    runs = text.path.parents[1]

    def rate(store, transform):
        return entropy_rate(prepare(str(Condition.parse(store.condition).transformed(transform)), small, runs))

    (chain, exact), (mixed, also) = rate(dna, "markov2"), rate(text, "shuffle")
    assert exact and also and 1.8 < chain < 2
    frame = token_entropy(text.condition, text.segments("train"), text.vocabulary, 1.0, "character", 1)
    unigram = frame.loc[frame["metric"].isin(["block_entropy", "conditional_entropy"]), "value"].iloc[0]
    symbols = prepare(str(Condition.parse(text.condition).transformed("shuffle")), small, runs).about["parts"]
    assert mixed * symbols["train"]["symbols"] / symbols["train"]["tokens"] == pytest.approx(unigram, abs=0.02)
    (plain, exact), (noisy, _), (bases, also) = entropy_rate(text), rate(text, "noise0.5"), entropy_rate(dna)
    assert not exact and not also and plain < noisy and bases == pytest.approx(chain, abs=0.05)
    assert 3 * rate(dna, "uniform")[0] == pytest.approx(np.log2(64), abs=0.01)


def test_the_rate_of_a_chain_that_remembers_is_that_of_a_code(trained, small):
    """A chain of order 8 on so few bases repeats them: its own rate is far below what the bases' is."""
    dna = trained[1].store
    name = str(Condition.parse(dna.condition).transformed("markov8"))
    store = prepare(name, small, dna.path.parents[1])
    chain, symbols = store.about["entropy_rate"], store.about["parts"]["train"]["symbols"]
    assert symbols < LEAST_SEEN * chain["contexts"]
    found, exact = entropy_rate(store)
    assert not exact and found > chain["value"] + 0.1
    often = {**store.about, "entropy_rate": {**chain, "contexts": symbols // LEAST_SEEN}}
    assert entropy_rate(TokenStore(store.path, often)) == (chain["value"], True)
    rows = list(rate_rows(store))
    assert [(row["metric"], row["x"], row["unit"]) for row in rows] == [
        ("entropy_rate", "code", "bits/base"), ("entropy_per_token", "code", "bits/token")
    ]  # fmt: skip
    assert rows[1]["value"] == pytest.approx(3 * rows[0]["value"], rel=0.01)


#: Gain of each condition of a made-up world, and what its measures have besides what comes from the gain.
WORLD = {
    "a@bpe9": 2.0, "a+noise0.3@bpe9": 0.8, "a+noise0.4@bpe9": 0.1, "a+shuffle@bpe9": 0.0,
    "b@kmer4": 0.5, "b+noise0.3@kmer4": 0.2, "b+shuffle@kmer4": 0.0,
    "b+markov4t0.33@kmer4": 1.5, "b+markov4t0.33+noise0.3@kmer4": 0.7, "b@bpe9": 0.6, "b+noise0.3@bpe9": 0.3,
}  # fmt: skip
SYMBOLS = 4.0


def synthetic(offset=0.0, floor=0.0, signs=(-1, 1, 1), spread=1e-3, settings=("9|m",), common=0.0):
    """Measures that follow the gain (``signs``: as the paper says); DNA has a floor, and an offset above it.

    ``common`` is the spread that the doses of a corpus have in common, member by member.
    """
    rng, rows = np.random.default_rng(0), []
    shared = {(name, metric): rng.normal(0, common, 5) for name in "ab" for metric in (GAIN, *PRIMARY)}
    for name, gain in WORLD.items():
        dna = name[0] == "b"
        rate = {"condition": name, "axis": "source", "x": "code"}
        rows += [
            {**rate, "metric": "entropy_rate", "unit": "bits/base" if dna else "bits/character", "value": 2.0},
            {**rate, "metric": "entropy_per_token", "unit": "bits/token", "value": 2.0 * SYMBOLS},
        ]
        for x in settings:
            base = {"condition": name, "state": "trained", "axis": AXIS, "x": x, "unit": "1"}
            own = dna * (floor + offset * (gain > 0))
            values = {
                GAIN: gain,
                **{metric: sign * (0.2 * gain + own) for metric, sign in zip(PRIMARY, signs, strict=True)},
            }
            rows += [
                {**base, "metric": metric, "member": i, "value": value + rng.normal(0, spread) + also}
                for metric, value in values.items()
                for i, also in enumerate(shared[name[0], metric], 1)
            ]
    return table(rows)


def test_effects_of_a_known_world():
    frame = synthetic()
    assert list(effects.kind_of(frame).values()) == ["text"] * 4 + ["dna"] * 7
    found = dose_effects(frame, "9|m")
    share = found[found["metric"] == "fisher_share"].set_index("more")
    assert share.loc["a+noise0.3@bpe9", "value"] == pytest.approx(0.2 * -1.2, abs=0.01)
    assert share.loc["b+noise0.3@kmer4", "value"] == pytest.approx(0.2 * -0.3, abs=0.01)
    assert share.loc["b+markov4t0.33+noise0.3@kmer4", "less"] == "b+markov4t0.33@kmer4"
    assert share.loc["b+noise0.3@bpe9", "less"] == "b@bpe9" and len(share) == 4  # each tokenizer by itself
    assert set(found["outcome"]) == {FOR}
    worst = found.groupby("metric")["p"].max()[list(PRIMARY)]
    corrected = found.drop_duplicates("metric").set_index("metric")["p_holm"]
    np.testing.assert_allclose(corrected[list(PRIMARY)], holm(worst))
    assert corrected[GAIN] == found.loc[found["metric"] == GAIN, "p"].max()  # a check, uncorrected
    turned = dose_effects(synthetic(signs=(1, 1, -1)), "9|m").drop_duplicates("metric").set_index("metric")
    said = {"js_distance": AGAINST, "topk_overlap_corrected": FOR, "fisher_share": AGAINST}
    assert turned.loc[list(PRIMARY), "outcome"].to_dict() == said


def test_parts_of_a_gap_of_a_known_world():
    """In a world that is straight in bits per token all of the gap is gone; with an offset, less of it."""
    parts = gap_parts(synthetic(), "9|m").set_index(["metric", "condition"])
    assert set(parts.index) == {(metric, name) for metric in PRIMARY for name in ("b@kmer4", "b@bpe9")}
    one = parts.loc["fisher_share", "b@kmer4"]
    assert one["gain"] == pytest.approx(0.5, abs=0.01) and one["beside"] == pytest.approx(0.1, abs=0.003)
    assert one["text"] == pytest.approx(0.4, abs=0.003) and one["dna"] == pytest.approx(0.1, abs=0.003)
    assert one["shuffled"] == pytest.approx(0, abs=0.003) and one["gap"] == pytest.approx(0.3, abs=0.003)
    assert one["gone_low"] < 1 < one["gone_high"] and one["least"] < one["gone"] <= one["most"]
    assert one["floors"] == pytest.approx(0, abs=0.02) and one["left"] == pytest.approx(0, abs=0.02)
    assert np.isnan(parts.loc["fisher_share", "b@bpe9"]["floors"])  # no DNA in random order
    shifted = gap_parts(synthetic(-0.5, signs=(1, 1, 1)), "9|m").set_index(["metric", "condition"])
    own = shifted.loc["fisher_share", "b@kmer4"]
    assert own["gone"] == pytest.approx(0.3 / 0.8, abs=0.02) and own["left"] == pytest.approx(0.5 / 0.8, abs=0.02)
    over_training = effects.all_gap_parts(synthetic(settings=("9|m", "5|m")))
    assert over_training.drop_duplicates("setting")["setting"].tolist() == ["5|m", "9|m"]


def test_a_gap_matched_on_what_a_code_saves():
    """In this world a code saves twice what text gains, and what DNA gains: they meet at half of DNA's gain."""
    frame = synthetic()
    without_random_order = {"b@bpe9", "b+noise0.3@bpe9"}
    assert effects.saved_by_code(frame).keys() == WORLD.keys() - without_random_order
    assert set(effects.saved_by_code(frame).values()) == {0.0}  # all rates are the same here
    rate = frame["metric"] == "entropy_per_token"
    frame.loc[rate, "value"] = [
        8 - WORLD[name] * (2 if name[0] == "a" else 1) for name in frame[rate]["condition"]
    ]
    assert effects.saved_by_code(frame)["a+noise0.3@bpe9"] == pytest.approx(1.6)
    parts = gap_parts(frame, "9|m", match=effects.CODE).set_index(["metric", "condition"])
    one = parts.loc["fisher_share", "b@kmer4"]
    assert one["gain"] == 0.5 and one["beside"] == pytest.approx(0.2 * 0.25, abs=0.003)
    assert one["gone"] == pytest.approx((0.4 - 0.05) / 0.3, abs=0.02)


def test_outcomes_of_a_gap():
    """Said of the gap only where all scales say so, and never where there is none."""

    def said(offset):
        parts = gap_parts(synthetic(offset, signs=(1, 1, 1)), "9|m")
        return set(parts.loc[parts["condition"] == "b@kmer4", "outcome"])

    assert said(0.0) == {effects.MORE}
    assert said(-1.5) == {effects.LESS}
    assert said(-0.3) == {UNDECIDED}  # half of it per token, and another share on a logarithm
    assert said(-0.27) == {UNDECIDED}  # surely more than a half per token, and surely less on a logarithm
    parts = gap_parts(synthetic(0.3, spread=0.05, signs=(1, 1, 1)), "9|m")  # DNA has as much as text
    none = parts[parts["outcome"] == effects.NO_GAP]
    assert len(none) and (none["gap_p"] > 0.05).all()
    assert none[["gone", "gone_low", "gone_high", "left"]].isna().all(axis=None)


def test_all_contrasts_of_a_table_must_agree():
    frame = synthetic()
    against = (frame["condition"] == "b+noise0.3@kmer4") & (frame["metric"] == "fisher_share")
    frame.loc[against, "value"] += 0.2
    own = dose_effects(frame, "9|m").set_index("metric").loc["fisher_share"]
    assert len(own) == 4 and set(own["outcome"]) == {UNDECIDED}
    fewer = dose_effects(frame[~against], "9|m").set_index("metric")  # one contrast of this measure is missing
    assert set(fewer.loc["fisher_share", "outcome"]) == {NOT_TESTED}
    assert set(fewer.loc["js_distance", "outcome"]) == {FOR}
    alone = dose_effects(frame[frame["condition"].str.startswith("a")], "9|m")
    assert set(alone["outcome"]) == {NOT_TESTED} and len(alone) == 1 + len(PRIMARY)


def test_verdicts_are_those_of_the_last_setting_with_most_contrasts():
    frame = synthetic(settings=("5|m", "9|m", "20|m", "9|k"))
    assert effects.settings_of(frame) == ["9|k", "5|m", "9|m", "20|m"]
    assert effects.verdict_setting(frame) == "20|m" and effects.verdict_setting(frame[:0]) == ""
    without = (frame["x"] == "20|m") & (frame["condition"] == "b+noise0.3@kmer4")
    assert effects.verdict_setting(frame[~without]) == "9|m"


def test_recorded_runs_are_one_table(monkeypatch):
    """Whatever parts there are; the entropy of a condition is that of the last run that has it."""
    frames = {name: synthetic(settings=(f"{steps}|m",)) for steps, name in enumerate(effects.RECORDED[1:3], 5)}
    frames[effects.RECORDED[2]].loc[lambda rows: rows["axis"] == "source", "value"] *= 2

    def recorded(*names):
        return [(frames[name], {"seconds": 1}) for name in names if name in frames]

    monkeypatch.setattr(effects, "those_recorded", recorded)
    table, about = effects.recorded_doses()
    assert len(about) == 2 and effects.settings_of(table) == ["5|m", "6|m"]
    rates = table[(table["axis"] == "source").fillna(False)]
    assert len(rates) == 2 * len(WORLD) and rates["value"].max() == 4 * SYMBOLS
    frames.clear()
    table, about = effects.recorded_doses()
    assert table.empty and not about and gap_parts(table, "").empty and effects.all_gap_parts(table).empty


def test_sweep_matches_tokens_or_bases(trained, small):
    dna = trained[1].store
    corpus = dna.condition.rpartition("@")[0]
    names = [f"{corpus}@kmer2", f"{corpus}@kmer4"]
    found = dose.tokenizer_sweep(names, small.changed(steps=2), dna.path.parents[1], members=2)
    assert set(found["x"]) == set(dose.MATCHED) and (found["axis"] == "matched").all()
    windows = found[found["metric"] == "window"].set_index(["condition", "x"])["value"]
    assert windows[names[0], "tokens"] == windows[names[1], "tokens"] == small.window
    assert windows[names[0], "bases"] == 2 * windows[names[1], "bases"] == 2 * small.window
    entropy = found[
        (found["metric"] == "output_entropy") & found["member"].isna() & (found["unit"] == "bits/token")
    ]
    assert (
        entropy["value"].between(0, np.log2(4**4 + 5)).all() and len(entropy) == 8
    )  # tokenizers, matched, states
