"""Streams of the hub: a stand-in for the package `datasets` that reads JSON lines from a server that errs."""

import json
import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
import requests

from gfm_utils.corpora import address_key, hub, load, plan
from gfm_utils.corpora.blocks import blocks
from gfm_utils.corpora.registry import HubSource
from gfm_utils.errors import GfmError

from .conftest import entry, random_dna

SOURCE = "hf://datasets/a/b?field=seq&kind=dna"
ROWS = [{"seq": random_dna(100, seed)} for seed in range(60)]
SIZE = len(json.dumps(ROWS[0])) + 1


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Rows:
    """Rows of a file on the web; its place is a number of bytes."""

    def __init__(self, url, at=0):
        self.url, self.at = url, at

    def __iter__(self):
        with requests.get(
            self.url, headers={"Range": f"bytes={self.at}-"}, stream=True, timeout=(2, 0.5)
        ) as response:
            response.raise_for_status()
            rest = b""
            for piece in response.iter_content(10):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    self.at += len(line) + 1
                    yield json.loads(line)

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]

    def skip(self, number):
        return Rows(self.url, number * SIZE)


@pytest.fixture
def served(faulty, monkeypatch):
    """The server; .opened has what `load_dataset` was asked for each time, .error is raised there."""
    faulty.data, faulty.opened, faulty.error = lines(ROWS), [], None

    def load_dataset(name, config, *, data_files, split, revision, streaming):
        faulty.opened.append((name, config, data_files, split, revision, streaming))
        if faulty.error:
            raise faulty.error
        return Rows(f"{faulty.url}/{name}")

    def dataset_info(_, name, revision, timeout):
        return SimpleNamespace(sha=f"commit-of-{revision}")

    monkeypatch.setitem(
        sys.modules,
        "datasets",
        SimpleNamespace(load_dataset=load_dataset, config=SimpleNamespace(), __version__="5"),
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    return faulty


def texts(corpus):
    return [(s.record, s.text) for s in corpus.segments]


def wanted(number):
    return [(f"row-{count + 1}", row["seq"]) for count, row in enumerate(ROWS[:number])]


def test_a_stream_stops_and_is_kept(served, monkeypatch):
    corpus = load(SOURCE, max_symbols=950)
    assert texts(corpus) == [*wanted(9), ("row-10", ROWS[9]["seq"][:50])]
    assert (corpus.licence, corpus.source, corpus.kind) == ("unknown", SOURCE, "dna")
    assert served.opened == [("a/b", None, None, "train", "commit-of-None", True)]
    monkeypatch.setitem(sys.modules, "datasets", None)  # not needed any more, nor is the network
    monkeypatch.delattr(huggingface_hub.HfApi, "dataset_info")
    again = load(SOURCE, max_symbols=950)
    assert (texts(again), again.stats, again.checksum) == (texts(corpus), corpus.stats, corpus.checksum)
    assert address_key(SOURCE, 950) == corpus.checksum and len(served.paths) == 1


def test_a_longer_part_continues_the_shorter_one_and_a_shorter_one_needs_no_network(served):
    short = load(SOURCE, max_symbols=1000)
    long = load(SOURCE, max_symbols=3000)
    assert texts(long) == wanted(30) and served.asked == ["bytes=0-", f"bytes={10 * SIZE}-"]
    assert load(SOURCE, max_symbols=1000).checksum == short.checksum != long.checksum
    assert texts(load(SOURCE, max_symbols=2000)) == wanted(20) and len(served.asked) == 2
    whole = load(SOURCE, max_symbols=1_000_000)
    assert texts(whole) == wanted(60) and len(served.asked) == 3
    assert texts(load(SOURCE, max_symbols=2_000_000)) == wanted(60) and len(served.asked) == 3  # it has no more


def test_the_revision_is_part_of_the_key_and_stays_what_it_was_at_first(served):
    keys = {address_key(f"{SOURCE}{more}", 500) for more in ("", "&revision=v1", "&revision=v2")}
    assert len(keys) == 3
    assert [opened[4] for opened in served.opened] == ["commit-of-None", "commit-of-v1", "commit-of-v2"]


def test_the_registry_streams_in_the_same_way(served, register):
    register(one=entry(file=None, sha256=None, sources=[{"type": "hub", "dataset": "a/b", "field": "seq"}]))
    assert texts(load("one", max_symbols=500)) == wanted(5)
    with pytest.raises(GfmError, match="corpus 'one' is streamed and has no end"):
        load("one")


def test_large_corpora_read_what_is_kept(served):
    assert ["".join(b.text for b in blocks(plan(SOURCE), 50, 500)) for _ in "ab"] == [
        "".join(text for _, text in wanted(5))
    ] * 2
    assert len(served.paths) == 1


@pytest.mark.parametrize("fault", ["cuts", "stalls"])
@pytest.mark.parametrize("package", ["5", "6"])
def test_what_breaks_off_or_stalls_is_continued_by_the_next_run(served, monkeypatch, fault, package):
    """Where the last file ends, which another version of the package finds by counting."""
    monkeypatch.setattr(hub, "FILE_SYMBOLS", 700)
    setattr(served, fault, [12 * SIZE + 50])
    with pytest.raises(GfmError, match=r"the stream of corpus 'a/b\?field=seq&kind=dna' broke off after 7"):
        load(SOURCE, max_symbols=3000)
    monkeypatch.setattr(sys.modules["datasets"], "__version__", package)
    assert texts(load(SOURCE, max_symbols=3000)) == wanted(30)
    assert served.asked == ["bytes=0-", f"bytes={7 * SIZE}-"]


def test_what_is_kept_is_verified(served, cache):
    load(SOURCE, max_symbols=1000)
    (path,) = cache.rglob("00000.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(GfmError, match=rf"{path} is damaged \(.+\); delete the folder that it is in"):
        load(SOURCE, max_symbols=500)
    path.unlink()
    assert texts(load(SOURCE, max_symbols=1000)) == wanted(10)


def test_a_server_without_it(served):
    with pytest.raises(GfmError, match=r"corpus 'a/gone' could not be streamed from the hub \(404 .*check its"):
        load("hf://datasets/a/gone", max_symbols=8)
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    "message",
    [
        "The repository for a/b contains custom code; pass the argument `trust_remote_code=True`",
        "Dataset scripts are no longer supported, but found b.py",
    ],
)
def test_code_of_a_data_set_is_never_run(served, message):
    served.error = RuntimeError(message)
    with pytest.raises(GfmError, match="corpus 'a/b' needs code of its own to be read, which is never run; give"):
        load("hf://datasets/a/b", max_symbols=8)


def test_an_older_package_is_told_to_run_no_code(served, monkeypatch):
    told = []

    def load_dataset(name, config, *, data_files, split, revision, streaming, trust_remote_code=None):
        told.append(trust_remote_code)
        return Rows(f"{served.url}/{name}")

    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", load_dataset)
    assert texts(load(SOURCE, max_symbols=500)) == wanted(5) and told == [False]


def test_what_else_can_go_wrong(served, monkeypatch):
    with pytest.raises(GfmError, match=r"corpus 'a/b' has no field 'text'; it has seq"):
        load("hf://datasets/a/b", max_symbols=8)
    served.data = lines([{"text": 3, "id": "x"}])
    with pytest.raises(GfmError, match="field 'text' of corpus 'a/b' holds int, not text; it has text, id"):
        load("hf://datasets/a/b", max_symbols=8)
    served.data = lines([{"text": None}])
    with pytest.raises(GfmError, match="hf://datasets/a/b holds no text after cleaning; give another"):
        load("hf://datasets/a/b", max_symbols=8)
    served.error = ConnectionError("no\nroute")
    with pytest.raises(GfmError, match=r"could not be streamed from the hub \(no route\); check its name and the"):
        load("hf://datasets/a/c", max_symbols=8)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(GfmError, match=r"corpus 'a/d' is streamed from the Hugging Face hub and needs the"):
        load("hf://datasets/a/d", max_symbols=8)


def test_texts_stored_as_bytes():
    source = HubSource(type="hub", dataset="a/b")
    assert hub._text("a/b", source, {"text": "café".encode()}) == "café"
    with pytest.raises(GfmError, match=r"'text' of corpus 'a/b' holds bytes that are not UTF-8 text \(byte"):
        hub._text("a/b", source, {"text": "café".encode("latin-1"), "id": 1})
