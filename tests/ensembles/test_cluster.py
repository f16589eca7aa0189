"""The Ray engine on simulated nodes: a node that is lost, and what goes wrong."""

import json
import sys
import threading
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from alone import one_thread, train_member

from gfm_utils.ensembles import cluster as engine
from gfm_utils.ensembles.ensemble import train_jobs
from gfm_utils.ensembles.member_job import MemberJob, is_trained, partial_path
from gfm_utils.ensembles.training_state import newest_step
from gfm_utils.errors import GfmError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
train = partial(train_jobs, engine="ray")
#: Steps that take seconds: enough to see a member in the midst of them.
LONG = 200


@pytest.fixture(scope="module")
def cluster(simulated_cluster):
    """One node with one CPU that trains."""
    simulated_cluster.add_node(num_cpus=1, num_gpus=0)
    return simulated_cluster


@pytest.fixture(scope="module")
def spec(trained):
    return trained[0].spec.model_copy(update={"batch": 4, "steps": 24})


@pytest.fixture(scope="module")
def store(trained):
    return trained[0].store


def members(spec, store, folder, count):
    return [MemberJob(spec, store, seed, folder / f"member-{seed - 1:02d}") for seed in range(1, count + 1)]


def assert_same_as_trained_here(job, folder):
    """Every checkpoint has the bits of a member that one thread of this process trains."""
    expected = folder / "expected" / job.path.name
    with one_thread():
        train_member(job.spec, job.store, job.seed, expected)
    names = sorted(str(found.relative_to(expected)) for found in expected.rglob("*"))
    assert names == sorted(str(found.relative_to(job.path)) for found in job.path.rglob("*"))
    for name in names:
        if name.endswith(".safetensors"):
            assert (job.path / name).read_bytes() == (expected / name).read_bytes(), name


def written(job):
    return (job.path / "spec.json").stat().st_mtime_ns


@pytest.mark.slow
def test_a_lost_node_costs_no_member_and_none_is_trained_twice(cluster, spec, store, tmp_path, capsys):
    jobs = members(spec.model_copy(update={"steps": LONG}), store, tmp_path / "runs", 4)
    doomed, over, finished = cluster.add_node(num_cpus=1, num_gpus=0), threading.Event(), {}

    def in_the_midst(job):
        return not is_trained(job.path) and 0 < newest_step(partial_path(job.path)) < LONG / 2

    def lose():
        """Take one node away while both, and so this one, are in the midst of a member."""
        while not over.wait(0.01):
            if sum(map(in_the_midst, jobs)) == 2:
                cluster.remove_node(doomed, allow_graceful=False)
                finished.update({job.seed: written(job) for job in jobs if is_trained(job.path)})
                return

    watch = threading.Thread(target=lose)
    watch.start()
    try:
        train(jobs)
    finally:
        over.set()
        watch.join()
    assert all(is_trained(job.path) for job in jobs)
    assert doomed not in cluster.worker_nodes, "no moment was found to take the node away"
    said = capsys.readouterr().err
    assert "training 4 members with Ray (nodes: 3, CPUs: 2, GPUs: 0)" in said
    assert said.count("continues at step") == 1 and "from the beginning" not in said
    resumed = {job.seed: json.loads((job.path / "provenance.json").read_text())["resumed_at"] for job in jobs}
    (again,) = [job for job in jobs if resumed[job.seed]]
    assert len(resumed[again.seed]) == 1 and 0 < resumed[again.seed][0] < LONG
    assert {job.seed: written(job) for job in jobs if job.seed in finished} == finished
    assert_same_as_trained_here(again, tmp_path)
    left = {path.name for path in (tmp_path / "runs").iterdir() if not path.name.endswith(".lock")}
    assert left == {job.path.name for job in jobs}


@pytest.mark.slow
def test_a_node_that_does_not_see_the_folders_says_so_and_who_diverges_stops_nobody(
    cluster, spec, store, tmp_path, monkeypatch
):
    jobs = members(spec, store, tmp_path / "runs", 2)
    wild = MemberJob(spec.model_copy(update={"learning_rate": 1e9}), store, 1, tmp_path / "runs" / "wild")
    with pytest.raises(GfmError, match=r"members that diverged: 1 of 3"):
        train([*jobs, wild])
    for job in jobs:
        assert_same_as_trained_here(job, tmp_path)
    times = [written(job) for job in jobs]
    with pytest.raises(
        GfmError, match=rf"node .* does not see {tmp_path}: on a cluster the book, --out and --runs"
    ):
        engine._on_node(None, None, [tmp_path / "no-such-mark"], None)
    monkeypatch.setenv("RAY_ADDRESS", "nobody:1")
    train(jobs)  # there is nothing to do, so nobody is asked
    assert [written(job) for job in jobs] == times


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the simulated GPU would be a real one")
def test_where_there_is_a_gpu_members_go_and_one_that_torch_cannot_use_is_named(cluster, spec, store, tmp_path):
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    try:
        with pytest.raises(GfmError, match=r"node .* has a GPU that its torch cannot use"):
            train(members(spec, store, tmp_path, 1), progress=False)
    finally:
        cluster.remove_node(node)


def test_without_a_cluster_or_ray_one_sentence_says_what_to_do(spec, store, tmp_path, monkeypatch):
    jobs = members(spec, store, tmp_path, 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(GfmError, match=r"no connection to the Ray cluster at RAY_ADDRESS=127.0.0.1:1 .*ray start"):
        train(jobs)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GfmError, match="pip install ray"):
        train(jobs)
