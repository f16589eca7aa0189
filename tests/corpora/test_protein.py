"""Protein: known by its letters, without the gaps of an alignment, and translated from coding sequences."""

import numpy as np
import pytest

from gfm_utils.corpora import Segment, load, split
from gfm_utils.corpora.leaks import minimizers
from gfm_utils.corpora.sequences import translated

from .conftest import entry

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
#: The standard genetic code, by residue.
CODE = {
    "A": "GCT GCC GCA GCG", "C": "TGT TGC", "D": "GAT GAC", "E": "GAA GAG", "F": "TTT TTC", "G": "GGT GGC GGA GGG",
    "H": "CAT CAC", "I": "ATT ATC ATA", "K": "AAA AAG", "L": "TTA TTG CTT CTC CTA CTG", "M": "ATG", "N": "AAT AAC",
    "P": "CCT CCC CCA CCG", "Q": "CAA CAG", "R": "CGT CGC CGA CGG AGA AGG", "S": "TCT TCC TCA TCG AGT AGC",
    "T": "ACT ACC ACA ACG", "V": "GTT GTC GTA GTG", "W": "TGG", "Y": "TAT TAC", "*": "TAA TAG TGA",
}  # fmt: skip
CODONS = {residue: codons.split() for residue, codons in CODE.items()}


def random_protein(length, seed):
    return "".join(np.random.default_rng(seed).choice(list(RESIDUES), length))


def coding(protein, seed=0):
    """A coding sequence of a protein, by codons drawn at random, and a stop."""
    rng = np.random.default_rng(seed)
    return "".join(str(rng.choice(CODONS[residue])) for residue in f"{protein}*")


@pytest.mark.parametrize("suffix", ["", "?kind=protein"])
def test_an_alignment_is_read_without_its_gaps(put, suffix):
    first, second = random_protein(90, 1), random_protein(120, 2)
    gapped = "--.".join(first), "".join(f"{a}-" for a in second)
    corpus = load(put("x.fa", f">a of\n{gapped[0]}\n>b\n{gapped[1].lower()}\n>c\nMK*VXLB\n") + suffix)
    assert (corpus.kind, corpus.unit, corpus.stats["cut_symbols"]) == ("protein", "residue", 3)
    assert [(s.record, s.start, s.text) for s in corpus.segments] == [
        ("a", 0, first), ("b", 0, second), ("c", 0, "MK"), ("c", 3, "V"), ("c", 5, "L"),
    ]  # fmt: skip


def test_every_codon_is_translated_and_what_has_no_sure_frame_is_left_out():
    every = [(codon, residue) for residue, codons in CODONS.items() for codon in codons]
    assert len(dict(every)) == 64
    bases = "".join(codon for codon, _ in every)
    residues = "".join(residue for _, residue in every)
    assert list(translated([("a", bases), ("b", bases.lower().replace("t", "u")), ("c", "ATGNNNACRGGG")])) == [
        ("a", residues), ("b", residues), ("c", "MXXG"),
    ]  # fmt: skip
    assert list(translated([("a", bases + "A"), ("b [partial]", bases)])) == [("a", ""), ("b [partial]", "")]


def test_isoforms_of_a_gene_stay_on_one_side_and_partial_records_are_left_out(register, cache):
    """Two isoforms a gene that share no run at all; half of the genes have no tag but a name."""
    rows, proteins = [], {}
    for gene in range(60):
        key = f"[locus_tag=G{gene}]" if gene % 2 else f"[gene=n{gene}]"
        for isoform in range(2):
            name = f"g{gene}.{isoform}"
            proteins[name] = random_protein(150, 2 * gene + isoform)
            rows.append(f">{name} {key} [protein=kinase]\n{coding(proteins[name], gene)}\n")
    rows.append(f">cut [locus_tag=X] [partial=5'] [location=<3..99]\n{coding(random_protein(99, 999))}\n")
    rows.append(f">odd [locus_tag=Y]\nA{coding(random_protein(99, 998))}\n")
    source = {"type": "url", "url": "http://127.0.0.1:9/x.fa"}
    register(one=entry(kind="protein", translate=True, sha256=None, sources=[source]))
    stored = cache / "corpora" / "one" / "chr1.fa"
    stored.parent.mkdir(parents=True)
    stored.write_text("".join(rows))
    corpus = load("one")
    assert {s.record.split()[0]: s.text for s in corpus.segments} == proteins
    assert corpus.stats["dropped_empty"] == 2
    side = {s.record.split()[0]: part for part, some in split(corpus).parts().items() for s in some}
    assert all(side[f"g{gene}.0"] == side[f"g{gene}.1"] for gene in range(60))
    assert len(set(side.values())) == 3


def test_homologues_share_runs_of_twelve_residues():
    first, second = random_protein(200, 1), random_protein(200, 2)
    values = {}
    for shared in (8, 16):
        pair = [first, second[:50] + first[50 : 50 + shared] + second[50 + shared :]]
        hashes, owners = minimizers([[Segment("r", 0, text)] for text in pair], "protein")
        values[shared] = set(hashes[owners == 0].tolist()) & set(hashes[owners == 1].tolist())
    assert not values[8] and values[16]
