"""The Ray engine on simulated nodes: a node that is lost, nodes that do not see our files, and what goes wrong."""

import json
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import torch

from gfm_utils.ensembles import cluster as engine
from gfm_utils.ensembles.states import newest_step
from gfm_utils.ensembles.tasks import Task, is_trained, partial_path
from gfm_utils.ensembles.training import train_member
from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
#: Steps that take seconds: enough to see a member in the midst of them.
LONG = 200


@pytest.fixture(scope="module")
def cluster(simulated_cluster, tmp_path_factory):
    """One node with one CPU that trains."""
    simulated_cluster.scratch = tmp_path_factory.mktemp("node")
    simulated_cluster.add_node(num_cpus=1, num_gpus=0, env_vars={"TMPDIR": str(simulated_cluster.scratch)})
    return simulated_cluster


@pytest.fixture(scope="module")
def spec(trained):
    return trained[0].spec.model_copy(update={"batch": 4, "steps": 24})


@pytest.fixture(scope="module")
def store(trained):
    return trained[0].store


def members(spec, store, folder, count):
    return [Task(spec, store, seed, folder / f"member-{seed - 1:02d}") for seed in range(1, count + 1)]


def assert_same_as_trained_here(task, folder):
    """Every checkpoint has the bits of a member that one thread of this process trains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = folder / "expected" / task.path.name
    train_member(task.spec, task.store, task.seed, expected, "cpu")
    torch.set_num_threads(before)
    names = sorted(str(found.relative_to(expected)) for found in expected.rglob("*"))
    assert names == sorted(str(found.relative_to(task.path)) for found in task.path.rglob("*"))
    for name in names:
        if name.endswith(".safetensors"):
            assert (task.path / name).read_bytes() == (expected / name).read_bytes(), name


def written(task):
    return (task.path / "spec.json").stat().st_mtime_ns


def test_a_lost_node_costs_no_member_and_none_is_trained_twice(cluster, spec, store, tmp_path, capsys):
    tasks = members(spec.model_copy(update={"steps": LONG}), store, tmp_path / "runs", 4)
    doomed = cluster.add_node(num_cpus=1, num_gpus=0)
    over = threading.Event()
    finished = {}  # when the node was lost

    def in_the_midst(task):
        return not is_trained(task.path) and 0 < newest_step(partial_path(task.path)) < LONG / 2

    def lose():
        """Take one node away while both, and so this one, are in the midst of a member."""
        while not over.wait(0.01):
            if sum(map(in_the_midst, tasks)) == 2:
                cluster.remove_node(doomed, allow_graceful=False)
                finished.update({task.seed: written(task) for task in tasks if is_trained(task.path)})
                return

    watch = threading.Thread(target=lose)
    watch.start()
    try:
        engine.train(tasks)
    finally:
        over.set()
        watch.join()

    assert all(is_trained(task.path) for task in tasks)
    assert doomed not in cluster.worker_nodes, "no moment was found to take the node away"
    said = capsys.readouterr().err
    assert "training 4 members with Ray (nodes: 3, CPUs: 2, GPUs: 0)" in said
    assert said.count("continues at step") == 1 and "from the beginning" not in said
    resumed = {task.seed: json.loads((task.path / "provenance.json").read_text())["resumed_at"] for task in tasks}
    (again,) = [task for task in tasks if resumed[task.seed]]
    assert len(resumed[again.seed]) == 1 and 0 < resumed[again.seed][0] < LONG
    assert {task.seed: written(task) for task in tasks if task.seed in finished} == finished
    assert_same_as_trained_here(again, tmp_path)
    left = {path.name for path in (tmp_path / "runs").iterdir() if not path.name.endswith(".lock")}
    assert left == {task.path.name for task in tasks}


def test_nodes_that_do_not_see_our_files_send_the_members(cluster, spec, store, tmp_path, monkeypatch, capsys):
    """One of them diverges: what it leaves comes back too, and its error names where that is."""

    @contextmanager
    def unseen(tasks):
        yield "no-such-file"

    monkeypatch.setattr(engine, "_marked", unseen)
    tasks = members(spec, store, tmp_path / "runs", 2)
    wild = Task(spec.model_copy(update={"learning_rate": 1e9}), store, 1, tmp_path / "runs" / "wild")
    with pytest.raises(GfmError, match=r"members that diverged: 1 of 3") as stopped:
        engine.train([*tasks, wild])
    untrained = partial_path(wild.path) / "member/untrained"
    assert f"step 0, is {untrained}" in str(stopped.value) and (untrained / "model.safetensors").exists()
    assert "does not see" in capsys.readouterr().err
    for task in tasks:
        assert_same_as_trained_here(task, tmp_path)
    assert not list(cluster.scratch.rglob("member-*/*")) and len(list(cluster.scratch.rglob("train.npy"))) == 1

    times = [written(task) for task in tasks]
    monkeypatch.setenv("RAY_ADDRESS", "nobody:1")
    engine.train(tasks)  # there is nothing to do, so nobody is asked
    assert [written(task) for task in tasks] == times


@pytest.mark.skipif(torch.cuda.is_available(), reason="the simulated GPU would be a real one")
def test_where_there_is_a_gpu_members_go_and_one_that_torch_cannot_use_is_named(cluster, spec, store, tmp_path):
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    try:
        with pytest.raises(GfmError, match=r"node .* has a GPU that its torch cannot use"):
            engine.train(members(spec, store, tmp_path, 1), progress=False)
    finally:
        cluster.remove_node(node)


def test_without_a_cluster_or_ray_one_sentence_says_what_to_do(spec, store, tmp_path, monkeypatch):
    tasks = members(spec, store, tmp_path, 1)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(GfmError, match=r"no connection to the Ray cluster at RAY_ADDRESS=127.0.0.1:1 .*ray start"):
        engine.train(tasks)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GfmError, match="pip install ray"):
        engine.train(tasks)


@pytest.mark.skipif(not engine.RUNS_WITHOUT_NUMBERS, reason="its share of a GPU is 1")
@pytest.mark.parametrize(("name", "share"), [("smoke", 1 / 4), ("colab", 1 / 4), ("gpu", 1 / 2), ("paper", 1)])
def test_small_members_share_a_gpu_and_large_ones_do_not(spec, name, share):
    size = profile(name)
    update = {key: getattr(size, key) for key in ("preset", "window", "batch", "train_mask")} | {
        "vocabulary": 4100
    }
    assert engine.gpu_share(spec.model_copy(update=update)) == share
