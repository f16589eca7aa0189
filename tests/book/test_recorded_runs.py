"""Recorded runs stand in the chapters, below the answer of the run at hand."""

import json

import pandas as pd
import pytest

from gfm_utils import provenance
from gfm_utils.book.answers.data import ensembles_answer
from gfm_utils.book.answers.shared import with_recorded_runs
from gfm_utils.files import write_json
from gfm_utils.measures.rows import member_rows
from gfm_utils.tables import DEFINITIONS, table


def run(loss: float, condition: str = "d@x", last: bool = True) -> pd.DataFrame:
    base = {"condition": condition, "state": "trained", "metric": "validation_nll", "unit": "bits/token"}
    rows = member_rows({**base, "axis": "tokens", "x": 1000}, (1, 2, 3), [loss - 0.1, loss, loss + 0.1], 5)
    level = {**base, "state": None, "metric": "validation_unigram_nll", "value": 7.0}
    return table([*rows, level] if last else rows)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Record a run in a repository of its own, as on a certain GPU."""
    monkeypatch.setattr(provenance.gfm_utils, "__file__", str(tmp_path / "gfm_utils" / "__init__.py"))
    monkeypatch.setattr(provenance.sysconfig, "get_path", lambda name: str(tmp_path / "share"))
    monkeypatch.setattr(provenance, "device_name", lambda: "NVIDIA H200")

    def recorded(name, frame, **configuration):
        folder = tmp_path / "data" / "results" / name
        made = {"profile": "gpu", "chapters": ["ensembles"], **configuration}
        provenance.record(frame, folder, "command", made, 1.0)
        return folder

    return recorded


def test_the_answers_of_recorded_runs_stand_below_that_of_this_run(record):
    record("gpu", run(5.0), steps=1500)
    here, rest = with_recorded_runs(ensembles_answer, run(6.0)).split("\n\n*Recorded run ")
    assert "- **d@x**" in here and "validation loss 6.00" in here
    assert rest.startswith("gpu (1,500 steps, NVIDIA H200):*\n\n- **d@x**: after 1,000 tokens a member")
    assert "validation loss 5.00" in rest


def test_without_a_recorded_run_there_is_this_run_alone(record):
    assert with_recorded_runs(ensembles_answer, run(6.0)) == ensembles_answer(run(6.0))


def test_what_does_not_answer_is_left_out(record):
    """Other conditions, a run that ended before it came so far, a benchmark, and other definitions."""
    record("gpu-other", run(5.0, "mine@x"))
    record("gpu-cut", run(5.0, last=False))
    speed = record("gpu-speed", pd.DataFrame({"task": ["gpu:speed"], "ours": [1.0]})) / "provenance.json"
    write_json(speed, {**json.loads(speed.read_text()), "configuration": {"profile": "gpu"}})
    before = record("gpu-before", run(4.0)) / "provenance.json"
    write_json(before, {**json.loads(before.read_text()), "definitions": DEFINITIONS - 1})
    assert with_recorded_runs(ensembles_answer, run(6.0)) == ensembles_answer(run(6.0))
    assert [one.name for one in provenance.recorded_runs()] == ["gpu-cut", "gpu-other"]
