"""Tasks of DNA, from a GFF3 annotation: what kind of stretch is this, and is there a site of a gene?"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.corpora import CODES, Annotation, Feature, Segment, base_classes
from gfm_utils.measures.strands import reverse_complement
from gfm_utils.measures.tasks.examples import CANDIDATES, Source, Stretch, Task, balanced

#: A stretch counts as one of a class if so much of it is; repeats are a class of their own.
PURE = 0.8
_STRETCHES = {
    "coding": (Feature.CODING, Feature.INTERGENIC),
    "coding or intron": (Feature.CODING, Feature.INTRON),
    "intron": (Feature.INTRON, Feature.INTERGENIC),
}


def dna_tasks(source: Source, annotation: Annotation) -> list[Callable[[], Task]]:
    """What makes the tasks of DNA.

    *coding*, *coding or intron*, *intron*: stretches of which ``PURE`` is coding against intergenic, coding
    against intron, and intron against intergenic, on either strand; repeats are none of these. *donor*,
    *acceptor*: the first and the last two bases of introns of protein-coding transcripts (GT, AG) against the
    same two bases elsewhere in transcripts, in reading direction. *start*: first bases of transcripts against
    places at least a stretch away from any, matched by their share of G and C.

    Raises:
        GfmError: the annotation covers no record.
    """
    classes = base_classes(source.segments, annotation)
    exons = _exons_of(source, annotation)
    ends = exons.groupby(["record", "strand", "transcript"], as_index=False).agg({"begin": "min", "end": "max"})
    makers: list[Callable[[], Task]] = [
        partial(balanced, source, name, "whole", partial(_pure, source, classes, *pair))
        for name, pair in _STRETCHES.items()
    ]
    for name, bases in (("donor", "GT"), ("acceptor", "AG")):
        find = partial(_splice_sites, source, exons, ends, name, bases)
        makers.append(partial(balanced, source, name, "right", find))
    return [*makers, partial(balanced, source, "start", "right", partial(_starts, source, ends), gc)]


def gc(bases: str) -> float:
    """Share of G and C."""
    return (bases.count("G") + bases.count("C")) / len(bases)


def _pure(source: Source, classes: npt.NDArray[np.uint8], first: Feature, second: Feature) -> Iterator[Stretch]:
    """Stretches of one class or the other, at every quarter of their length."""
    step = max(1, source.span // 4)
    for offset, segment in zip(source.offsets, source.segments, strict=False):
        begins = np.arange(0, len(segment) - source.span + 1, step)
        for kind, label in ((first, True), (second, False)):
            there = classes[offset : offset + len(segment)] == CODES[kind]
            inside = np.concatenate([[0], np.cumsum(there)])
            share = (inside[begins + source.span] - inside[begins]) / source.span
            for begin in begins[share >= PURE].tolist():
                yield Stretch("", segment.text[begin : begin + source.span], label, int(offset) + begin)


def _exons_of(source: Source, annotation: Annotation) -> pd.DataFrame:
    """Exons of transcripts of the records, with the record's name of the sequence, in order."""
    records = dict.fromkeys(segment.record for segment in source.segments)
    names = {annotation.seqid(record): record for record in records}
    exons = annotation.exons.assign(record=annotation.exons["seqid"].map(names))
    return exons.dropna(subset="record").sort_values(["transcript", "begin"])


def _splice_sites(
    source: Source, exons: pd.DataFrame, ends: pd.DataFrame, name: str, bases: str
) -> Iterator[Stretch]:
    """The sites of one end of introns, and the same two bases elsewhere in transcripts."""
    following = exons.groupby("transcript")["begin"].shift(-1)
    introns = exons.assign(first=exons["end"], last=following - 1).dropna(subset="last")
    forward = introns["strand"] == "+"
    # The donor is the first base of an intron in reading direction, the acceptor the last but one.
    ahead, back = ("first", "last") if name == "donor" else ("last", "first")
    shift = 0 if name == "donor" else 1
    place = np.where(forward, introns[ahead] - shift, introns[back] + shift).astype(np.int64)
    at = introns.assign(place=place).drop_duplicates(["record", "place", "strand"])
    for offset, segment in zip(source.offsets, source.segments, strict=False):
        for strand, letters in _strands(segment):
            mine, genes = (
                frame[(frame["record"] == segment.record) & (frame["strand"] == strand)] for frame in (at, ends)
            )
            true = set(_along(mine["place"].to_numpy(), segment, strand).tolist())
            inside = np.zeros(len(segment) + 1, np.int64)
            spans = genes[["begin", "end"]].to_numpy() - segment.start
            for begin, end in np.clip(spans if strand == "+" else len(segment) - spans[:, ::-1], 0, len(segment)):
                inside[begin] += 1
                inside[end] -= 1
            inside = np.cumsum(inside)
            for place in map(re.Match.start, re.finditer(bases, letters)):
                if inside[place] or place in true:
                    yield from _around(source, int(offset), segment, strand, letters, place, place in true)


def _starts(source: Source, ends: pd.DataFrame) -> Iterator[Stretch]:
    """First bases of transcripts, and random places far from any of them."""
    ends = ends.assign(place=np.where(ends["strand"] == "+", ends["begin"], ends["end"] - 1))
    rng = np.random.default_rng(source.seed)
    for offset, segment in zip(source.offsets, source.segments, strict=False):
        here = ends[ends["record"] == segment.record]
        near = np.sort(here["place"].to_numpy() - segment.start)
        for strand, letters in _strands(segment):
            places = _along(np.unique(here.loc[here["strand"] == strand, "place"].to_numpy()), segment, strand)
            for place in places.tolist():
                yield from _around(source, int(offset), segment, strand, letters, place, True)
            drawn = rng.integers(0, len(segment), CANDIDATES * (1 + len(places)))
            next_to = np.searchsorted(near, drawn)
            padded = np.concatenate([[-np.inf], near, [np.inf]])
            far = np.minimum(drawn - padded[next_to], padded[next_to + 1] - drawn) > source.span
            for place in (drawn[far] if strand == "+" else len(segment) - 1 - drawn[far]).tolist():
                yield from _around(source, int(offset), segment, strand, letters, place, False)


def _strands(segment: Segment) -> Sequence[tuple[str, str]]:
    """Either strand of a segment in reading direction."""
    return ("+", segment.text), ("-", reverse_complement(segment.text))


def _along(places: npt.NDArray[np.int64], segment: Segment, strand: str) -> npt.NDArray[np.int64]:
    """Places of a record inside a segment, counted along a strand of it."""
    inside = places - segment.start
    inside = inside[(inside >= 0) & (inside < len(segment))]
    return inside if strand == "+" else len(segment) - 1 - inside


def _around(
    source: Source, offset: int, segment: Segment, strand: str, letters: str, place: int, label: bool
) -> Iterator[Stretch]:
    """The stretch around a place of a strand; none where the segment ends before."""
    half = source.span // 2
    if half <= place <= len(segment) - half:
        # Of the other strand the stretch is the same bases; its place is that of its site along it, mirrored.
        along = place if strand == "+" else len(segment) - place
        yield Stretch(letters[place - half : place], letters[place : place + half], label, offset + along)
