import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import CoordinateMap, Segment, load
from gfm_utils.corpora.coordinates import sums


@st.composite
def corpora(draw):
    """Segments of up to three records, in any order, none overlapping; some next to each other, some empty."""
    segments = []
    for record in "abc"[: draw(st.integers(0, 3))]:
        position = 0
        for gap, length in draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=5)):
            segments.append(Segment(record, position + gap, "A" * length))
            position += gap + length
    return draw(st.permutations(segments))


def brute(segments):
    return [(s.record, s.start + i) for s in segments for i in range(len(s))]


@given(corpora(), st.integers(0, 60) | st.none())
def test_positions_agree_with_a_list(segments, limit):
    places = brute(segments)[:limit]
    found = CoordinateMap.of(segments, limit)
    assert found.symbols == len(places)
    record, position = found.to_source(np.arange(found.symbols))
    assert [(found.names[r], p) for r, p in zip(record, position, strict=True)] == places


@given(corpora(), st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 70), st.integers(-2, 70)), max_size=6))
def test_intervals_keep_what_was_not_cut_out(segments, asked):
    found = CoordinateMap.of(segments)
    places = brute(segments)
    for number, first, last in asked:
        begin, end = found.intervals([number], [first], [last])
        covered = sorted(i for b, e in zip(begin, end, strict=True) for i in range(b, e))
        name = found.names[number] if number < len(found.names) else None
        assert covered == [i for i, (r, p) in enumerate(places) if r == name and first <= p < last]
    if asked:
        whole = found.intervals(*np.array(asked).T)
        single = [found.intervals([n], [f], [t]) for n, f, t in asked]
        assert whole[0].tolist() == [b for begin, _ in single for b in begin]


@given(corpora(), st.integers(1, 20))
def test_windows_cover_everything_and_cross_no_cut(segments, size):
    found = CoordinateMap.of(segments)
    begin, end = found.windows(size)
    assert [i for b, e in zip(begin, end, strict=True) for i in range(b, e)] == list(range(found.symbols))
    record, position = found.to_source(np.arange(found.symbols))
    for b, e in zip(begin, end, strict=True):
        assert (record[b:e] == record[b]).all() and (np.diff(position[b:e]) == 1).all()
        assert e - b <= 1.5 * size
    values = np.arange(found.symbols) ** 2
    assert sums(values, begin, np.int64).tolist() == [values[b:e].sum() for b, e in zip(begin, end, strict=True)]
    assert [len(part) for part in found.split(values)] == [len(s) for s in segments if len(s)]


def test_positions_of_a_fasta(toy_fasta):
    corpus = load(str(toy_fasta))
    found = CoordinateMap.of(corpus.segments)
    joined = "".join(s.text for s in corpus.segments)
    lines = toy_fasta.read_text().split(">")[1:]
    raw = ["".join(part.splitlines()[1:]).upper() for part in lines]
    rng = np.random.default_rng(0)
    positions = rng.integers(0, found.symbols, 500)
    record, where = found.to_source(positions)
    assert found.names == ("one", "two")
    assert all(raw[r][w] == joined[p] for r, w, p in zip(record, where, positions, strict=True))
    begin, end = found.intervals([0], [24_990], [25_060])
    assert (begin.tolist(), end.tolist()) == ([24_990, 25_000], [25_000, 25_010])


def test_complaints():
    with pytest.raises(ValueError, match="overlap"):
        CoordinateMap.of([Segment("a", 0, "ACGT"), Segment("a", 3, "ACGT")])
    found = CoordinateMap.of([Segment("a", 5, "ACGT")])
    with pytest.raises(IndexError, match="between 0 and 3"):
        found.to_source([4])
    with pytest.raises(ValueError, match="5 values for a sequence of 4"):
        found.split(np.zeros(5))
    with pytest.raises(ValueError, match="at least one"):
        found.windows(0)
