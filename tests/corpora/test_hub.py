import sys
from types import SimpleNamespace

import pytest

from gfm_utils.corpora import load
from gfm_utils.errors import GfmError

from .conftest import entry

SOURCE = {"type": "hub", "dataset": "a/b", "field": "seq"}


@pytest.fixture
def served(register, monkeypatch):
    """A stand-in for the package `datasets`; set .rows or .error on it."""
    register(one=entry(file=None, sha256=None, sources=[SOURCE]))
    fake = SimpleNamespace(rows=[{"seq": "ACGTN"}, {"seq": "GGcc"}, {"seq": "TTTT"}], error=None, calls=0)

    def load_dataset(name, config, *, data_files, split, streaming):
        fake.calls += 1
        assert (name, config, data_files, split, streaming) == ("a/b", None, None, "train", True)
        if fake.error:
            raise fake.error
        return iter(fake.rows)

    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


def test_a_stream_stops_and_is_kept(served):
    corpus = load("one", max_symbols=8)
    assert [(s.record, s.text) for s in corpus.segments] == [("row-1", "ACGT"), ("row-2", "GGCC")]
    again = load("one", max_symbols=8)
    assert [(s.record, s.start, s.text) for s in again.segments] == [
        (s.record, s.start, s.text) for s in corpus.segments
    ]
    assert again.segments[1].soft_mask.tolist() == [False, False, True, True]
    assert (again.stats, served.calls) == (corpus.stats, 1)


def test_what_can_go_wrong(served, monkeypatch):
    with pytest.raises(GfmError, match="corpus 'one' is streamed and has no end"):
        load("one")
    served.rows = [{"other": "x"}]
    with pytest.raises(GfmError, match="corpus 'one' has no field 'seq'; it has other"):
        load("one", max_symbols=8)
    served.error = ConnectionError("no\nroute")
    with pytest.raises(GfmError, match=r"could not be streamed from the hub \(no route\); check the network"):
        load("one", max_symbols=8)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        GfmError, match=r"needs the package 'datasets'; install it with pip install 'gfm_utils\[hub\]'"
    ):
        load("one", max_symbols=8)
