import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gfm_utils.corpora import Annotation, Corpus, Segment
from gfm_utils.entropy.profile import auc, bits_by_class, information_profile, separation


def corpus_of(*segments):
    return Corpus("x", "dna", list(segments), "0" * 64, "", "", "")


def annotated(*rows):
    columns = ["seqid", "begin", "end", "feature"]
    return Annotation("a.gff", pd.DataFrame(rows, columns=columns), {"r": "r"})


def dna(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


@pytest.fixture(scope="module")
def made():
    """300 kb in two segments: alternating 1 kb genes and gaps; every tenth kilobase soft-masked."""
    mask = np.arange(300_000) % 10_000 >= 9_000
    text = dna(300_000)
    corpus = corpus_of(
        Segment("r", 50, text[:200_000], mask[:200_000]), Segment("r", 200_090, text[200_000:], mask[200_000:])
    )
    genes = [("r", start, start + 1_000, "coding") for start in range(0, 310_000, 2_000)]
    return corpus, annotated(*genes)


def values(rows, metric, axis=None):
    rows = rows[(rows["metric"] == metric) & (rows["axis"].isna() if axis is None else rows["axis"] == axis)]
    return rows.set_index("x") if axis else rows.iloc[0]


def test_windows_hold_means_and_shares(made):
    corpus, features = made
    rng = np.random.default_rng(0)
    bits = rng.random(250_000).astype(np.float32)
    table = information_profile(bits, corpus, 10_000, features)
    assert table["bases"].sum() == len(bits)
    assert table.iloc[19][["begin", "end"]].tolist() == [190_050, 200_050]
    assert table.iloc[20]["begin"] == 200_090
    text = "".join(s.text for s in corpus.segments)
    for number in (0, 7, 20, 24):
        row = table.iloc[number]
        here = slice(10_000 * number, 10_000 * (number + 1))
        assert row["bits"] == pytest.approx(bits[here].mean(dtype=float))
        assert row["gc"] == (text[here].count("G") + text[here].count("C")) / 10_000
        assert row["repeat"] == 0.1
        covered = sum((p // 1_000) % 2 == 0 for p in range(row["begin"], row["end"]))
        assert row["coding"] == covered / 10_000
        assert row["coding"] + row["intergenic"] == 1
    assert information_profile(bits, corpus)["coding"].isna().all()


def test_means_of_classes_are_those_of_a_loop(made):
    corpus, features = made
    bits = np.random.default_rng(1).random(300_000).astype(np.float32)
    rows = bits_by_class(bits, corpus, features, resamples=200)
    found = values(rows, "feature_code_length", "feature")
    assert list(found.index) == ["repeat", "coding", "intergenic"]
    position = np.r_[50:200_050, 200_090:300_090]
    masked = np.arange(300_000) % 10_000 >= 9_000
    coding = (position // 1_000) % 2 == 0
    for name, which in (("repeat", masked), ("coding", coding & ~masked), ("intergenic", ~coding & ~masked)):
        assert found.loc[name, "value"] == pytest.approx(bits[which].mean(dtype=float))
        assert found.loc[name, "n"] == which.sum()
        assert found.loc[name, "low"] < found.loc[name, "value"] < found.loc[name, "high"]
    assert values(rows, "feature_share", "feature").loc["repeat", "value"] == pytest.approx(0.1)
    assert values(rows, "feature_code_length")["value"] == pytest.approx(bits.mean(dtype=float))
    bare = values(bits_by_class(bits, corpus, resamples=10), "feature_code_length", "feature")
    assert list(bare.index) == ["repeat", "unannotated"]


def test_intervals_cover_the_truth_although_neighbours_depend():
    """Costs that follow an moving average over 400 bases: 95 % intervals hold the true mean about that often."""
    corpus = corpus_of(Segment("r", 0, "A" * 200_000))
    rng = np.random.default_rng(0)
    hits, repetitions = 0, 50
    for _ in range(repetitions):
        noise = np.convolve(rng.normal(size=200_399), np.ones(400) / 20, "valid").astype(np.float32)
        row = values(bits_by_class(noise, corpus, block=5_000, resamples=300), "feature_code_length")
        hits += row["low"] <= 0 <= row["high"]
        independent = noise.std() / np.sqrt(len(noise))
        assert row["se"] > 5 * independent
    assert hits / repetitions >= 0.85


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_auc_is_that_of_scipy_whatever_the_ties(cheap, dear):
    score = np.array(cheap + dear, np.float32)
    is_cheap = np.arange(len(score)) < len(cheap)
    of_block = np.arange(len(score)) * 2 // len(score)
    value, replicates = auc(score, is_cheap, ~is_cheap, of_block, np.array([[1.0, 1.0], [2.0, 1.0]]))
    assert value == pytest.approx(stats.mannwhitneyu(dear, cheap).statistic / len(cheap) / len(dear))
    assert replicates[0] == pytest.approx(value)
    again = np.repeat(np.arange(len(score)), np.where(of_block == 0, 2, 1))  # the first block twice
    score, is_cheap = score[again], is_cheap[again]
    pairs = is_cheap.sum() * (~is_cheap).sum()
    assert replicates[1] == pytest.approx(stats.mannwhitneyu(score[~is_cheap], score[is_cheap]).statistic / pairs)


def test_separation_of_what_is_separate_and_of_noise(made):
    corpus, features = made
    rng = np.random.default_rng(0)
    noise = rng.random(300_000).astype(np.float32)
    chance = separation(noise, corpus, features, block=10_000, resamples=300)
    assert chance.groupby("metric")["x"].apply(list).to_dict() == {
        "repeat_auc": ["100", "1000"], "coding_auc": ["100", "1000"],
    }  # fmt: skip
    assert (chance["low"] - 0.02 < 0.5).all() and (chance["high"] + 0.02 > 0.5).all()
    masked = np.concatenate([s.soft_mask for s in corpus.segments])
    separate = separation(noise - 2 * masked, corpus, None, block=10_000, resamples=50)
    assert separate["metric"].unique().tolist() == ["repeat_auc"]
    assert separate["value"].tolist() == [1, 1] and separate["n"].tolist() == [3_000, 300]


def test_complaints(made):
    corpus, _ = made
    for costs in (np.zeros(0), np.zeros(300_001)):
        with pytest.raises(ValueError, match="costs for the 300000 bases of 'x'"):
            information_profile(costs, corpus)
