"""Members that are trained one by one in the test's own process, to the end or to a step."""

from contextlib import contextmanager

import pytest
import torch

from gfm_utils.ensembles import train_step
from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.training import train_group


@contextmanager
def one_thread():
    """Sums in another order give other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def members(spec, store, folder, count):
    return [MemberJob(spec, store, seed, folder / f"member-{seed}") for seed in range(1, count + 1)]


def train_member(spec, store, seed, path, device="cpu", said=None):
    """Train one member; the sentences about it are added to ``said``."""

    def tell(what, *_):
        if said is not None and isinstance(what, str):
            said.append(what)

    for diverged in train_group([MemberJob(spec, store, seed, path)], device, tell):
        raise diverged


def train_until(monkeypatch, step, jobs):
    """Train members together as far as a step, as if somebody had stopped it there."""
    factor = train_step.learning_rate_factor

    def stop(number, spec):
        if number == step:
            raise KeyboardInterrupt
        return factor(number, spec)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_step, "learning_rate_factor", stop)
        train_group(jobs, "cpu")


def assert_same_bits(path, expected):
    """The same files, those of weights bit for bit."""
    names = sorted(str(found.relative_to(expected)) for found in expected.rglob("*"))
    assert names == sorted(str(found.relative_to(path)) for found in path.rglob("*"))
    for name in names:
        if name.endswith(".safetensors"):
            assert (path / name).read_bytes() == (expected / name).read_bytes(), name
