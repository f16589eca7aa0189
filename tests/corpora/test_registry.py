from collections import Counter
from pathlib import Path, PurePath

import pytest
import yaml

from gfm_utils.corpora import fetch, registry, status
from gfm_utils.corpora.registry import find
from gfm_utils.errors import GfmError

from .conftest import entry


def test_the_shipped_registry_is_valid_and_complete():
    names = list(registry())
    for name in (
        "tair10-chr1", "tair10-chr1-rna", "tair10-chr1-cds", "alyrata-chr12", "aarenosa-chr12", "news",
        "enwiki-sample", "wikipedia", "opengenome2", "text8", "plants",
    ):  # fmt: skip
        assert name in names
    assert {e.kind for e in registry().values()} == {"text", "dna", "protein"}
    stream = find("opengenome2").hub
    assert stream is not None and stream.data_files is not None
    folder = stream.data_files.rpartition("/")[0]
    held_out = [f"{folder}/data_windows_{part}_chunk1.jsonl.gz" for part in ("test", "valid")]
    assert not any(PurePath(name).match(stream.data_files) for name in held_out)
    assert PurePath(f"{folder}/data_windows_train_chunk1.jsonl.gz").match(stream.data_files)


def test_the_corpora_of_the_atlas_are_registered_once_each_with_a_label_and_of_many_groups():
    conditions = yaml.safe_load((Path(__file__).parents[2] / "data" / "atlas.yaml").read_text(encoding="utf-8"))
    entries = {name: find(name.partition("@")[0]) for name in conditions}
    assert len(entries) == len(conditions) == len({entry.label for entry in entries.values()}) > 20
    groups = Counter(entry.group for entry in entries.values())
    genomes = sum(entry.kind == "dna" for entry in entries.values()) - groups["transcript"]
    assert None not in groups and genomes >= 8 and groups["natural language"] >= 6
    assert groups["programming language"] >= 2


def test_what_a_licence_forbids_is_said_before_a_download(register, cache, capsys):
    terms = "for non-commercial use only"
    register(
        one=entry(terms=terms, licence="CC BY-NC 4.0", sources=[{"type": "url", "url": "http://127.0.0.1:9/b.fa"}])
    )
    with pytest.raises(GfmError, match="could not be downloaded"):
        fetch("one", progress=False)
    assert capsys.readouterr().err == f"one: CC BY-NC 4.0, {terms}\n"


def test_a_registry_that_is_no_yaml_or_no_mapping_or_missing(register, monkeypatch):
    path = register(one=entry())
    assert status()[0] | {"name": "one", "cached": False, "source": "wheel tinydna 1.0, chr1.fa"} == status()[0]
    for text, message in {
        "a: [": "is not valid YAML", "- a": "must be a mapping", "one: 3": "corpus 'one', field the entry itself",
    }.items():  # fmt: skip
        path.write_text(text)
        with pytest.raises(GfmError, match=message):
            registry()
    monkeypatch.setenv("GFM_REGISTRY", "/nowhere.yaml")
    with pytest.raises(GfmError, match=r"no registry of corpora at /nowhere.yaml"):
        registry()
