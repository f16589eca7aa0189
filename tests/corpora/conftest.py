import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from gfm_utils.corpora import Corpus, Segment


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


def corpus_of(segments, kind="dna", name="x"):
    return Corpus(name, kind, segments, "0" * 64, "", "", "")


def records_of(lengths, kind="dna"):
    make = random_dna if kind == "dna" else lambda n, seed: random_text(n // 5, seed)
    return corpus_of([Segment(f"r{i}", 0, make(n, i)) for i, n in enumerate(lengths)], kind)


DATA = b">chr1\n" + random_dna(6000).encode() + b"\n"
WHEEL_SOURCE = {"type": "wheel", "package": "tinydna", "version": "1.0", "member": "tinydna/data/chr1.fa"}


def entry(**changes):
    return {
        "kind": "dna",
        "description": "d",
        "licence": "l",
        "citation": "c",
        "format": "fasta",
        "file": "chr1.fa",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "sources": [WHEEL_SOURCE],
    } | changes


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
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tinydna-1.0-py3-none-any.whl"
    info = "tinydna-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydna\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """Pip sees nothing but this folder."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
