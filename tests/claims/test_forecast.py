"""Forecasts on a simulated world whose answer is known, and of a user's own file."""

import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest
from scipy import stats

from gfm_utils.claims import forecast as forecasts
from gfm_utils.claims.forecast import (
    COUNTED,
    FORECAST,
    GIVEN,
    LEAST,
    NO_BETTER,
    OUTSIDE,
    counted,
    forecast,
    interval_score,
    judged,
    left_out,
    out_of_range,
    predicted,
)
from gfm_utils.profiles import profile


def true(name, number, saved):
    """What follows from the logarithm of what counting saves: a line, or a power."""
    return 0.3 * 2 ** (0.5 * saved) if name in LEAST else 0.5 + 0.1 * (number + 1) * saved


def world(rng, corpora=40, noise=0.02):
    """Corpora whose measures follow from what counting saves, but for one, which follows from nothing."""
    saved = rng.uniform(-4, 1, corpora)
    points = pd.DataFrame({
        "condition": [f"c{number}" for number in range(corpora)],
        "label": [f"c{number}" for number in range(corpora)],
        "family": [f"f{number // 2}" for number in range(corpora)],
        "kind": [("dna", "text", "protein")[number % 3] for number in range(corpora)],
        "counting_gain": 2**saved,
        "entropy_share": rng.uniform(0.2, 0.95, corpora),
    })  # fmt: skip
    for number, name in enumerate(FORECAST):
        points[name] = true(name, number, saved + rng.normal(0, noise, corpora))
    return points.assign(fisher_share=rng.normal(0.2, 0.05, corpora))


def test_what_follows_from_counting_is_forecast_and_what_does_not_is_not():
    points = world(np.random.default_rng(0))
    numbers = {name: float(points[name].median()) for name in COUNTED}
    found = forecast(points, numbers).set_index("metric")
    assert found.loc["fisher_share", "outcome"] == NO_BETTER and np.isnan(found.loc["fisher_share", "value"])
    assert found.loc["fisher_share", "mean_value"] == pytest.approx(points["fisher_share"].mean())
    others = found.drop("fisher_share")
    assert (others["outcome"] == GIVEN).all() and (others["low"] < others["value"]).all()
    for number, name in enumerate(others.index):
        expected = true(name, number, np.log2(numbers["counting_gain"]))
        assert others.loc[name, "low"] < expected < others.loc[name, "high"]
        assert others.loc[name, "value"] == pytest.approx(expected, abs=0.02)
    assert list(out_of_range(points, numbers)) == []


def test_outside_of_the_atlas_nothing_is_forecast():
    points = world(np.random.default_rng(1))
    numbers = {name: float(points[name].median()) for name in COUNTED} | {"counting_gain": 100.0}
    assert (forecast(points, numbers)["outcome"] == OUTSIDE).all()
    assert list(out_of_range(points, numbers)) == [("counting_gain", [points["counting_gain"].max()])]
    # A gap between two groups is outside, too.
    apart = points.assign(entropy_share=np.repeat([0.2, 0.9], 20))
    between = numbers | {"counting_gain": float(points["counting_gain"].iloc[0]), "entropy_share": 0.5}
    assert list(out_of_range(apart, between)) == [("entropy_share", [0.2, 0.9])]
    assert list(out_of_range(apart, between | {"entropy_share": 0.25})) == []


def test_intervals_hold_what_they_promise_on_corpora_left_out():
    held = []
    for seed in range(5):
        found = judged(left_out(world(np.random.default_rng(seed))))
        rows = found.set_index(["metric", "by"])
        held.append(rows.loc[("accuracy", "family"), "held"])
        assert rows.loc[("accuracy", "family"), "score"] < rows.loc[("accuracy", "family"), "mean_score"] / 2
        assert rows.loc[("accuracy", "kind"), "error"] < rows.loc[("accuracy", "kind"), "mean_error"] / 2
    assert 0.85 <= np.mean(held) <= 0.97


