"""The corpora of the registry that come from the package index."""

import os
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from gfm_utils.corpora import CODES, Feature, annotation, base_classes, leakage, load, split

pytestmark = pytest.mark.corpora

USUAL_CACHE = os.environ.get("GFM_CACHE", platformdirs.user_cache_dir("gfm_utils"))


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    """The user's own cache, so that nothing is downloaded twice."""
    monkeypatch.setenv("GFM_CACHE", USUAL_CACHE)
    return Path(USUAL_CACHE)


@pytest.mark.parametrize(
    ("name", "records", "symbols"),
    [
        ("tair10-chr1", 1, 30_263_312),
        ("tair10-chr1-rna", 12_632, 23_058_778),
        ("tair10-chr1-protein", 10_660, 4_629_128),
        ("news", 3_781, 12_506_623),
        ("enwiki-sample", 106, None),
        ("saureus", 1, 2_821_360),  # out of a Debian package
        ("python-source", 732, 4_365_139),  # files of a wheel that a glob names
    ],
)
def test_counts(name, records, symbols):
    corpus = load(name)
    assert corpus.stats["records"] == records
    assert corpus.symbols == symbols or symbols is None
    if name == "tair10-chr1":
        assert corpus.stats["cut_symbols"] == 164_359
        assert corpus.stats["soft_masked_share"] == pytest.approx(0.2211, abs=1e-4)
    if name == "tair10-chr1-protein":  # NAC001, of the six exons of the genome
        first = corpus.segments[0]
        assert first.record.endswith(" [locus_tag=AT1G01010]") and len(first) == 429
        assert first.text.startswith("MEDQVGFGFRPNDEELVGHYLRNKIEGNTSRDVEVAISEVNICSYDPWNL")


@pytest.mark.parametrize(("name", "most"), [("news", 0.01), ("tair10-chr1", 0.05)])
def test_little_leaks(name, most):
    corpus = load(name)
    result = split(corpus, max_symbols=3_000_000)
    assert 2_600_000 >= sum(map(len, result.train)) >= 2_200_000
    assert all(row["share"] <= most for row in leakage(result, corpus.kind))


def test_classes_of_arabidopsis():
    corpus = load("tair10-chr1")
    genes = annotation("tair10-chr1")
    share = np.bincount(base_classes(corpus.segments, genes, mask=False), minlength=8) / corpus.symbols
    assert share[CODES[Feature.UNANNOTATED]] == 0
    assert 0.25 < share[CODES[Feature.CODING]] < 0.32  # 8.2 of 30 Mb
    assert 0.12 < share[CODES[Feature.INTRON]] < 0.20
    assert share.sum() == pytest.approx(1)
    masked = np.bincount(base_classes(corpus.segments, genes), minlength=8) / corpus.symbols
    assert masked[CODES[Feature.REPEAT]] == pytest.approx(0.2211, abs=1e-4)
