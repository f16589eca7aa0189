"""The local engine: members train side by side, one process a core, or one after the other on a GPU."""

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.training import Diverged, is_trained, partial_path, train_member
from gfm_utils.errors import GfmError
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
    """Train the members that are not trained yet, as many at once as there are cores (one at a time on a GPU).

    A member that diverges does not stop the others. After any other error those in training are finished and
    no further one is begun.

    Args:
        tasks: all members of a run. Their number, not that of the missing ones, decides how many threads
            each member has, so that a run that was killed ends with the weights of one that was not.
        progress: show a bar with the mean loss of the members in training and tokens per second.

    Raises:
        GfmError: members diverged, or a training process was killed.
    """
    missing = [task for task in tasks if not is_trained(task.path) or partial_path(task.path).exists()]
    if not missing:
        return
    where = device()
    most = 1 if where == "cuda" else min(cores(), len(tasks))
    threads = max(1, cores() // most)
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with (
        _environment(_MALLOC),
        ProcessPoolExecutor(min(most, len(missing)), context, _start_worker, (reports, threads)) as pool,
    ):
        futures = [pool.submit(_run, index, task, where) for index, task in enumerate(missing)]
        try:
            _follow(missing, futures, reports, progress)
            diverged = [str(error) for error in map(_divergence, futures) if error is not None]
        except BrokenProcessPool as error:
            raise GfmError(
                "a training process was killed, perhaps because memory ran out: the same command continues "
                "where it was"
            ) from error
        except Exception:  # what is in training is finished, what is queued is not begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        except BaseException:  # interrupted: stop at once
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    if diverged:
        raise GfmError(f"{'; '.join(diverged)} (members that diverged: {len(diverged)} of {len(tasks)})")


def _divergence(future: Future[None]) -> Diverged | None:
    """Why the member of a future diverged, or None when it is trained; other errors are raised."""
    try:
        future.result()
    except Diverged as error:
        return error
    return None


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

    train_member(task.spec, task.store, task.seed, task.path, where, report, _report_queue.put)


def _follow(tasks: Sequence[Task], futures: Sequence[Future[None]], reports: Any, progress: bool) -> None:
    """Show what the workers report until all are done, or one has failed otherwise than by divergence."""
    tokens = [0] * len(tasks)
    losses: dict[int, float] = {}
    total = sum(task.spec.tokens_seen for task in tasks)
    label = f"training {len(tasks)} members"
    with tqdm(total=total, unit="tok", unit_scale=True, desc=label, disable=not progress, mininterval=2) as bar:
        while True:
            done = [future for future in futures if future.done()]
            failed = any(not isinstance(future.exception(), Diverged | None) for future in done)
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
