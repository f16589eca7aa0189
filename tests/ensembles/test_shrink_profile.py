"""A profile fitted to a corpus: one that fills it changes nothing, each change is said, too little is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from gfm_utils.ensembles import plan_ensembles
from gfm_utils.ensembles.shrink_profile import EPOCHS, SMALLEST_WINDOW, fitting_tokenizer, shrink_profile
from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile
from gfm_utils.tokens import SPECIAL


def store(path, vocabulary=64, **lengths):
    """The tokens of a condition, of which only the lengths of the segments matter."""
    for part, found in lengths.items():
        np.save(path / f"{part}-lengths.npy", np.asarray(found, np.int64))
    parts = {part: {"tokens": sum(found), "symbols": 3 * sum(found)} for part, found in lengths.items()}
    return SimpleNamespace(
        path=path, about={"parts": parts}, vocabulary=vocabulary + len(SPECIAL), condition="a@kmer3", unit="base"
    )


def test_a_corpus_that_fills_the_profile_changes_nothing(tmp_path):
    long = store(tmp_path, train=[640_000], validation=[64_000], test=[64_000])
    for size in (profile("smoke"), profile("quick")):
        assert shrink_profile(long, size) == (size, ())


def test_short_records_get_short_windows(tmp_path):
    reads = store(tmp_path, train=[40] * 4000, validation=[40] * 500, test=[40] * 500)
    found, notes = shrink_profile(reads, profile("quick").model_copy(update={"test_windows": 512}))
    assert found.window == 32 and found.batch == 16
    assert notes == (
        "windows of 32 tokens instead of 64, of which its records would give too few",
        "all 500 test windows, where the profile would read 512",
    )


def test_few_windows_shorten_training_and_batches(tmp_path):
    little = store(tmp_path, train=[64 * 10], validation=[640], test=[640])
    found, notes = shrink_profile(little, profile("quick"))
    assert found.batch == 10 and found.steps_taken == EPOCHS
    assert len(notes) == 4  # and the vocabulary is large for so little
    assert "each of the 64 tokens of the vocabulary 10.0 times" in notes[-1]


@pytest.mark.parametrize(("name", "budget"), [("steps", 10**6), ("tokens", 10**6), ("steps", 900)])
def test_a_budget_that_was_asked_for_stays(tmp_path, name, budget):
    """Also where it is the profile's own number; another variant or model is no budget."""
    little = store(tmp_path, train=[64 * 32], validation=[640], test=[640])
    quick = profile("quick")
    assert quick.steps == 900
    for plain in (quick, quick.changed(vary="all", preset="bert-2x64", window=64)):
        assert shrink_profile(little, plain)[0].steps_taken == 2 * EPOCHS
    asked = quick.changed(**{name: budget})
    assert shrink_profile(little, asked)[0].steps_taken == asked.steps_taken > 2 * EPOCHS
    assert shrink_profile(little, asked.changed(preset="bert-2x64"))[0].steps_taken == asked.steps_taken


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        (
            {"train": [4000], "validation": [400], "test": [300]},
            "too short: its 14,100 bases .4,700 tokens. leave the test part with 288 tokens in windows of 16, and "
            "500 are needed for a meaningful answer: give about 24,000 bases or more",
        ),
        ({"train": [4000], "validation": [0], "test": [400]}, "give about 15,000 bases or more"),
        ({"train": [4000], "validation": [300], "test": [4000]}, "leave the validation part with 288 tokens"),
        (
            {"train": [12] * 900, "validation": [12] * 90, "test": [12] * 90},
            "records of 'a@kmer3' are too short .12 tokens on average.: its validation part has 0 windows of 16",
        ),
    ],
)
def test_too_little_is_refused_with_the_size_needed(lengths, sentence, tmp_path):
    with pytest.raises(GfmError, match=sentence):
        shrink_profile(store(tmp_path, **lengths), profile("quick"))


def test_a_planned_ensemble_is_of_the_fitted_size(tmp_path):
    rng = np.random.default_rng(3)
    reads = (f">r{i}\n{''.join(rng.choice(list('ACGT'), 90))}\n" for i in range(700))
    (tmp_path / "reads.fa").write_text("".join(reads))
    (ensemble,) = plan_ensembles([f"{tmp_path / 'reads.fa'}@kmer4"], "smoke", tmp_path / "runs")
    assert ensemble.spec.window == SMALLEST_WINDOW and "windows of 16 tokens" in ensemble.notes[0]


def test_the_tokenizer_of_a_corpus_that_names_none():
    assert fitting_tokenizer("text", 10_000) == "bpe256"
    assert [fitting_tokenizer("protein", size) for size in (None, 10**5, 10_000)] == ["bpe256", "bpe256", "kmer1"]
    assert [fitting_tokenizer("dna", size) for size in (None, 10**6, 10_000, 1000, 10)] == [
        "kmer4", "kmer4", "kmer3", "kmer2", "kmer1",
    ]  # fmt: skip
