"""The local engine: members train side by side, one process a core, or one after the other on a GPU."""

import multiprocessing
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from gfm_utils.ensembles.cost import Cost, duration, expected, remaining_seconds, schedule
from gfm_utils.ensembles.packing import groups
from gfm_utils.ensembles.probing import SECONDS, Probe, measure, train_as_planned
from gfm_utils.ensembles.records import Diverged, raise_diverged
from gfm_utils.ensembles.tasks import Task, is_trained, partial_path
from gfm_utils.errors import ProcessKilled
from gfm_utils.tokens.parallel import cores, end_with_parent

#: Environment of a process that trains: large buffers are kept between steps instead of going back to the
#: system, and lie in large pages. Without this, glibc maps fresh zeroed pages for every activation, a fifth of a
#: small model's step.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_report_queue: Any = None
_barrier: Any = None


def device() -> str:
    """Where models run on this machine: ``cuda`` when there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def expected_costs(tasks: Sequence[Task], devices: int = 1) -> list[Cost]:
    """What training would cost, from some steps of each condition in as many processes as it would have.

    Args:
        tasks: all members of a run; those that are trained cost nothing.
        devices: number of devices like this (GPUs, or machines) for which the time is given too.

    Returns:
        The cost of each condition by itself, and of all together when there are several.
    """
    programs = groups(tasks, device())
    if not any(task.steps_left for task in tasks):
        return expected(programs, {}, 1, devices, 0.0)
    probes, workers, start_seconds = probed(tasks)
    return expected(programs, probes, workers, devices, start_seconds)


def probed(tasks: Sequence[Task], seconds: float = SECONDS) -> tuple[dict[str, Probe], int, float]:
    """The speed of training, from some steps in as many processes as it would have.

    Args:
        tasks: all members of a run, not all of them trained.
        seconds: that each probe takes, about.

    Returns:
        Key of the specification -> probe; the number of programs that run at once; and the seconds that the
        processes took to start.
    """
    with _pool(tasks) as pool:
        probes, start_seconds = _probe_all(pool, groups(tasks, pool.where), seconds)
    return probes, pool.size, start_seconds


def train(tasks: Sequence[Task], progress: bool = True) -> None:
    """Train the members that are not trained yet.

    On a CPU as many at once as there are cores, each in a process; on a GPU one program at a time, of several
    members or of one, whichever is faster there (see ``probing``).

    A member that diverges does not stop the others. After any other error those in training are finished and
    no further one is begun.

    Args:
        tasks: all members of a run. Their number, not that of the missing ones, decides how many threads
            each member has, so that a run that was killed ends with the weights of one that was not.
        progress: say how long it will take, from a probe of seconds, and show a bar with the mean loss of the
            members in training and tokens per second.

    Raises:
        GfmError: members diverged, or a training process was killed.
    """
    missing = missing_of(tasks)
    if not missing:
        return
    with _pool(tasks) as pool:
        programs = groups(missing, pool.where)
        if progress:
            probes, _ = _probe_all(pool, programs, SECONDS)
            seconds = schedule([remaining_seconds(program, probes) for program in programs], pool.size)
            most = max(pool.size, *(probe.plan.together for probe in probes.values()))
            together = f", {most} at a time" if most > 1 else ""
            tqdm.write(
                f"training {len(missing)} members{together}: about {duration(seconds)} on this machine",
                file=sys.stderr,
            )
        places = {task.path: place for place, task in enumerate(missing)}
        futures = [
            pool.executor.submit(_run, [places[task.path] for task in program], program, pool.where)
            for program in programs
        ]
        follow(missing, futures, pool.reports, progress)
        diverged = [error for future in futures for error in future.result()]
    raise_diverged(diverged, len(tasks))


def missing_of(tasks: Sequence[Task]) -> list[Task]:
    """The members that are not trained yet, or of which a killed run left something beside them."""
    return [task for task in tasks if not is_trained(task.path) or partial_path(task.path).exists()]


@dataclass(frozen=True)
class _Pool:
    executor: ProcessPoolExecutor
    reports: Any
    where: str
    size: int


@contextmanager
def _pool(tasks: Sequence[Task]) -> Iterator[_Pool]:
    """Processes for those of the tasks that are not done, ended when the block is left."""
    where = device()
    most = 1 if where == "cuda" else min(cores(), len(tasks))
    size = min(most, len(missing_of(tasks)))
    context = multiprocessing.get_context("spawn")
    reports, barrier = context.Queue(), context.Barrier(size)
    settings = (reports, barrier, max(1, cores() // most))
    with _environment(MALLOC), ProcessPoolExecutor(size, context, _start_worker, settings) as executor:
        try:
            yield _Pool(executor, reports, where, size)
        except BrokenProcessPool as error:
            raise ProcessKilled(
                "a training process was killed, perhaps because memory ran out: the same command continues "
                "where it was"
            ) from error
        except Exception:  # what is in training is finished, what is queued is not begun
            executor.shutdown(wait=True, cancel_futures=True)
            raise
        except BaseException:  # interrupted: stop at once
            executor.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _probe_all(pool: _Pool, programs: Sequence[list[Task]], seconds: float) -> tuple[dict[str, Probe], float]:
    began = time.perf_counter()
    for started in [pool.executor.submit(_meet) for _ in range(pool.size)]:
        started.result()
    start_seconds = time.perf_counter() - began
    probes = {}
    left = [program for program in programs if program[0].steps_left]
    for program in {program[0].spec.key: program for program in sorted(left, key=len)}.values():
        running = [pool.executor.submit(_probe, program, pool.where, seconds) for _ in range(pool.size)]
        probes[program[0].spec.key] = Probe.mean([future.result() for future in running])
    return probes, start_seconds


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker(reports: Any, barrier: Any, threads: int) -> None:
    global _report_queue, _barrier
    _report_queue, _barrier = reports, barrier
    torch.set_num_threads(threads)
    threading.Thread(target=end_with_parent, daemon=True).start()


def _meet() -> None:
    """Wait until every worker is here: what follows runs in all of them at once."""
    with suppress(threading.BrokenBarrierError):  # one is late: the measurement is of fewer at once
        _barrier.wait(60)


def _probe(program: Sequence[Task], where: str, seconds: float) -> Probe:
    _meet()
    return measure(program, where, seconds)


def _run(places: Sequence[int], program: Sequence[Task], where: str) -> list[Diverged]:
    def report(index: int, step: int, loss: float) -> None:
        _report_queue.put((places[index], step, loss))

    return train_as_planned(program, where, report, _report_queue.put)


def follow(tasks: Sequence[Task], futures: Sequence[Future[list[Diverged]]], reports: Any, progress: bool) -> None:
    """Show what the workers report until all are done, or one has failed."""
    tokens = [0] * len(tasks)
    losses: dict[int, float] = {}
    total = sum(task.spec.tokens_seen for task in tasks)
    label = f"training {len(tasks)} members"
    with tqdm(total=total, unit="tok", unit_scale=True, desc=label, disable=not progress, mininterval=2) as bar:
        while True:
            done = [future for future in futures if future.done()]
            failed = any(future.exception() is not None for future in done)
            try:
                message = reports.get(timeout=0.2)
            except queue.Empty:
                if failed or len(done) == len(futures):
                    return  # the caller asks each future for its result, and so meets the exception
                continue
            if isinstance(message, str):
                tqdm.write(message, file=sys.stderr)
                continue
            index, step, loss = message
            now = step * tasks[index].spec.batch * tasks[index].spec.window
            bar.update(now - tokens[index])
            tokens[index], losses[index] = now, loss
            if step == tasks[index].spec.steps:
                del losses[index]
            running = ", ".join(
                f"{tasks[i].spec.condition}#{tasks[i].seed} {value:.2f}" for i, value in sorted(losses.items())
            )
            bar.set_postfix_str(f"loss in bits/token: {running}", refresh=False)
