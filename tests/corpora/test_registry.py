import re

import pytest

from gfm_utils.corpora import registry, status
from gfm_utils.corpora.registry import cached_path, find
from gfm_utils.errors import GfmError

from .conftest import entry


def test_the_shipped_registry_is_valid_and_complete():
    names = list(registry())
    for name in (
        "tair10-chr1", "tair10-chr1-rna", "tair10-chr1-cds", "alyrata-chr12", "aarenosa-chr12", "news",
        "enwiki-sample", "wikipedia", "opengenome2", "text8",
    ):  # fmt: skip
        assert name in names
    assert {e.kind for e in registry().values()} == {"text", "dna"}


def test_status_tells_what_is_cached(register, cache):
    register(one=entry(), two=entry(file="b.fa"))
    path = cached_path("one", find("one"))
    path.parent.mkdir(parents=True)
    path.write_text("x")
    rows = status()
    assert [(row["name"], row["cached"]) for row in rows] == [("one", True), ("two", False)]
    assert set(rows[0]) == {"name", "kind", "size", "licence", "cached", "source", "description"}
    assert rows[0]["source"] == "wheel tinydna 1.0, chr1.fa"


HUB = {"type": "hub", "dataset": "a/b"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "corpus 'one', field surprise: Extra inputs are not permitted"),
        ({"kind": "rna"}, "field kind: Input should be 'text' or 'dna'"),
        ({"sha256": "123"}, "field sha256: String should match pattern"),
        ({"sources": []}, "field sources: Tuple should have at least 1 item"),
        ({"sources": [{"type": "ftp"}]}, "field sources.0: Input tag 'ftp'"),
        (
            {"sources": [{"type": "url", "url": "C:/x"}]},
            "field sources.0.url.url: String should match pattern",
        ),
        ({"sha256": None}, "'sha256' is needed for a wheel source"),
        ({"file": None}, "'file' is needed"),
        ({"sources": [HUB, HUB]}, "a hub source stands alone"),
        ({"format": "text"}, "format 'text' does not give kind 'dna'"),
    ],
)
def test_a_bad_entry_is_named_with_its_field(register, changes, message):
    register(one=entry(**changes))
    with pytest.raises(GfmError, match=re.escape(message)):
        registry()


def test_a_registry_that_is_no_yaml_or_no_mapping_or_missing(register, monkeypatch):
    path = register(one=entry())
    path.write_text("a: [")
    with pytest.raises(GfmError, match="is not valid YAML"):
        registry()
    path.write_text("- a")
    with pytest.raises(GfmError, match="must be a mapping"):
        registry()
    path.write_text("one: 3")
    with pytest.raises(GfmError, match="corpus 'one', field the entry itself"):
        registry()
    monkeypatch.setenv("GFM_REGISTRY", "/nowhere.yaml")
    with pytest.raises(GfmError, match=r"no registry of corpora at /nowhere.yaml"):
        registry()


def test_an_unknown_corpus_comes_with_the_closest_name():
    with pytest.raises(
        GfmError,
        match=r"unknown corpus 'tair10-chr'; did you mean 'tair10-chr1'",
    ):
        find("tair10-chr")
