"""Downloads: wheels from a folder, and a loopback server that breaks off, stalls, is slow or sends wrong bytes."""

import gzip
import hashlib
import shutil

import pytest

from gfm_utils.corpora import annotation, fetch, fetch_annotation, fetching, load, registry
from gfm_utils.errors import GfmError

from .conftest import DATA, DEB_SOURCE, WHEEL_SOURCE, entry, make_deb, make_wheel

SHA = hashlib.sha256(DATA).hexdigest()
GFF = b"chr1\t.\tgene\t1\t9\t.\t+\t.\tID=g\n"
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb, as on any Debian")


def url(address):
    return {"type": "url", "url": address}


def files_in(cache):
    files = (path for path in cache.rglob("*") if path.is_file())
    return sorted(path.name for path in files if path.suffix not in (".lock", ".whl", ".deb"))


def refused(name, match, get=fetch):
    with pytest.raises(GfmError, match=match):
        get(name, progress=False)


def test_one_download_of_a_wheel_gives_every_file_in_it(register, wheelhouse, cache):
    member = lambda name: {"sources": [WHEEL_SOURCE | {"member": f"tinydna/data/{name}"}], "file": name}  # noqa: E731
    notes = member("a.gff") | {"sha256": hashlib.sha256(GFF).hexdigest()}
    wrong = notes | {"file": "b.gff", "sha256": SHA}
    register(
        one=entry(annotation=notes), two=entry(**member("other.fa")),
        three=entry(**member("damaged.fa"), annotation=wrong), four=entry(**member("none.fa")),
    )  # fmt: skip
    held = {WHEEL_SOURCE["member"]: DATA, "tinydna/data/other.fa": DATA, "tinydna/data/damaged.fa": b"?"}
    wheel = make_wheel(wheelhouse, held | {"tinydna/data/a.gff": GFF})
    path = fetch("one", progress=False)
    assert path.read_bytes() == DATA and files_in(cache) == ["chr1.fa"]
    wheel.unlink()
    assert fetch("one") == path and fetch("two").read_bytes() == DATA and load("one").symbols == 6000
    assert fetch_annotation("one") == cache / "corpora" / "one" / "a.gff"
    assert len(annotation("one").intervals) == 1 and annotation("two") is None
    wrong = rf" has the wrong checksum \(expected SHA-256 {SHA}, found .* or correct it where it is given"
    refused("three", "damaged.fa" + wrong)
    refused("three", "b.gff" + wrong, fetch_annotation)
    refused("four", r"the package has no member tinydna/data/none\.fa")
    assert files_in(cache) == ["a.gff", "chr1.fa", "other.fa"]
    for changes in ({"annotation": notes | {"file": "chr1.fa"}}, {"kind": "protein", "annotation": notes}):
        register(one=entry(**changes))
        with pytest.raises(GfmError, match="'annotation' is for DNA and text"):
            registry()


def test_no_wheel_is_one_sentence(register, wheelhouse, cache, capfd):
    register(one=entry())
    refused("one", r"^corpus 'one' is not in the cache and could not be downloaded \(wheel .*: No matching")
    assert capfd.readouterr() == ("", "")
    folder = cache / "wheels" / "tinydna-1.0"
    folder.mkdir(parents=True)
    (folder / "bad.whl").write_bytes(b"no zip")
    refused("one", r"could not be downloaded .*bad.whl is not a zip file")


MANUAL = {"man1/ls.1.gz": "ls lists. ", "man1/cp.1.gz": "cp copies. ", "man8/fsck.8": "fsck mends. "}
READ = {"man1/cp.1": "cp copies.", "man1/ls.1": "ls lists.", "man8/fsck.8": "fsck mends."}


