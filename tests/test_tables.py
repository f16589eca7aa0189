import numpy as np
import pandas as pd
import pytest

from gfm_utils import tables
from gfm_utils.errors import GfmError

ROW = {"condition": "c", "metric": "nll", "value": 1.5, "unit": "bits/token"}


def test_columns_types_and_nulls(tmp_path):
    frame = tables.table([ROW, {**ROW, "member": 3, "axis": "k", "x": 10, "low": 1, "high": 2, "n": 7}])
    path = tables.write_table(frame, tmp_path / "nll.parquet")
    (name, again), *rest = tables.read_tables(tmp_path).items()
    assert (name, rest, list(again.columns)) == ("nll", [], list(tables.COLUMNS))
    rows = tables.to_rows(again)
    assert rows[0] == dict.fromkeys(tables.COLUMNS) | ROW
    assert rows[1]["member"] == 3 and isinstance(rows[1]["member"], int) and rows[1]["x"] == "10"
    assert path == tmp_path / "nll.parquet"


@pytest.mark.parametrize("row", [{**ROW, "vlaue": 1}, {k: v for k, v in ROW.items() if k != "unit"}])
def test_a_row_outside_the_contract_is_refused(row):
    with pytest.raises(ValueError, match="result row"):
        tables.table([row])


def test_extra_columns_stand_last_and_nan_is_null_in_rows():
    frame = tables.table([{**ROW, "low": np.nan, "high": pd.NA, "estimator": "plugin"}], extra=("estimator",))
    assert list(frame.columns) == [*tables.COLUMNS, "estimator"]
    assert tables.to_rows(frame)[0]["low"] is None and tables.to_rows(frame)[0]["high"] is None


def test_an_empty_folder_says_what_to_run(tmp_path):
    with pytest.raises(GfmError, match="gfm build"):
        tables.read_tables(tmp_path)
