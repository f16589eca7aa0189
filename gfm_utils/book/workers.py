"""Reports side by side: each in a process of its own with its share of the cores; a killed one begins again.

The processes are forked from one that has imported everything and done nothing: an import takes seconds.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from gfm_utils.book.jobs import FAILED, Job, OnChapter, Outcome, make_report, refused
from gfm_utils.tokens.parallel import cores, end_with_parent

#: A report whose process was killed is begun again so often; what was done is kept.
RETRIES = 2
#: Is told the name of a report, and a chapter with what became of it, or None with a sentence.
Tell = Callable[[str, str | None, str], None]
#: Makes a report; a function of a module, which other processes import.
Make = Callable[[Job, OnChapter], Outcome]


@dataclass
class _Running:
    job: Job
    tries: int
    place: int
    process: Any
    connection: Connection
    outcome: Outcome | None = None


def run_local(jobs: Sequence[Job], at_once: int, tell: Tell, make: Make = make_report) -> list[Outcome]:
    """Make reports on this machine.

    Args:
        jobs: one a report.
        at_once: how many at a time; each has the same share of this machine's cores, to the end, so that its
            numbers do not depend on when the others finish.
        tell: is told of every chapter, of processes that were killed, and of reports that failed.
        make: makes one of them.

    Returns:
        What became of each, in their order.
    """
    waiting = deque((job, 1) for job in jobs)
    free = list(range(at_once))[::-1]
    running: list[_Running] = []
    outcomes: dict[str, Outcome] = {}
    try:
        while waiting or running:
            while waiting and free:
                running.append(_start(*waiting.popleft(), free.pop(), at_once, make))
            ready = wait([one.connection for one in running], timeout=5)
            for one in [one for one in running if one.connection in ready]:
                if _heard(one, tell):
                    continue
                running.remove(one)
                free.append(one.place)
                outcome = one.outcome or _lost(one)
                if outcome.killed and one.tries <= RETRIES:
                    tell(one.job.name, None, f"{outcome.error}; it begins again, what was done is kept")
                    waiting.appendleft((one.job, one.tries + 1))
                else:
                    outcomes[one.job.name] = outcome if one.outcome else outcome.kept(one.job.folder)
                    if outcome.error is not None:
                        tell(one.job.name, None, f"failed: {outcome.error}")
    finally:
        for one in running:  # interrupted: kernels and training processes end with them
            one.process.terminate()
            one.process.join()
    return [outcomes[job.name] for job in jobs]


def _start(job: Job, tries: int, place: int, at_once: int, make: Make) -> _Running:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, place, at_once, sender, make), name=job.name)
    process.start()
    sender.close()
    return _Running(job, tries, place, process, receiver)


def _heard(one: _Running, tell: Tell) -> bool:
    """Whether the process is still there, after its message has been passed on."""
    try:
        message = one.connection.recv()
    except (EOFError, OSError):
        one.process.join()
        one.connection.close()
        return False
    if isinstance(message, Outcome):
        one.outcome = message
    else:
        tell(one.job.name, *message)
    return True


def _lost(one: _Running) -> Outcome:
    """The outcome of a process that went without a word."""
    code = one.process.exitcode
    how = f"was killed ({signal.Signals(-code).name})" if code and code < 0 else f"ended early (status {code})"
    return Outcome.of(
        one.job, FAILED, error=f"the process of this report {how}; is there enough memory?", killed=True
    )


def _work(job: Job, place: int, at_once: int, connection: Connection, make: Make) -> None:
    """Make one report in this process; what it prints goes to the report's log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked for this one ends it
    threading.Thread(target=end_with_parent, daemon=True).start()
    _take_share(place, at_once)
    try:
        _print_into(job.folder / "log.txt")
        outcome = make(job, lambda name, what: connection.send((name, what)))
    except OSError as error:
        outcome = Outcome.of(job, FAILED, error=refused(error)).kept(job.folder)
    connection.send(outcome)
    connection.close()


def _take_share(place: int, at_once: int) -> None:
    """Keep this process, and all that it starts, to its share of the cores."""
    count = max(1, cores() // at_once)
    if hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        first = place * len(every) // at_once
        os.sched_setaffinity(0, every[first : first + count] or every[-1:])
    os.environ.setdefault("OMP_NUM_THREADS", str(count))


def _print_into(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = _Log(open(path, "ab", buffering=0))  # noqa: SIM115 for the rest of the process
    os.dup2(log.file.fileno(), 1)
    os.dup2(log.file.fileno(), 2)
    sys.stdout = sys.stderr = log


class _Log(io.TextIOBase):
    """A log that a full disk leaves short, and that stops nobody."""

    def __init__(self, file: io.FileIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self.file.write(text.encode(errors="replace"))
        return len(text)
