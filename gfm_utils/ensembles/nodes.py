"""What runs on a node of a Ray cluster: members are trained where they belong, or here and sent as files."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gfm_utils.ensembles.probing import train_as_planned
from gfm_utils.ensembles.records import Diverged
from gfm_utils.ensembles.tasks import Task, is_trained, partial_path
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, locked
from gfm_utils.tokens import TokenStore

#: Each member is trained by this many threads on a CPU, on every machine: sums in another order give other bits.
THREADS = 1
#: A member tells the driver its loss no more often than this.
REPORT_SECONDS = 0.5
#: Path below a directory -> bytes of the file, shape (size,).
Files = dict[str, npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Parcel:
    """Tokens that travel to nodes which do not see the driver's files.

    Attributes:
        sizes: path below the token store's directory -> bytes.
        files: one reference to a ``Files`` in Ray's object store, in a tuple so that only a node that needs
            them fetches them.
    """

    sizes: Mapping[str, int]
    files: tuple[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a group of members.

    Attributes:
        node: address of the node.
        unseen: the driver's files were needed and are not to be seen there: nothing was trained.
        diverged: an error for each member that diverged.
        trained: directory of a member on the driver's machine -> its files, where these must be brought back.
        partial: the same for members that diverged: what they leave in the directory of a member in training.
    """

    node: str
    unseen: bool = False
    diverged: list[Diverged] = field(default_factory=list)
    trained: dict[Path, Files] = field(default_factory=dict)
    partial: dict[Path, Files] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Members that one task of the cluster trains.

    Attributes:
        tasks: the members; paths are absolute.
        indices: of the members among all of the run, for the reports.
        device: ``cpu`` or ``cuda``.
        mark: name of an empty file that the driver has written beside each member: a node that finds it sees
            the driver's files.
        reports: a Ray queue for (index, step, loss in bits per token), and for sentences for people.
        tokens: directory of a token store on the driver's machine -> its parcel; empty as long as no node
            has asked for it.
    """

    tasks: Sequence[Task]
    indices: Sequence[int]
    device: str
    mark: str
    reports: Any
    tokens: Mapping[Path, Parcel] = field(default_factory=dict)


def run(group: Group) -> Outcome:
    """Train a group of members in this process, a worker of Ray's.

    On a node that sees the driver's files they are trained in their place. Elsewhere the tokens are fetched
    once, into a folder for temporary files, the members are trained there, and come back as files.

    Raises:
        GfmError: the node has a GPU that its torch cannot use, or that has too little memory.
    """
    import ray

    node = ray.util.get_node_ip_address()
    if group.device == "cuda" and not torch.cuda.is_available():
        raise GfmError(f"node {node} has a GPU that its torch cannot use: install a build of torch for it there")
    if group.device == "cpu":
        torch.set_num_threads(THREADS)
    reporter, where = _Reporter(group), f"the GPU of node {node}"
    try:
        if all(sees(task, group.mark) for task in group.tasks):
            return Outcome(
                node, diverged=train_as_planned(group.tasks, group.device, reporter, reporter.say, where)
            )
        if not group.tokens:
            return Outcome(node, unseen=True)
        here = [_here(task, group.tokens[task.store.path]) for task in group.tasks]
        diverged = train_as_planned(here, group.device, reporter, reporter.say, where)
        return _packed(node, group.tasks, here, diverged)
    finally:
        reporter.close()


def sees(task: Task, mark: str) -> bool:
    """Whether this machine has the driver's files: tokens, and the mark beside a member where it may write."""
    folder = task.path.parent
    return (
        (folder / mark).exists()
        and (task.store.path / "store.json").exists()
        and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    )


def read_files(folder: Path) -> Files:
    """All files below a directory."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): np.fromfile(path, np.uint8) for path in paths}


def write_files(folder: Path, files: Files) -> None:
    """Write a directory with these files, whole or not at all; one that is there is replaced."""
    with atomic(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            content.tofile(temporary / name)


def scratch() -> Path:
    """This user's folder for temporary files of this machine (below ``$TMPDIR``, else ``/tmp``)."""
    folder = Path(tempfile.gettempdir()) / f"gfm-ray-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise GfmError(f"{folder} belongs to another user: set TMPDIR to a folder of your own on the nodes")
    return folder


def _here(task: Task, parcel: Parcel) -> Task:
    """The same member in this machine's folder for temporary files, with the tokens, which are fetched once."""
    import ray

    path = scratch() / "tokens" / task.spec.tokens
    with locked(path):
        found = {name: path / name for name in parcel.sizes}
        if not all(file.is_file() and file.stat().st_size == parcel.sizes[name] for name, file in found.items()):
            write_files(path, ray.get(parcel.files[0]))
    return replace(
        task,
        store=TokenStore(path, task.store.about),
        path=scratch() / "runs" / task.spec.key / task.path.name,
    )


def _packed(node: str, tasks: Sequence[Task], here: Sequence[Task], diverged: Sequence[Diverged]) -> Outcome:
    """The files of members that were trained here; they are removed here, and errors name their later place."""
    trained, partial = {}, {}
    texts = [str(error) for error in diverged]
    for task, local in zip(tasks, here, strict=True):
        if is_trained(local.path):
            trained[task.path] = read_files(local.path)
            shutil.rmtree(local.path)
        else:
            partial[task.path] = read_files(partial_path(local.path))
            shutil.rmtree(partial_path(local.path))
        texts = [text.replace(str(partial_path(local.path)), str(partial_path(task.path))) for text in texts]
    return Outcome(node, diverged=list(map(Diverged, texts)), trained=trained, partial=partial)


class _Reporter:
    """Tells the driver losses, not too often, and sentences for people; waits for no answer."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.next: dict[int, float] = {}  # index -> time of the next report
        self.sent: Any = None

    def __call__(self, index: int, step: int, loss: float) -> None:
        now = time.monotonic()
        if step == self.group.tasks[index].spec.steps or now >= self.next.get(index, 0.0):
            self.next[index] = now + REPORT_SECONDS
            self.say((self.group.indices[index], step, loss))

    def say(self, message: Any) -> None:
        self.sent = self.group.reports.actor.put_nowait.remote(message)

    def close(self) -> None:
        """Wait until the driver has the last message: this process may end with the task."""
        import ray

        if self.sent is not None:
            ray.wait([self.sent], timeout=10)
