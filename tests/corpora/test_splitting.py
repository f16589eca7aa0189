import dataclasses
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfm_utils.corpora import FORMAT, Segment, load, splitting
from gfm_utils.corpora.leaks import Groups, minimizers
from gfm_utils.corpora.segments import KINDS
from gfm_utils.corpora.splitting import SHORTEST
from gfm_utils.errors import GfmError
from gfm_utils.files import digest

from .conftest import corpus_of, random_dna, random_text, records_of


def split(corpus, block=100_000, gap=1_000, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "BLOCK", block)
        patch.setattr(splitting, "GAP", gap)
        return splitting.split(corpus, **arguments)


def groups(records, kind):
    near = Groups()
    near.add(*minimizers(records, kind))
    return near.joined(np.array([sum(map(len, record)) for record in records]))


def taken(result):
    """Every interval in the split: record, begin, end, part."""
    return sorted(
        (s.record, s.start, s.start + len(s), part) for part, segments in result.parts().items() for s in segments
    )


def texts(result):
    return [[(s.record, s.start, s.text) for s in part] for part in result.parts().values()]


@st.composite
def corpora(draw):
    """A few records, short and long, each cut into two segments."""
    lengths = draw(st.lists(st.integers(60, 9000), min_size=1, max_size=8))
    holes = draw(st.lists(st.integers(0, 400), min_size=8, max_size=8))
    segments = []
    for number, (length, hole) in enumerate(zip(lengths, holes, strict=False)):
        text = random_dna(length, number)
        middle = length // 2
        segments.append(Segment(f"r{number}", 5, text[:middle]))
        segments.append(Segment(f"r{number}", 5 + middle + hole, text[middle:]))
    return corpus_of(segments)


@settings(max_examples=60)
@given(
    corpora(), st.integers(0, 5), st.integers(0, 300), st.integers(64, 3000), st.none() | st.integers(5000, 20000)
)
def test_a_split_is_disjoint_covers_and_keeps_its_gap(corpus, seed, gap, block, limit):
    try:
        result = split(corpus, seed=seed, gap=gap, block=block, max_symbols=limit)
    except GfmError as error:
        assert corpus.symbols < 5000 or "cannot be split" in str(error)
        return
    source = {(s.record, s.start + i): base for s in corpus.segments for i, base in enumerate(s.text)}
    intervals = taken(result)
    for record, begin, end, part in intervals:
        assert end - begin >= SHORTEST
        (segment,) = (s for s in result.parts()[part] if (s.record, s.start) == (record, begin))
        assert all(source[record, begin + i] == base for i, base in enumerate(segment.text))
    for (record, _, end, part), (other, begin, _, part2) in pairwise(intervals):
        if record == other:
            assert begin >= end
            if part != part2:
                assert begin - end >= result.gap
    assert result.gap <= gap
    kept = sum(end - begin for _, begin, end, _ in intervals)
    if limit is None:  # all but gaps and scraps
        blocks = sum(len(s) for s in corpus.segments) // result.block + 4 * len(corpus.segments)
        assert kept >= corpus.symbols - blocks * (result.gap + SHORTEST)
    assert texts(split(corpus, seed=seed, gap=gap, block=block, max_symbols=limit)) == texts(result)


def test_a_long_record_is_cut_into_blocks_spread_over_it():
    corpus = records_of([1_000_000])
    result = split(corpus, block=10_000, gap=500, max_symbols=200_000)
    assert (result.block, result.gap) == (5_000, 500)  # 20 blocks would be too few
    for part, share in zip(result.parts().values(), (0.8, 0.1, 0.1), strict=True):
        assert sum(map(len, part)) == pytest.approx(share * 200_000, rel=0.15)
    starts = [s.start for s in result.train]
    assert min(starts) < 200_000
    assert max(starts) > 800_000


def test_blocks_shrink_with_the_corpus_and_the_soft_mask_goes_along():
    text = random_dna(20_000)
    mask = np.arange(20_000) % 3 == 0
    result = split(corpus_of([Segment("r", 7, text, mask)]))
    assert (result.block, result.gap) == (390, 97) and all(result.parts().values())
    for segment in result.train + result.validation + result.test:
        begin = segment.start - 7
        np.testing.assert_array_equal(segment.soft_mask, mask[begin : begin + len(segment)])


def part_of(corpus, seed):
    return {s.record: part for part, segments in split(corpus, seed=seed).parts().items() for s in segments}


