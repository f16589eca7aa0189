"""The Ray engine: members train as tasks of a Ray cluster, the one at ``RAY_ADDRESS`` or one of this machine."""

import os
import shutil
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from packaging.version import Version
from torch.nn import functional
from tqdm import tqdm

import gfm_utils
from gfm_utils.ensembles import attention, local, nodes
from gfm_utils.ensembles.packing import groups
from gfm_utils.ensembles.presets import build_model, masked_logits
from gfm_utils.ensembles.records import Diverged, raise_diverged
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.tasks import Task, is_trained, partial_path
from gfm_utils.errors import GfmError, first_line
from gfm_utils.files import locked
from gfm_utils.tokens import TokenStore
from gfm_utils.tokens.parallel import cores

#: So often a member whose node was lost goes to another, and on from its newest saved state if that is seen there.
RETRIES = 5
#: Memory that a GPU is taken to have, and members that may share one at most.
GPU_BYTES = 16 * 10**9
SHARING = 4
#: Memory on the GPU of a process that has done nothing yet.
CONTEXT_BYTES = 10**9
#: Whether the transformers that is installed can run ModernBERT on tensors that have shapes alone.
RUNS_WITHOUT_NUMBERS = Version(transformers.__version__).release >= (5, 1)
#: How long to wait for an answer of the cluster's head.
CONNECT_SECONDS = 10


def train(tasks: Sequence[Task], progress: bool = True) -> None:
    """Train the members that are not trained yet as tasks of a Ray cluster.

    On a cluster with GPUs each takes a GPU or a share of one (``gpu_share``), else one CPU. Ray decides which
    node trains what, and when. A member whose node is lost goes to another one, at most ``RETRIES`` times. One
    that diverges does not stop the others; any other error does, and the same command continues.

    Args:
        tasks: all members of a run.
        progress: say where the members train, and show a bar with their mean loss and tokens per second.

    Raises:
        GfmError: members diverged, Ray is not installed, there is no such cluster, or it failed.
    """
    tasks = [_absolute(task) for task in tasks]
    if not local.missing_of(tasks):
        return
    with _locked(tasks):
        missing = local.missing_of(tasks)
        if missing:
            with connected() as ray, _marked(missing) as mark:
                diverged = _Driver(ray, missing, mark).train(progress)
            raise_diverged(diverged, len(tasks))


def gpu_share(spec: EnsembleSpec) -> float:
    """Share of a GPU that a member asks for: 1, or 1/2 or 1/4 if so much of ``GPU_BYTES`` is enough for it.

    With transformers 5.0, which cannot run ModernBERT without numbers, it is 1. Needed are weights, gradients
    and two moments, what the forward pass of a batch keeps for the backward pass, and ``CONTEXT_BYTES``.
    """
    if not RUNS_WITHOUT_NUMBERS:
        return 1.0
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # held, so that no other gets its number
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model = build_model(spec.preset, spec.vocabulary, spec.window, 0)
        attention.use(model, attention.efficient.__name__)
        weights = {parameter.untyped_storage()._cdata: parameter.nbytes for parameter in model.parameters()}
        ids = torch.zeros((spec.batch, spec.window), dtype=torch.long)
        targets = ids[:, : spec.places]
        functional.cross_entropy(masked_logits(model, ids, targets).flatten(0, 1), targets.flatten())
    activations = sum(storage.nbytes() for number, storage in kept.items() if number not in weights)
    needed = CONTEXT_BYTES + 4 * sum(weights.values()) + activations
    sharing = SHARING
    while sharing > 1 and needed * sharing > GPU_BYTES:
        sharing //= 2
    return 1 / sharing


def _absolute(task: Task) -> Task:
    """The same with absolute paths: the nodes' processes have other working directories."""
    return replace(task, store=TokenStore(task.store.path.resolve(), task.store.about), path=task.path.resolve())


@contextmanager
def _locked(tasks: Sequence[Task]) -> Iterator[None]:
    """Let no other run of this engine train members of the same ensembles at once: nodes share no locks."""
    with ExitStack() as stack:
        for folder in sorted({task.path.parent for task in tasks}):
            stack.enter_context(locked(folder / ".ray"))
        yield


