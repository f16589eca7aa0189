"""Work on batches in several processes, the results in order, a bounded number of them under way."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from gfm_utils.errors import GfmError

Given = TypeVar("Given")
Made = TypeVar("Made")

#: Batches under way for each process.
AHEAD = 2


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    work: Callable[[Given], Made], given: Iterable[Given], workers: int
) -> Generator[tuple[Given, Made]]:
    """Each batch with what ``work`` on it gave, in the order of the batches.

    No more than ``AHEAD`` batches a process are taken before the results of earlier ones are. One worker is this
    process; others import ``work``. Leaving the iteration early ends the processes.

    Raises:
        GfmError: a process was killed.
    """
    if workers == 1:
        yield from ((batch, work(batch)) for batch in given)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    waiting: deque[tuple[Given, Future[Made]]] = deque()
    try:
        for batch in given:
            waiting.append((batch, pool.submit(work, batch)))
            if len(waiting) == AHEAD * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        yield from ((batch, future.result()) for batch, future in waiting)
    except BrokenProcessPool:
        raise GfmError(
            "a tokenizing process ended early: perhaps memory ran out, or a script calls this outside of "
            "if __name__ == '__main__'"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked for this one ends it
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallel part
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this process when the one that asked for it is gone, however it went."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
