"""What each base of a genome is: coding, intron, repeat and so on, one class a base, from a GFF3 file.

gffutils builds an SQLite database; gffpandas and bioframe name no line when one is bad.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.corpora.fetching import fetch_annotation
from gfm_utils.corpora.opening import lines
from gfm_utils.corpora.segments import Segment
from gfm_utils.errors import GfmError


class Feature(StrEnum):
    """Class of a base; the value is its name in tables. Where several fit a base, the first one is its class."""

    REPEAT = "repeat"
    """Soft-masked in the FASTA (where the mask is asked for)."""
    CODING = "coding"
    """In a CDS of any transcript."""
    UTR = "utr"
    """In an exon of a protein-coding transcript, or marked as untranslated region, and not coding."""
    NONCODING_RNA = "noncoding_rna"
    """In an exon of any other transcript."""
    OTHER = "other"
    """In a pseudogene, or in a gene of which no transcript is given."""
    INTRON = "intron"
    """Inside a transcript, in none of its exons (in no exon of any other transcript either)."""
    INTERGENIC = "intergenic"
    """None of these, in a record that the annotation covers."""
    UNANNOTATED = "unannotated"
    """None of these, in a record that it does not cover."""


#: Number of each class in arrays of classes: its place in the order of precedence.
CODES = {feature: code for code, feature in enumerate(Feature)}

_UTRS = ("five_prime_UTR", "three_prime_UTR", "UTR", "five_prime_utr", "three_prime_utr")
_GENES = ("gene", "ncRNA_gene", "pseudogene", "pseudogenic_gene", "transposable_element_gene")
#: Types of parts, which are not transcripts though they have a gene or a transcript as their parent.
_PARTS = ("exon", "CDS", "intron", "start_codon", "stop_codon", "pseudogenic_exon", *_UTRS)
_RECORDS = ("region", "chromosome", "contig", "scaffold")
_EXON = ["seqid", "begin", "end", "strand", "transcript"]
_COLUMNS = ["seqid", "type", "begin", "end", "strand", "id", "parents", "name"]
_ATTRIBUTE = re.compile(r"(?:^|; ?)(ID|Parent|Name)=([^;]+)")
_GTF = re.compile(r'\w+ "')


@dataclass(frozen=True)
class Annotation:
    """Features of a genome as intervals."""

    source: str  # the file
    #: Columns ``seqid``, ``begin``, ``end`` (from 0, end exclusive), ``feature`` (a `Feature` from ``coding`` to
    #: ``intron``). Intervals overlap; the precedence of the classes decides.
    intervals: pd.DataFrame
    #: Each seqid, and other names of sequences, such as the chromosome's number, to the seqid.
    aliases: dict[str, str]
    #: Of protein-coding transcripts: ``seqid``, ``begin``, ``end``, ``strand`` (``+`` or ``-``), ``transcript``.
    exons: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_EXON))

    def seqid(self, record: str) -> str | None:
        """The annotation's name for a record of a FASTA; None if it has none.

        Tried in turn: the same name; a name given by the annotation (``Name`` of a ``region`` or
        ``chromosome``); and both without ``chr`` in front and a version (``.9``) behind, if just one fits.
        """
        for name in (record, re.sub(r"#\d+$", "", record)):
            if name in self.aliases:
                return self.aliases[name]
        alike = {seqid for name, seqid in self.aliases.items() if _plain(name) == _plain(record)}
        return alike.pop() if len(alike) == 1 else None


def _plain(name: str) -> str:
    """A sequence's name without case, "chr" in front and a version behind."""
    return re.sub(r"^(chromosome|chrom|chr)[_ ]?|\.\d+$", "", name.lower())


def annotation(name: str, progress: bool = False) -> Annotation | None:
    """The annotation of a corpus of the registry; None if its entry names none.

    Raises:
        GfmError: unknown corpus, or failed download.
    """
    path = fetch_annotation(name, progress)
    return None if path is None else read_annotation(path)


def read_annotation(path: Path) -> Annotation:
    """Features of a GFF3 file by class.

    Raises:
        GfmError: no such file, not GFF3 (says in which line), or no feature in it.
    """
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=1)
def _read(path: Path, _changed: int) -> Annotation:
    table = _features(path)
    whole = table["type"].isin(_RECORDS) & (table["begin"] == 0)
    named = table[whole & (table["name"] != "")].drop_duplicates("name", keep=False)
    aliases = dict(zip(named["name"], named["seqid"], strict=True))
    aliases |= {str(seqid): str(seqid) for seqid in table["seqid"].unique()}
    coding = set(table.loc[table["type"] == "CDS", "parents"].explode().dropna())
    intervals = table[["seqid", "begin", "end"]].assign(feature=_classes(table, coding))
    features = intervals[intervals["feature"] != ""].reset_index(drop=True)
    exons = table[(table["type"] == "exon") & table["strand"].isin(("+", "-"))].explode("parents")
    exons = exons[exons["parents"].isin(coding)].rename(columns={"parents": "transcript"})
    return Annotation(str(path), features, aliases, exons[_EXON].reset_index(drop=True))


