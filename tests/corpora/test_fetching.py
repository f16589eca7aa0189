"""Downloads: wheels from a folder, and a loopback server that breaks off, stalls, is slow or sends wrong bytes."""

import gzip
import hashlib
import shutil

import pytest

from gfm_utils.corpora import annotation, fetch, fetch_annotation, fetching, load, registry
from gfm_utils.errors import GfmError

from .conftest import DATA, DEB_SOURCE, WHEEL_SOURCE, entry, make_deb, make_wheel, tar_of

SHA = hashlib.sha256(DATA).hexdigest()
GFF = b"chr1\t.\tgene\t1\t9\t.\t+\t.\tID=g\n"


@pytest.fixture
def source(register, faulty):
    register(one=entry(sources=[url(f"{faulty.url}/chr1.fa")]))
    return faulty


def url(address):
    return {"type": "url", "url": address}


def member(name, **changes):
    """An entry whose file is another one of the wheel."""
    return entry(sources=[WHEEL_SOURCE | {"member": f"tinydna/data/{name}"}], file=name, **changes)


def files_in(cache):
    return sorted(
        path.name for path in cache.rglob("*") if path.is_file() and path.suffix not in (".lock", ".whl", ".deb")
    )


def test_one_download_of_a_wheel_gives_every_file_in_it(register, wheelhouse, cache, monkeypatch):
    notes = member("a.gff", sha256=hashlib.sha256(GFF).hexdigest())
    notes = {name: notes[name] for name in ("file", "sha256", "sources")}
    register(
        one=entry(annotation=notes), two=member("other.fa"), three=member("damaged.fa", annotation=notes | {
            "file": "b.gff", "sha256": SHA,
        }), four=member("none.fa"),
    )  # fmt: skip
    held = {WHEEL_SOURCE["member"]: DATA, "tinydna/data/other.fa": DATA, "tinydna/data/damaged.fa": b"?"}
    wheel = make_wheel(wheelhouse, held | {"tinydna/data/a.gff": GFF})
    path = fetch("one", progress=False)
    assert path.read_bytes() == DATA and files_in(cache) == ["chr1.fa"]
    wheel.unlink()
    assert fetch("one") == path and fetch("two").read_bytes() == DATA and load("one").symbols == 6000
    assert fetch_annotation("one") == cache / "corpora" / "one" / "a.gff"
    assert len(annotation("one").intervals) == 1 and annotation("two") is None
    wrong = rf" has the wrong checksum \(expected SHA-256 {SHA}, found .*correct data/corpora"
    with pytest.raises(GfmError, match="damaged.fa" + wrong):
        fetch("three", progress=False)
    with pytest.raises(GfmError, match="b.gff" + wrong):
        fetch_annotation("three", progress=False)
    with pytest.raises(GfmError, match=r"the package has no member tinydna/data/none\.fa"):
        fetch("four", progress=False)
    assert files_in(cache) == ["a.gff", "chr1.fa", "other.fa"]
    protein = {"kind": "protein", "format": "fasta", "annotation": notes}
    for refused in ({"annotation": notes | {"file": "chr1.fa"}}, protein):
        register(one=entry(**refused))
        with pytest.raises(GfmError, match="'annotation' is for DNA and text"):
            registry()
    register(one=entry(kind="text", format="text", annotation=notes))
    assert fetch_annotation("one").name == "a.gff"


def test_no_wheel_is_one_sentence(register, wheelhouse, cache, capfd, monkeypatch):
    register(one=entry())
    with pytest.raises(
        GfmError,
        match=r"^corpus 'one' is not in the cache and could not be downloaded \(wheel .*: No matching",
    ):
        fetch("one", progress=False)
    assert capfd.readouterr() == ("", "")
    folder = cache / "wheels" / "tinydna-1.0"
    folder.mkdir(parents=True)
    (folder / "bad.whl").write_bytes(b"no zip")
    with pytest.raises(GfmError, match=r"could not be downloaded .*File is not a zip file"):
        fetch("one", progress=False)


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb, as on any Debian")


@needs_dpkg
def test_one_download_of_a_debian_package_gives_every_file_in_it(register, debs, cache):
    nested = tar_of({"src/kernel/a.c": b"int a;", "src/kernel/b.h": b"h", "src/mm/c.c": b"int c;"}, "w:gz")
    package = make_deb(debs, {"usr/share/chr1.fa": DATA, "usr/src/src.tar.gz": nested})
    inside = DEB_SOURCE | {"member": "usr/src/src.tar.gz!src/kernel/a.c"}
    register(
        one=entry(sources=[DEB_SOURCE]),
        two=entry(sources=[inside], file="a.c", sha256=hashlib.sha256(b"int a;").hexdigest()),
        three=entry(sources=[inside | {"member": "usr/*/gone.fa"}], file="gone.zip"),
    )  # fmt: skip
    assert fetch("one", progress=False).read_bytes() == DATA and files_in(cache) == ["chr1.fa"]
    package.unlink()
    assert fetch("two").read_bytes() == b"int a;" and load("one").symbols == 6000
    with pytest.raises(GfmError, match=r"the package has no member usr/\*/gone\.fa"):
        fetch("three", progress=False)
    shutil.rmtree(cache / "debs")
    assert fetch("one").read_bytes() == DATA


MANUAL = {"man1/ls.1.gz": "ls lists. ", "man1/cp.1.gz": "cp copies. ", "man8/fsck.8": "fsck mends. "}
READ = {"man1/cp.1": "cp copies.", "man1/ls.1": "ls lists.", "man8/fsck.8": "fsck mends."}


