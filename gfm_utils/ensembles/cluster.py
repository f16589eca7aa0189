"""Work as tasks of a Ray cluster, ``RAY_ADDRESS`` or one of this machine, on folders that its nodes share."""

import os
import socket
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import gfm_utils
from gfm_utils.ensembles import multiprocess
from gfm_utils.ensembles.member_job import Callback, MemberJob, batch_members, missing_of
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.ensembles.training import train_members
from gfm_utils.errors import GfmError, ProcessKilled, first_line
from gfm_utils.files import locked
from gfm_utils.tokens import TokenStore
from gfm_utils.tokens.parallel import cores

#: So often the work of a lost node goes to another.
RETRIES = 5
#: Each member is trained by this many threads on a CPU, on every machine: sums in another order give other bits.
THREADS = 1
#: How long to wait for an answer of the cluster's head.
CONNECT_SECONDS = 10
#: Seconds between two looks at what the nodes report.
POLL_SECONDS = 0.3


@contextmanager
def connected() -> Iterator[Any]:
    """Ray, connected to the cluster at ``RAY_ADDRESS``, else to one of this machine that ends with the block.

    A connection that the process has already is used, and left.

    Raises:
        GfmError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise GfmError("the engine 'ray' needs the package ray: pip install ray") from error
    if ray.is_initialized():
        yield ray
        return
    # The nodes run the code of this process, whatever is installed there.
    code = {"py_modules": [str(Path(gfm_utils.__file__).parent)], "env_vars": multiprocess.MALLOC}
    options: dict[str, Any] = {"runtime_env": code, "logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"address": "local", "num_cpus": cores(), "include_dashboard": False}
    host, _, port = address.rpartition(":")
    try:
        if host and "/" not in host and port.isdigit():  # does somebody listen? Ray itself would wait for minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        ray.init(**options)
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        where = f"to the Ray cluster at RAY_ADDRESS={address}" if address else "to a Ray of this machine"
        raise GfmError(
            f"no connection {where} ({first_line(error)}): 'ray start --head' starts one, and without "
            "RAY_ADDRESS this machine is used"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def run_tasks(
    ray: Any,
    work: Callable[[Any, Callable[..., None]], Any],
    jobs: Sequence[Any],
    resources: Mapping[str, float],
    folders: Sequence[Path],
    callback: Callable[..., None],
) -> Generator[tuple[int, Any]]:
    """Do jobs as tasks of the cluster; Ray gives the work of a lost node to another.

    Args:
        ray: from ``connected``.
        work: a function of a job and of a callback for its progress, run on a node.
        jobs: the jobs, each a task of its own.
        resources: ``num_cpus`` and ``num_gpus`` that each task takes.
        folders: that a node must see to do the work.
        callback: is called here with what ``work`` passed to its own there.

    Yields:
        The place of a job that is over, and what ``work`` returned or the exception that ended it. What is not
        over when this is closed is cancelled.
    """
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    driver = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    messages = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": driver})  # no lost node takes it along
    task = ray.remote(_on_node).options(max_retries=RETRIES, **resources)
    with _marked(folders) as marks:
        running = {task.remote(work, job, marks, messages): place for place, job in enumerate(jobs)}
        try:
            while running:
                done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                for message in messages.get_nowait_batch(messages.qsize()):
                    callback(*message)
                for reference in done:
                    yield running.pop(reference), _result(ray, reference)
        finally:
            for reference in running:
                with suppress(Exception):
                    ray.cancel(reference, force=True)


@contextmanager
def _marked(folders: Sequence[Path]) -> Iterator[list[Path]]:
    """An empty file in each folder, by which a node knows that it sees this machine's files."""
    marks = [folder / f".ray-{uuid.uuid4().hex}" for folder in folders]
    try:
        for mark in marks:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        yield marks
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)


def _on_node(work: Callable[..., Any], job: Any, marks: Sequence[Path], messages: Any) -> Any:
    """Do a job in this process, a worker of Ray's, if its node sees the folders."""
    import ray

    for mark in marks:
        if not mark.exists():
            raise GfmError(
                f"node {ray.util.get_node_ip_address()} does not see {mark.parent}: on a cluster the book, --out "
                "and --runs must lie in folders that all nodes share"
            )
    return work(job, lambda *message: messages.put(message))


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return error.cause if isinstance(error.cause, GfmError) else error
    except ray.exceptions.RayError as error:
        return ProcessKilled(
            f"a task on the Ray cluster failed ({type(error).__name__}: {first_line(error)}): the same command "
            "continues where it was"
        )


def cluster_size(ray: Any) -> tuple[int, int, int]:
    """Numbers of nodes, CPUs and GPUs of the cluster.

    Raises:
        GfmError: it has no CPU yet.
    """
    have = ray.cluster_resources()
    if not have.get("CPU"):
        raise GfmError("the Ray cluster has no CPU to work on: wait until its workers have joined it")
    return sum(node["Alive"] for node in ray.nodes()), int(have["CPU"]), int(have.get("GPU", 0))


def train(jobs: Sequence[MemberJob], callback: Callback) -> list[Diverged]:
    """Train the members that are not trained yet as tasks of a Ray cluster.

    On a cluster with GPUs each group of members takes one, else each member a CPU. A member whose node is lost
    goes to another one, where it continues from its newest saved state. One that diverges does not stop the
    others; any other error does, and the same command continues.

    Raises:
        GfmError: Ray is not installed, there is no such cluster, it failed, or a node does not see the folders.
    """
    jobs = [  # the nodes' processes have other working directories
        replace(job, store=TokenStore(job.store.path.resolve(), job.store.about), path=job.path.resolve())
        for job in jobs
    ]
    folders = sorted({job.path.parent for job in jobs})
    diverged: list[Diverged] = []
    with ExitStack() as stack:
        for folder in folders:  # no other run of this engine trains the same at once: nodes share no locks
            stack.enter_context(locked(folder / ".ray"))
        missing = missing_of(jobs)
        if not missing:
            return []
        ray = stack.enter_context(connected())
        nodes, cpus, gpus = cluster_size(ray)
        callback(f"training {len(missing)} members with Ray (nodes: {nodes}, CPUs: {cpus}, GPUs: {gpus})")
        device = "cuda" if gpus else "cpu"
        programs = batch_members(missing, device, gpus)
        work, take = partial(_train_on_node, device), {"num_cpus": THREADS, "num_gpus": int(gpus > 0)}
        with closing(run_tasks(ray, work, programs, take, folders, callback)) as results:
            for _, result in results:
                if isinstance(result, Exception):
                    raise result
                diverged += result
    return diverged


def _train_on_node(device: str, group: Sequence[MemberJob], callback: Callback) -> list[Diverged]:
    import ray

    node = ray.util.get_node_ip_address()
    if device == "cuda" and not torch.cuda.is_available():
        raise GfmError(f"node {node} has a GPU that its torch cannot use: install a build of torch for it there")
    if device == "cpu":
        torch.set_num_threads(THREADS)
    return train_members(group, device, callback, f"the GPU of node {node}")