@contextmanager
def _marked(tasks: Sequence[Task]) -> Iterator[str]:
    """An empty file beside each member, by which a node knows that it sees the driver's files; gives its name."""
    mark = f".ray-{uuid.uuid4().hex}"
    paths = [folder / mark for folder in {task.path.parent for task in tasks}]
    try:
        for path in paths:
            path.touch()
        yield mark
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def connected() -> Iterator[Any]:
    """Ray, connected to the cluster at ``RAY_ADDRESS``, else to one of this machine that ends with the block.

    A connection that the process has already is used, and left.
    """
    try:
        import ray
    except ImportError as error:
        raise GfmError("the engine 'ray' needs the package ray: pip install ray") from error
    if ray.is_initialized():
        yield ray
        return
    # The nodes run the code of this process, whatever is installed there.
    code = {"py_modules": [str(Path(gfm_utils.__file__).parent)], "env_vars": local.MALLOC}
    options: dict[str, Any] = {"runtime_env": code, "logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"address": "local", "num_cpus": cores(), "include_dashboard": False}
    try:
        _reach(address)
        ray.init(**options)
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        where = f"to the Ray cluster at RAY_ADDRESS={address}" if address else "to a Ray of this machine"
        raise GfmError(
            f"no connection {where} ({first_line(error)}): 'ray start --head' starts one, and without "
            "RAY_ADDRESS this machine is used"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """See that somebody listens at an address: Ray itself would wait for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@dataclass
class _Driver:
    """The side of a run that stays here: it gives out the members and takes in what comes back."""

    ray: Any
    tasks: Sequence[Task]
    mark: str
    shares: dict[str, float] = field(default_factory=dict)  # key of the specification -> share of a GPU
    references: list[Any] = field(default_factory=list)
    parcels: dict[Path, nodes.Parcel] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)  # nodes that do not see the files
    lock: Any = field(default_factory=threading.Lock)

    def train(self, progress: bool) -> list[Diverged]:
        """Train all tasks; gives an error for each that diverged.

        Raises:
            GfmError: the cluster has no CPU, or failed.
        """
        have = self.ray.cluster_resources()
        cpus, gpus = int(have.get("CPU", 0)), int(have.get("GPU", 0))
        if not cpus:
            raise GfmError("the Ray cluster has no CPU to train on: wait until its workers have joined it")
        if progress:
            count = sum(node["Alive"] for node in self.ray.nodes())
            where = f"nodes: {count}, CPUs: {cpus}, GPUs: {gpus}"
            tqdm.write(f"training {len(self.tasks)} members with Ray ({where})", file=sys.stderr)
        if gpus:
            specs = {task.spec.key: task.spec for task in self.tasks}
            self.shares = {key: gpu_share(spec) for key, spec in specs.items()}
        given = self._groups("cuda" if gpus else "cpu", gpus)
        with ThreadPoolExecutor(len(given)) as executor:
            futures: list[Future[Any]] = [executor.submit(self._attend, group) for group in given]
            try:
                local.follow(self.tasks, futures, given[0].reports, progress)
                return self._diverged(futures)
            finally:
                self._stop(futures)

    def _groups(self, device: str, gpus: int) -> list[nodes.Group]:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=False)
        reports = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})  # no lost node takes it along
        index = {task.path: place for place, task in enumerate(self.tasks)}
        return [
            nodes.Group(program, [index[task.path] for task in program], device, self.mark, reports)
            for program in groups(self.tasks, device, gpus)
        ]

    def _attend(self, group: nodes.Group) -> list[Diverged]:
        """Have a group trained, and write here what a node that does not see our files sends."""
        outcome = self._run(group)
        if outcome.unseen:
            self._say_blind(outcome.node, group.tasks[0])
            parcels = {task.store.path: self._parcel(task.store) for task in group.tasks}
            outcome = self._run(replace(group, tokens=parcels))
        for path, files in outcome.trained.items():
            with locked(path.with_name(f".{path.name}")):
                if not is_trained(path):
                    nodes.write_files(path, files)
                shutil.rmtree(partial_path(path), ignore_errors=True)
        for path, files in outcome.partial.items():
            with locked(path.with_name(f".{path.name}")):
                nodes.write_files(partial_path(path), files)
        return outcome.diverged

    def _run(self, group: nodes.Group) -> nodes.Outcome:
        share = min(1, sum(self.shares.get(task.spec.key, 0) for task in group.tasks))
        options = {"num_cpus": nodes.THREADS, "num_gpus": share, "max_retries": RETRIES}
        reference = self.ray.remote(nodes.run).options(**options).remote(group)
        self.references.append(reference)
        outcome: nodes.Outcome = self.ray.get(reference)
        self.references.remove(reference)
        return outcome

    def _parcel(self, store: TokenStore) -> nodes.Parcel:
        with self.lock:
            if store.path not in self.parcels:
                files = nodes.read_files(store.path)
                sizes = {name: content.size for name, content in files.items()}
                self.parcels[store.path] = nodes.Parcel(sizes, (self.ray.put(files),))
            return self.parcels[store.path]

    def _say_blind(self, node: str, task: Task) -> None:
        with self.lock:
            if node not in self.blind:
                self.blind.add(node)
                tqdm.write(
                    f"node {node} does not see {task.path.parent.parent}: what it trains is brought back, and "
                    "would begin anew if the node were lost",
                    file=sys.stderr,
                )

    def _diverged(self, futures: Sequence[Future[Any]]) -> list[Diverged]:
        """The members that diverged, or the error that ended the run.

        Raises:
            GfmError: a member could not be trained.
        """
        exceptions = self.ray.exceptions
        for error in [future.exception() for future in futures if future.done()]:
            if isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, GfmError):
                raise error.cause
            if isinstance(error, exceptions.RayError) and not isinstance(error, exceptions.RayTaskError):
                raise GfmError(
                    f"training on the Ray cluster failed ({type(error).__name__}: {first_line(error)}): the same "
                    "command continues where it was"
                ) from error
            if error is not None:
                raise error
        return [error for future in futures for error in future.result()]

    def _stop(self, futures: Sequence[Future[Any]]) -> None:
        """Cancel what is not done: after an error, or an interruption."""
        for future in futures:
            future.cancel()
        while not all(future.done() for future in futures):
            for reference in list(self.references):
                with suppress(Exception):
                    self.ray.cancel(reference, force=True)
            time.sleep(0.2)
