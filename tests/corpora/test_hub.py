"""Streams of the hub: a stand-in for the package `datasets`, and the package itself on a folder."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import huggingface_hub
import pandas as pd
import pytest

from gfm_utils.corpora import hub, load, plan
from gfm_utils.corpora.registry import HubSource
from gfm_utils.corpora.streaming import blocks
from gfm_utils.errors import GfmError

from .conftest import entry, random_dna

SOURCE = "hf://datasets/a/b?field=seq&kind=dna"
#: Of the first 950 bases: runs are kept under it.
KEY = "1b4f40be8e36e014e21b41b99e2d5e2737df588c13ba772f732aed71c16fa947"
ROWS = [{"seq": random_dna(100, seed)} for seed in range(60)]


@pytest.fixture
def served(monkeypatch):
    """What `datasets` gives (an exception among the rows is raised there), and what it was asked for."""
    server = SimpleNamespace(rows=ROWS, opened=[])

    def load_dataset(name, config, *, data_files, split, revision, streaming):
        server.opened.append((name, config, data_files, split, revision, streaming))
        for row in server.rows:
            if isinstance(row, Exception):
                raise row
            yield row

    def dataset_info(_, name, revision, timeout):
        return SimpleNamespace(sha=f"commit-of-{revision}")

    package = SimpleNamespace(load_dataset=load_dataset, config=SimpleNamespace(), __version__="4.0.0")
    monkeypatch.setitem(sys.modules, "datasets", package)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    return server


def texts(corpus):
    return [(s.record, s.text) for s in corpus.segments]


def wanted(number):
    return [(f"row-{count + 1}", row["seq"]) for count, row in enumerate(ROWS[:number])]


def key(source, max_symbols):
    return plan(source).key(max_symbols)


def test_a_stream_stops_and_is_kept(served, monkeypatch):
    corpus = load(SOURCE, max_symbols=950)
    assert texts(corpus) == [*wanted(9), ("row-10", ROWS[9]["seq"][:50])]
    assert (corpus.licence, corpus.source, corpus.kind) == ("unknown", SOURCE, "dna")
    assert served.opened == [("a/b", None, None, "train", "commit-of-None", True)]
    monkeypatch.setitem(sys.modules, "datasets", None)  # not needed any more, nor is the network
    monkeypatch.delattr(huggingface_hub.HfApi, "dataset_info")
    assert load(SOURCE, max_symbols=950) == corpus
    assert key(SOURCE, 950) == corpus.checksum == KEY


def test_a_longer_part_is_streamed_again_and_a_shorter_one_needs_no_network(served):
    short = load(SOURCE, max_symbols=1000)
    assert plan(SOURCE).streamed(1000).records == 10
    assert texts(load(SOURCE, max_symbols=3000)) == wanted(30) and len(served.opened) == 2
    hub._part.cache_clear()
    again = load(SOURCE, max_symbols=1000)
    assert (texts(again), again.checksum) == (texts(short), short.checksum) and again.checksum != key(SOURCE, 3000)
    assert "".join(b.text for b in blocks(plan(SOURCE), 50, 500)) == "".join(text for _, text in wanted(5))
    assert len(served.opened) == 2
    for limit in (1_000_000, 2_000_000):  # it has no more
        assert texts(load(SOURCE, max_symbols=limit)) == wanted(60) and len(served.opened) == 3


def test_the_revision_is_part_of_the_key_and_stays_what_it_was_at_first(served, monkeypatch):
    assert len({key(f"{SOURCE}{more}", 500) for more in ("", "&revision=v1")}) == 2
    monkeypatch.delattr(huggingface_hub.HfApi, "dataset_info")
    key(SOURCE, 1000)
    assert [opened[4] for opened in served.opened] == ["commit-of-None", "commit-of-v1", "commit-of-None"]


def test_the_registry_streams_in_the_same_way(served, register, capsys):
    source = {"type": "hub", "dataset": "a/b", "field": "seq"}
    register(one=entry(file=None, sha256=None, sources=[source], terms="for nobody"))
    assert texts(load("one", max_symbols=500)) == wanted(5)
    assert capsys.readouterr().err.startswith("one: l, for nobody\n")
    with pytest.raises(GfmError, match="corpus 'one' is streamed and has no end"):
        load("one")


def test_what_is_kept_is_verified(served, cache):
    load(SOURCE, max_symbols=1000)
    (path,) = (cache / "hub").glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(GfmError, match=rf"{path} is damaged \(.+\); delete it"):
        load(SOURCE, max_symbols=500)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"seq": "A"}], "corpus 'a/b' has no field 'text'; it has seq"),
        ([{"text": 3, "id": "x"}], "field 'text' of corpus 'a/b' holds int, not text; it has text, id"),
        ([{"text": "é".encode("latin-1")}], r"'a/b' could not be streamed \('utf-8' codec can't decode byte 0xe9"),
        ([{"text": None}], "hf://datasets/a/b holds no text after cleaning; give another"),
        (
            [OSError("gone")],
            r"'a/b' could not be streamed \(gone\); check its name \(a private one needs 'hf auth",
        ),
        (
            [{"text": "x"}, OSError("cut\noff")],
            r"corpus 'a/b' broke off after 1 records \(cut off\); check .* again",
        ),
    ],
)
def test_what_can_go_wrong(served, cache, rows, message):
    served.rows = rows
    with pytest.raises(GfmError, match=message):
        load("hf://datasets/a/b", max_symbols=8)
    assert len(list(cache.rglob("*.parquet"))) == ("no text" in message)


def test_without_the_package_or_with_a_version_that_could_run_code(served, monkeypatch):
    monkeypatch.setattr(sys.modules["datasets"], "__version__", "3.6.0")
    with pytest.raises(GfmError, match=r"not streamed with 'datasets' 3\.6\.0, which could run code"):
        load("hf://datasets/a/d", max_symbols=8)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(GfmError, match=r"corpus 'a/d' is streamed from the Hugging Face hub and needs the"):
        load("hf://datasets/a/d", max_symbols=8)
    assert not served.opened


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed")
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_the_package_itself(tmp_path, monkeypatch, form):
    if form == "parquet":
        pd.DataFrame(ROWS).to_parquet(tmp_path / "train.parquet")
    else:
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.setattr(hub, "_revision", lambda _: "main")
    source = HubSource(type="hub", dataset=str(tmp_path), field="seq")
    assert list(hub.first_part("x", source, 1000)) == wanted(10)
    assert list(hub.first_part("x", source, 10**6)) == wanted(60)
