"""Downloads from a loopback server that breaks off, stalls, is slow, sends wrong bytes, or has nothing."""

import gzip
import hashlib

import pytest

from gfm_utils.corpora import fetch, load
from gfm_utils.errors import GfmError

from .conftest import DATA, entry


@pytest.fixture
def source(register, faulty):
    register(one=entry(sources=[{"type": "url", "url": f"{faulty.url}/chr1.fa"}]))
    return faulty


def files_in(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_what_breaks_off_is_continued(source, cache):
    source.cuts = [1000, 2000]
    assert fetch("one", progress=False).read_bytes() == DATA
    assert source.asked == [None, "bytes=1000-", "bytes=3000-"]
    assert files_in(cache) == ["chr1.fa"]


def test_what_stalls_is_continued(source):
    source.stalls = [1500]
    assert fetch("one", progress=False).read_bytes() == DATA
    assert source.asked == [None, "bytes=1500-"]


def test_a_slow_server_is_waited_for(source):
    source.pause = 0.1  # longer than the timeout over all, never between two pieces
    assert fetch("one", progress=False).read_bytes() == DATA
    assert source.asked == [None]


def test_a_server_that_sends_no_more_is_given_up_and_the_next_run_continues(source, cache):
    source.cuts = [2500, 0, 0, 0, 0]
    with pytest.raises(GfmError, match=r"broke off after 2,500 bytes, 4 times\); check the network"):
        fetch("one", progress=False)
    assert len(source.asked) == 5 and files_in(cache) == [".chr1.fa.part", ".chr1.fa.part.json"]
    assert fetch("one", progress=False).read_bytes() == DATA
    assert source.asked[-1] == "bytes=2500-" and files_in(cache) == ["chr1.fa"]


@pytest.mark.parametrize("change", [{"etag": '"two"'}, {"ranges": False}, {"etag": None}])
def test_a_file_that_cannot_be_continued_begins_again(source, change):
    """Its version has changed since, or the server knows no versions or no parts."""
    source.cuts = [2500, 0, 0, 0, 0]
    with pytest.raises(GfmError, match="broke off"):
        fetch("one", progress=False)
    vars(source).update(change)
    assert fetch("one", progress=False).read_bytes() == DATA


def test_a_file_that_became_shorter_begins_again(source, register):
    source.data = DATA + b"A" * 500
    source.cuts = [len(DATA) + 100, 0, 0, 0, 0]
    with pytest.raises(GfmError, match="broke off"):
        fetch("one", progress=False)
    source.data = DATA
    assert fetch("one", progress=False).read_bytes() == DATA


def test_wrong_bytes_leave_nothing(source, cache):
    source.data = DATA.replace(b"A", b"C", 1)
    with pytest.raises(
        GfmError, match=r"chr1.fa has the wrong checksum .*try again, or correct data/corpora.yaml"
    ):
        fetch("one", progress=False)
    assert files_in(cache) == []


def test_a_file_that_is_not_there_is_named_and_asked_for_once(register, faulty, cache):
    register(one=entry(sources=[{"type": "url", "url": f"{faulty.url}/gone.fa"}]))
    with pytest.raises(GfmError, match=r"/gone.fa: HTTP 404\); check the network"):
        fetch("one", progress=False)
    assert faulty.asked == [None] and files_in(cache) == []


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "identity"])
@pytest.mark.parametrize("cuts", [[], [500, 700]])
def test_the_bytes_as_they_are_sent_are_the_file(register, faulty, cache, encoding, cuts):
    """A server that knows a file as compressed says so; checksum and place to continue are of these bytes."""
    faulty.data = gzip.compress(DATA)
    faulty.encoding, faulty.cuts = encoding, list(cuts)
    sha256 = hashlib.sha256(faulty.data).hexdigest()
    url = f"{faulty.url}/chr1.fa.gz"
    register(one=entry(file="chr1.fa.gz", sha256=sha256, sources=[{"type": "url", "url": url}]))
    for name in ("one", url, f"{url}#sha256={sha256}"):
        assert fetch(name, progress=False).read_bytes() == faulty.data
        assert load(name).segments[0].text == DATA.split()[1].decode()
    assert faulty.asked[: len(cuts) + 1] == [None, "bytes=500-", "bytes=1200-"][: len(cuts) + 1]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_page_instead_of_the_file_leaves_nothing(source, cache, pack):
    """As networks that want a sign-in send it, whatever was asked for."""
    source.data = pack(b"<!doctype html><html><title>Sign in</title></html>")
    for name in ("one", f"{source.url}/a/genome.fa.gz", f"{source.url}/a/novel.txt"):
        with pytest.raises(
            GfmError, match=r": an HTML page was sent instead of the file\); check the network and"
        ):
            fetch(name, progress=False)
    assert files_in(cache) == []
    source.data = DATA
    assert fetch("one", progress=False).read_bytes() == DATA
