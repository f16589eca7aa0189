"""Corpora: registry, fetching, reading, cleaning, splitting, and the leak check."""

from gfm_utils.corpora.annotation import (
    CODES,
    Annotation,
    Feature,
    annotation,
    base_classes,
    check_covers,
    read_annotation,
)
from gfm_utils.corpora.coordinates import CoordinateMap
from gfm_utils.corpora.fetching import fetch, fetch_annotation
from gfm_utils.corpora.leaks import leakage
from gfm_utils.corpora.loading import checksum, is_streamed, load, source_file
from gfm_utils.corpora.registry import Entry, registry, status
from gfm_utils.corpora.segments import FORMAT, Corpus, Kind, Segment, Split
from gfm_utils.corpora.splitting import split

__all__ = [
    "CODES",
    "FORMAT",
    "Annotation",
    "CoordinateMap",
    "Corpus",
    "Entry",
    "Feature",
    "Kind",
    "Segment",
    "Split",
    "annotation",
    "base_classes",
    "check_covers",
    "checksum",
    "fetch",
    "fetch_annotation",
    "is_streamed",
    "leakage",
    "load",
    "read_annotation",
    "registry",
    "source_file",
    "split",
    "status",
]
