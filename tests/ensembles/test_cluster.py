"""Ray on simulated nodes, of which one is lost: members that train, and reports that are made."""

import json
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from alone import assert_same_bits, members, one_thread, train_member

from gfm_utils.book.jobs import Job, OnChapter, Outcome
from gfm_utils.book.workers import run_ray
from gfm_utils.ensembles import cluster as engine
from gfm_utils.ensembles.ensemble import train_jobs
from gfm_utils.ensembles.member_job import MemberJob, is_trained
from gfm_utils.errors import GfmError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
train = partial(train_jobs, engine="ray")
#: Steps that take seconds: enough to see a member in the midst of them.
LONG = 200
#: So soon a node is lost whose process is gone; a slow one has ten seconds to answer, as ever.
SOON = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
PYTHONPATH = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])


def add_node(cluster, name):
    """A node with one CPU whose processes know its name, and find this file."""
    return cluster.add_node(num_cpus=1, num_gpus=0, env_vars={"PYTHONPATH": PYTHONPATH, "GFM_TEST_NODE": name})


@pytest.fixture(scope="module")
def nodes():
    """A cluster whose head takes no work; it has one other node, and ``RAY_ADDRESS`` is its address."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        head = {"num_cpus": 0, "num_gpus": 0, "_system_config": SOON}
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster, {"one": add_node(cluster, "one")}
        cluster.shutdown()


@contextmanager
def losing(cluster, lose, after=lambda: None):
    """``lose`` is called again and again beside the block, until it gives a node, which is taken away."""
    over = threading.Event()

    def watch():
        while not over.wait(0.02):
            if (node := lose()) is not None:
                cluster.remove_node(node, allow_graceful=False)
                after()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_lost_node_costs_no_member_and_one_that_diverges_stops_nobody(
    nodes, spec, store, tmp_path, capsys, monkeypatch
):
    runs = tmp_path / "runs"
    jobs = members(spec.model_copy(update={"steps": LONG}), store, runs, 2)
    wild = MemberJob(spec.model_copy(update={"learning_rate": 1e9}), store, 1, runs / "wild")
    cluster, _ = nodes
    doomed = add_node(cluster, "two")

    def in_the_midst(job):
        return not is_trained(job.path) and LONG / 2 < job.steps_left < LONG

    with (
        losing(cluster, lambda: doomed if all(map(in_the_midst, jobs)) else None),
        pytest.raises(GfmError, match=r"members that diverged: 1 of 3"),
    ):
        train([*jobs, wild])
    assert doomed not in cluster.worker_nodes, "no moment was found to take the node away"
    err = capsys.readouterr().err
    assert "training 3 members with Ray (nodes: 3, CPUs: 2, GPUs: 0)" in err
    assert err.count("continues at step") == 1 and "from the beginning" not in err
    resumed = [json.loads((job.path / "provenance.json").read_text())["resumed_at"] for job in jobs]
    ((again, (step,)),) = [(job, steps) for job, steps in zip(jobs, resumed, strict=True) if steps]
    assert 0 < step < LONG
    with one_thread():
        train_member(again.spec, store, again.seed, tmp_path / "expected")
    assert_same_bits(again.path, tmp_path / "expected")
    left = {path.name for path in runs.iterdir() if path.suffix != ".lock" and "wild" not in path.name}
    assert left == {job.path.name for job in jobs}
    monkeypatch.setenv("RAY_ADDRESS", "nobody:1")
    train(jobs)  # there is nothing to do, so nobody is asked


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
    return job.ended(executed=executed)


@pytest.mark.slow
def test_a_lost_node_costs_no_report(nodes, tmp_path):
    """The node that is in the midst of the last report is taken away; the other makes what is missing of it."""
    cluster, named = nodes
    named["two"] = add_node(cluster, "two")
    jobs = [Job(name, name, (f"{name}@kmer2",), "smoke", 42, *[tmp_path] * 3) for name in ("a", "last")]
    heard, begun = [], (tmp_path / "last").glob

    def lose():
        return next((named.pop(mark.name.rpartition("-")[2]) for mark in begun("made-1-*")), None)

    def go_on():
        """Once the first process of the report has ended, which notices after a moment."""
        (mark,) = begun("made-1-*")
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(mark.read_text())).wait(60)
        (tmp_path / "lost").touch()

    with losing(cluster, lose, go_on):
        outcomes = run_ray(jobs, lambda *message: heard.append(message), small_report)
    assert [one.state for one in outcomes] == ["done"] * 2
    for job in jobs:
        assert sorted(path.name.split("-")[1] for path in job.folder.glob("made-*")) == list("012")
    makers = {path.name.rpartition("-")[2] for path in begun("made-*")}
    assert len(makers) == 2 and outcomes[1].executed == 1  # what the lost node had made was kept
    assert ("a", "chapter-2", "executed") in heard


@pytest.mark.parametrize("gpus", [0, 2])
def test_where_there_are_gpus_members_take_one(spec, store, tmp_path, monkeypatch, gpus):
    taken = []

    @contextmanager
    def connected():
        have = {"CPU": 4.0, **({"GPU": float(gpus)} if gpus else {})}
        yield SimpleNamespace(cluster_resources=lambda: have, nodes=lambda: [{"Alive": True}, {"Alive": False}])

    def run_tasks(ray, work, programs, resources, folders, tell):
        taken.append((resources, folders, [job for group in programs for job in group]))
        yield 0, []

    monkeypatch.setattr(engine, "connected", connected)
    monkeypatch.setattr(engine, "run_tasks", run_tasks)
    jobs, heard = members(spec, store, tmp_path / "runs", 2), []
    assert engine.train(jobs, heard.append) == []
    assert taken == [({"num_cpus": 1, "num_gpus": int(gpus > 0)}, [tmp_path / "runs"], jobs)]
    assert heard == [f"training 2 members with Ray (nodes: 1, CPUs: 4, GPUs: {gpus})"]


def test_a_node_that_lacks_folders_or_a_working_gpu_says_so(tmp_path, monkeypatch):
    with pytest.raises(
        GfmError, match=rf"node .* does not see {tmp_path}: on a cluster the book, --out and --runs"
    ):
        engine._on_node(None, None, [tmp_path / "no-such-mark"], None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(GfmError, match=r"node .* has a GPU that its torch cannot use"):
        engine._train_on_node("cuda", [], print)


def test_without_a_cluster_or_ray_one_sentence_says_what_to_do(spec, store, tmp_path, monkeypatch):
    jobs = members(spec, store, tmp_path, 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(GfmError, match=r"no connection to the Ray cluster at RAY_ADDRESS=127.0.0.1:1 .*ray start"):
        train(jobs)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GfmError, match="pip install ray"):
        train(jobs)
