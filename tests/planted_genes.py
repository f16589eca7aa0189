"""A genome of random bases in which all genes are planted, and the GFF3 file that says where."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

#: A gene has so many exons and introns in turn, each of so many bases, beginning and ending with an exon.
EXONS, PART, GAP = 4, 60, 180
RECORDS, GENES = ("chr1", "chr2"), 50


class Planted(NamedTuple):
    """Files and what they hold; places are 0-based, ends exclusive.

    Attributes:
        fasta: of it.
        gff: of it.
        bases: record -> its letters, in upper case, N among them.
        genes: record, strand, begin, end of each coding transcript.
        introns: record, strand, begin, end.
    """

    fasta: Path
    gff: Path
    bases: dict[str, str]
    genes: list[tuple[str, str, int, int]]
    introns: list[tuple[str, str, int, int]]


def gff_line(record: str, kind: str, begin: int, end: int, strand: str, attributes: str) -> str:
    return f"{record}\t.\t{kind}\t{begin + 1}\t{end}\t.\t{strand}\t.\t{attributes}"


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Genes on both strands in turn; every fifth exon is soft-masked, each record has a run of N.

    Introns begin with GT and end with AG in reading direction, but those of each tenth gene, which begin with GC.
    A transcript without coding parts, with an intron, lies behind each tenth gene.
    """
    rng, folder = np.random.default_rng(3), tmp_path_factory.mktemp("planted")
    whole, genes, introns, fasta, gff = {}, [], [], [], ["##gff-version 3"]
    length = (2 * EXONS - 1) * PART
    for record in RECORDS:
        bases = rng.choice(list("ACGT"), GENES * (length + GAP) + GAP)
        masked = np.zeros(len(bases), bool)
        bases[GAP // 2 : GAP // 2 + 30] = "N"
        for number in range(GENES):
            begin, strand = GAP + number * (length + GAP), "+-"[number % 2]
            end, name = begin + length, f"{record}.{number}"
            seqid = record.removeprefix("chr")
            gff.append(gff_line(seqid, "gene", begin, end, strand, f"ID=gene{name}"))
            gff.append(gff_line(seqid, "mRNA", begin, end, strand, f"ID={name};Parent=gene{name}"))
            genes.append((record, strand, begin, end))
            parts = [(begin + PART * part, begin + PART * (part + 1)) for part in range(2 * EXONS - 1)]
            first, last = ("GC" if number % 10 == 0 else "GT"), "AG"
            for one, other in parts[1::2]:
                if strand == "+":
                    bases[one : one + 2], bases[other - 2 : other] = list(first), list(last)
                else:
                    bases[other - 2 : other] = list("GC" if first == "GC" else "AC")
                    bases[one : one + 2] = list("CT")
                introns.append((record, strand, one, other))
            for place, (one, other) in list(enumerate(parts[::2]))[:: 1 if strand == "+" else -1]:
                gff.append(gff_line(seqid, "exon", one, other, strand, f"Parent={name}"))
                coding = one + 20 * (place == 0), other - 20 * (place == EXONS - 1)
                gff.append(gff_line(seqid, "CDS", *coding, strand, f"ID=cds{name};Parent={name}"))
                masked[one:other] = (number + place) % 5 == 0
            if number % 10 == 0:
                gff.append(gff_line(seqid, "lnc_RNA", end + 60, end + 120, "+", f"ID=lnc{name};Parent=gene{name}"))
                gff.append(gff_line(seqid, "exon", end + 60, end + 80, "+", f"Parent=lnc{name}"))
                gff.append(gff_line(seqid, "exon", end + 100, end + 120, "+", f"Parent=lnc{name}"))
        whole[record] = "".join(bases)
        letters = [base.lower() if hidden else base for base, hidden in zip(bases, masked, strict=True)]
        fasta += [f">{record} made up", "".join(letters)]
    (folder / "genome.fa").write_text("\n".join(fasta) + "\n")
    (folder / "genes.gff3").write_text("\n".join(gff) + "\n")
    return Planted(folder / "genome.fa", folder / "genes.gff3", whole, genes, introns)
