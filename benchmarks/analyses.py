"""Analyses of ensembles: ours against the plain way, at the size of the paper's vocabulary, in one run.

The distributions are those of five members over a vocabulary of 4101 at masked tokens, made here: logits are
normal, shared between members in part, of scales from 0.1 to 4. Making them is not counted. The static embeddings
are five members' matrices of 4101 tokens by 768 that share a part (correlated normal numbers). Compiling (once,
cached on disk) is left out.

- ``disagreement:time``: the top-p curves of all pairs of members (standard truncation). Ours also gives the
  authors' truncation, rank overlaps and entropies in the same time; its nulls are off. The plain way truncates
  each member's distributions once for each p (one sort for all p) and takes the entropies of each pair's mean.
- ``disagreement:memory``: growth of the largest resident size, ours batch by batch and the plain way with all
  distributions in memory (float32), each in a process of its own.
- ``static:overlap``: overlaps of the neighbourhoods of the paper's sizes, all ten pairs; plain is a product of
  matrices a pair, and for each size a Python loop over tokens with a ``topk`` and intersections of sets; once more
  with one ``topk`` for all tokens before the loop.
- ``static:table``: ours is the whole table, RBF and debiased CKA included; plain is the overlaps as above, local
  Spearman (a ``topk``, two gathers and two pairs of ``argsort`` for each size and direction), linear CKA and
  ``scipy.spatial.procrustes``, and no RBF CKA.

The plain ways are timed on a part (``--timed`` tokens, ``--pairs`` pairs) and scaled: all are linear in their
number. A ratio above 1 is in our favour.
"""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice
from typing import Any

import common
import numpy as np
import torch
from scipy import spatial

from gfm_utils.ensembles.predictions import BUDGET
from gfm_utils.measures.disagreement import disagreement_sums
from gfm_utils.measures.distributions import LOG2
from gfm_utils.measures.neighbours import compare_neighbours
from gfm_utils.measures.nucleus import TOP_P
from gfm_utils.measures.static import TOP_K, embedding_rows

TASKS = ("disagreement:time", "disagreement:memory", "static:overlap", "static:table")
MEMBERS, VOCABULARY, HIDDEN = 5, 4101, 768
PAIRS = math.comb(MEMBERS, 2)


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


