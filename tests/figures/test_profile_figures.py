"""Charts of the information profile compile, stay small and fit a phone."""

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from gfm_utils.corpora import Annotation, Corpus, Segment
from gfm_utils.entropy.profile import bits_by_class, information_profile, separation
from gfm_utils.figures.profile import MOST, NO_DNA, feature_overview, profile_chart, separation_table


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGT"), 300_000))
    mask = np.arange(200_000) % 10_000 >= 8_000
    segments = [
        Segment("r", 0, text[:200_000], mask),
        Segment("r", 250_000, text[200_000:290_000]),
        Segment("s", 0, text[290_000:]),
    ]
    corpus = Corpus("x", "dna", segments, "0" * 64, "", "", "")
    genes = [
        ("r", start, start + 1_000, "coding" if start % 4_000 else "intron") for start in range(0, 340_000, 2_000)
    ]
    annotation = Annotation("a", pd.DataFrame(genes, columns=["seqid", "begin", "end", "feature"]), {"r": "r"})
    bits = rng.normal(1.9, 0.1, 300_000).astype(np.float32)
    return bits, corpus, annotation


def test_profile_chart(made):
    bits, corpus, annotation = made
    spec, svg, data = drawn(profile_chart({"x": information_profile(bits, corpus, 1_000, annotation)}))
    for name in ("soft-masked repeats", "coding", "introns", "GC", "x, r"):
        assert name in svg
    windows = [row for row in data if "left" in row]
    assert len(windows) == 290 and len(data) < 5000
    assert {row["stretch"] for row in windows} == {0, 1}
    assert [p["bind"] for p in spec["params"] if "bind" in p] == ["scales"]


def test_a_menu_where_there_are_several_and_a_sentence_where_there_is_none(made):
    bits, corpus, _ = made
    profile = information_profile(bits, corpus, 1_000)
    spec, svg, _ = drawn(profile_chart({"one": profile, "two": profile}))
    assert "coding" not in svg and "soft-masked" in svg and "one, r" in svg and "two, r" not in svg
    menus = [p["bind"] for p in spec["params"] if isinstance(p.get("bind"), dict)]
    assert [menu["options"] for menu in menus] == [["one", "two"]]
    assert profile_chart({}) is NO_DNA


def test_many_windows_are_pooled_by_their_bases(made):
    bits, corpus, annotation = made
    profile = information_profile(bits, corpus, 100, annotation)
    _, _, data = drawn(profile_chart({"x": profile}))
    windows = pd.DataFrame([row for row in data if "left" in row])
    assert MOST / 2 < len(windows) <= MOST + 2
    mine = profile[profile["record"] == "r"]
    weight = windows["right"] - windows["left"]
    for name in ("bits", "repeat", "gc"):
        assert np.average(windows[name], weights=weight) == pytest.approx(
            np.average(mine[name], weights=mine["bases"]), abs=1e-4
        )


def test_feature_overview(made):
    bits, corpus, annotation = made
    shown = feature_overview(bits_by_class(bits, corpus, annotation, resamples=50)).data.set_index("bases")
    assert {"repeat", "coding", "intron", "intergenic", "unannotated", "all bases"} == set(shown.index)
    assert shown.loc["all bases", "share of the bases"] == "100.0%"
    assert shown.loc["all bases", "bits per base (upper bound)"].startswith(f"{bits.mean():.3f} [")
    assert feature_overview(separation(bits[:5_000], corpus, resamples=10)) is NO_DNA


def test_separation_table(made):
    bits, corpus, annotation = made
    table = separation(bits, corpus, annotation, resamples=50)
    shown = separation_table(table).data
    assert shown["separated"].tolist() == ["repeats below others", "intergenic below coding"]
    value = table.query("metric == 'coding_auc' and axis == 'window' and x == '1000'")["value"].item()
    assert shown.loc[1, "1,000 bases"].startswith(f"{value:.3f} [")
    assert separation_table(bits_by_class(bits[:5_000], corpus, resamples=10)) is NO_DNA
