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
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

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
PROTEIN = b">p\n" + b"MKVLAAGIVGLELPRSTEFWYQ\n" * 40
ALIGNED = b">p\n" + b"--M-K---VLA--AGIV----GL-ELPR-S--TEFWYQ------------------------\n" * 40


def zipped(*names: str, content: bytes = b"text\nsome words\n", flags: int = 0) -> bytes:
    """A zip archive with files of these names; ``flags`` as its directory says (1: encrypted)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
            archive.infolist()[-1].flag_bits |= flags
    return buffer.getvalue()


def parquet(**columns: Any) -> bytes:
    """A table with these columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def packed(pack: Callable[[bytes], bytes], cut: int = 0, spoil: int = 0) -> bytes:
    """A compressed FASTA without its last bytes, or with some in its midst overwritten."""
    whole = bytearray(pack(FASTA))
    middle = len(whole) // 2
    whole[middle : middle + spoil] = b"\xff" * spoil
    return bytes(whole[: len(whole) - cut])


#: Name of the file, its bytes, and what reading it as a corpus says (all of it ends in what to do).
FILES: list[tuple[str, bytes, str]] = [
    ("empty.fa", b"", "* is empty (0 bytes)"),
    ("words.fa", b"just some words\n", "* at line 1: expected '>' * but got 'just some words'; give a FASTA file"),
    ("prose.fa", b"many words " * 9, "* but got 'many words many words many words many wo…'; give a FASTA file"),
    ("protein.fa?kind=dna", PROTEIN, "* looks like protein, not DNA (letter 'L' in *"),
    ("aligned.fa?kind=dna", ALIGNED, "* looks like protein, not DNA (letter 'L' in record 'p', line 2, is no *"),
    ("genome.fa?kind=protein", FASTA, "* looks like DNA, not protein (nearly all of its letters are *); give *"),
    ("genome.faa", FASTA, "* looks like DNA, not protein (nearly all of its letters are *); give a file of *"),
    ("gaps.faa", b">a\n" + b"-X*" * 90 + b"\n", "* holds no stretch of A, C, D, E, *, W, Y after cleaning; *"),
    ("protein.fa?kind=text", PROTEIN, "* is FASTA, which holds sequences; leave kind out or give another file"),
    ("reads.fq?kind=protein", b"@r\nAC\n+\nII\n", "* is FASTQ, which holds DNA; leave kind out or give another *"),
    ("inside.fa", b">a\nACGT\nACGT>b\nACGT\n", "* is not FASTA at line 3: '>' stands inside the sequence of *"),
    ("indented.fa", b">a\nACGT\n >b\nACGT\n", "* is not FASTA at line 3: '>' stands inside the sequence of *"),
    ("masked.fa", b">a\n" + b"X" * 900 + b"\n", "* holds no stretch of A, C, G, T after cleaning; give *"),
    ("blank.fa", b"\n", "* holds no FASTA records; give a FASTA file"),
    ("blank.csv", b"\n", "* is empty: it has no header line; give a table with one"),
    ("page.xml", b"<a/>", "* is XML but no MediaWiki dump (its root is <a>, not <mediawiki>); give one"),
    ("cut.xml", b"<mediawiki><page>", "* is broken XML at line 1, column 17; it may be truncated: download it *"),
    ("header.fa", b">a\n", "* holds no stretch of A, C, G, T after cleaning; give another file"),
    ("binary.fa", b">a\nAC\xff\xfe\n", "* is not FASTA at line 2: the sequence of record 'a' holds bytes *"),
    ("cut.fa.gz", gzip.compress(FASTA)[:-200], "* is truncated: its compressed data ends too early; copy or *"),
    ("cut.fa.zst", packed(zstd.compress, cut=200), "* is truncated: its compressed data ends too early; copy *"),
    ("garbled.fa.xz", packed(lzma.compress, spoil=99), "* is damaged (*); copy or download it again"),
    ("garbled.fa.zst", packed(zstd.compress, spoil=99), "* is damaged (*); copy or download it again"),
    ("garbled.fa.bz2", packed(bz2.compress, spoil=99), "* is damaged (*); copy or download it again"),
    ("plain.fa.gz", FASTA, "* is not compressed although its name ends in .gz; rename or compress it"),
    ("short.fq", b"@r\nACGT\n+\nII\n", "* is not FASTQ at line 4: record 'r' has 4 letters, but 2 qualities; *"),
    ("cut.fastq", b"@r\nACGT\n+\n", "* is not FASTQ at line 1: the file ends within record 'r'; mend it or *"),
    ("fasta.fastq", FASTA, "* is FASTA, not FASTQ; give it a name that ends in .fa"),
    ("wrapped.fastq", b"@r\nACGT\nACGT\n+\nIIII\nIIII\n", "* is not FASTQ at line 3: expected '+' in the *"),
    ("headless.fastq", b"@r\nAC\n+\nII\nr2\nAC\n+\nII\n", "* is not FASTQ at line 5: expected '@' at the *"),
    ("fastq.fa", b"@r\nACGT\n+\nIIII\n", "* is FASTQ, not FASTA; give it a name that ends in .fastq"),
    ("page.txt", HTML, "* is an HTML page, not text; save the file that it shows or leads to, not the page"),
    ("page.fa.gz", HTML, "* is an HTML page, not FASTA; save the file that it shows or leads to, not the page"),
    ("packed.txt.gz", gzip.compress(HTML), "* is an HTML page, not text; save the file *"),
    ("xhtml.txt", b'<?xml version="1.0"?>\n<!-- saved -->\n<HTML lang="en"></HTML>', "* is an HTML page, not *"),
    ("paper.txt", b"%PDF-1.7\n%\xe2\xe3\n", "* is a PDF, not text; export its text"),
    ("genome.txt", FASTA, "* is FASTA, not text; give it a name that ends in .fa"),
    ("proteins.txt", b">p x\nMKVLAAGIVGLELPRS\nTEFW\n", "* is FASTA, not text; give it a name that ends in .fa"),
    ("reads.txt", b"@r\nACGT\n+\nIIII\n", "* is FASTQ, not text; give it a name that ends in .fastq"),
    ("table.txt", parquet(text=["words"]), "* is PARQUET, not text; give it a name that ends in .parquet"),
    ("latin.txt", "naïve café\n".encode("latin-1") * 50, "* is not UTF-8 text (byte 0xef at offset 2, line *"),
    ("far.csv", b"text\n" + b"abcdefg\n" * 150_000 + b"\xe4\n", "* (byte 0xe4 at offset 1200005, line 150002)*"),
    ("spaces.txt", b" \n\t\n" * 50, "* holds no text after cleaning; give another file"),
    ("columns.csv", TABLE, "* has no column named text, sequence or content; it has id, body, title: name *"),
    ("ragged.csv", b"text,id\nwords,1\nmore,2,3,4\n", "* has 4 fields in row 2 (line 3), but its header *"),
    ("long.tsv", b"text\tid\nwords\t1\nmore\t2\t3\n", "* has 3 fields in row 2 (line 3), but its header *"),
    ("open.csv", b'id,text\n1,words\n2,"more\n3,and\n', "* cannot be read as a table: in the row that begins *"),
    ("swallowed.csv", b'id,text\n1,"words\n2,"more"\n', "* cannot be read as a table: in the row that begins *"),
    (
        "headless.csv",
        STORY,
        "* has no header: its first line is 'It was a dark and stormy night that they…'; *",
    ),
    ("sequences.csv", b"ACGTACGTAC\nACGTACGTAA\n", "* has no header: its first line is 'ACGTACGTAC'; put a *"),
    ("headless.tsv", b"1\tsome words\tx\n2\tmore\ty\n", "* has no column named text, sequence or content; it *"),
    ("list.parquet", parquet(text=[["some", "words"]]), "column 'text' of * holds list<element: string>, not *"),
    ("latin.parquet", parquet(text=["caf\u00e9".encode("latin-1")]), "column 'text' of * holds bytes that *"),
    ("fake.parquet", b"PAR1 but no more", "* cannot be read as PARQUET (*); mend or convert it"),
    ("numbers.parquet", parquet(length=[1], count=[2]), "* has no column named text, sequence or content; it *"),
    ("two.zip", zipped("a.csv", "b.fa"), "zip archive * mixes csv (a.csv) and sequences (b.fa); give files *"),
    ("odd.zip", zipped("a.c", "b.h"), "zip archive * holds no corpus: none of its 2 files has a known ext*"),
    ("none.zip", zipped("__MACOSX/._a.csv", ".DS_Store"), "* holds 0 files; a zip archive must hold exactly *"),
    ("locked.zip", zipped("a.csv", flags=1), "* is locked with a password; unpack it and give the file inside"),
    ("unknown.zip", zipped("a.docx"), "* holds a.docx, whose extension is unknown; known are .fa, *"),
    ("inside.zip", zipped("a.txt", content=FASTA), "* is FASTA, not text; give it a name that ends in .fa"),
    ("damaged.zip", zipped("a.csv")[:40], "* is damaged (File is not a zip file); copy or download it again"),
    ("genome.docx", b"words", "* has the unknown extension '.docx'; known are * (each also with .gz, .bz2, *"),
]

