"""Corpora: registry, fetching, reading, cleaning, splitting, and the leak check."""

from gfm_utils.corpora.addresses import is_address
from gfm_utils.corpora.annotation import (
    CODES,
    Annotation,
    Feature,
    annotation,
    base_classes,
    check_covers,
    read_annotation,
)
from gfm_utils.corpora.fetching import fetch, fetch_annotation
from gfm_utils.corpora.leaks import leakage
from gfm_utils.corpora.loading import load
from gfm_utils.corpora.planning import Plan, check_there, plan, user_path
from gfm_utils.corpora.registry import Entry, registry, status
from gfm_utils.corpora.segments import FORMAT, KINDS, CoordinateMap, Corpus, Kind, Segment, Split
from gfm_utils.corpora.splitting import split
