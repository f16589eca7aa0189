"""What people give by mistake or malice, each with the beginning of the sentence that they see.

``*`` stands for what differs from machine to machine, ``TMP`` for the folder of the test.
"""

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gfm_utils import corpora
from gfm_utils.claims import analyse_models
from gfm_utils.corpora.opening import zstd
from gfm_utils.errors import GfmError

ROOT = Path(__file__).parents[1]
DNA = "".join(np.random.default_rng(0).choice(list("ACGT"), 8000))
FASTA = f">a\n{DNA}\n".encode()
TABLE = b"id,body,title\n1,some words,first\n"
HTML = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>genome.fa</body></html>\n"
STORY = b"It was a dark and stormy night that they spent in it\nand the rain fell in torrents\n"
ALIGNED = b">p\n" + b"--M-K---VLA--AGIV----GL-ELPR-S--TEFWYQ------------------------\n" * 40


def zipped(*names, flags=0):
    """A zip archive with files of these names; ``flags`` as its directory says (1: encrypted)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"text\nsome words\n")
            archive.infolist()[-1].flag_bits |= flags
    return buffer.getvalue()


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def spoilt(pack):
    """A compressed FASTA, some bytes in its midst overwritten."""
    whole = pack(FASTA)
    middle = len(whole) // 2
    return whole[:middle] + b"\xff" * 99 + whole[middle + 99 :]


#: Name of the file, its bytes, and what reading it as a corpus says (all of it ends in what to do).
FILES = [
    ("empty.fa", b"", "* is empty (0 bytes)"),
    ("prose.fa", b"many words " * 9, "* at line 1: expected *, but got 'many words many words * many wo'; *"),
    ("aligned.fa?kind=dna", ALIGNED, "* looks like protein, not DNA (letter 'L' in record 'p', line 2, is no *"),
    ("genome.faa", FASTA, "* looks like DNA, not protein (nearly all of its letters are *); give a file of *"),
    ("gaps.faa", b">a\n" + b"-X*" * 90 + b"\n", "* holds no stretch of A, C, D, E, *, W, Y after cleaning; *"),
    ("genome.fa?kind=text", FASTA, "* is FASTA, which holds no text; leave kind out or give another file"),
    ("reads.fq?kind=protein", b"@r\nAC\n+\nII\n", "* is FASTQ, which holds no protein; leave kind out or *"),
    ("inside.fa", b">a\nACGT\nACGT>b\nACGT\n", "* is not FASTA at line 3 of record 'a': *, but got 'ACGT>b'; *"),
    ("binary.fa", b">a\nAC\xff\xfe\n", "* is not FASTA at line 2 of record 'a': expected *"),
    ("masked.fa", b">a\n" + b"X" * 900 + b"\n", "* holds no stretch of A, C, G, T after cleaning; give *"),
    ("blank.fa", b"\n", "* holds no FASTA records; give a FASTA file"),
    ("blank.csv", b"\n", "* is empty: it has no header line; give a table with one"),
    ("page.xml", b"<a/>", "* is XML, but no MediaWiki dump (its root is <a>); give one"),
    ("cut.xml", b"<mediawiki><page>", "* is broken XML at line 1, column 17; it may be truncated: download it *"),
    ("cut.fa.gz", gzip.compress(FASTA)[:-200], "* is truncated: its compressed data ends too early; copy or *"),
    ("garbled.fa.xz", spoilt(lzma.compress), "* is damaged (*); copy or download it again"),
    ("garbled.fa.zst", spoilt(zstd.compress), "* is damaged (*); copy or download it again"),
    ("garbled.fa.bz2", spoilt(bz2.compress), "* is damaged (*); copy or download it again"),
    ("short.fq", b"@r\nACGT\n+\nII\n", "* is not FASTQ in the record 'r' at line 1: expected four lines, *"),
    ("cut.fastq", b"@r\nACGT\n+\n", "* is not FASTQ in the record 'r' at line 1: expected four lines, *"),
    ("wrapped.fastq", b"@r\nAC\nAC\n+\nII\nII\n", "* is not FASTQ in the record 'r' at line 1: expected *"),
    ("headless.fastq", b"@r\nAC\n+\nII\nr2\nAC\n+\nII\n", "* is not FASTQ in the record '2' at line 5: *"),
    ("binary.fastq", b"@r\nA\xff\n+\nII\n", "* is not FASTQ in the record 'r' at line 1: expected *"),
    ("fasta.fastq", FASTA, "* is FASTA, not fastq; give it a name that ends in .fa"),
    ("fastq.fa", b"@r\nACGT\n+\nIIII\n", "* is FASTQ, not fasta; give it a name that ends in .fastq"),
    ("page.txt", HTML, "* is an HTML page, not text; save the file that it shows or leads to, not the page"),
    ("packed.fa.gz", gzip.compress(HTML), "* is an HTML page, not fasta; save the file *"),
    ("xhtml.csv", b'<?xml version="1.0"?>\n<!-- saved -->\n<HTML lang="en"></HTML>', "* is an HTML page, not *"),
    ("proteins.txt", b">p x\nMKVLAAGIVGLELPRS\nTEFW\n", "* is FASTA, not text; give it a name that ends in .fa"),
    ("latin.txt", "naïve café\n".encode("latin-1") * 50, "* is not UTF-8 text (byte 0xef in *caf*"),
    ("far.csv", b"text\n" + b"abcdefg\n" * 150_000 + b"\xe4b\n", "* (byte 0xe4 in *abcdefg*b*); convert it *"),
    ("spaces.txt", b" \n\t\n" * 50, "* holds no text after cleaning; give another file"),
    ("columns.csv", TABLE, "* has no column named text, sequence or content; it has id, body, title: name *"),
    ("ragged.csv", b"text,id\nwords,1\nmore,2,3,4\n", "* has 4 fields in the row at line 3, but its header *"),
    ("long.tsv", b"text\tid\nwords\t1\nmore\t2\t3\n", "* has 3 fields in the row at line 3, but its header *"),
    ("open.csv", b'id,text\n1,words\n2,"more\n3,and\n', "* cannot be read as a table: in the row * line 3 *"),
    ("headless.csv", STORY, "* it has It was a *spent in it (if that is its first row, put one *"),
    ("sequences.csv", b"ACGTACGTAC\nACGTACGTAA\n", "* it has ACGTACGTAC (if that is its first row, put one *"),
    ("headless.tsv", b"1\tsome words\tx\n2\tmore\ty\n", "* it has 1, some words, x (if that is its first row, *"),
    ("list.parquet", parquet(text=[["some", "words"]]), "column 'text' of * holds list<element: string>, not *"),
    ("latin.parquet", parquet(text=["caf\u00e9".encode("latin-1")]), "* is not UTF-8 text (byte 0xe9 in *"),
    ("fake.parquet", b"PAR1 but no more", "* cannot be read as Parquet (*); mend or convert it"),
    ("two.zip", zipped("a.csv", "b.fa"), "zip archive * mixes csv (a.csv) and sequences (b.fa); give files *"),
    ("odd.zip", zipped("a.c", "b.h"), "zip archive * holds no corpus: none of its 2 files has a known ext*"),
    ("none.zip", zipped("__MACOSX/._a.csv", ".DS_Store"), "zip archive * holds no corpus: no file has a known *"),
    ("locked.zip", zipped("a.csv", flags=1), "*/a.csv cannot be unpacked (*password*); give the file itself"),
    ("damaged.zip", zipped("a.csv")[:40], "* is damaged (File is not a zip file); copy or download it again"),
    ("genome.docx", b"words", "* has an unknown extension; known are * (each also with .gz, .bz2, *"),
]

#: Every sentence about a file says what to do with it.
TO_DO = "give|mend|copy|download|name|rename|save|export|convert|unpack|pack|put|begin|known are"

#: An entry that is right, to be spoiled.
ENTRY = {
    "kind": "dna", "description": "d", "licence": "l", "citation": "c", "format": "fasta", "file": "a.fa",
    "sources": [{"type": "url", "url": "https://example.org/a.fa"}],
}  # fmt: skip
WHEEL, HUB = {"type": "wheel", "package": "p", "version": "1", "member": "a.fa"}, {"type": "hub", "dataset": "a/b"}
#: Changes of an entry, and what reading the registry says of the field.
ENTRIES = [
    ({"kind": "rna"}, "kind: Input should be 'text', 'dna' or *"),
    ({"licence": ""}, "licence: String should have at least 1 character"),
    ({"sources": []}, "sources: *at least 1 item*"),
    ({"file": None}, "the entry itself: *'file' is needed for a corpus that is *"),
    ({"file": "../../.bashrc"}, "file: String should match pattern *"),
    ({"file": "/etc/passwd"}, "file: String should match pattern *"),
    ({"sources": [{"type": "url", "url": "file:///etc/passwd"}]}, "sources.0.url.url: *"),
    ({"sha256": "123"}, "sha256: String should match pattern *"),
    ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ({"sources": [{"type": "ftp"}]}, "sources.0: Input tag 'ftp' *"),
    ({"sources": [WHEEL]}, "the entry itself: *'sha256' is needed for a file of a package"),
    ({"sources": [HUB, HUB]}, "the entry itself: *a hub source stands alone in 'sources'"),
    ({"format": "text"}, "the entry itself: *format 'text' does not give kind 'dna'"),
]
#: Registries, and what reading them says.
REGISTRIES = [
    ("a: [", " is not valid YAML (*); mend the file"),
    ("- a", ", corpus '?', field the entry itself: Input should be a valid dictionary"),
    ("{}", ", corpus '?', field the entry itself: Dictionary should have at least 1 item *"),
    ("one: 3", ", corpus 'one', field the entry itself: *"),
    ("../../one: {}", ", corpus '../../one', field [key]: String should match pattern *"),
    ("one: {kind: dna, kind: text}", " is not valid YAML (the key 'kind' stands twice *line 1, *); mend the file"),
]


class Payload:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


BERT = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 70}
REMOTE = {"model_type": "evil", "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForMaskedLM"), "evil.Evil")}
EVIL = b"import pathlib\npathlib.Path(__file__).with_name('was-run').touch()\nclass Evil: pass\n"
UNREADABLE = (
    "*/model cannot be loaded as a masked language model with safetensors (*); pickled weights are "
    "refused: give a directory that save_pretrained wrote, or a name of the Hugging Face hub"
)
#: What a data set of the hub is given as.
FORM = "* is not of the form hf://datasets/OWNER/NAME?split=train&field=text (a file or glob *; options are *)"
#: Addresses of corpora, and what the user then reads.
ADDRESSES = [
    ("ftp://h/x.fa", "* begins with ftp://, which is not read; give http://, https:// or hf://datasets/, or *"),
    ("file:///etc/x.txt", "* begins with file://, which is not read; *"),
    ("https://h:port/x.fa", "https://h:port/x.fa is no address (*); give https://host/path/file"),
    ("https://me:secret@h/x.fa", "the address of /x.fa on h holds a password, which every result would *"),
    ("https://h/genome.docx", "https://h/genome.docx does not end in the name of a corpus file; known are *"),
    ("https://h/get?file=x.fa", "* does not end in the name of a corpus file; *"),
    ("https://h/x.fa#md5=12", "https://h/x.fa#md5=12: '#md5=12' is no checksum; only #sha256= and 64 *"),
    ("https://h/x.csv:body#sha256=12ab", "* does not end in the name of a corpus file; *"),
    ("hf://datasets/name", FORM),
    ("hf://datasets/owner/name/../../x.parquet", FORM),
    ("hf://datasets/owner/name/https://evil/x.parquet", FORM),
    ("hf://datasets/o/n?feild=seq", "unknown option of a data set 'feild'; did you mean 'field'? (known: *; *"),
    ("hf://datasets/o/n?trust_remote_code=true", "unknown option of a data set 'trust_remote_code' (known: *"),
    ("hf://datasets/o/n?field=", "* gives an option twice or no value for it; give each one value"),
    ("hf://datasets/o/n?field=a&field=b", "* gives an option twice or no value for it; give each one value"),
    ("hf://datasets/o/n?kind=rna", "*: kind 'rna' is none of text, dna, protein; give one of these"),
]
#: Files that are there, what is asked for beside them, and what the user then reads.
ASKED = [
    ({}, "TMP/none.fa", "no file */none.fa; give the path of a file, or *"),
    ({}, "~no-such-user/x.fa", "no file ~no-such-user/x.fa; give the path of a file, or *"),
    ({"a.csv": TABLE}, "TMP/a.csv:words", "*/a.csv has no column 'words'; it has id, body, title: name one as *"),
    ({"a.fa": FASTA}, "TMP/a.fa:words", "*/a.fa is no table and has no column 'words'; leave out what stands *"),
    ({"a.csv": TABLE}, "TMP/a.csv:body?kind=rna", "*/a.csv:body?kind=rna: kind 'rna' is none of text, *"),
    ({}, "TMP/", "directory * holds no corpus: no file has a known ext*"),
    ({"a.fa": FASTA, "b.csv": TABLE}, "TMP", "directory * mixes csv (b.csv) and sequences (a.fa); give files *"),
    *(({}, source, sentence) for source, sentence in ADDRESSES),
]
#: Files of checkpoints that cannot be compared; what is no bytes is pickled there.
MODELS = {
    "pickled": {"pytorch_model.bin": None},
    "pickled-shard": {"pytorch_model-00001-of-00001.bin": None, "pytorch_model.bin.index.json": b"{}"},
    "pickled-as-safetensors": {"model.safetensors": None},
    "remote": {"config.json": json.dumps(REMOTE).encode(), "evil.py": EVIL},
}
CACHE = "set GFM_CACHE to a folder of your own that you may write to"
READABLE = "make it readable for you, or give a copy that is"
#: Folders that can be none, for root too, and why.
NO_FOLDERS = {
    "/dev/null": "/dev/null is no folder",
    "/dev/null/deep": "*",
    "/proc/none/deep": "No such file or directory: /proc/none",
    "TMP/ok.fa": "*/ok.fa is no folder",
}
TRAIN = "train TMP/ok.fa@kmer2 --profile smoke"
BUILD = "build --condition TMP/ok.fa@kmer2 --profile smoke --root ROOT"
#: Commands, and the cache that they need or the folder NONE that they write, which can be none.
NEEDED = [
    ("corpora", "/dev/null"), ("fetch https://h/x.fa", "TMP/ok.fa"), ("entropy TMP/ok.fa", "/proc/none/deep"),
    (f"{TRAIN} --runs TMP/runs", "TMP/ok.fa"), (f"{BUILD} --out TMP/out --runs TMP/runs", "TMP/ok.fa"),
    ("entropy TMP/ok.fa --tokenizer kmer2 --runs NONE", "/dev/null/deep"),
    ("calibrate --out NONE", "/proc/none/deep"), (f"{TRAIN} --runs NONE", "/dev/null/deep"),
    ("analyse TMP/model --corpus TMP/ok.fa --out NONE", "/proc/none/deep"),
    (f"{BUILD} --out NONE", "/dev/null/deep"),
    ("run TMP/ok.fa --profile smoke --root ROOT --out NONE", "/proc/none/deep"),
]  # fmt: skip
#: Commands that read TMP/ok.fa.
READ = ["entropy TMP/ok.fa", f"{TRAIN} --runs TMP/runs", f"{BUILD} --out TMP/out --runs TMP/runs"]


def written(path, content):
    """The file, with that content."""
    path.write_bytes(content)
    return path


def says(error, sentence):
    """Whether an error, or what a command says of it, is that one sentence."""
    return re.fullmatch(re.escape(sentence).replace(r"\*", ".*"), str(error)) is not None


def refusal(ask, *arguments, **options):
    """What is said of what cannot be done."""
    with pytest.raises(GfmError) as caught:
        ask(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(("name", "content", "sentence"), FILES, ids=[name for name, *_ in FILES])
def test_files(name, content, sentence, tmp_path):
    path = written(tmp_path / name.partition("?")[0], content)
    assert says(line := refusal(corpora.load, str(tmp_path / name)), sentence), line
    assert re.search(rf"\b({TO_DO})\b", line) or content == b""
    assert str(path) in line and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("files", "source", "sentence"), ASKED, ids=[source for _, source, _ in ASKED])
def test_what_is_asked_for(files, source, sentence, tmp_path):
    for name, content in files.items():
        written(tmp_path / name, content)
    line = refusal(corpora.load, source.replace("TMP", str(tmp_path)), max_symbols=100)
    assert says(line, sentence), line


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Call with the text of a registry to make it the registry."""
    path = tmp_path / "corpora.yaml"
    monkeypatch.setenv("GFM_REGISTRY", str(path))
    return lambda text: written(path, text.encode())


