from collections import Counter
from pathlib import Path, PurePath

import pytest
import yaml

from gfm_utils.corpora import fetch, registry, status
from gfm_utils.corpora.registry import find
from gfm_utils.errors import GfmError

from .conftest import entry


def test_the_shipped_registry_holds_what_the_book_and_the_paper_use():
    names = {
        "tair10-chr1",
        "alyrata-chr12",
        "aarenosa-chr12",
        "news",
        "wikipedia",
        "opengenome2",
        "text8",
        "plants",
    }
    assert names <= set(registry()) and {e.kind for e in registry().values()} == {"text", "dna", "protein"}
    stream = find("opengenome2").hub
    folder = stream.data_files.rpartition("/")[0]
    for part in ("test", "valid", "train"):  # no data that Evo 2 held out
        name = PurePath(f"{folder}/data_windows_{part}_chunk1.jsonl.gz")
        assert name.match(stream.data_files) == (part == "train")


def test_the_corpora_of_the_atlas_are_registered_once_each_with_a_label_and_of_many_groups():
    conditions = yaml.safe_load((Path(__file__).parents[2] / "data" / "atlas.yaml").read_text(encoding="utf-8"))
    entries = {name: find(name.partition("@")[0]) for name in conditions}
    assert len(entries) == len(conditions) == len({entry.label for entry in entries.values()}) > 20
    groups = Counter(entry.group for entry in entries.values())
    genomes = sum(entry.kind == "dna" for entry in entries.values()) - groups["transcript"]
    assert None not in groups and genomes >= 8 and groups["natural language"] >= 6
    assert groups["programming language"] >= 2


def test_what_a_licence_forbids_is_said_before_a_download(register, cache, capsys):
    terms, source = "for non-commercial use only", {"type": "url", "url": "http://127.0.0.1:9/b.fa"}
    register(one=entry(terms=terms, licence="CC BY-NC 4.0", sources=[source]))
    with pytest.raises(GfmError, match="could not be downloaded"):
        fetch("one", progress=False)
    assert capsys.readouterr().err == f"one: CC BY-NC 4.0, {terms}\n"


def test_the_status_and_a_registry_that_is_not_there(register, monkeypatch):
    register(one=entry())
    assert status()[0] | {"name": "one", "cached": False, "source": "wheel tinydna 1.0, chr1.fa"} == status()[0]
    monkeypatch.setenv("GFM_REGISTRY", "/nowhere.yaml")
    with pytest.raises(GfmError, match=r"no registry of corpora at /nowhere.yaml"):
        registry()
