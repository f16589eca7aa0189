"""What cleaning and splitting give, pinned: a change here without a bump of FORMAT would poison caches."""

from gfm_utils.corpora import FORMAT, load, split
from gfm_utils.files import digest

from .conftest import random_dna, random_text

GOLDEN = {1: {"dna": "2b10157b265e2760", "text": "fe4bbc2aa5ef020b"}}


def digest_of(path):
    corpus = load(str(path))
    result = split(corpus, seed=3, block=2000, gap=200)
    return digest(
        {part: [(s.record, s.start, s.text) for s in segments] for part, segments in result.parts().items()}
    )


def test_the_output_of_this_format_is_what_it_was(tmp_path):
    dna = random_dna(30_000).replace("ACGTA", "acRta")
    (tmp_path / "x.fa").write_text(f">a\n{dna}\n" + "".join(f">b{i}\n{random_dna(900, i)}\n" for i in range(20)))
    rows = [
        random_text(60, i) + (" schÃ¶n\u00a0 \ufffd\ufffd &amp; “x”\\n" if i % 7 == 0 else "") for i in range(60)
    ]
    (tmp_path / "x.csv").write_text("text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = {"dna": digest_of(tmp_path / "x.fa"), "text": digest_of(tmp_path / "x.csv")}
    assert found == GOLDEN[FORMAT], "cleaning or splitting changed: bump FORMAT and pin the new hashes"