def test_a_corpus_that_is_left_out_is_not_seen_nor_is_its_kin():
    points = world(np.random.default_rng(2))
    rows = left_out(points)
    rows = rows[rows["metric"] == "js_distance"]
    row = rows[(rows["by"] == "family") & (rows["condition"] == "c5")].iloc[0]
    known = points[points["family"] != "f2"]
    columns = np.column_stack(
        [np.ones(len(known)), np.log2(known["counting_gain"].clip(0.02)), known["entropy_share"]]
    )
    fitted = np.linalg.lstsq(columns, known["js_distance"])[0]
    new = points.loc[5]
    at = [1, np.log2(max(new["counting_gain"], 0.02)), new["entropy_share"]]
    npt.assert_allclose(row["value"], fitted @ at)
    errors = []
    for name in known["family"].unique():
        out = (known["family"] == name).to_numpy()
        rest = np.linalg.lstsq(columns[~out], known["js_distance"][~out])[0]
        errors.append(np.mean((known["js_distance"][out] - columns[out] @ rest) ** 2))
    reach = stats.t.ppf(0.95, len(errors) - 3) * np.sqrt(np.mean(errors))
    npt.assert_allclose(row["high"] - row["value"], reach)
    npt.assert_allclose(row["mean_value"], known["js_distance"].mean())
    of_kind = rows[(rows["by"] == "kind") & (rows["condition"] == "c5")].iloc[0]
    others = points[points["kind"] != points.loc[5, "kind"]]
    npt.assert_allclose(of_kind["value"], predicted(others, points.loc[[5]], "js_distance")["value"].iloc[0])


def test_the_interval_score_is_the_width_and_twenty_times_what_is_outside():
    low, high = pd.Series(np.zeros(3)), pd.Series(np.ones(3))
    npt.assert_allclose(interval_score(pd.Series([0.5, -0.1, 1.2]), low, high), [1, 3, 5])


def test_numbers_of_a_users_file_come_from_counting_alone(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    path = tmp_path / "rule.fa"
    unit = "".join(rng.choice(list("ACGT"), 400))
    path.write_text("".join(f">r{number}\n{unit[number:] * 2}\n" for number in range(60)))
    monkeypatch.setattr(forecasts, "profile_named", lambda _: profile("smoke"))
    monkeypatch.setattr(forecasts, "TOKENIZER", "kmer2")
    numbers, _ = counted(str(path), tmp_path / "runs")
    assert list(numbers) == list(COUNTED)
    assert 0 < numbers["entropy_share"] < 0.3 and numbers["counting_gain"] > 1
    assert not list((tmp_path / "runs").rglob("*.safetensors"))
    points = world(np.random.default_rng(4)).assign(entropy_share=np.linspace(0.5, 1, 40))
    table, notes = forecasts.forecasts([str(path), str(path) + "@kmer4", "nowhere.fa"], points, tmp_path / "runs")
    assert list(table["metric"]) == [*COUNTED, *FORECAST] and set(table["corpus"]) == {str(path)}
    assert any(note.startswith("nowhere.fa: ") for note in notes)
    assert any("shortest code" in note and "no corpus of the atlas is near" in note for note in notes)


def test_a_corpus_of_the_atlas_is_forecast_without_its_kin(tmp_path, monkeypatch):
    points = world(np.random.default_rng(5))
    points.loc[:5, "family"] = "brassicaceae"
    points.loc[:5, "accuracy"] = 100.0
    numbers = {name: float(points[name].median()) for name in COUNTED}
    monkeypatch.setattr(forecasts, "counted", lambda *_: (numbers, ("few tokens",)))
    table, notes = forecasts.forecasts(["tair10-chr1@bpe256", "tair10-chr1+shuffle@kmer4"], points, tmp_path)
    assert table.set_index("metric").loc["accuracy", "value"] < 2
    assert notes == ["tair10-chr1, the models that are forecast: few tokens"]
    rows = forecasts.forecast_rows(table)
    counts = rows.set_index("metric")["value"].loc[list(COUNTED)]
    assert counts.to_dict() == pytest.approx(numbers)
    given = rows[rows["metric"] == "forecast_accuracy"].set_index("state")
    assert given.loc["forecast", "low"] < given.loc["forecast", "value"] < given.loc["forecast", "high"]
    assert list(given.index) == ["forecast", "mean of the atlas"]
    assert list(rows.loc[rows["metric"] == "forecast_fisher_share", "state"]) == ["mean of the atlas"]
