"""Reading GFF3, the table of a genome's features.

Libraries looked at: gffutils builds an SQLite database, bcbio-gff needs Biopython objects, gffpandas and
bioframe read the nine columns with pandas but name no line when one of them is bad, and leave the attributes
unread. Nine columns are all there is, so they are read here, line by line (190,000 lines in a few seconds).
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from gfm_utils.corpora.opening import lines
from gfm_utils.errors import GfmError

_ATTRIBUTE = re.compile(r"(?:^|; ?)(ID|Parent|Name)=([^;]+)")
_GTF = re.compile(r'\w+ "')

COLUMNS = ("seqid", "type", "begin", "end", "id", "parents", "name")


def read_gff(path: Path) -> pd.DataFrame:
    """The features of a GFF3 file, plain or compressed.

    Args:
        path: the file.

    Returns:
        One row a line: ``seqid``, ``type``, ``begin`` and ``end`` (from 0, end exclusive), ``id`` (or ""),
        ``parents`` (a tuple of ids), ``name`` (or "").

    Raises:
        GfmError: no such file, not GFF3 (says in which line), or no feature in it.
    """
    path = Path(path)
    if not path.is_file():
        raise GfmError(f"no annotation file {path}; give the path of a GFF3 file")
    rows = []
    for number, line in enumerate(lines(path), start=1):
        if line.startswith("##FASTA") or line.startswith(">"):
            break
        if line.startswith("#") or not line.strip():
            continue
        row = _row(line)
        if isinstance(row, str):
            raise GfmError(f"{path} is not GFF3 at line {number}: {row}; give a GFF3 file")
        rows.append(row)
    if not rows:
        raise GfmError(f"{path} holds no GFF3 features")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("seqid", "name"):
        table[column] = table[column].map({value: unquote(value) for value in table[column].unique()})
    return table


def _row(line: str) -> tuple[Any, ...] | str:
    """One feature, or what is wrong with its line."""
    parts = line.split("\t")
    if len(parts) != 9:
        return f"{len(parts)} columns instead of 9, separated by tabs"
    if not (parts[3].isdecimal() and parts[4].isdecimal()):
        return f"start {parts[3]!r} and end {parts[4]!r} must be whole numbers"
    begin, end = int(parts[3]) - 1, int(parts[4])
    if not 0 <= begin < end:
        return f"start {parts[3]} and end {parts[4]} must be at least 1 and in this order"
    fields = parts[8]
    if _GTF.match(fields):
        return 'its attributes are those of GTF (key "value"), not of GFF3 (key=value)'
    values = dict(_ATTRIBUTE.findall(fields))
    parents = tuple(values["Parent"].split(",")) if "Parent" in values else ()
    return parts[0], parts[2], begin, end, values.get("ID", ""), parents, values.get("Name", "")
