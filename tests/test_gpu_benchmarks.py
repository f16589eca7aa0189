"""``benchmarks/gpu.py``: what is cut off, what goes on, and what is kept; and its recorded run, on a CPU."""

import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from gfm_utils.tables import COLUMNS

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TABLE = """
import pathlib, pandas
folder = pathlib.Path('{0}')
folder.mkdir(parents=True)
frame = pandas.DataFrame([dict(task='t', case='c', peer='p', ratio=2.5, device='d')])
frame.to_parquet(folder / (folder.name + '.parquet'))
"""
#: Starts a process that would outlive it.
ENDLESS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    monkeypatch.setattr(gpu, "LEAST", 0.1)
    return gpu


def python(text: str) -> list[str]:
    return ["-S", "-c", text]


def test_a_step_is_cut_off_and_the_next_goes_on(gpu, tmp_path, capfd):
    """With all that it has started; what is recorded by then stays, and the status says that not all is well."""
    steps = [
        gpu.Step("first", 20, "a table", ["-c", TABLE.format(tmp_path / "first")]),
        gpu.Step("endless", 1.5, "", python(ENDLESS)),
        gpu.Step("wrong", 20, "", python("raise SystemExit('no such thing')")),
        gpu.Step("last", 20, "", python("print('[]')"), output="last.json"),
    ]
    began = time.monotonic()
    assert gpu.run(steps, tmp_path, 60, tmp_path.parent / "all.tar.gz") == 1
    assert time.monotonic() - began < 30
    shown = capfd.readouterr()
    assert shown.err.count("\n") == 2
    assert "endless: cut off after 2 s" in shown.err or "endless: cut off after 1 s" in shown.err
    assert (
        "wrong: failed with status 1" in shown.err and "no such thing" in (tmp_path / "logs/wrong.log").read_text()
    )
    pid = int((tmp_path / "logs/endless.log").read_text())
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    assert json.loads((tmp_path / "last.json").read_text()) == []
    kept = (tmp_path / "summary.txt").read_text()
    assert "first: 1 rows" in kept and "2.5" in kept and "first/first.parquet" in kept
    with tarfile.open(tmp_path.parent / "all.tar.gz") as packed:
        assert f"{tmp_path.name}/first/first.parquet" in packed.getnames()


def test_nothing_is_begun_when_the_seconds_are_over(gpu, tmp_path):
    steps = [
        gpu.Step("long", 60, "", python("import time; time.sleep(60)")),
        gpu.Step("late", 60, "", python("print('here')")),
    ]
    long, late = gpu.run_steps(steps, tmp_path, 1.0)
    assert long.state.startswith("cut off") and (late.state, late.begun) == ("no time left", False)
    assert not (tmp_path / "logs" / "late.log").exists()


@pytest.mark.parametrize(("found", "state"), [("broken", "left out"), ("ok", "done")])
def test_where_training_does_not_work_only_what_needs_none_is_done(gpu, tmp_path, found, state):
    doctor = f'print(\'[{{"check": "training", "state": "{found}"}}]\'); raise SystemExit(1)'
    steps = [
        gpu.Step("doctor", 20, "", python(doctor), output=gpu.DOCTOR, trains=False),
        gpu.Step("train", 20, "", python("pass")),
        gpu.Step("count", 20, "", python("pass"), trains=False),
    ]
    ended = {one.name: one.state for one in gpu.run_steps(steps, tmp_path, 60)}
    assert ended["doctor"] == "failed with status 1" and ended["count"] == "done"
    assert ended["train"].startswith(state)


def test_what_would_be_done_is_said(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run", "--steps", "doctor", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "doctor --json" in done.stdout and "--profile gpu" in done.stdout and "bert" not in done.stdout
    assert not list(tmp_path.iterdir())
    wrong = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "no such step: nothing" in wrong.stderr


def test_a_recorded_run_can_be_read_and_made_anew(toy_fasta, tmp_path, monkeypatch):
    """At the smallest profile; and what later changes of the recipe or the analyses are compared with."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu_steps

    out, condition = tmp_path / "gpu", f"{toy_fasta}@kmer3"
    given = ["--profile", "smoke", "--conditions", condition, "--runs", str(tmp_path / "runs"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["gpu_steps.py", "run", *given, "--train-seconds", "1"])
    with pytest.raises(SystemExit) as ended:
        gpu_steps.main()
    assert not ended.value.code
    frame = pd.read_parquet(out / "gpu.parquet")
    assert list(frame) == list(COLUMNS) and set(frame["condition"]) == {condition}
    known = {"validation_nll", "output_entropy", "js_distance", "linear_cka", "anisotropy", "fisher_share"}
    assert known <= set(frame["metric"]) and {"strand_js_distance"} <= set(frame["metric"])
    about = json.loads((out / "provenance.json").read_text())
    given = about["configuration"]
    assert given["chapters"] == sorted(["ensembles", *gpu_steps.ANALYSES])
    same = gpu_steps.sized("smoke", given["steps"])
    assert given["sources"] == gpu_steps.sources(same)
    assert given["recipe"] == json.loads(same.model_dump_json())
    assert given["sources"] != gpu_steps.sources(same.model_copy(update={"test_windows": 5}))
    assert f"--steps run --profile smoke --train-steps {given['steps']}" in about["command"]
    assert given["members"][condition]["together"] == 1