def _classes(table: pd.DataFrame, coding: set[str]) -> npt.NDArray[np.str_]:
    """Class of the interval of each line; "" for lines that say nothing about a class."""
    kind, name, parents = table["type"], table["id"], table["parents"]

    def inside(features: set[str]) -> "pd.Series[bool]":
        return ~parents.map(features.isdisjoint).astype(bool)

    pseudogenes = set(name[kind.str.startswith("pseudogen")])
    while more := set(name[inside(pseudogenes)]) - pseudogenes - {""}:
        pseudogenes |= more
    exon, gene, has_parts = kind == "exon", kind.isin(_GENES), name.isin(set(parents.explode()))
    messenger = inside(coding | set(name[kind == "mRNA"]))
    transcript = (parents.str.len() > 0) & ~kind.isin(_PARTS) & has_parts
    return np.select(  # the first that fits
        [
            inside(pseudogenes), kind == "CDS", kind.isin(_UTRS) | (exon & messenger), exon,
            kind.str.startswith("pseudogen") | (gene & ~has_parts), gene, (kind == "intron") | transcript,
        ],
        ["", Feature.CODING, Feature.UTR, Feature.NONCODING_RNA, Feature.OTHER, "", Feature.INTRON],
        default="",
    )  # fmt: skip


def base_classes(
    segments: Sequence[Segment], features: Annotation | None, mask: bool = True, limit: int | None = None
) -> npt.NDArray[np.uint8]:
    """The class of each base of a cleaned sequence, or of its first ``limit``, as numbers of ``CODES``: (bases,).

    With ``mask`` soft-masked bases are ``repeat``, whatever else they are. Without an annotation all others are
    ``unannotated``.

    Raises:
        GfmError: the annotation covers no record.
    """
    of_record = {} if features is None else _classes_of_records(segments, features)
    parts = [np.zeros(0, np.uint8)]
    for segment in segments:
        part = np.full(len(segment), CODES[Feature.UNANNOTATED], np.uint8)
        if segment.record in of_record:
            part = of_record[segment.record][segment.start : segment.start + len(segment)].copy()
        if mask and segment.soft_mask is not None:
            part[segment.soft_mask] = CODES[Feature.REPEAT]
        parts.append(part)
    return np.concatenate(parts)[:limit]


def check_covers(segments: Sequence[Segment], features: Annotation) -> None:
    """Make sure that an annotation is one of this sequence.

    Raises:
        GfmError: it covers no record.
    """
    names = list(dict.fromkeys(segment.record for segment in segments))
    if not any(features.seqid(name) for name in names):
        ours, theirs = ", ".join(names[:3]), ", ".join(sorted(set(features.aliases.values()))[:3])
        raise GfmError(
            f"{features.source} annotates none of the records: it names {theirs}, the sequences are {ours}; "
            "give the annotation of this very sequence"
        )


def _classes_of_records(segments: Sequence[Segment], features: Annotation) -> dict[str, npt.NDArray[np.uint8]]:
    """The class of each base, cut out or not, of each record that the annotation covers."""
    check_covers(segments, features)
    lengths: dict[str, int] = {}
    for segment in segments:
        lengths[segment.record] = max(lengths.get(segment.record, 0), segment.start + len(segment))
    of_seqid = dict(tuple(features.intervals.groupby("seqid")))
    classes = {}
    for record, length in lengths.items():
        if (seqid := features.seqid(record)) is not None:
            classes[record] = np.full(length, CODES[Feature.INTERGENIC], np.uint8)
            rows = of_seqid.get(seqid, features.intervals[:0])
            for feature in reversed(Feature):  # those that take precedence last
                for begin, end in rows.loc[rows["feature"] == feature, ["begin", "end"]].to_numpy().tolist():
                    classes[record][begin:end] = CODES[feature]
    return classes


def _features(path: Path) -> pd.DataFrame:
    """A row for each feature: ``begin`` from 0 and ``end`` exclusive, ``parents`` a tuple of ids."""
    rows = []
    for number, line in enumerate(lines(path), start=1):
        if line.startswith(("##FASTA", ">")):
            break
        if line.startswith("#") or not line.strip():
            continue
        row = _row(line.split("\t"))
        if isinstance(row, str):
            raise GfmError(f"{path} is not GFF3 at line {number}: {row}; give a GFF3 file")
        rows.append(row)
    if not rows:
        raise GfmError(f"{path} holds no GFF3 features; give a GFF3 file")
    table = pd.DataFrame(rows, columns=_COLUMNS)
    for column in ("seqid", "name"):
        table[column] = table[column].map({value: unquote(value) for value in table[column].unique()})
    return table


def _row(parts: list[str]) -> tuple[Any, ...] | str:
    """One feature, or what is wrong with its line."""
    if len(parts) != 9:
        return f"{len(parts)} columns instead of 9, separated by tabs"
    start, end = parts[3], parts[4]
    if not (start.isdecimal() and end.isdecimal() and 1 <= int(start) <= int(end)):
        return f"start {start!r} and end {end!r} must be whole numbers from 1 on, in this order"
    if _GTF.match(parts[8]):
        return 'its attributes are those of GTF (key "value"), not of GFF3 (key=value)'
    values = {"ID": "", "Name": "", "Parent": ""} | dict(_ATTRIBUTE.findall(parts[8]))
    parents = tuple(filter(None, values["Parent"].split(",")))
    return parts[0], parts[2], int(start) - 1, int(end), parts[6], values["ID"], parents, values["Name"]
