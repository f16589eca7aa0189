"""Reports side by side on this machine: each in a process of its own with its share of the cores.

The processes are forked from one that has imported everything and done nothing: an import takes seconds.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from gfm_utils.book.jobs import FAILED, Job, OnChapter, Outcome, make_report
from gfm_utils.errors import sentence_of
from gfm_utils.tokens.parallel import cores, end_with_parent

#: Is told the name of a report, and a chapter with what became of it, or None with a sentence.
Tell = Callable[[str, str | None, str], None]
#: Makes a report; a function of a module, which other processes import.
Make = Callable[[Job, OnChapter], Outcome]


def run_local(jobs: Sequence[Job], at_once: int, tell: Tell, make: Make = make_report) -> list[Outcome]:
    """Make reports on this machine.

    Args:
        jobs: one a report.
        at_once: how many at a time; each has the same share of this machine's cores, to the end, so that its
            numbers do not depend on when the others finish.
        tell: is told of every chapter, and of reports that failed.
        make: makes one of them.

    Returns:
        What became of each, in their order; one whose process is killed has failed.
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
                        outcomes[job.name] = _lost(job, process.exitcode).kept(job.folder)
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


def _lost(job: Job, code: int | None) -> Outcome:
    """The outcome of a process that went without a word."""
    how = f"was killed ({signal.Signals(-code).name})" if code and code < 0 else f"ended early (status {code})"
    error = f"the process of this report {how}; is there enough memory? What was done is kept"
    return Outcome.of(job, FAILED, error=error, killed=True)


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
        outcome = Outcome.of(job, FAILED, error=sentence_of(error)).kept(job.folder)
    connection.send(outcome)


def _take_share(place: int, at_once: int) -> None:
    """Keep this process, and all that it starts, to its share of the cores."""
    count = max(1, cores() // at_once)
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        first = place * len(every) // at_once
        os.sched_setaffinity(0, every[first : first + count] or every[-1:])
    os.environ.setdefault("OMP_NUM_THREADS", str(count))
