"""Recorded runs, of which a chapter takes the numbers of its answer where they have trained longer."""

import json

import pandas as pd
import pytest

from gfm_utils import provenance
from gfm_utils.files import write_json
from gfm_utils.measures.rows import member_rows
from gfm_utils.tables import DEFINITIONS, table


def run(loss: float) -> pd.DataFrame:
    base = {"condition": "d@x", "state": "trained", "metric": "validation_nll", "unit": "bits/token"}
    return table(member_rows({**base, "axis": "tokens", "x": 1000}, (1, 2, 3), [loss - 0.1, loss, loss + 0.1], 5))


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Record a run in a repository of its own, as on a certain GPU."""
    monkeypatch.setattr(provenance.gfm_utils, "__file__", str(tmp_path / "gfm_utils" / "__init__.py"))
    monkeypatch.setattr(provenance.sysconfig, "get_path", lambda name: str(tmp_path / "share"))
    monkeypatch.setattr(provenance, "device_name", lambda: "NVIDIA H200")

    def recorded(name, frame, **configuration):
        folder = tmp_path / "data" / "results" / name
        made = {"profile": "gpu", "chapters": ["ensembles"], "recipe": {}, **configuration}
        provenance.record(frame, folder, "command", made, 1.0)
        return folder

    return recorded


def test_what_is_no_run_or_has_other_definitions_is_left_out(record):
    """A benchmark, and a run before the definitions changed."""
    folder = record("gpu", run(5.0), steps=1500)
    speed = record("gpu-speed", pd.DataFrame({"task": ["gpu:speed"], "ours": [1.0]})) / "provenance.json"
    write_json(speed, {**json.loads(speed.read_text()), "configuration": {"profile": "gpu"}})
    before = record("gpu-before", run(4.0)) / "provenance.json"
    write_json(before, {**json.loads(before.read_text()), "definitions": DEFINITIONS - 1})
    assert [one.name for one in provenance.recorded_runs()] == [folder.name]
    assert provenance.recorded_runs()[0].title == "Recorded run gpu (1,500 steps, NVIDIA H200)"
