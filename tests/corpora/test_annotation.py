import gzip
import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import Feature, Segment, base_classes
from gfm_utils.corpora.annotation import read_annotation
from gfm_utils.errors import GfmError

from .conftest import random_dna

# 1-based, as in a GFF: a coding gene with two isoforms on 11-60, a lncRNA with an intron on 71-80, a pseudogene
# with a transcript on 85-90, a gene of which no more is known on 93-94.
GFF = """##gff-version 3
chr1.2\t.\tregion\t1\t100\t.\t+\t.\tID=r;Name=I
chr1.2\t.\tgene\t11\t60\t.\t+\t.\tID=g1
chr1.2\t.\tmRNA\t11\t60\t.\t+\t.\tID=t1;Parent=g1;Note=a%3Bb;
chr1.2\t.\texon\t11\t25\t.\t+\t.\tParent=t1
chr1.2\t.\texon\t41\t60\t.\t+\t.\tParent=t1
chr1.2\t.\tCDS\t16\t25\t.\t+\t0\tID=c1;Parent=t1
chr1.2\t.\tCDS\t41\t50\t.\t+\t0\tID=c1;Parent=t1
chr1.2\t.\ttranscript\t11\t60\t.\t+\t.\tID=t2;Parent=g1

chr1.2\t.\texon\t11\t30\t.\t+\t.\tParent=t2,t3
chr1.2\t.\tCDS\t16\t22\t.\t+\t0\tID=c2;Parent=t2
# a comment
chr1.2\t.\tgene\t71\t80\t.\t-\t.\tID=g2
chr1.2\t.\tlnc_RNA\t71\t80\t.\t-\t.\tID=t4;Parent=g2
chr1.2\t.\texon\t71\t73\t.\t-\t.\tParent=t4
chr1.2\t.\texon\t78\t80\t.\t-\t.\tParent=t4
chr1.2\t.\tpseudogene\t85\t90\t.\t+\t.\tID=p
chr1.2\t.\tmRNA\t85\t90\t.\t+\t.\tID=t5;Parent=p
chr1.2\t.\texon\t85\t88\t.\t+\t.\tParent=t5
chr1.2\t.\tgene\t93\t94\t.\t+\t.\tID=g3
###
##FASTA
>chr1.2
ACGT
"""
COUNTS = (
    (10, "intergenic"), (5, "utr"), (10, "coding"), (5, "utr"), (10, "intron"), (10, "coding"), (10, "utr"),
    (10, "intergenic"), (3, "noncoding_rna"), (4, "intron"), (3, "noncoding_rna"), (4, "intergenic"),
    (6, "other"), (2, "intergenic"), (2, "other"), (6, "intergenic"),
)  # fmt: skip
EXPECTED = [name for count, name in COUNTS for _ in range(count)]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("gff") / "a.gff3"
    path.write_text(GFF)
    return read_annotation(path)


def names(classes):
    return [list(Feature)[code].value for code in classes]


def test_every_base_has_the_class_that_the_rules_say(features):
    mask = np.zeros(100, dtype=bool)
    mask[18:33] = True
    masked = [Segment("chr1.2", 0, random_dna(100), mask)]
    assert names(base_classes(masked, features)) == [
        "repeat" if m else e for m, e in zip(mask, EXPECTED, strict=True)
    ]
    assert names(base_classes(masked, features, mask=False)) == EXPECTED
    assert names(base_classes(masked, None)) == ["repeat" if m else "unannotated" for m in mask]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=4), st.integers(0, 150))
def test_cuts_and_limits_only_take_bases_away(features, stretches, limit):
    segments, kept, position = [], [], 0
    for gap, length in stretches:
        position += gap
        segments.append(Segment("chr1.2", position, "A" * length))
        kept += range(position, position + length)
        position += length
    kept = kept[:limit]
    classes = names(base_classes(segments, features, limit=limit)) if kept else []
    assert classes == [EXPECTED[i] if i < 100 else "intergenic" for i in kept]


def test_records_go_by_several_names_and_others_are_unannotated_or_an_error(features):
    assert {features.seqid(name) for name in ("chr1.2", "chr1.2#2", "I", "1", "Chr1", "chromosome1.3")} == {
        "chr1.2"
    }
    segments = [Segment("chr7", 0, "ACGT"), Segment("chr1", 0, "ACGT")]
    assert names(base_classes(segments, features)) == ["unannotated"] * 4 + ["intergenic"] * 4
    with pytest.raises(GfmError, match=r"annotates none .*it names chr1.2, the sequences are w, x, y;"):
        base_classes([Segment(name, 0, "ACGT") for name in "wxyz"], features)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t.\tgene\t1\t5", "at line 3: 5 columns instead of 9"),
        ("chr1\t.\tgene\tx\t5\t.\t+\t.\tID=a", "at line 3: start 'x' and end '5' must be whole numbers"),
        ("chr1\t.\tgene\t0\t5\t.\t+\t.\tID=a", "at line 3: start '0' and end '5' must be whole numbers from 1"),
        ("chr1\t.\tgene\t6\t5\t.\t+\t.\tID=a", "at line 3: start '6' and end '5'"),
        ('chr1\t.\tgene\t1\t5\t.\t+\t.\tgene_id "a"; x "b";', "at line 3: its attributes are those of GTF"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "bad.gff.gz"
    path.write_bytes(gzip.compress(f"##gff-version 3\n# note\n{line}\n".encode()))
    with pytest.raises(GfmError, match=re.escape(message)):
        read_annotation(path)


def test_exons_are_those_of_coding_transcripts_with_their_strands(features, tmp_path):
    rows = features.exons.sort_values(["transcript", "begin"])
    assert rows.to_numpy().tolist() == [
        ["chr1.2", 10, 25, "+", "t1"], ["chr1.2", 40, 60, "+", "t1"], ["chr1.2", 10, 30, "+", "t2"],
    ]  # fmt: skip
    path, line = tmp_path / "b.gff3", "c\t.\t{}\t{}\t{}\t.\t{}\t.\tParent=t{}\n"
    every = [("exon", 31, 40, "-", 1), ("exon", 11, 20, "-", 1), ("CDS", 35, 40, "-", 1)]
    every += [("exon", 51, 60, strand, number) for number, strand in enumerate(".?", 2)]
    every += [("CDS", 51, 60, strand, number) for number, strand in enumerate(".?", 2)]
    path.write_text("".join(line.format(*one) for one in every))
    exons = read_annotation(path).exons
    assert exons.to_numpy().tolist() == [["c", 30, 40, "-", "t1"], ["c", 10, 20, "-", "t1"]]


def test_a_file_that_was_written_again_is_read_again(tmp_path):
    path = tmp_path / "a.gff3"
    for time, end in enumerate((9, 12), 1):
        path.write_text(f"c\t.\tgene\t1\t{end}\t.\t+\t.\tID=g\n")
        os.utime(path, (time, time))
        assert read_annotation(path).intervals["end"].tolist() == [end]