#: Every sentence about a file says what to do with it.
TO_DO = "give|mend|copy|download|name|rename|save|export|convert|unpack|pack|put|begin|known are"

#: An entry that is right, to be spoiled.
ENTRY: dict[str, Any] = {
    "kind": "dna", "description": "d", "licence": "l", "citation": "c", "format": "fasta", "file": "a.fa",
    "sources": [{"type": "url", "url": "https://example.org/a.fa"}],
}  # fmt: skip
WHEEL, HUB = {"type": "wheel", "package": "p", "version": "1", "member": "a.fa"}, {"type": "hub", "dataset": "a/b"}
#: Changes of an entry, and what reading the registry says of the field.
ENTRIES: list[tuple[dict[str, Any], str]] = [
    ({"kind": "rna"}, "*, corpus 'one', field kind: Input should be 'text', 'dna' or *"),
    ({"licence": ""}, "*, corpus 'one', field licence: String should have at least 1 character"),
    ({"sources": []}, "*, corpus 'one', field sources: *at least 1 item*"),
    ({"file": None}, "*, corpus 'one', field the entry itself: *'file' is needed for a corpus that is *"),
    ({"file": "../../.bashrc"}, "*, corpus 'one', field file: *must be a plain file name, without folders"),
    ({"file": "/etc/passwd"}, "*, corpus 'one', field file: *must be a plain file name, without folders"),
    ({"sources": [{"type": "url", "url": "file:///etc/passwd"}]}, "*, corpus 'one', field sources.0.url.url: *"),
    ({"sha256": "123"}, "*, corpus 'one', field sha256: String should match pattern *"),
    ({"surprise": 1}, "*, corpus 'one', field surprise: Extra inputs are not permitted"),
    ({"sources": [{"type": "ftp"}]}, "*, corpus 'one', field sources.0: Input tag 'ftp' *"),
    ({"sources": [WHEEL]}, "*, corpus 'one', field the entry itself: *'sha256' is needed for a file of a package"),
    ({"sources": [HUB, HUB]}, "*, corpus 'one', field the entry itself: *a hub source stands alone in 'sources'"),
    ({"format": "text"}, "*, corpus 'one', field the entry itself: *format 'text' does not give kind 'dna'"),
]


