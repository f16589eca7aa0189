"""Reports on a Ray cluster of two simulated nodes, one of which is lost: the tables are those of one process."""

import os
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from gfm_utils.book import cluster as engine
from gfm_utils.book.batch import run
from gfm_utils.book.jobs import DONE, Job, OnChapter, Outcome
from gfm_utils.errors import GfmError
from gfm_utils.tables import table, write_table

PYTHONPATH = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def small_report(job: Job, on_chapter: OnChapter) -> Outcome:
    """A report of three chapters, which takes seconds; a chapter that is there already is not made again."""
    executed = 0
    for number in range(3):
        target = job.folder / "results" / f"chapter-{number}.parquet"
        if not target.exists():
            values = np.random.default_rng([number, len(job.corpus)]).normal(size=4)
            name = job.conditions[0]
            write_table(
                table(
                    {"condition": name, "metric": "nll", "value": value, "unit": "bits/token"} for value in values
                ),
                target,
            )
            (job.folder / f"made-{number}-{os.environ.get('GFM_TEST_NODE')}").write_text(str(os.getpid()))
            executed += 1
        on_chapter(f"chapter-{number}", "executed")
        while number == 1 and job.corpus == "last" and not (job.out / "lost").exists():
            time.sleep(0.05)
    return Outcome.of(job, DONE, executed=executed).kept(job.folder)


def jobs_in(out: Path) -> list[Job]:
    names = ("a", "bb", "last")
    return [Job(name, name, (f"{name}@kmer2",), "smoke", 42, out, out, out / "runs") for name in names]


def tables_of(out: Path) -> dict[str, pd.DataFrame]:
    return {str(path.relative_to(out)): pd.read_parquet(path) for path in sorted(out.rglob("*.parquet"))}


def runs(pid: str) -> bool:
    with suppress(psutil.NoSuchProcess, ValueError):
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Any) -> Any:
    """Two nodes that make reports."""
    simulated_cluster.named = {name: add_node(simulated_cluster, name) for name in ("one", "two")}
    return simulated_cluster


def add_node(cluster: Any, name: str) -> Any:
    """A node with one CPU whose processes know its name, and find this file."""
    return cluster.add_node(num_cpus=1, num_gpus=0, env_vars={"PYTHONPATH": PYTHONPATH, "GFM_TEST_NODE": name})


@pytest.mark.slow
def test_a_lost_node_costs_no_report(cluster: Any, tmp_path: Path) -> None:
    """The node that is in the midst of the last report is taken away; the other makes the rest of it."""
    out, plain = tmp_path / "out", tmp_path / "plain"
    (plain / "lost").mkdir(parents=True)
    for job in jobs_in(plain):
        small_report(job, lambda _name, _what: None)
    told: list[tuple[str, str | None, str]] = []
    over = threading.Event()

    def lose() -> None:
        while not over.wait(0.05):
            for found in (out / "last").glob("made-1-*"):
                cluster.remove_node(cluster.named.pop(found.name.rpartition("-")[2]), allow_graceful=False)
                while not over.is_set() and runs(found.read_text()):  # its processes notice after a moment
                    time.sleep(0.1)
                (out / "lost").touch()
                return

    watch = threading.Thread(target=lose)
    watch.start()
    try:
        outcomes = engine.run_ray(jobs_in(out), lambda *message: told.append(message), small_report)
    finally:
        over.set()
        watch.join()
    assert [one.state for one in outcomes] == [DONE] * 3
    found, expected = tables_of(out), tables_of(plain)
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame)
    makers = {path.name.rpartition("-")[2] for path in (out / "last").glob("made-*")}
    assert len(makers) == 2 and outcomes[2].executed == 1  # what the lost node had made was kept
    assert ("a", "chapter-2", "executed") in told


def test_jobs_and_engines_are_checked_first(tmp_path: Path) -> None:
    with pytest.raises(GfmError, match="unknown engine 'rai'; did you mean 'ray'"):
        run(["a@kmer2"], "smoke", tmp_path, engine="rai")
    with pytest.raises(GfmError, match="with Ray each node makes one"):
        run(["a@kmer2"], "smoke", tmp_path, at_once=2, engine="ray")
