"""The calibration's chart and table."""

import pytest

from gfm_utils.entropy.calibration import calibrate
from gfm_utils.entropy.sources import random_markov, uniform
from gfm_utils.errors import GfmError
from gfm_utils.figures.calibration import calibration_chart, nsb_overview


def test_chart_and_overview():
    table = calibrate([uniform(), random_markov(1)], (500, 2000), repeats=2)
    drawn = calibration_chart(table, "markov_1").to_dict()
    source = next(p for p in drawn["params"] if p["name"] == "source")
    assert source["value"] == "markov_1" and source["bind"]["options"] == ["uniform_4", "markov_1"]
    rows = max(drawn["datasets"].values(), key=len)
    assert len(rows) == 2 * 2 * 10
    assert all(row["low"] <= row["bias"] <= row["high"] for row in rows)
    assert nsb_overview(table).data.shape == (4, 6)
    with pytest.raises(GfmError, match="no source 'x'"):
        calibration_chart(table, "x")
    with pytest.raises(GfmError, match="no calibration"):
        calibration_chart(table[:0])
