"""Reports on a Ray cluster of two simulated nodes, one of which is lost: the other makes what is missing."""

import os
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from gfm_utils.book.batch import run
from gfm_utils.book.jobs import DONE, Job, OnChapter, Outcome
from gfm_utils.book.workers import run_ray
from gfm_utils.errors import GfmError

PYTHONPATH = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def small_report(job: Job, on_chapter: OnChapter) -> Outcome:
    """A report of three chapters, which takes seconds; a chapter that is there already is not made again."""
    executed = 0
    for number in range(3):
        if not list(job.folder.glob(f"made-{number}-*")):
            (job.folder / f"made-{number}-{os.environ.get('GFM_TEST_NODE')}").write_text(str(os.getpid()))
            executed += 1
        on_chapter(f"chapter-{number}", "executed")
        while number == 1 and job.corpus == "last" and not (job.out / "lost").exists():
            time.sleep(0.05)
    return Outcome.of(job, DONE, executed=executed).kept(job.folder)


def runs(pid: str) -> bool:
    with suppress(psutil.NoSuchProcess, ValueError):
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    return False


def add_node(cluster: Any, name: str) -> Any:
    """A node with one CPU whose processes know its name, and find this file."""
    return cluster.add_node(num_cpus=1, num_gpus=0, env_vars={"PYTHONPATH": PYTHONPATH, "GFM_TEST_NODE": name})


@pytest.mark.slow
def test_a_lost_node_costs_no_report(simulated_cluster: Any, tmp_path: Path) -> None:
    """The node that is in the midst of the last report is taken away; the other makes the rest of it."""
    named = {name: add_node(simulated_cluster, name) for name in ("one", "two")}
    jobs = [
        Job(name, name, (f"{name}@kmer2",), "smoke", 42, tmp_path, tmp_path, tmp_path / "runs")
        for name in ("a", "bb", "last")
    ]
    told: list[tuple[str, str | None, str]] = []
    over = threading.Event()

    def lose() -> None:
        while not over.wait(0.05):
            for mark in (tmp_path / "last").glob("made-1-*"):
                simulated_cluster.remove_node(named.pop(mark.name.rpartition("-")[2]), allow_graceful=False)
                while not over.is_set() and runs(mark.read_text()):  # its processes notice after a moment
                    time.sleep(0.1)
                (tmp_path / "lost").touch()
                return

    watch = threading.Thread(target=lose)
    watch.start()
    try:
        outcomes = run_ray(jobs, lambda *message: told.append(message), small_report)
    finally:
        over.set()
        watch.join()
    assert [one.state for one in outcomes] == [DONE] * 3
    for job in jobs:
        assert sorted(path.name.split("-")[1] for path in job.folder.glob("made-*")) == list("012")
    makers = {path.name.rpartition("-")[2] for path in (tmp_path / "last").glob("made-*")}
    assert len(makers) == 2 and outcomes[2].executed == 1  # what the lost node had made was kept
    assert ("a", "chapter-2", "executed") in told


def test_jobs_and_engines_are_checked_first(tmp_path: Path) -> None:
    with pytest.raises(GfmError, match="unknown engine 'rai'; did you mean 'ray'"):
        run(["a@kmer2"], "smoke", tmp_path, engine="rai")
    with pytest.raises(GfmError, match="with Ray each node makes one"):
        run(["a@kmer2"], "smoke", tmp_path, at_once=2, engine="ray")