@pytest.mark.parametrize(("change", "sentence"), ENTRIES, ids=lambda value: str(value)[:30])
def test_entries_of_the_registry(change, sentence, register):
    register(yaml.safe_dump({"one": ENTRY}))
    assert list(corpora.registry()) == ["one"]
    register(yaml.safe_dump({"one": ENTRY | change}))
    assert says(line := refusal(corpora.registry), f"*, corpus 'one', field {sentence}"), line


@pytest.mark.parametrize(("text", "sentence"), REGISTRIES)
def test_registries(text, sentence, register, tmp_path):
    register(text)
    assert says(line := refusal(corpora.registry), f"{tmp_path}/corpora.yaml{sentence}"), line


@pytest.mark.parametrize("case", MODELS)
def test_models(case, tmp_path):
    model, ran = tmp_path / "model", tmp_path / "model" / "was-run"
    model.mkdir()
    for name, content in ({"config.json": json.dumps(BERT).encode()} | MODELS[case]).items():
        written(model / name, pickle.dumps(Payload(ran)) if content is None else content)
    line = refusal(analyse_models, [str(model)] * 2, only=["static"])
    assert says(line, UNREADABLE), line
    assert not ran.exists()  # no code of a checkpoint
    pickle.loads(pickle.dumps(Payload(ran)))
    assert ran.is_dir()