def test_near_duplicates_stay_together():
    shared, other = random_dna(200, 1000), random_dna(70, 1001)
    opposite = other[::-1].translate(str.maketrans("ACGT", "TGCA"))
    segments = [Segment(f"r{i}", 0, random_dna(400, i)) for i in range(300)]
    for number, extra in ((3, shared), (250, shared), (120, other), (7, opposite)):
        segments[number] = dataclasses.replace(segments[number], text=segments[number].text + extra)
    near = groups([[s] for s in segments], "dna")
    assert near[3] == near[250] and near[120] == near[7] and len(set(near.tolist())) == 298
    for seed in range(8):
        parts = part_of(corpus_of(segments), seed)
        assert parts["r3"] == parts["r250"] and parts["r7"] == parts["r120"]
    articles = [random_text(100, i) for i in range(60)]
    articles[50] = "new start " + " ".join(articles[4].split()[10:40]) + " new end"
    near = groups([[Segment(str(i), 0, a)] for i, a in enumerate(articles)], "text")
    assert near[50] == near[4] and len(set(near.tolist())) == 59


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_shorter_than_a_run_has_none(kind):
    alphabet, length = KINDS[kind].alphabet, KINDS[kind].match
    for symbols in range(1, length + 1):
        text = (alphabet * length)[:symbols] if alphabet else random_text(symbols, 0)
        sizes = [array.size for array in minimizers([[Segment("r", 0, text)]], kind)]
        assert sizes == 2 * [int(symbols == length)]


def test_records_with_one_run_are_joined_to_the_first_of_them():
    """Not as a sort leaves them that may put equal values in any order, which differs between processors."""
    values, owners = np.random.default_rng(0).integers(0, 7, 5000), np.repeat(np.arange(1000), 5)
    pairs = Counter()
    for value in range(7):
        having = owners[values == value]
        pairs.update((having[0], other) for other in having[having != having[0]])
    group, size = np.arange(1000), np.ones(1000)
    for first, second in sorted(sorted(pairs), key=pairs.get, reverse=True):
        a, b = sorted((group[first], group[second]))
        if a != b and size[a] + size[b] <= 50:
            group[group == b] = a
            size[a] += size[b]
    near = Groups()
    near.add(values.astype(np.uint64), owners)
    assert near.joined(np.ones(1000, np.int64)).tolist() == group.tolist()


def test_of_too_many_runs_a_share_is_compared_that_does_not_depend_on_the_calls():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, (300, 40), dtype=np.uint64)
    values[200:, :5] = values[:100, :5]  # of a hundred pairs five runs are common
    owners = np.repeat(np.arange(300), 40)
    results = []
    for size in (1, 7, 300):
        near = Groups(most=3_200)
        for begin in range(0, 300, size):
            near.add(values[begin : begin + size].ravel(), owners[40 * begin : 40 * (begin + size)])
        results.append((near.share, near.joined(np.ones(300)).tolist()))
    assert results[0] == results[1] == results[2]
    share, group = results[0]
    assert share == 1 / 4
    together = np.mean(np.array(group[200:]) == np.arange(100))
    assert together == pytest.approx(1 - (1 - share) ** 5, abs=0.1)
    assert group[:200] == list(range(200))


@pytest.mark.parametrize(
    ("lengths", "arguments", "message"),
    [
        ([900], {}, "corpus 'x' has 900 bases; at least 5000 are needed for a split"),
        ([9000], {"max_symbols": 10}, "max_symbols is 10; at least 5000 bases are needed"),
        ([60] * 100, {}, "cannot be split: a part of it came out empty (100 pieces"),
    ],
)
def test_bad_arguments(lengths, arguments, message):
    with pytest.raises(GfmError, match=re.escape(message)):
        split(records_of(lengths), **arguments)


GOLDEN = {1: {"x.fa": "2b10157b265e2760", "x.csv": "fe4bbc2aa5ef020b"}}


def test_the_output_of_this_format_is_what_it_was(tmp_path):
    """A change here without a bump of FORMAT would poison caches."""
    dna = random_dna(30_000).replace("ACGTA", "acRta")
    (tmp_path / "x.fa").write_text(f">a\n{dna}\n" + "".join(f">b{i}\n{random_dna(900, i)}\n" for i in range(20)))
    rows = [
        random_text(60, i) + (" schÃ¶n\u00a0 \ufffd\ufffd &amp; “x”\\n" if i % 7 == 0 else "") for i in range(60)
    ]
    (tmp_path / "x.csv").write_text("text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for name, pinned in GOLDEN[FORMAT].items():
        parts = split(load(str(tmp_path / name)), seed=3, block=2000, gap=200).parts()
        content = {part: [(s.record, s.start, s.text) for s in segments] for part, segments in parts.items()}
        assert digest(content) == pinned, "cleaning or splitting changed: bump FORMAT and pin the new hashes"