@needs_dpkg
def test_the_files_that_a_glob_names_become_records_of_one_zip(register, wheelhouse, debs, faulty, cache):
    """Whatever they come from and in what order, the zip is the same: that of the other sources."""
    packed = {f"usr/man/{name}": (3000 * text).encode() for name, text in MANUAL.items()}
    packed = {name: gzip.compress(text) if name.endswith(".gz") else text for name, text in packed.items()}
    make_deb(debs, packed | {"usr/man/sub/deep/x.1": b"x", "usr/doc/a.1": b"y"})
    make_wheel(wheelhouse, dict(reversed(packed.items())))
    glob = {"member": "usr/man/man*/*"}
    text = {"format": "text", "kind": "text", "file": "man.zip"}
    sha256 = "97273659aaa17fea100501871ddb0281b59c80142fc4d11df9b23c7b75d97e6f"
    register(
        one=entry(sources=[DEB_SOURCE | glob], sha256=sha256, **text),
        two=entry(sources=[WHEEL_SOURCE | glob], sha256=sha256, **text),
        three=entry(sources=[url(f"{faulty.url}/gone"), DEB_SOURCE | {"member": "**/*.1"}], **text),
        four=entry(sources=[DEB_SOURCE | {"member": "usr/*/gone.fa"}], file="gone.zip"),
    )  # fmt: skip
    paths = [fetch(name, progress=False) for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for source in ("one", str(shutil.copy(paths[1], cache / "man.txt.zip"))):  # a user's own says what it holds
        segments = load(source).segments
        assert [segment.record for segment in segments] == [f"usr/man/{name}" for name in READ]
        assert all(one.text.startswith(text) for one, text in zip(segments, READ.values(), strict=True))
    refused("three", "has the wrong checksum")  # two more files
    refused("four", r"the package has no member usr/\*/gone\.fa")
    register(one=entry(sources=[DEB_SOURCE | glob], **text | {"file": "man.txt"}))
    with pytest.raises(GfmError, match=r"'file' must end in \.zip where 'member' is a glob"):
        registry()


@needs_dpkg
def test_without_apt_or_the_version_the_next_source_is_tried(register, debs, faulty, monkeypatch):
    there, gone = url(f"{faulty.url}/chr1.fa"), DEB_SOURCE | {"version": "9"}
    register(one=entry(sources=[gone, there]), two=entry(sources=[gone]), three=entry(sources=[DEB_SOURCE, there]))
    assert fetch("one", progress=False).read_bytes() == DATA
    refused("two", r"'9' for 'tinydna' was not found \('apt-get update' renews the lists of packages\)\); check")
    (debs / "tinydna_1:1.0-1_all.deb").write_bytes(b"no package")
    assert fetch("three", progress=False).read_bytes() == DATA
    monkeypatch.setenv("PATH", "/nowhere")
    refused("two", r"chr1.fa: this machine has no apt-get\); check")


def test_sources_are_tried_in_order(register, wheelhouse, faulty, cache):
    there, gone = url(f"{faulty.url}/chr1.fa"), url(f"{faulty.url}/gone")
    register(
        one=entry(sources=[WHEEL_SOURCE, gone, there]), two=entry(sources=[gone, url("http://127.0.0.1:9/x")])
    )
    for _ in range(2):
        assert fetch("one", progress=True).read_bytes() == DATA
        assert faulty.paths == ["/gone", "/chr1.fa"] and files_in(cache) == ["chr1.fa"]
    refused("two", r"/gone: 404 Client Error: .*; http://127.0.0.1:9/x: no connection\); check the net")
    assert faulty.paths == ["/gone", "/chr1.fa", "/gone"] and files_in(cache) == ["chr1.fa"]


@pytest.mark.parametrize("fault", ["cuts", "stalls"])
def test_what_breaks_off_or_stalls_is_tried_again_a_few_times(register, faulty, cache, fault):
    register(one=entry(sources=[url(f"{faulty.url}/chr1.fa")]))
    setattr(faulty, fault, [1000, 2000])
    faulty.pause = 0.05 if fault == "cuts" else 0  # slower than the timeout over all, never between two pieces
    assert fetch("one", progress=False).read_bytes() == DATA
    assert len(faulty.paths) == 3 and files_in(cache) == ["chr1.fa"]
    fetch("one").write_bytes(b"damaged")  # is known, and fetched again
    faulty.cuts = [2500] * fetching.TRIES
    refused("one", r"/chr1.fa: .*Connection broken: IncompleteRead\(2500 bytes read.*; check the network")
    faulty.data = DATA.replace(b"A", b"C", 1)
    refused("one", r"chr1.fa has the wrong checksum")
    faulty.data = DATA
    assert fetch("one", progress=False).read_bytes() == DATA


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_bytes_as_they_are_sent_are_the_file(faulty, encoding):
    """A server that knows a file as compressed says so; the checksum is that of these bytes."""
    faulty.data, faulty.encoding = gzip.compress(DATA), encoding
    address = f"{faulty.url}/chr1.fa.gz#sha256={hashlib.sha256(faulty.data).hexdigest()}"
    assert fetch(address, progress=False).read_bytes() == faulty.data
    assert load(address).segments[0].text == DATA.split()[1].decode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_page_instead_of_the_file_leaves_nothing(faulty, cache, pack):
    """As networks that want a sign-in send it, whatever was asked for."""
    faulty.data = pack(b"<!doctype html><html><title>Sign in</title></html>")
    refused(f"{faulty.url}/a/genome.fa.gz", r": an HTML page was sent instead of the file\); check the network")
    assert files_in(cache) == []


def test_trust_on_first_use(register, faulty, cache, monkeypatch):
    register(one=entry(sha256=None, sources=[url(f"{faulty.url}/chr1.fa")]))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gfm_utils.files.os.replace", killed)
        fetch("one", progress=False)
    assert files_in(cache) == []  # half a record would have every later use refused
    path = fetch("one", progress=False)
    record = path.with_name("chr1.fa.sha256")
    assert record.read_text() == f"{SHA}\n"
    path.write_bytes(b"changed")
    assert fetch("one", progress=False).read_bytes() == DATA
    path.unlink()
    faulty.data = b"new upstream"
    refused("one", f"wrong checksum .*or delete {path}.sha256 to take what the source gives")
    assert not path.exists()
    record.unlink()
    path.write_bytes(DATA)  # put by hand
    assert fetch("one") == path and record.read_text() == f"{SHA}\n"


@pytest.mark.parametrize("name", ["wikipedia", "hf://datasets/a/b"])
def test_a_streamed_corpus_has_nothing_to_fetch(name):
    refused(name, f"corpus '{name}' is streamed from the Hugging Face hub; there is nothing")
