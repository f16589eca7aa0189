"""Along training: the last checkpoint is what the chapters show; runs, fits and outliers are as they are made."""

import importlib

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gfm_utils.claims import (
    along_training,
    equal_gains,
    equal_tokens,
    extrapolations,
    live_training,
    outliers,
)
from gfm_utils.claims.along_training import (
    AXIS,
    CHECKED,
    FOLLOWED,
    RATE,
    VALIDATION,
    Setting,
    kept_steps,
    position,
    score_limit,
    settings_of,
    studentised,
    tokens_of,
)
from gfm_utils.claims.extrapolation import FURTHEST, LATER, MISS, Law, extrapolate, fit_law
from gfm_utils.claims.one_curve import (
    KIND,
    MODEL,
    OPTIMISER,
    at_equal_gain,
    at_gain,
    curve,
    pairs_of,
)
from gfm_utils.figures.select import value_of
from gfm_utils.measures import disagreement, fisher_information, output_distributions, static_embeddings
from gfm_utils.measures.estimates import estimate
from gfm_utils.measures.rows import members_of


@pytest.fixture(scope="module")
def few(smoke):
    return smoke.model_copy(update={"test_windows": 8, "fisher_windows": 4})


@pytest.fixture(scope="module")
def followed(trained, few):
    return along_training(trained, few, every=3)


