import hashlib
import os
import subprocess
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml

from gfm_utils.corpora import Corpus, Segment, fetching


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Every test has an empty cache of its own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GFM_CACHE", str(folder))
    return folder


def random_dna(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def random_text(words, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 5000, words)
    return " ".join(f"w{number}" for number in numbers)


def corpus_of(segments, kind="dna"):
    return Corpus("x", kind, segments, "0" * 64, "", "", "")


def records_of(lengths):
    return corpus_of([Segment(f"r{i}", 0, random_dna(n, i)) for i, n in enumerate(lengths)])


DATA = b">chr1\n" + random_dna(6000).encode() + b"\n"
DEB_SOURCE = {"type": "deb", "package": "tinydna", "version": "1:1.0-1", "member": "usr/share/chr1.fa"}
WHEEL_SOURCE = {"type": "wheel", "package": "tinydna", "version": "1.0", "member": "tinydna/data/chr1.fa"}


def entry(**changes):
    return {
        "kind": "dna", "description": "d", "licence": "l", "citation": "c", "format": "fasta", "file": "chr1.fa",
        "sha256": hashlib.sha256(DATA).hexdigest(), "sources": [WHEEL_SOURCE],
    } | changes  # fmt: skip


@pytest.fixture
def put(tmp_path):
    """Call with a name and content (text or bytes) to get the path of that file."""

    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return make


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Call with name=entry to make that the registry."""

    def make(**entries):
        path = tmp_path / "corpora.yaml"
        path.write_text(yaml.safe_dump(entries))
        monkeypatch.setenv("GFM_REGISTRY", str(path))
        return path

    return make


def make_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "tinydna-1.0-py3-none-any.whl"
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: tinydna\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (*members.items(), *((f"tinydna-1.0.dist-info/{n}", text) for n, text in info.items())):
            archive.writestr(name, data)
    return path


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """Pip sees nothing but this folder."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


APT = """#!/bin/sh
for last; do :; done
file="{folder}/${{last%=*}}_${{last#*=}}_all.deb"
[ "$1" = download ] && [ -f "$file" ] && exec /bin/cp "$file" .
echo "W: unsandboxed" >&2; echo "E: Version '${{last#*=}}' for '${{last%=*}}' was not found" >&2; exit 100
"""


@pytest.fixture
def debs(tmp_path, monkeypatch):
    """Debian's client sees nothing but this folder."""
    folder = tmp_path / "debs"
    folder.mkdir()
    client = folder / "apt-get"
    client.write_text(APT.format(folder=folder))
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def make_deb(folder: Path, files: dict[str, bytes]) -> Path:
    tree, path = folder / "tree", folder / "tinydna_1:1.0-1_all.deb"
    control = "Package: tinydna\nVersion: 1:1.0-1\nArchitecture: all\nMaintainer: x\nDescription: d\n"
    for name, content in {"DEBIAN/control": control.encode(), **files}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    (tree / "usr" / "link.gz").symlink_to("a.gz")
    subprocess.run(["dpkg-deb", "--build", tree, path], check=True, stdout=subprocess.DEVNULL)
    return path


class Faulty(ThreadingHTTPServer):
    """A server of ``data`` at every path without ``gone``, and what it does wrong.

    It closes the connection, or falls silent, after so many bytes of its next answers (``cuts``, ``stalls``),
    pauses after every 500 bytes, and says an ``encoding``.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.data, self.cuts, self.stalls, self.pause, self.encoding = DATA, [], [], 0.0, None
        self.paths, self.over = [], threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # the name is http.server's
        self.server.paths.append(self.path)
        if "gone" in self.path:
            return self.send_error(404)
        data = self.server.data
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.end_headers()
        cut, stall = (ends.pop(0) if ends else len(data) for ends in (self.server.cuts, self.server.stalls))
        end = min(cut, stall)
        for begin in range(0, end, 500):
            self.wfile.write(data[begin : min(begin + 500, end)])
            time.sleep(self.server.pause)
        if stall < len(data):
            self.server.over.wait(20)

    def log_message(self, *_):
        pass


@pytest.fixture
def faulty(monkeypatch):
    server = Faulty()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name, value in {"PAUSE": 0.01, "TIMEOUT": (2.0, 0.5), "_CHUNK": 100}.items():
        monkeypatch.setattr(fetching, name, value)
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()
