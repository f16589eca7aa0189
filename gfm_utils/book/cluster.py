"""Reports as tasks of a Ray cluster: each takes a node or a GPU of one; one whose node is lost goes to another."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

from gfm_utils.book.jobs import FAILED, Job, Outcome, make_report
from gfm_utils.book.workers import Make, Tell, run_local
from gfm_utils.ensembles.cluster import cluster_size, connected, run_tasks
from gfm_utils.errors import GfmError, ProcessKilled, first_line


def run_ray(jobs: Sequence[Job], tell: Tell, make: Make = make_report) -> list[Outcome]:
    """Make reports on the nodes of a Ray cluster, that of ``gfm train --engine ray``.

    A node makes one report at a time, with all its cores; where there are GPUs, one for each of them. A report
    whose node is lost begins again on another; its chapters that were done are kept.

    Args:
        jobs: one a report; every node must see their folders.
        tell: is told of every chapter, and of what was lost or failed.
        make: makes one of them.

    Returns:
        What became of each, in their order; a node that does not see the folders fails its report.

    Raises:
        GfmError: Ray is not installed, there is no such cluster, or it has no CPU.
    """
    outcomes: dict[str, Outcome] = {}
    with connected() as ray:
        tasks = run_tasks(ray, partial(_on_node, make), jobs, _share(ray), [jobs[0].out], tell)
        with closing(tasks) as results:
            for place, result in results:
                job = jobs[place]
                if isinstance(result, Exception):
                    reason = str(result) if isinstance(result, GfmError) else first_line(result)
                    killed = isinstance(result, ProcessKilled)
                    tell(job.name, None, f"failed: {reason}")
                    result = Outcome.of(job, FAILED, error=reason, killed=killed).kept(job.folder)
                outcomes[job.name] = result
    return [outcomes[job.name] for job in jobs]


def _share(ray: Any) -> dict[str, float]:
    """What a report asks Ray for: the CPUs of the smallest node, or a GPU and its part of the CPUs."""
    _, _, gpus = cluster_size(ray)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus:
        cpus = [node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU")]
        return {"num_gpus": 1, "num_cpus": min(cpus)}
    return {"num_cpus": min(node["CPU"] for node in nodes if node.get("CPU"))}


def _on_node(make: Make, job: Job, tell: Tell) -> Outcome:
    """Make a report in a process of this node, as on a machine of one's own."""
    (outcome,) = run_local([job], 1, tell, make)
    return outcome