def test_the_last_checkpoint_is_what_the_chapters_measure(followed, trained, few):
    for ensemble in trained:
        x = Setting.of(ensemble).x(ensemble.spec.tokens_seen)
        for metric, tables in {
            "context_gain": output_distributions([ensemble], few),
            "nll_share": output_distributions([ensemble], few),
            "output_entropy_share": output_distributions([ensemble], few),
            "js_distance": disagreement([ensemble], few),
            "topk_overlap_corrected": static_embeddings([ensemble]),
            "fisher_share": fisher_information([ensemble], few),
        }.items():
            own = estimate(FOLLOWED[metric], tables)
            row = value_of(followed, ensemble.condition, metric, axis=AXIS, x=x)
            found = members_of(followed, AXIS)[ensemble.condition, x, metric]
            np.testing.assert_allclose(found, own.members, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(row[["value", "low", "high"]].tolist(), own.interval, rtol=1e-6, atol=1e-9)
            assert list(found.index) == ensemble.seeds


def test_every_checkpoint_and_level_is_there(followed, trained):
    for ensemble in trained:
        steps = kept_steps(ensemble, 3)
        assert steps[-1] == ensemble.spec.steps and len(steps) == -(-len(ensemble.members[0].checkpoints) // 3)
        per_step = ensemble.spec.batch * ensemble.spec.window
        assert tokens_of(followed, ensemble.condition, Setting.of(ensemble)) == [step * per_step for step in steps]
        loss = members_of(followed, AXIS)[ensemble.condition, Setting.of(ensemble).x(0), VALIDATION]
        wanted = [member.metrics["validation_loss"].iloc[0] for member in ensemble.members]
        assert loss.tolist() == wanted
        levels = followed[(followed["condition"] == ensemble.condition) & (followed["metric"] == "level_nll")]
        levels = levels[levels["unit"] == "bits/token"].set_index("x")["value"]
        gain, nll = (
            value_of(followed, ensemble.condition, name, axis=AXIS, x=Setting.of(ensemble).x(steps[-1] * per_step))
            for name in ("context_gain", "nll")
        )
        assert levels["unigram"] - nll["value"] == pytest.approx(gain["value"], rel=1e-6)
        assert {"both", "code"} <= set(levels.index)
    assert kept_steps(trained[0], since=0.5)[0] >= 10


def test_the_live_run_reads_less(trained, smoke, monkeypatch):
    asked, analyse = [], importlib.import_module("gfm_utils.claims.along_training")  # not the function
    monkeypatch.setattr(analyse, "along_training", lambda *given: asked.append(given))
    live_training(trained, smoke)
    assert asked[0][1].test_windows == 4 and asked[0][1].fisher_windows == 2


def test_runs_on_one_curve_and_beside_it(along):
    equal = equal_gains(along)
    assert set(equal["by"]) == {KIND, OPTIMISER, MODEL}
    at = equal.set_index(["by", "metric"])
    assert np.abs(at.loc[[(by, "fisher_share") for by in (KIND, OPTIMISER, MODEL)], "value"]).max() < 1e-2
    kind = at.loc[(KIND, "js_distance")]
    np.testing.assert_allclose(kind["value"], 0.2, atol=1e-2)
    assert (kind["low"] > 0).all() and len(kind) == 3
    own = at.loc[(OPTIMISER, "topk_overlap_corrected"), "value"]
    np.testing.assert_allclose(np.abs(own), 0.3, atol=1e-2)
    assert len(equal) == 3 * (3 + 2 + 2)
    np.testing.assert_allclose(at.loc[(KIND, "fisher_share"), "gain"], [0.8, 0.4, 0.4], rtol=0.02)


def test_pairs_differ_in_one_thing_and_the_longest_of_equal_runs_counts(along):
    longer = along.assign(x=along["x"].str.replace("|1024000", "|2048000", regex=False))
    pairs = list(pairs_of(pd.concat([along, longer])))
    assert {setting.budget for _, *runs in pairs for _, setting in runs} == {2_048_000}
    for by, first, second in pairs:
        one, other = ((name, setting.preset, setting.optimiser) for name, setting in (first, second))
        same = [a == b for a, b in zip(one, other, strict=True)]
        assert sum(same) == 2 and same.index(False) == {KIND: 0, MODEL: 1, OPTIMISER: 2}[by]


def test_at_equal_gain_both_curves_are_read_where_they_reach():
    mean = np.array([[-0.1, 0.2, 0.15, 0.4], [0.0, 1.0, 9.0, 3.0]])
    assert at_gain(mean, 0.3) == pytest.approx(2.0)  # the checkpoint that gains less than one before is left out
    rng = np.random.default_rng(0)
    first, second = (mean + rng.normal(0, 1e-3, (5, 1, 1)) for _ in range(2))
    second = second * [[1], [2]]
    found = at_equal_gain(first, second[:, :, :3])
    assert found["gain"] == pytest.approx(0.2, abs=1e-2)
    assert found["value"] == pytest.approx(1 - 2, abs=1e-2) and found["low"] < -1 < found["high"]
    assert at_equal_gain(first * 0.01, second) is None
    assert at_equal_gain(first[:1], second) is None


def test_paired_members_are_left_out_together():
    """What members have in common is not told from zero by pairs, and has no part in their interval."""
    rng = np.random.default_rng(3)
    own = rng.normal(0, 0.2, (5, 1))
    gains = np.tile([0.1, 0.5, 1.0], (5, 1))
    first = np.stack([gains, 0.3 + own + 0 * gains], axis=1)
    second = np.stack([gains, 0.25 + own + rng.normal(0, 0.001, (5, 1)) + 0 * gains], axis=1)
    apart, together = (at_equal_gain(first, second, paired) for paired in (False, True))
    assert apart["value"] == pytest.approx(together["value"])
    assert apart["low"] < 0 < together["low"]
    paired = stats.ttest_rel(first[:, 1, -1], second[:, 1, -1]).confidence_interval()
    assert (together["low"], together["high"]) == pytest.approx((paired.low, paired.high))


def test_a_measure_that_a_checkpoint_lacks_leaves_it_out(along):
    run = "a@bpe9", settings_of(along)[0][1]
    lacking = along[~((along["metric"] == "js_distance") & (along["x"] == run[1].x(0)))]
    assert curve(members_of(along, AXIS), run, "js_distance").shape == (5, 2, 10)
    assert curve(members_of(lacking, AXIS), run, "js_distance").shape == (5, 2, 9)
    assert curve(members_of(along, AXIS), run, "top1_agreement").shape[0] == 0


def test_dna_less_text_after_equal_tokens(along):
    found = equal_tokens(along)
    found = found[found["metric"] == "js_distance"]
    assert len(found) == 3 * 10
    last = found[found["tokens"] == 1_024_000].iloc[0]
    assert last["value"] == pytest.approx(0.1 * (0.8 - 4) + 0.2, abs=5e-3) and last["high"] < 0
    assert found[found["tokens"] == 0]["value"].tolist() == pytest.approx([0.2] * 3, abs=5e-3)


@pytest.mark.parametrize("law", [Law(2.4, 0.5, 0.4, 16e6), Law(0.0, 3.0, 0.1, 1e6), Law(6.5, 0.05, 1.2, 1e6)])
def test_the_law_is_found_where_nothing_else_is_there(law):
    tokens = law.last * np.geomspace(1 / 64, 1, 6)
    found = fit_law(tokens, law.at(tokens))
    assert (found.limit, found.height) == pytest.approx((law.limit, law.height), abs=1e-4)
    later = 10 * law.last
    assert float(found.at(later)) == pytest.approx(float(law.at(later)), abs=1e-5)


def test_the_interval_of_an_extrapolation_holds_the_truth():
    rng, law = np.random.default_rng(1), Law(2.4, 0.5, 0.4, 16e6)
    tokens = law.last * np.geomspace(1 / 64, 1, 5)
    truth, held = float(law.at(FURTHEST * law.last)), 0
    for _ in range(12):
        losses = law.at(tokens) + rng.normal(0, 0.01, 5) + rng.normal(0, 0.01, (5, 5))
        found = extrapolate(tokens.tolist(), losses)
        held += found[LATER].low <= truth <= found[LATER].high
    assert held >= 10
    exact = extrapolate(tokens.tolist(), np.tile(law.at(tokens), (3, 1)))
    assert exact[LATER].value == pytest.approx(truth, abs=1e-4) and exact[LATER].low > 0
    assert exact[MISS].value == pytest.approx(0, abs=1e-4)


def test_what_the_fit_does_not_bound_has_no_interval():
    tokens, rng = [1e6 * 2**i for i in range(5)], np.random.default_rng(0)
    falling = extrapolate(tokens, 6 - 1.2 * np.arange(5) + rng.normal(0, 0.05, (5, 5)))
    assert np.isnan(falling[LATER].low)  # a straight line in the logarithm of the tokens has no limit
    assert extrapolate(tokens[:4], np.ones((5, 4))) is None and extrapolate(tokens, np.ones((2, 5))) is None


def test_extrapolations_of_every_run(along):
    found = extrapolations(along)
    assert len(found) == 2 * len(settings_of(along))
    truth = 2 + 0.5 * FURTHEST**-0.3
    assert found.loc[found["metric"] == LATER, "value"].to_numpy("float64") == pytest.approx(truth, abs=0.01)
    assert position(found["x"].iloc[0])[0] == FURTHEST * 1_024_000


def test_a_member_that_went_astray_is_found_and_no_other(along):
    assert not outliers(along)["outlier"].any()
    condition, setting = settings_of(along)[0]
    astray = (along["member"] == 3) & (along["x"] == setting.x(setting.budget)) & (along["metric"] == CHECKED[0])
    found = outliers(along.assign(value=along["value"].where(~(astray & (along["condition"] == condition)), 9.0)))
    (row,) = found[found["outlier"]].to_dict("records")
    assert (row["condition"], row["member"], row["metric"]) == (condition, 3, CHECKED[0]) and row["score"] > 0


def test_scores_of_members_are_their_t_against_the_others_and_the_limit_keeps_its_rate():
    values = np.random.default_rng(2).normal(5, 3, (3, 6))
    for row, scores in zip(values, studentised(values), strict=True):
        for place, score in enumerate(scores):
            rest = np.delete(row, place)
            t = (row[place] - rest.mean()) / (rest.std(ddof=1) * np.sqrt(1 + 1 / len(rest)))
            assert score == pytest.approx(t)
    assert studentised([1, 1, 1]).tolist() == [0, 0, 0]
    members = np.random.default_rng(3).normal(size=(20_000, 4, 5))
    alarms = (np.abs(studentised(members)) > score_limit(5, 4)).any(axis=(1, 2)).mean()
    assert 0.7 * RATE < alarms < 1.1 * RATE