class Payload:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def models(config: dict[str, Any], pickled: str = "", **files: bytes) -> Callable[[Path], object]:
    """Comparing a checkpoint with itself: its configuration, a pickle, and files by names (``__``: a dot)."""

    def compare(tmp: Path) -> object:
        (tmp / "model").mkdir()
        if pickled:
            (tmp / "model" / pickled).write_bytes(pickle.dumps(Payload(tmp / "was-run")))
        (tmp / "model" / "config.json").write_text(json.dumps(config))
        for name, content in files.items():
            (tmp / "model" / name.replace("__", ".")).write_bytes(content)
        return analyse_models([str(tmp / "model")] * 2, only=["static"])

    return compare


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
ADDRESSES: list[tuple[str, str]] = [
    ("ftp://h/x.fa", "* begins with ftp://, which is not read; give http://, https:// or hf://datasets/, or *"),
    ("file:///etc/x.txt", "* begins with file://, which is not read; *"),
    ("https://h:port/x.fa", "https://h:port/x.fa is no address (*); give https://host/path/file"),
    ("https://me:secret@h/x.fa", "the address of /x.fa on h holds a password, which every result would *"),
    ("https://h/genome.docx", "https://h/genome.docx does not end in the name of a corpus file; known are *"),
    ("https://h/get?file=x.fa", "* does not end in the name of a corpus file; *"),
    ("https://h/x.fa#md5=12", "https://h/x.fa#md5=12: '#md5=12' is no checksum; only #sha256= and 64 *"),
    ("https://h/x.csv:body#sha256=12ab", "*: the column stands in front of the checksum; give it behind: *"),
    ("hf://datasets/name", FORM),
    ("hf://datasets/owner/../name", FORM),
    ("hf://datasets/owner/name/../../x.parquet", FORM),
    ("hf://datasets/owner/name/https://evil/x.parquet", FORM),
    ("hf://datasets/o/n?feild=seq", "unknown option of a data set 'feild'; did you mean 'field'? (known: *; *"),
    ("hf://datasets/o/n?trust_remote_code=true", "unknown option of a data set 'trust_remote_code' (known: *"),
    ("hf://datasets/o/n?field=", "* gives option 'field' no value; give it one value"),
    ("hf://datasets/o/n?field=a&field=b", "* gives option 'field' twice; give it one value"),
    ("hf://datasets/o/n?kind=rna", "*: kind 'rna' is none of text, dna, protein; give one of these"),
]
#: Files that are there, what is asked for beside them, and what the user then reads.
ASKED: list[tuple[dict[str, bytes], str, str]] = [
    ({}, "TMP/none.fa", "no file */none.fa; give the path of a file, or *"),
    ({}, "~no-such-user/x.fa", "~no-such-user/x.fa: no home folder is known *"),
    ({"a.csv": TABLE}, "TMP/a.csv:words", "*/a.csv has no column 'words'; it has id, body, title: name one as *"),
    ({"a.fa": FASTA}, "TMP/a.fa:words", "*/a.fa is no table and has no column 'words'; leave out what stands *"),
    ({"a.csv": TABLE}, "TMP/a.csv:body?kind=rna", "*/a.csv:body?kind=rna: kind 'rna' is none of text, *"),
    ({"a.fa": FASTA}, "TMP/a.fa?kind=text", "*/a.fa is FASTA, which holds sequences; leave kind out or give *"),
    ({}, "TMP/", "directory * holds no corpus: no file has a known ext*"),
    (
        {"a.fa": FASTA, "b.csv": TABLE},
        "TMP",
        "directory * mixes csv (b.csv) and sequences (a.fa); give files of *",
    ),
    *(({}, source, sentence) for source, sentence in ADDRESSES),
]
#: Models, and what comparing them says.
MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickled": (models(BERT, "pytorch_model.bin"), UNREADABLE),
    "pickled-shard": (
        models(BERT, "pytorch_model-00001-of-00001.bin", pytorch_model__bin__index__json=b"{}"),
        UNREADABLE,
    ),
    "pickled-checkpoint": (models(BERT, "last.ckpt"), UNREADABLE),
    "pickled-as-safetensors": (models(BERT, "model.safetensors"), UNREADABLE),
    "remote": (models(REMOTE, evil__py=EVIL), UNREADABLE),
    "no-weights": (models(BERT), UNREADABLE),
}


