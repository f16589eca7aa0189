from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import Segment, Split, leakage

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


bases = st.lists(st.text(alphabet="AC", max_size=40).map(lambda s: s.replace("AAA", "AGT")), max_size=4)


@given(bases, bases, st.integers(1, 7), st.integers(1, 15))
def test_dna_agrees_with_brute_force(train, test, match, window):
    window = max(window, match)
    rows = {r["match"]: r for r in leakage(parts(train, [], test), "dna", match, window) if r["part"] == "test"}
    exact, reverse = rows["exact"], rows["reverse complement"]
    assert (exact["windows"], exact["leaked"]) == brute(train, test, match, window)
    assert (reverse["windows"], reverse["leaked"]) == brute(train, test, match, window, strand=opposite)


words = st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=30), max_size=4)


@given(words, words, st.integers(1, 6), st.integers(1, 15))
def test_text_agrees_with_brute_force(train, test, match, window):
    window = max(window, match)
    joined = parts([" ".join(t) for t in train], [], ["\n".join(t) for t in test])
    rows = [r for r in leakage(joined, "text", match, window) if r["part"] == "test"]
    assert [(r["windows"], r["leaked"]) for r in rows] == [brute(train, test, match, window, join=" ")]


def test_rows_and_defaults():
    leak = random_dna(64, 5)
    split = parts(
        [random_dna(3000, 1) + leak], [opposite(leak) + random_dna(192, 2)], [random_dna(256, 3), leak, "ACGT"]
    )
    rows = leakage(split, "dna")
    assert [(r["part"], r["match"], r["windows"], r["leaked"]) for r in rows] == [
        ("validation", "exact", 1, 0),
        ("validation", "reverse complement", 1, 1),
        ("test", "exact", 2, 1),
        ("test", "reverse complement", 2, 0),
    ]
    assert rows[2] | {"part": "", "match": ""} == {
        "part": "", "match": "", "windows": 2, "leaked": 1, "share": 0.5, "window": 256, "match_length": 64,
        "unit": "base",
    }  # fmt: skip
    (row, _) = leakage(parts([random_text(50)], [], [random_text(50)]), "text")
    assert (row["share"], row["unit"], row["window"]) == (None, "word", 80)