def print_peak(which: str, tokens: int) -> None:
    disagreement_sums([batch(4, 0)])  # compiled, and threads started

    def ours() -> None:
        disagreement_sums(batches(tokens), null_stride=-(-tokens // 16_384))

    def plain() -> None:
        held = torch.empty(MEMBERS, tokens, VOCABULARY)
        done = 0
        for log_p in batches(tokens):
            held[:, done : done + log_p.shape[1]] = log_p
            done += log_p.shape[1]
        plain_curves(held[:, :100])  # as much again is needed for a batch of curves, not for all

    print(common.peak_growth(ours if which == "ours" else plain))


def disagreement_memory(tokens: int) -> list[common.Row]:
    ours, theirs = (peak_bytes(which, tokens) / 2**20 for which in ("ours", "plain"))
    case = f"{tokens:,} tokens"
    return [common.row("disagreement:memory", case, "all in memory, float32", ours, theirs, "MiB", False)]


def embeddings(tokens: int = VOCABULARY, hidden: int = HIDDEN) -> list[np.ndarray]:
    """Members' matrices with a common part, float64 as both ways read them."""
    rng = np.random.default_rng(0)
    common_part = rng.normal(size=(tokens, hidden))
    return [common_part + rng.normal(size=(tokens, hidden)) for _ in range(MEMBERS)]


def similarities(matrix: np.ndarray) -> torch.Tensor:
    unit = torch.nn.functional.normalize(torch.from_numpy(matrix), dim=1)
    found = unit @ unit.T
    return found.fill_diagonal_(-torch.inf)


def plain_overlaps(first: np.ndarray, second: np.ndarray, at_once: bool = False) -> dict[int, float]:
    """A ``topk`` for each token, or one for all tokens of a size."""
    a, b = similarities(first), similarities(second)
    found = {}
    for k in TOP_K:
        if at_once:
            near_a, near_b = a.topk(k).indices.tolist(), b.topk(k).indices.tolist()
        else:
            near_a, near_b = ([row.topk(k).indices.tolist() for row in side] for side in (a, b))
        shared = [len(set(x) & set(y)) for x, y in zip(near_a, near_b, strict=True)]
        found[k] = float(np.mean([s / (2 * k - s) for s in shared]))
    return found


def plain_spearman(first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    a, b = similarities(first), similarities(second)
    found = {}
    for k in TOP_K[1:]:
        halves = []
        for own in (a, b):
            near = own.topk(k).indices
            ranks = [side.gather(1, near).argsort(1).argsort(1).double() for side in (a, b)]
            x, y = (rank - rank.mean(1, keepdim=True) for rank in ranks)
            halves.append((x * y).sum(1) / (x.square().sum(1) * y.square().sum(1)).sqrt())
        found[k] = float((halves[0] + halves[1]).mean() / 2)
    return found


def plain_shapes(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    a, b = (matrix - matrix.mean(0) for matrix in (first, second))
    own = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    linear = float(np.square(a.T @ b).sum() / own)
    return {"procrustes_disparity": spatial.procrustes(first, second)[2], "linear_cka": linear}


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return run(), time.perf_counter() - began


def static_rows(chosen: Sequence[str], pairs: int) -> list[common.Row]:
    """Both tasks, after checking that both ways give the same numbers."""
    matrices = embeddings()
    small = [matrix[:300] for matrix in matrices]
    list(embedding_rows({}, range(MEMBERS), small))  # compiles
    case = f"{VOCABULARY} tokens x {HIDDEN}, {MEMBERS} members, k in {', '.join(map(str, TOP_K))}"
    some = list(islice(combinations(range(MEMBERS), 2), pairs))
    overlaps, overlap_time = timed(lambda: [plain_overlaps(matrices[i], matrices[j]) for i, j in some])
    rows = []
    if "static:overlap" in chosen:
        _, batched_time = timed(lambda: [plain_overlaps(matrices[i], matrices[j], at_once=True) for i, j in some])
        found, ours = timed(lambda: compare_neighbours(matrices, TOP_K, spearman=False))
        for pair in range(len(some)):
            means = found.overlap[pair].mean(axis=1)
            np.testing.assert_allclose(means, list(overlaps[pair].values()), atol=1e-6)
        for peer, seconds in (
            ("loop over tokens: topk and sets", overlap_time),
            ("one topk a size, loop: sets", batched_time),
        ):
            theirs = seconds * PAIRS / pairs
            rows.append(common.row("static:overlap", case, peer, ours, theirs, "s", False))
    if "static:table" in chosen:
        plain, rest = timed(
            lambda: [
                (plain_spearman(matrices[i], matrices[j]), plain_shapes(matrices[i], matrices[j])) for i, j in some
            ]
        )
        table, ours = timed(lambda: list(embedding_rows({}, range(MEMBERS), matrices)))
        for (i, j), (spearman, shapes) in zip(some, plain, strict=True):
            own = [row for row in table if (row.get("member"), row.get("other")) == (i, j)]
            for row in own:
                known = (
                    spearman.get(row.get("x")) if row["metric"] == "local_spearman" else shapes.get(row["metric"])
                )
                assert known is None or abs(known - row["value"]) < 1e-6, (row, known)
        theirs = (overlap_time + rest) * PAIRS / pairs
        rows.append(common.row("static:table", case, "the plain way, pair by pair", ours, theirs, "s", False))
    return rows


def main() -> None:
    made = common.parser(__doc__, TASKS)
    made.add_argument("--tokens", type=int, default=50_000, help="masked tokens of the tasks on disagreement")
    made.add_argument("--pairs", type=int, default=PAIRS, help="pairs that the plain way of static is timed on")
    made.add_argument("--peak", choices=("ours", "plain"), help="only print one way's peak memory, in bytes")
    options = made.parse_args()
    if options.peak is not None:
        print_peak(options.peak, options.tokens)
        return
    tasks = common.chosen(made, options, TASKS)
    if not 1 <= options.pairs <= PAIRS:
        made.error(f"--pairs must be from 1 to {PAIRS}")
    began, rows = time.perf_counter(), []
    if "disagreement:time" in tasks:
        rows += disagreement_time(options.tokens)
    if "disagreement:memory" in tasks:
        rows += disagreement_memory(options.tokens)
    if any(task.startswith("static:") for task in tasks):
        rows += static_rows(tasks, options.pairs)
    chosen = {"tasks": tasks, "tokens": options.tokens, "pairs": options.pairs, "members": MEMBERS}
    configuration = {**chosen, "vocabulary": VOCABULARY, "hidden": HIDDEN, "threads": torch.get_num_threads()}
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