CACHE = "set GFM_CACHE to a folder of your own that you may write to"
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
    ("calibrate --quick --out NONE", "/proc/none/deep"), (f"{TRAIN} --runs NONE", "/dev/null/deep"),
    ("analyse TMP/model --corpus TMP/ok.fa --out NONE", "/proc/none/deep"),
    (f"{BUILD} --out NONE", "/dev/null/deep"),
    ("run TMP/ok.fa --profile smoke --root ROOT --out NONE", "/proc/none/deep"),
]  # fmt: skip
#: Commands that read TMP/ok.fa.
READ = ["entropy TMP/ok.fa", f"{TRAIN} --runs TMP/runs", f"{BUILD} --out TMP/out --runs TMP/runs"]


def written(path: Path, content: bytes) -> Path:
    """The file, with that content."""
    path.write_bytes(content)
    return path


def says(error: BaseException | str, sentence: str) -> bool:
    """Whether an error, or what a command says of it, is that one sentence."""
    pattern = re.escape(sentence).replace(r"\*", ".*")
    return re.fullmatch(pattern, str(error)) is not None


@pytest.mark.parametrize(("name", "content", "sentence"), FILES, ids=[name for name, *_ in FILES])
def test_files(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path / name.partition("?")[0], content)
    with pytest.raises(GfmError) as caught:
        corpora.load(str(tmp_path / name))
    assert says(caught.value, sentence), str(caught.value)
    assert re.search(rf"\b({TO_DO})\b", str(caught.value)) or content == b""
    assert str(path) in str(caught.value) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("change", "sentence"), ENTRIES, ids=lambda value: str(value)[:30])
def test_entries_of_the_registry(
    change: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GFM_REGISTRY", str(tmp_path / "corpora.yaml"))
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"one": ENTRY}))
    assert list(corpora.registry()) == ["one"]
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"../../one": ENTRY}))
    with pytest.raises(GfmError, match="a name is made of letters, digits and the signs"):
        corpora.registry()
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"one": ENTRY | change}))
    with pytest.raises(GfmError) as caught:
        corpora.registry()
    assert says(caught.value, sentence), str(caught.value)


@pytest.mark.parametrize(("files", "source", "sentence"), ASKED, ids=[source for _, source, _ in ASKED])
def test_what_is_asked_for(files: dict[str, bytes], source: str, sentence: str, tmp_path: Path) -> None:
    for name, content in files.items():
        written(tmp_path / name, content)
    with pytest.raises(GfmError) as caught:
        corpora.load(source.replace("TMP", str(tmp_path)), max_symbols=100)
    assert says(caught.value, sentence), str(caught.value)


