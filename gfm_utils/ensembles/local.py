"""The local engine: members train side by side, one process a core, or one after the other on a GPU."""

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.training import train_member
from gfm_utils.tokens import TokenStore

# Large buffers are kept between steps instead of going back to the system: without this, glibc maps
# fresh zeroed pages for every activation, a fifth of the time of a small model's step.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
_report_queue: Any = None


@dataclass(frozen=True)
class Task:
    """One member to train."""

    spec: EnsembleSpec
    store: TokenStore
    seed: int
    path: Path


def device() -> str:
    """Where models run on this machine: ``cuda`` when there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train(tasks: Sequence[Task], progress: bool = True) -> None:
    """Train members, as many at once as there are cores (one at a time on a GPU).

    When one fails, those in training are finished first and no further one is begun.

    Args:
        tasks: what to train.
        progress: show a bar with the mean loss of the members in training and tokens per second.

    Raises:
        GfmError: a member diverged.
    """
    if not tasks:
        return
    where = device()
    workers = 1 if where == "cuda" else min(cores(), len(tasks))
    threads = max(1, cores() // workers)
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with (
        _environment(_MALLOC),
        ProcessPoolExecutor(workers, context, _start_worker, (reports, threads)) as pool,
    ):
        futures = [pool.submit(_run, index, task, where) for index, task in enumerate(tasks)]
        try:
            _follow(tasks, futures, reports, progress)
            for future in futures:
                future.result()
        except Exception:  # what is in training is finished, what is queued is not begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        except BaseException:  # interrupted: stop at once
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


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


def _start_worker(reports: Any, threads: int) -> None:
    global _report_queue
    _report_queue = reports
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the process that asked for it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(index: int, task: Task, where: str) -> None:
    def report(step: int, loss: float) -> None:
        _report_queue.put((index, step, loss))

    train_member(task.spec, task.store, task.seed, task.path, where, report)


def _follow(tasks: Sequence[Task], futures: Sequence[Future[None]], reports: Any, progress: bool) -> None:
    tokens = [0] * len(tasks)
    losses: dict[int, float] = {}
    total = sum(task.spec.tokens_seen for task in tasks)
    label = f"training {len(tasks)} members"
    with tqdm(total=total, unit="tok", unit_scale=True, desc=label, disable=not progress, mininterval=2) as bar:
        while not all(future.done() for future in futures):
            if any(future.done() and future.exception() for future in futures):
                return  # the caller asks each future for its result, and so meets the exception
            try:
                index, step, loss = reports.get(timeout=0.2)
            except queue.Empty:
                time.sleep(0.05)
                continue
            now = step * tasks[index].spec.batch * tasks[index].spec.window
            bar.update(now - tokens[index])
            tokens[index], losses[index] = now, loss
            if step == tasks[index].spec.steps:
                del losses[index]
            running = ", ".join(
                f"{tasks[i].spec.condition}#{tasks[i].seed} {value:.2f}" for i, value in sorted(losses.items())
            )
            bar.set_postfix_str(f"loss in bits/token: {running}", refresh=False)
        bar.update(total - bar.n)
