"""Analyses of predictions: ours against the plain way, in one run.

The distributions are those of five members over a vocabulary of 4101 at masked tokens, made here: logits are
normal, shared between members in part, of scales from 0.1 to 4. Making them is not counted.

- ``disagreement:time``: the top-p curves of all pairs of members (standard truncation). Ours also gives the
  authors' truncation, rank overlaps and entropies in the same time; its nulls are off. The plain way truncates
  each member's distributions once for each p (one sort for all p) and takes the entropies of each pair's mean.
- ``disagreement:memory``: growth of the largest resident size, ours batch by batch and the plain way with all
  distributions in memory (float32), each in a process of its own.

A ratio above 1 is in our favour.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations

import common
import numpy as np
import torch

from gfm_utils.analyses.disagreement import disagreement_sums
from gfm_utils.analyses.distributions import LOG2
from gfm_utils.analyses.nucleus import TOP_P
from gfm_utils.ensembles.predictions import BUDGET

MEMBERS, VOCABULARY = 5, 4101


def batch(tokens: int, seed: int) -> torch.Tensor:
    """Natural log-probabilities, shape (members, tokens, vocabulary), as ``predictions`` yields them."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.1, 4.0, tokens)[torch.randperm(tokens, generator=generator)][:, None]
    shared = torch.randn(tokens, VOCABULARY, generator=generator)
    logits = [scale * (shared + 0.7 * torch.randn(shared.shape, generator=generator)) for _ in range(MEMBERS)]
    return torch.stack(logits).double().log_softmax(-1)


def batches(tokens: int) -> Iterator[torch.Tensor]:
    """Batches of the size that predictions come in."""
    size = BUDGET // (MEMBERS * VOCABULARY)
    for number, begin in enumerate(range(0, tokens, size)):
        yield batch(min(size, tokens - begin), number)


def plain_curves(log_p: torch.Tensor) -> np.ndarray:
    """Summed Jensen-Shannon distances the plain way, shape (top_p, pairs)."""
    p = log_p.double().exp()
    ordered, order = p.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    curves = np.zeros((len(TOP_P), MEMBERS * (MEMBERS - 1) // 2))
    for row, mass in enumerate(TOP_P):
        kept = ordered.where(before < mass, torch.zeros_like(ordered)) if mass < 1 else ordered
        q = torch.zeros_like(p).scatter(-1, order, kept)
        q /= q.sum(-1, keepdim=True)
        own = torch.special.entr(q).sum(-1)
        for pair, (i, j) in enumerate(combinations(range(MEMBERS), 2)):
            mixed = torch.special.entr((q[i] + q[j]) / 2).sum(-1)
            divergence = (mixed - (own[i] + own[j]) / 2) / LOG2
            curves[row, pair] = divergence.clamp(0, 1).sqrt().sum()
    return curves


def disagreement_time(tokens: int) -> list[common.Row]:
    """Seconds for all tokens, from the first of them: both are linear in their number."""
    measured = min(tokens, 2 * BUDGET // (MEMBERS * VOCABULARY))
    disagreement_sums([batch(4, 0)])  # compiled before it is timed
    ours = theirs = 0.0
    for log_p in batches(measured):
        began = time.perf_counter()
        found = disagreement_sums([log_p], null_stride=tokens)
        ours += time.perf_counter() - began
        began = time.perf_counter()
        expected = sum(plain_curves(part) for part in log_p.split(100, dim=1))
        theirs += time.perf_counter() - began
        np.testing.assert_allclose(found.js[0, 0], expected, rtol=1e-5)  # equal logits are sorted in any order
    case = f"{tokens:,} tokens ({measured:,} timed), {torch.get_num_threads()} threads"
    factor = tokens / measured
    return [common.row("disagreement:time", case, "plain", ours * factor, theirs * factor, "s", False)]


def peak_bytes(which: str, tokens: int) -> float:
    """Peak memory of one way in a fresh process, over what it has before there is any distribution."""
    command = [sys.executable, __file__, "--peak", which, "--tokens", str(tokens)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_peak(which: str, tokens: int) -> None:
    """Print the growth of the largest resident size of this process in bytes."""
    disagreement_sums([batch(4, 0)])  # compiled, and threads started
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if which == "ours":
        disagreement_sums(batches(tokens), null_stride=-(-tokens // 16_384))
    else:
        held = torch.empty(MEMBERS, tokens, VOCABULARY)
        done = 0
        for log_p in batches(tokens):
            held[:, done : done + log_p.shape[1]] = log_p
            done += log_p.shape[1]
        plain_curves(held[:, :100])  # as much again is needed for a batch of curves, not for all
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began))


def disagreement_memory(tokens: int) -> list[common.Row]:
    ours, theirs = (peak_bytes(which, tokens) / 2**20 for which in ("ours", "plain"))
    case = f"{tokens:,} tokens"
    return [common.row("disagreement:memory", case, "all in memory, float32", ours, theirs, "MiB", False)]


TASKS: dict[str, Callable[[int], list[common.Row]]] = {
    "disagreement:time": disagreement_time,
    "disagreement:memory": disagreement_memory,
}


def main() -> None:
    parser = common.parser(__doc__, list(TASKS))
    parser.add_argument("--tokens", type=int, default=50_000, help="masked tokens")
    parser.add_argument(
        "--peak", choices=("ours", "plain"), help="only print the peak memory of one way, in bytes"
    )
    options = parser.parse_args()
    if options.peak is not None:
        measure_peak(options.peak, options.tokens)
        return
    tasks = common.chosen(parser, options, list(TASKS))
    began = time.perf_counter()
    rows = [row for task in tasks for row in TASKS[task](options.tokens)]
    configuration = {"tasks": tasks, "tokens": options.tokens, "members": MEMBERS, "vocabulary": VOCABULARY}
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