@pytest.fixture
def complaint(tmp_path, gfm):
    """What a command that fails says, in one sentence, with a good corpus at ``TMP/ok.fa``."""
    written(tmp_path / "ok.fa", FASTA)

    def say(command, none=""):
        for name, place in {"TMP": tmp_path, "ROOT": ROOT, "NONE": none}.items():
            command = command.replace(name, str(place))
        status, out, err = gfm(*command.split())
        assert status == 1 and out == ""
        (line,) = err.splitlines()
        return line.removeprefix("gfm: ")

    return say


def refuse(monkeypatch, name, real, ending):
    """A function of the system does not permit a path that ends so."""

    def refused(path, *rest, **more):
        if str(path).endswith(ending):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(name, refused)


@pytest.mark.parametrize(("command", "none"), NEEDED)
def test_a_folder_that_can_be_none(command, none, complaint, tmp_path, monkeypatch):
    mend = "give a folder that you may write to, or make room*"
    if "NONE" not in command:
        monkeypatch.setenv("GFM_CACHE", none.replace("TMP", str(tmp_path)))
        mend = CACHE
    sentence = f"{none.replace('TMP', '*')}* cannot be written ({NO_FOLDERS[none]}): {mend}"
    assert says(line := complaint(command, none), sentence), line


@pytest.mark.parametrize("command", READ)
def test_a_corpus_that_may_not_be_read(command, complaint, monkeypatch):
    """Also by root, whom no permission binds."""
    refuse(monkeypatch, "builtins.open", open, "ok.fa")
    assert says(line := complaint(command), f"*/ok.fa cannot be read (Permission denied): {READABLE}"), line


