"""Result tables, which others script against: a row per condition, member or pair, metric and position."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gfm_utils.errors import GfmError
from gfm_utils.files import atomic

#: Column -> meaning, in the order in which they are written.
COLUMNS: dict[str, str] = {
    "condition": "corpus@tokenizer",
    "state": "'trained', 'untrained', or a control's name; null for what no model is needed",
    "member": "seed of the member, or null for a summary over members",
    "other": "seed of the second member of a pair, or null",
    "metric": "the quantity, in snake case",
    "axis": "what the value is a function of (top_p, k, layer, group, step, ...), or null",
    "x": "the position on the axis, as text, or null",
    "value": "the number",
    "unit": "bits/token, bits/base, bits/character, share, ...",
    "low": "lower end of the 95 % interval, or null",
    "high": "upper end of the 95 % interval, or null",
    "n": "how many observations the value rests on",
}
#: Bump when a metric becomes another quantity: runs recorded before are not shown beside new ones.
DEFINITIONS = 2


def table(rows: Iterable[Mapping[str, Any]], extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """Build a result table of ``COLUMNS`` and ``extra`` ones from rows; missing columns become null.

    Raises:
        ValueError: a row has an unknown column, or lacks ``condition``, ``metric``, ``value`` or ``unit``.
    """
    plain = [dict(row) for row in rows]
    names = [*COLUMNS, *extra]
    for row in plain:
        unknown = set(row) - set(names)
        missing = {"condition", "metric", "value", "unit"} - set(row)
        if unknown or missing:
            raise ValueError(f"result row {row}: unknown columns {sorted(unknown)}, missing {sorted(missing)}")
        if row.get("x") is not None:
            row["x"] = str(row["x"])  # before pandas sees it: beside nulls, a whole number would become 10.0
    frame = pd.DataFrame(plain, columns=names)
    for name in ("value", "low", "high"):
        frame[name] = frame[name].astype("Float64").to_numpy("float64", na_value=np.nan)
    for name in ("member", "other", "n"):
        frame[name] = frame[name].astype("Int64")
    for name in ("condition", "state", "metric", "axis", "x", "unit"):
        frame[name] = frame[name].map(lambda v: None if v is None or pd.isna(v) else str(v)).astype("string")
    return frame


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a result table as Parquet, atomically, and return its path."""
    with atomic(Path(path)) as temporary:
        frame.to_parquet(temporary, index=False)
    return Path(path)


def kept_table(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """A table from its file, made and written first where there is none.

    The file's name holds a digest of all that the table depends on.
    """
    if not path.exists():
        write_table(make(), path)
    return pd.read_parquet(path)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Every result table in a folder, by the name of its file; a GfmError if it holds none."""
    tables = {path.stem: pd.read_parquet(path) for path in sorted(Path(folder).glob("*.parquet"))}
    if not tables:
        raise GfmError(f"no result tables (*.parquet) in {folder}; run 'gfm build' first")
    return tables


def to_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain Python values (null as None), ready for JSON."""
    return [
        {name: (None if pd.isna(value) else value) for name, value in row.items()}
        for row in frame.astype(object).to_dict(orient="records")
    ]
