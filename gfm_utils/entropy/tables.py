"""The columns that result tables of entropy have beside those of every result table."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from gfm_utils.tables import table

#: Columns that entropy rows add: the estimator or coder; its kind (``estimate``, ``upper bound`` or ``exact``);
#: the order k of blocks; the standard error; and whether the sample is large enough for the estimator.
EXTRA = ("estimator", "kind", "order", "se", "trusted")
_TYPES = {"order": "Int64", "se": "float64", "trusted": "boolean", "estimator": "string", "kind": "string"}


def entropy_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A result table with the extra columns in their types.

    Raises:
        ValueError: a row has an unknown column or lacks a required one.
    """
    return table(rows, extra=EXTRA).astype(_TYPES)
