"""The local engine: members train side by side, one process a core, or one group after the other on a GPU."""

import multiprocessing
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from os import environ
from statistics import fmean
from typing import Any
from unittest.mock import patch

import torch

from gfm_utils.ensembles.cost import SECONDS, Speed, measure
from gfm_utils.ensembles.member_job import Callback, MemberJob, batch_members, missing_of
from gfm_utils.ensembles.member_writer import Diverged
from gfm_utils.ensembles.training import train_members
from gfm_utils.errors import ProcessKilled
from gfm_utils.tokens.parallel import cores, end_with_parent

#: Environment of a process that trains: large buffers are kept between steps, and lie in large pages. Without it
#: glibc maps fresh zeroed pages for every activation, a fifth of a small model's step.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_messages: Any = None
_barrier: Any = None


def device() -> str:
    """Where models run on this machine: ``cuda`` when there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def train(jobs: Sequence[MemberJob], callback: Callback) -> list[Diverged]:
    """Train the members that are not trained yet in processes of this machine.

    On a CPU as many at once as there are cores, each in a process; on a GPU one group of members at a time. The
    number of all members of the run, not of those that are missing, decides how many threads each has, so that a
    run that was killed ends with the weights of one that was not. A member that diverges does not stop the others;
    after any other error those in training are finished and no further one is begun.

    Raises:
        ProcessKilled: a training process was killed.
    """
    missing = missing_of(jobs)
    if not missing:
        return []
    with _pool(jobs) as (executor, messages, _):
        futures = [executor.submit(_train, group) for group in batch_members(missing, device())]
        over = False
        while not over or not messages.empty():
            with suppress(queue.Empty):
                callback(*messages.get(timeout=0.2))
            done = [future for future in futures if future.done()]
            over = len(done) == len(futures) or any(future.exception() is not None for future in done)
        return [diverged for future in futures for diverged in future.result()]


def measured_speeds(jobs: Sequence[MemberJob], seconds: float = SECONDS) -> tuple[dict[str, Speed], int]:
    """The speed of training a run, from some steps of each condition in as many processes as it would have.

    Returns:
        Key of the specification -> speed; and the number of groups that are trained at once.
    """
    left = [group for group in batch_members(jobs, device()) if group[0].steps_left]
    if not left:
        return {}, 1
    speeds = {}
    with _pool(jobs) as (executor, _, size):
        for group in {group[0].spec.key: group for group in sorted(left, key=len)}.values():
            running = [executor.submit(_measure, group, seconds) for _ in range(size)]
            measured = [future.result() for future in running]
            step = fmean(speed.step_seconds for speed in measured)
            speeds[group[0].spec.key] = measured[0]._replace(step_seconds=step)
    return speeds, size


@contextmanager
def _pool(jobs: Sequence[MemberJob]) -> Iterator[tuple[ProcessPoolExecutor, Any, int]]:
    """Processes for those of the jobs that are not done, their messages, and how many they are."""
    most = 1 if device() == "cuda" else min(cores(), len(jobs))
    size = min(most, len(missing_of(jobs)))
    context = multiprocessing.get_context("spawn")
    messages, barrier = context.Queue(), context.Barrier(size)
    settings = (messages, barrier, max(1, cores() // most))
    with patch.dict(environ, MALLOC), ProcessPoolExecutor(size, context, _start_worker, settings) as executor:
        try:
            yield executor, messages, size
        except BrokenProcessPool as error:
            raise ProcessKilled(
                "a training process was killed, perhaps because memory ran out: the same command continues "
                "where it was"
            ) from error
        except BaseException as error:  # what is queued is not begun, what is in training is finished
            executor.shutdown(wait=False, cancel_futures=True)
            for process in () if isinstance(error, Exception) else multiprocessing.active_children():
                process.terminate()  # interrupted: stop at once
            raise


def _start_worker(messages: Any, barrier: Any, threads: int) -> None:
    global _messages, _barrier
    _messages, _barrier = messages, barrier
    torch.set_num_threads(threads)
    threading.Thread(target=end_with_parent, daemon=True).start()


def _measure(group: Sequence[MemberJob], seconds: float) -> Speed:
    with suppress(threading.BrokenBarrierError):  # one worker is late: the measurement is of fewer at once
        _barrier.wait(60)
    return measure(group, device(), seconds)


def _train(group: Sequence[MemberJob]) -> list[Diverged]:
    return train_members(group, device(), lambda *message: _messages.put(message))