def test_a_folder_in_a_corpus_that_may_not_be_read(tmp_path, monkeypatch):
    """Its files are not passed over."""
    written(tmp_path / "a.fa", FASTA)
    (tmp_path / "sub").mkdir()
    refuse(monkeypatch, "os.scandir", os.scandir, "sub")
    line = refusal(corpora.load, str(tmp_path))
    assert says(line, f"* cannot be read (Permission denied: */sub): {READABLE}"), line


def test_no_home(complaint, monkeypatch):
    """As of a user whom the system does not know, without HOME."""
    for name in ("GFM_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert says(line := complaint("fetch news"), "no home folder is known * set HOME or GFM_CACHE"), line


def test_a_lock_of_another_user(complaint, register, tmp_path, monkeypatch):
    """What that user has fetched is read all the same."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("GFM_CACHE", str(cache))
    register(yaml.safe_dump({"one": {**ENTRY, "sha256": hashlib.sha256(FASTA).hexdigest()}}))

    def refused(lock):
        raise PermissionError(errno.EACCES, "Permission denied", lock.lock_file)

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    sentence = f"{cache}/corpora/one/a.fa cannot be written (Permission denied: *.lock): {CACHE}"
    assert says(line := complaint("fetch one"), sentence), line
    written(cache / "corpora/one/a.fa", FASTA)
    assert corpora.fetch("one") == cache / "corpora/one/a.fa"
    written(cache / "corpora/one/a.fa", FASTA + b"A")
    assert says(line := complaint("fetch one"), sentence), line


def test_what_the_system_refuses_elsewhere(complaint, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "/some/file")

    monkeypatch.setattr("gfm_utils.corpora.status", full)
    sentence = "the system refused ([Errno *] No space left on device: '/some/file'); mend that and run the same *"
    assert says(line := complaint("corpora"), sentence), line
