"""Charts, tables and answer along training: every run a line, numbers as they are, nothing where nothing is."""

import json

import pandas as pd
import pytest
from drawing import data_of

from gfm_utils import figures
from gfm_utils.claims import equal_gains, equal_tokens, extrapolations, outliers
from gfm_utils.claims.along_training import FOLLOWED, Setting, settings_of
from gfm_utils.claims.one_curve import COMPARED
from gfm_utils.figures.along_training import (
    COUNTING,
    counting_saves,
    model_name,
    saved_share,
    setting_names,
    training_rows,
)


@pytest.fixture(scope="module")
def compared(along):
    return equal_gains(along), equal_tokens(along), extrapolations(along), outliers(along)


def test_every_checkpoint_of_every_run_is_a_point(along):
    rows = training_rows(along)
    assert len(rows) == 2 * 3 * 10 * 5 and set(rows["model"]) == {"2x64, Muon", "2x64, AdamW", "2x32, Muon"}
    every = data_of(figures.training_chart(along))
    shown = [row for row in every if row["model"] != COUNTING]
    assert len(shown) == 2 * 3 * 9 * 5 and min(row["tokens"] for row in shown) > 0
    levels = {row["condition"]: row["value"] for row in every if row["model"] == COUNTING}
    assert levels == {name: counting_saves(along, name) for name in dict.fromkeys(along["condition"])}
    text = json.dumps(figures.training_chart(along).to_dict())
    assert FOLLOWED["fisher_share"].text in text and "training_measure" in text
    main = figures.one_curve_chart(along)
    assert len(main.concat) == len({name for name in COMPARED if name in set(along["metric"])})
    one = next(row for row in data_of(main) if row["metric"] == "fisher_share" and row["tokens"] == 1_024_000)
    assert one["value"] == pytest.approx(0.1 * one["gain"], abs=5e-3)


def test_names_tell_the_length_of_runs_of_one_model(along):
    longer = along.assign(x=along["x"].str.replace("|1024000", "|16384000", regex=False))
    names = setting_names(pd.concat([along, longer]))
    assert names[Setting("modernbert-2x64", "muon", 16_384_000)] == "2x64, Muon, run of 16.4 million"
    assert setting_names(along)[settings_of(along)[0][1]] == "2x64, Muon"
    rows = training_rows(pd.concat([along, longer]))
    ends = rows[rows["model"] == "2x64, Muon, ends of shorter runs"]
    assert set(ends["tokens"]) == {1_024_000} and len(ends) == 2 * 5
    assert len(rows[rows["model"] == "2x64, Muon"]) == 2 * 10 * 5
    assert model_name(Setting("bert-2x64", "adamw", 1)) == "bert-2x64, AdamW"


def test_levels_stand_beside_what_models_reach(along):
    lines = figures.levels_table(along).data.splitlines()
    assert len(lines) == 2 + 6
    assert lines[2].startswith("| `a@bpe9` | 2x64, Muon | 1.0 million | 7.000 | 5.000 | 6.500 |")
    assert "200\u00a0%" in lines[2]
    none = along[along["x"] != "both"]
    assert saved_share(none, *settings_of(along)[0]) is None
    assert figures.levels_table(none).data.splitlines()[2].endswith("| – |")


def test_differences_are_told_with_what_they_are(compared):
    equal, tokens, later, _ = compared
    text = figures.equal_gain_table(equal).data
    line = next(line for line in text.splitlines() if line.startswith("| `b@kmer4` less `a@bpe9` (2x64, Muon)"))
    assert "+0.20" in line and "| (" in line  # the distance is told, the encoder's share is not
    assert "2x64, Muon less 2x64, AdamW (`a@bpe9`)" in text
    rows = figures.equal_tokens_table(tokens).data.splitlines()
    assert rows[0].startswith("| 2x64, Muon: DNA less text after |") and len(rows) == 2 + 4
    fit = figures.extrapolation_table(later).data.splitlines()
    assert len(fit) == 2 + 6 and "2.25" in fit[2]
    assert "nothing to compare" in figures.equal_gain_table(equal[:0]).data
    assert "no text" in figures.equal_tokens_table(tokens[:0]).data
    assert "too few" in figures.extrapolation_table(later[:0]).data


def test_words_say_what_changes_and_what_does_not(along, compared):
    equal, tokens, _, apart = compared
    said = figures.training_words(along, equal, tokens)
    assert said["tokens"] == "1.0 million" and said["share_text"] == "200\u00a0%"
    # 0.2 more of DNA's own against a gain that is 0.8 less after 64,000 tokens, and 3.2 less at the end.
    assert (said["clear"], said["same"], said["turned"]) == ("3", "2", "1")
    by = equal[equal["by"] == "optimiser"]
    clear = ((by["low"] > 0) | (by["high"] < 0)).sum()
    assert said["by_optimiser"] == f"{clear} of {len(by)}"
    text = along[along["condition"] == "a@bpe9"]
    alone = figures.training_words(text, equal_gains(text), equal_tokens(text))
    assert alone["gain_dna"] == alone["size"] == "–" and alone["clear"] == "0"
    rows = figures.outliers_table(apart).data.splitlines()[2:]
    assert len(rows) == len(apart.drop_duplicates(["condition", "setting", "metric"]))
    assert all(row.endswith("| no |") for row in rows)
    assert "**yes**" in figures.outliers_table(apart.assign(outlier=True)).data
    assert "too few" in figures.outliers_table(apart[:0]).data
