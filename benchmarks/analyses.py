"""Analyses of ensembles: ours against the plain way, at the size of the paper's vocabulary, in one run.

Static embeddings: five members' matrices of 4101 tokens by 768 that share a part (correlated normal numbers),
the paper's neighbourhood sizes, all ten pairs. Compiling (once, cached on disk) is left out.

- ``static:overlap``: overlaps of the neighbourhoods; plain is a product of matrices and a ``topk`` a pair and
  size, and a Python loop over tokens with intersections of sets.
- ``static:table``: ours is the whole table, RBF and debiased CKA included; plain is the overlaps as above, local
  Spearman (a ``topk``, two gathers and two pairs of ``argsort`` for each size and direction), linear CKA and
  ``scipy.spatial.procrustes``, and no RBF CKA.

The plain way is timed on ``--pairs`` pairs and scaled to ten. A ratio above 1 is in our favour.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations, islice
from typing import Any

import common
import numpy as np
import torch
from scipy import spatial

from gfm_utils.analyses.neighbours import compare_neighbours
from gfm_utils.analyses.static import TOP_K, embedding_rows

TASKS = ("static:overlap", "static:table")
TOKENS, HIDDEN, MEMBERS = 4101, 768, 5
PAIRS = math.comb(MEMBERS, 2)


def embeddings(tokens: int = TOKENS, hidden: int = HIDDEN) -> list[np.ndarray]:
    """Members' matrices with a common part, float64 as both ways read them."""
    rng = np.random.default_rng(0)
    common_part = rng.normal(size=(tokens, hidden))
    return [common_part + rng.normal(size=(tokens, hidden)) for _ in range(MEMBERS)]


def similarities(matrix: np.ndarray) -> torch.Tensor:
    unit = torch.nn.functional.normalize(torch.from_numpy(matrix), dim=1)
    found = unit @ unit.T
    return found.fill_diagonal_(-torch.inf)


def plain_overlaps(first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    a, b = similarities(first), similarities(second)
    found = {}
    for k in TOP_K:
        near_a, near_b = a.topk(k).indices.tolist(), b.topk(k).indices.tolist()
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
    embedding_rows({}, range(MEMBERS), small)  # compiles
    case = f"{TOKENS} tokens x {HIDDEN}, {MEMBERS} members, k in {', '.join(map(str, TOP_K))}"
    some = list(islice(combinations(range(MEMBERS), 2), pairs))
    overlaps, overlap_time = timed(lambda: [plain_overlaps(matrices[i], matrices[j]) for i, j in some])
    rows = []
    if "static:overlap" in chosen:
        found, ours = timed(lambda: compare_neighbours(matrices, TOP_K, spearman=False))
        for pair, place in enumerate(some):
            means = found.overlap[found.pairs.index(place)].mean(axis=1)
            np.testing.assert_allclose(means, list(overlaps[pair].values()), atol=1e-6)
        theirs = overlap_time * PAIRS / pairs
        rows.append(common.row("static:overlap", case, "topk and sets in a Python loop", ours, theirs, "s", False))
    if "static:table" in chosen:
        plain, rest = timed(
            lambda: [
                (plain_spearman(matrices[i], matrices[j]), plain_shapes(matrices[i], matrices[j])) for i, j in some
            ]
        )
        table, ours = timed(lambda: embedding_rows({}, range(MEMBERS), matrices))
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
    made.add_argument(
        "--pairs", type=int, default=PAIRS, help="pairs that the plain way is timed on (default: all)"
    )
    options = made.parse_args()
    tasks = common.chosen(made, options, TASKS)
    if not 1 <= options.pairs <= PAIRS:
        made.error(f"--pairs must be from 1 to {PAIRS}")
    began, rows = time.perf_counter(), []
    if any(task.startswith("static:") for task in tasks):
        rows += static_rows(tasks, options.pairs)
    configuration = {"tasks": tasks, "pairs": options.pairs, "threads": torch.get_num_threads()}
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    sys.exit(main())
