import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import CoordinateMap, Segment
from gfm_utils.corpora.segments import sums


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


@given(corpora(), st.integers(0, 60) | st.none(), st.integers(1, 20))
def test_positions_and_windows_agree_with_a_list(segments, limit, size):
    places = [(s.record, s.start + i) for s in segments for i in range(len(s))][:limit]
    where = CoordinateMap.of(segments, limit)
    assert where.symbols == len(places)
    record, position = where.to_source(np.arange(where.symbols))
    assert [(where.names[r], p) for r, p in zip(record, position, strict=True)] == places
    begin, end = where.windows(size)
    assert [i for b, e in zip(begin, end, strict=True) for i in range(b, e)] == list(range(where.symbols))
    for b, e in zip(begin, end, strict=True):
        assert (record[b:e] == record[b]).all() and (np.diff(position[b:e]) == 1).all()
        assert e - b <= 1.5 * size
    values = np.arange(where.symbols) ** 2
    assert sums(values, begin, np.int64).tolist() == [values[b:e].sum() for b, e in zip(begin, end, strict=True)]
    if limit is None:
        assert np.diff(where.offset).tolist() == [len(s) for s in segments if len(s)]
