import numpy as np
import pytest

from gfm_utils.corpora import Segment, fingerprints
from gfm_utils.corpora.fingerprints import SKETCH, Groups, content_key, sketch

from .conftest import random_dna, random_text


def sketch_of(text, kind="dna"):
    return sketch([Segment("x", 0, text)], kind, content_key(text))


def test_the_sketch_of_both_strands_is_the_same():
    text = random_dna(1000)
    other = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert sketch_of(text).tolist() == sketch_of(other).tolist()
    assert len(set(sketch_of(text).tolist())) == SKETCH
    assert sorted(sketch_of(text)) == sketch_of(text).tolist()


@pytest.mark.parametrize(("kind", "run"), [("dna", 64), ("text", 20)])
def test_the_sketch_is_of_the_least_runs_within_the_segments(kind, run):
    pieces = [random_dna(150), random_dna(90, 1)] if kind == "dna" else [random_text(60), random_text(30, 1)]
    alone = set()
    for piece in pieces:
        items, space = (piece, "") if kind == "dna" else (piece.split(), " ")
        for i in range(len(items) - run + 1):
            alone.update(sketch_of(space.join(items[i : i + run]), kind).tolist())
    found = sketch([Segment("x", 0, pieces[0]), Segment("x", 999, pieces[1])], kind, 1)
    assert found.tolist() == sorted(alone)[:SKETCH]


def test_a_record_without_runs_has_its_content():
    assert sketch_of("ACGT").tolist() == [content_key("ACGT")]


def test_similar_records_share_a_hash_at_least_as_often_as_the_formula_says():
    shared = []
    for seed in range(200):
        common = random_dna(64 + 39, seed)
        one = sketch_of(common + random_dna(300, 1000 + seed))
        other = sketch_of(common + random_dna(300, 2000 + seed))
        shared.append(len(np.intersect1d(one, other)) > 0)
    jaccard = 40 / (40 + 2 * 300)
    assert 1 - (1 - jaccard) ** SKETCH - 0.05 < np.mean(shared) < 1 - (1 - jaccard) ** (2 * SKETCH) + 0.05


def test_groups_keep_the_part_and_do_not_swallow_everything(monkeypatch):
    monkeypatch.setattr(fingerprints, "ALWAYS", 1000)
    groups, rng = Groups(), np.random.default_rng(0)
    common = np.uint64(7)

    def found():
        return np.append(rng.integers(1, 2**63, 5).astype(np.uint64), common)

    parts = [groups.part(found(), 100, otherwise) for otherwise in [2, 0, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert parts == [2] * 10
    assert groups.part(found(), 100, 0) == 0  # the group has 1000 symbols
    assert groups.part(np.array([common]), 10**6, 1) == 1


def test_contents_are_remembered_beyond_the_first_size_of_the_table():
    groups = Groups()
    keys = [content_key(str(i)) for i in range(10_000)]
    assert not any(groups.met(key) for key in keys)
    assert all(groups.met(key) for key in keys)


def test_a_full_table_is_said_and_forgets_nothing_that_it_holds():
    groups = Groups(places=1 << 12)
    keys = [content_key(str(i)) for i in range(4000)]
    assert not any(groups.met(key) for key in keys)
    assert 0 < groups.forgotten < 2000
    assert all(groups.met(key) for key in keys[: 4000 - groups.forgotten])
    assert groups.part(np.array([1, 2], np.uint64), 10, 2) == 2