@pytest.mark.parametrize("case", MODELS)
def test_models(case: str, tmp_path: Path) -> None:
    compare, sentence = MODELS[case]
    with pytest.raises(GfmError) as caught:
        compare(tmp_path)
    assert says(caught.value, sentence), str(caught.value)
    assert not list(tmp_path.rglob("was-run"))  # no code of a checkpoint


@pytest.fixture
def complaint(tmp_path: Path, gfm: Callable[..., tuple[int, str, str]]) -> Callable[[str], str]:
    """What a command that fails says, in one sentence, with a good corpus at ``TMP/ok.fa``."""
    written(tmp_path / "ok.fa", FASTA)

    def say(command: str, none: str = "") -> str:
        places = {"TMP": str(tmp_path), "ROOT": str(ROOT), "NONE": none}
        given = [
            reduce(lambda text, name: text.replace(name, places[name]), places, one) for one in command.split()
        ]
        status, out, err = gfm(*given)
        assert status == 1 and out == ""
        (line,) = err.splitlines()
        return line.removeprefix("gfm: ")

    return say


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, real: Callable[..., Any], ending: str) -> None:
    """A function of the system does not permit a path that ends so."""

    def refused(path: Any, *rest: Any, **more: Any) -> Any:
        if str(path).endswith(ending):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(name, refused)


@pytest.mark.parametrize(("command", "none"), NEEDED)
def test_a_folder_that_can_be_none(
    command: str, none: str, complaint: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = "give a folder that you may write to, or make room*"
    if "NONE" not in command:
        monkeypatch.setenv("GFM_CACHE", none.replace("TMP", str(tmp_path)))
        mend = CACHE
    sentence = f"{none.replace('TMP', '*')}* cannot be written ({NO_FOLDERS[none]}): {mend}"
    assert says(line := complaint(command, none), sentence), line


@pytest.mark.parametrize("command", READ)
def test_a_corpus_that_may_not_be_read(
    command: str, complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by root, whom no permission binds."""
    refuse(monkeypatch, "builtins.open", open, "ok.fa")
    sentence = "*/ok.fa cannot be read (Permission denied): make it readable for you, or give a copy that is"
    assert says(line := complaint(command), sentence), line


def test_a_folder_in_a_corpus_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not passed over."""
    written(tmp_path / "a.fa", FASTA)
    (tmp_path / "sub").mkdir()
    refuse(monkeypatch, "os.scandir", os.scandir, "sub")
    with pytest.raises(GfmError) as caught:
        corpora.load(str(tmp_path))
    assert says(
        caught.value,
        "* cannot be read (Permission denied: */sub): make it readable for you, or give a copy that is",
    )


def test_no_home(complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user whom the system does not know, without HOME."""
    for name in ("GFM_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    line = complaint("fetch news")
    assert line.startswith("no home folder is known") and line.endswith("set HOME or GFM_CACHE"), line


def test_a_lock_of_another_user(
    complaint: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What that user has fetched is read all the same."""
    cache, entry = tmp_path / "cache", {**ENTRY, "sha256": hashlib.sha256(FASTA).hexdigest()}
    monkeypatch.setenv("GFM_CACHE", str(cache))
    monkeypatch.setenv("GFM_REGISTRY", str(tmp_path / "corpora.yaml"))
    (tmp_path / "corpora.yaml").write_text(yaml.safe_dump({"one": entry}))

    def refused(lock: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", lock.lock_file)

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    sentence = f"{cache}/corpora/one/a.fa cannot be written (Permission denied: *.lock): {CACHE}"
    assert says(line := complaint("fetch one"), sentence), line
    written(cache / "corpora/one/a.fa", FASTA)
    assert corpora.fetch("one") == cache / "corpora/one/a.fa"
    written(cache / "corpora/one/a.fa", FASTA + b"A")
    assert says(line := complaint("fetch one"), sentence), line


def test_what_the_system_refuses_elsewhere(complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/some/file")

    monkeypatch.setattr("gfm_utils.corpora.status", full)
    sentence = "the system refused ([Errno *] No space left on device: '/some/file'); mend that and run the same *"
    assert says(line := complaint("corpora"), sentence), line


def test_the_pickle_would_run(tmp_path: Path) -> None:
    """That no folder is made is no merit of the payload."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "was-run")))
    assert (tmp_path / "was-run").is_dir()
