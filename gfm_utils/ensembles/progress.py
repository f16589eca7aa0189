"""The bar of members in training: tokens per second, time left, and the loss of each."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from gfm_utils.ensembles.member_job import MemberJob, Tell


@contextmanager
def training_bar(jobs: Sequence[MemberJob], shown: bool) -> Iterator[Tell]:
    """Show on standard error what is told of members in training, until the block is left.

    Args:
        jobs: the members that are to be trained.
        shown: whether there is a bar; sentences are shown in any case.

    Yields:
        What is to be told.
    """
    by_path = {job.path.resolve(): job for job in jobs}
    steps, losses = dict.fromkeys(by_path, 0), dict[Path, float]()
    with tqdm(
        total=sum(job.spec.tokens_seen for job in jobs), unit="tok", unit_scale=True,
        desc=f"training {len(jobs)} members", disable=not shown, mininterval=2,
    ) as bar:  # fmt: skip

        def tell(what: Path | str, step: int = 0, loss: float = 0.0) -> None:
            if isinstance(what, str):
                tqdm.write(what, file=sys.stderr)
                return
            path = what.resolve()
            spec = by_path[path].spec
            bar.update((step - steps[path]) * spec.batch * spec.window)
            steps[path], losses[path] = step, loss
            running = ", ".join(
                f"{job.spec.condition}#{job.seed} {losses[path]:.2f}"
                for path, job in by_path.items()
                if 0 < steps[path] < job.spec.steps
            )
            bar.set_postfix_str(f"loss in bits/token: {running}", refresh=False)

        yield tell