@needs_dpkg
def test_the_files_that_a_glob_names_become_records_of_one_zip(register, wheelhouse, debs, faulty, cache):
    """Whatever they come from and in what order, the zip is the same: that of the other sources."""
    packed = {
        f"usr/man/{name}": gzip.compress((3000 * text).encode())
        if name.endswith(".gz")
        else (3000 * text).encode()
        for name, text in MANUAL.items()
    }
    make_deb(debs, packed | {"usr/man/sub/deep/x.1": b"x", "usr/doc/a.1": b"y"})
    make_wheel(wheelhouse, dict(reversed(packed.items())))
    glob = {"member": "usr/man/man*/*"}
    text = {"format": "text", "kind": "text", "file": "man.zip"}
    sha256 = "97273659aaa17fea100501871ddb0281b59c80142fc4d11df9b23c7b75d97e6f"
    register(
        one=entry(sources=[DEB_SOURCE | glob], sha256=sha256, **text),
        two=entry(sources=[WHEEL_SOURCE | glob], sha256=sha256, **text),
        three=entry(sources=[url(f"{faulty.url}/gone"), DEB_SOURCE | {"member": "**/*.1"}], **text),
    )  # fmt: skip
    paths = [fetch(name, progress=False) for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for source in ("one", str(paths[1]) + "-"):
        if source.endswith("-"):  # a user's own copy, whose name says what its files are
            source = str(shutil.copy(paths[1], cache / "man.txt.zip"))
        corpus = load(source)
        assert [segment.record for segment in corpus.segments] == [f"usr/man/{name}" for name in READ]
        assert [
            segment.text[: len(text)] for segment, text in zip(corpus.segments, READ.values(), strict=True)
        ] == [*READ.values()]
    with pytest.raises(GfmError, match="has the wrong checksum"):  # two more files
        fetch("three", progress=False)
    register(one=entry(sources=[DEB_SOURCE | glob], **text | {"file": "man.txt"}))
    with pytest.raises(GfmError, match=r"'file' must end in \.zip where 'member' is a glob"):
        registry()


def test_without_apt_or_the_version_the_next_source_is_tried(register, debs, faulty, monkeypatch):
    there = url(f"{faulty.url}/chr1.fa")
    gone = DEB_SOURCE | {"version": "9"}
    register(one=entry(sources=[gone, there]), two=entry(sources=[gone]), three=entry(sources=[DEB_SOURCE, there]))
    assert fetch("one", progress=False).read_bytes() == DATA
    with pytest.raises(
        GfmError,
        match=r"'9' for 'tinydna' was not found \('apt-get update' renews the lists of packages\)\); check",
    ):
        fetch("two", progress=False)
    (debs / "tinydna_1:1.0-1_all.deb").write_bytes(b"no package")
    assert fetch("three", progress=False).read_bytes() == DATA
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GfmError, match=r"chr1.fa: this machine has no apt-get\); check"):
        fetch("two", progress=False)


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
    source.pause = 0.05 if fault == "cuts" else 0  # slower than the timeout over all, never between two pieces
    assert fetch("one", progress=False).read_bytes() == DATA
    assert len(source.paths) == 3 and files_in(cache) == ["chr1.fa"]
    fetch("one").write_bytes(b"damaged")  # is known, and fetched again
    source.cuts = [2500] * fetching.TRIES
    with pytest.raises(GfmError, match=r"/chr1.fa: the connection broke off\); check the network"):
        fetch("one", progress=False)
    source.data = DATA.replace(b"A", b"C", 1)
    with pytest.raises(GfmError, match=r"chr1.fa has the wrong checksum .*try again, or correct data"):
        fetch("one", progress=False)
    source.data = DATA
    assert fetch("one", progress=False).read_bytes() == DATA


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
    for name in ("one", f"{source.url}/a/genome.fa.gz"):
        with pytest.raises(GfmError, match=r": an HTML page was sent instead of the file\); check the network"):
            fetch(name, progress=False)
    assert files_in(cache) == []


def test_trust_on_first_use(register, faulty, cache, monkeypatch):
    register(one=entry(sha256=None, sources=[url(f"{faulty.url}/chr1.fa")]))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gfm_utils.files.os.replace", killed)
        fetch("one", progress=False)
    assert files_in(cache) == []  # half a record would have every later use say that the file has changed
    path = fetch("one", progress=False)
    assert path.with_name("chr1.fa.sha256").read_text() == f"{SHA}\n"
    path.write_bytes(b"changed")
    with pytest.raises(GfmError, match=r"has changed since it was downloaded .*delete it to download it again"):
        fetch("one", progress=False)
    path.unlink()
    faulty.data = b"new upstream"
    with pytest.raises(GfmError, match=f"wrong checksum .*or delete {path}.sha256 to take what the source gives"):
        fetch("one", progress=False)
    assert not path.exists()
    path.with_name("chr1.fa.sha256").unlink()
    path.write_bytes(DATA)  # put by hand
    assert fetch("one") == path and path.with_name("chr1.fa.sha256").read_text() == f"{SHA}\n"


@pytest.mark.parametrize("name", ["wikipedia", "hf://datasets/a/b"])
def test_a_streamed_corpus_has_nothing_to_fetch(name):
    with pytest.raises(GfmError, match=f"corpus '{name}' is streamed from the Hugging Face hub; there is nothing"):
        fetch(name)
