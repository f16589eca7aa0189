"""Reports side by side: in processes of this machine, or as tasks of a Ray cluster.

A process is forked from one that has imported everything and done nothing, as an import takes seconds.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from gfm_utils.book.jobs import Job, OnChapter, Outcome, make_report
from gfm_utils.ensembles.cluster import cluster_size, connected, run_tasks
from gfm_utils.errors import GfmError, first_line, sentence_of
from gfm_utils.tokens.parallel import cores, end_with_parent

#: Called with the name of a report, and a chapter with what became of it, or None with a sentence.
Progress = Callable[[str, str | None, str], None]
#: Makes a report; a function of a module, which other processes import.
Make = Callable[[Job, OnChapter], Outcome]


def run_local(jobs: Sequence[Job], at_once: int, tell: Progress, make: Make = make_report) -> list[Outcome]:
    """Make reports on this machine, ``at_once`` at a time, each with the same share of its cores to the end.

    So the numbers of a report do not depend on when the others finish. One whose process is killed has failed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    waiting, free_places = deque(jobs), list(range(at_once))
    running: dict[Connection, tuple[Job, int, Any]] = {}
    outcomes: dict[str, Outcome] = {}
    try:
        while waiting or running:
            while waiting and free_places:
                job, place = waiting.popleft(), free_places.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, place, at_once, sender, make), name=job.name)
                process.start()
                sender.close()
                running[receiver] = (job, place, process)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                job, place, process = running[ready]
                try:
                    message = ready.recv()
                except (EOFError, OSError):  # it has ended
                    process.join()
                    del running[ready]
                    free_places.append(place)
                    if job.name not in outcomes:
                        outcomes[job.name] = job.ended(_lost(process.exitcode))
                    if outcomes[job.name].error is not None:
                        tell(job.name, None, f"failed: {outcomes[job.name].error}")
                    continue
                if isinstance(message, Outcome):
                    outcomes[job.name] = message
                else:
                    tell(job.name, *message)
    finally:
        for _, _, process in running.values():  # interrupted: kernels and training processes end with them
            process.terminate()
            process.join()
    return [outcomes[job.name] for job in jobs]


def _lost(code: int | None) -> str:
    """Why a process ended that gave no outcome."""
    how = f"was killed ({signal.Signals(-code).name})" if code and code < 0 else f"ended early (status {code})"
    return f"the process of this report {how}; is there enough memory? What was done is kept"


def _work(job: Job, place: int, at_once: int, connection: Connection, make: Make) -> None:
    """Make one report in this process; what it prints goes to the report's log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked for this one ends it
    threading.Thread(target=end_with_parent, daemon=True).start()
    _take_share(place, at_once)
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with open(job.folder / "log.txt", "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        outcome = make(job, lambda name, what: connection.send((name, what)))
    except OSError as error:
        outcome = job.ended(sentence_of(error))
    connection.send(outcome)


def _take_share(place: int, at_once: int) -> None:
    """Keep this process, and all that it starts, to its share of the cores."""
    count = max(1, cores() // at_once)
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        first = place * len(every) // at_once
        os.sched_setaffinity(0, every[first : first + count] or every[-1:])
    os.environ.setdefault("OMP_NUM_THREADS", str(count))


def run_ray(jobs: Sequence[Job], tell: Progress, make: Make = make_report) -> list[Outcome]:
    """Make reports on the nodes of a Ray cluster, one at a time on each node, or on each GPU where there are GPUs.

    A report whose node is lost begins again on another, and its chapters that were done are kept; a node that does
    not see the folders of the jobs fails its report.

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
                    tell(job.name, None, f"failed: {reason}")
                    result = job.ended(reason)
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


def _on_node(make: Make, job: Job, tell: Progress) -> Outcome:
    """Make a report in a process of this node, as on a machine of one's own."""
    return run_local([job], 1, tell, make)[0]
