import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import Segment, Split, leakage, leaks

from .conftest import random_dna, random_text


def parts(*groups):
    segments = [[Segment(f"{g}.{i}", 0, text) for i, text in enumerate(group)] for g, group in enumerate(groups)]
    return Split(*segments)


def opposite(text):
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def brute(train, test, match, window, join="", strand=lambda text: text):
    """Windows and leaked windows, by comparing every run with every run."""
    known = {join.join(text[i : i + match]) for text in train for i in range(len(text) - match + 1)}
    windows = leaked = 0
    for text in test:
        for begin in range(0, len(text), window):
            piece = text[begin : begin + window]
            runs = [strand(join.join(piece[i : i + match])) for i in range(len(piece) - match + 1)]
            windows += bool(runs)
            leaked += any(run in known for run in runs)
    return windows, leaked


def leaked(train, test, kind, match, window):
    """Windows and leaked windows of the test part, by kind of match, for shorter matches than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(leaks.KINDS, kind, leaks.KINDS[kind]._replace(match=match))
        patch.setattr(leaks, "WINDOW", window)
        rows = [row for row in leakage(parts(train, [], test), kind) if row["part"] == "test"]
    return [(row["windows"], round((row["share"] or 0) * row["windows"])) for row in rows]


bases = st.lists(st.text(alphabet="AC", max_size=40).map(lambda s: s.replace("AAA", "AGT")), max_size=4)


@given(bases, bases, st.integers(1, 7), st.integers(1, 3))
def test_dna_agrees_with_brute_force(train, test, match, window):
    exact, reverse = (brute(train, test, match, window * match, strand=strand) for strand in (str, opposite))
    assert leaked(train, test, "dna", match, window) == [exact, reverse]


words = st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=30), max_size=4)


@given(words, words, st.integers(1, 6), st.integers(1, 3))
def test_text_agrees_with_brute_force(train, test, match, window):
    joined = [" ".join(t) for t in train], ["\n".join(t) for t in test]
    assert leaked(*joined, "text", match, window) == [brute(train, test, match, window * match, join=" ")]


def test_rows_and_defaults():
    leak = random_dna(64, 5)
    split = parts(
        [random_dna(3000, 1) + leak], [opposite(leak) + random_dna(192, 2)], [random_dna(256, 3), leak, "ACGT"]
    )
    assert [tuple(row.values()) for row in leakage(split, "dna")] == [
        ("validation", "exact", 1, 0),
        ("validation", "reverse complement", 1, 1),
        ("test", "exact", 2, 0.5),
        ("test", "reverse complement", 2, 0),
    ]
    assert leakage(parts([random_text(50)], [], [random_text(50)]), "text")[0]["share"] is None
