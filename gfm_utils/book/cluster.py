"""Reports as tasks of a Ray cluster: each takes a node or a GPU of one; one whose node is lost goes to another.

The cluster is that of ``gfm train --engine ray``: the one at ``RAY_ADDRESS``, or one of this machine.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gfm_utils.book.jobs import FAILED, Job, Outcome, make_report
from gfm_utils.book.workers import Make, Tell, run_local
from gfm_utils.ensembles.cluster import RETRIES, connected
from gfm_utils.errors import GfmError

#: Seconds between two looks at what the nodes report.
_POLL = 0.5


def run_ray(jobs: Sequence[Job], tell: Tell, make: Make = make_report) -> list[Outcome]:
    """Make reports on the nodes of a Ray cluster.

    A node makes one report at a time, with all its cores; where there are GPUs, one for each of them. A report
    whose node is lost begins again on another, at most ``RETRIES`` times; its chapters that were done are kept.

    Args:
        jobs: one a report; every node must see their folders.
        tell: is told of every chapter, and of what was lost or failed.
        make: makes one of them.

    Returns:
        What became of each, in their order; a node that does not see the folders fails its report.

    Raises:
        GfmError: Ray is not installed, there is no such cluster, or it has no CPU.
    """
    with connected() as ray, _marked(jobs[0].out) as mark:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        messages = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})  # no lost node takes it along
        task = ray.remote(_on_node).options(max_retries=RETRIES, **_share(ray))
        running = {task.remote(job, make, mark, messages): job for job in jobs}
        outcomes: dict[str, Outcome] = {}
        try:
            while running:
                done, _ = ray.wait(list(running), timeout=_POLL)
                for message in messages.get_nowait_batch(messages.qsize()):
                    tell(*message)
                for reference in done:
                    job = running.pop(reference)
                    outcomes[job.name] = _outcome(ray, reference, job, tell)
        finally:
            for reference in running:  # interrupted
                with suppress(Exception):
                    ray.cancel(reference, force=True)
    return [outcomes[job.name] for job in jobs]


def _share(ray: Any) -> dict[str, float]:
    """What a report asks Ray for: the CPUs of the smallest node, or a GPU and its part of the CPUs."""
    have = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = [found for found in have if found.get("GPU")]
    if gpus:
        return {"num_gpus": 1, "num_cpus": int(min(found.get("CPU", 0) // found["GPU"] for found in gpus))}
    cpus = [found["CPU"] for found in have if found.get("CPU")]
    if not cpus:
        raise GfmError("the Ray cluster has no CPU to make reports on: wait until its workers have joined it")
    return {"num_cpus": min(cpus)}


@contextmanager
def _marked(out: Path) -> Iterator[str]:
    """An empty file by which a node knows that it sees the folder of the batch; gives its name."""
    mark = out / f".ray-{uuid.uuid4().hex}"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


def _on_node(job: Job, make: Make, mark: str, messages: Any) -> Outcome:
    """Make a report in a process of this node, as on a machine of one's own."""
    import ray

    if not (job.out / mark).exists() or not job.root.is_dir():
        node = ray.util.get_node_ip_address()
        missing = job.root if (job.out / mark).exists() else job.out
        return Outcome.of(
            job, FAILED, error=f"node {node} does not see {missing}: on a cluster the book, --out and --runs must "
            "lie in folders that all nodes share"
        )  # fmt: skip
    sent: list[Any] = []

    def tell(name: str, chapter: str | None, what: str) -> None:
        sent[:] = [messages.actor.put_nowait.remote((name, chapter, what))]

    (outcome,) = run_local([job], 1, tell, make)
    if sent:
        ray.wait(sent, timeout=10)  # this process may end with the task
    return outcome


def _outcome(ray: Any, reference: Any, job: Job, tell: Tell) -> Outcome:
    try:
        found: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        first = next(iter(str(error).strip().splitlines()), "")
        reason = f"its task on the Ray cluster failed ({type(error).__name__}: {first}); what was done is kept"
        found = Outcome.of(job, FAILED, error=reason, killed=True).kept(job.folder)
        tell(job.name, None, f"failed: {reason}")
    return found
