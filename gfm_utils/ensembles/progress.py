"""The bar of members in training: tokens per second, time left, and the loss of each."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from gfm_utils.ensembles.member_job import MemberJob


class TrainingBar:
    """Shows what is told of members in training on standard error.

    Args:
        jobs: the members that are to be trained.
        shown: whether there is a bar; sentences are shown in any case.
    """

    def __init__(self, jobs: Sequence[MemberJob], shown: bool) -> None:
        self.jobs = {job.path.resolve(): job for job in jobs}
        self.steps: dict[Path, int] = {}
        self.losses: dict[Path, float] = {}
        self.bar: Any = tqdm(
            total=sum(job.spec.tokens_seen for job in jobs), unit="tok", unit_scale=True,
            desc=f"training {len(jobs)} members", disable=not shown, mininterval=2,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def tell(self, what: Path | str, step: int = 0, loss: float = 0.0) -> None:
        """A member has come to a step with a loss (bits per token); or a sentence for people."""
        if isinstance(what, str):
            tqdm.write(what, file=sys.stderr)
            return
        path = what.resolve()
        spec = self.jobs[path].spec
        self.bar.update((step - self.steps.get(path, 0)) * spec.batch * spec.window)
        self.steps[path], self.losses[path] = step, loss
        running = ", ".join(
            f"{job.spec.condition}#{job.seed} {self.losses[path]:.2f}"
            for path, job in self.jobs.items()
            if 0 < self.steps.get(path, 0) < job.spec.steps
        )
        self.bar.set_postfix_str(f"loss in bits/token: {running}", refresh=False)
