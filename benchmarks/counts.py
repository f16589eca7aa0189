"""Entropy from counts: ours against infomeasure's Grassberger estimator, on the same symbols in one run.

infomeasure (AGPL) is installed by pip into a temporary folder that is deleted afterwards; it is no dependency.
Both are given the same array of symbols and count it themselves.
infomeasure's formula is Grassberger's of 1988, ours that of 2003, which is less biased; that both did the same
work is checked by the older formula on our counts, which must agree with theirs to 1e-9 bits.
Each figure is the shortest of some runs, after one that compiles.

Run: ``python benchmarks/counts.py [--json]``.
"""

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from scipy.special import digamma

from gfm_utils.entropy.counts import count_blocks, multiplicities
from gfm_utils.entropy.estimators import Estimator, entropy

SIZES = (10**6, 10**7)
ALPHABET = 4**8
TOLERANCE = 1e-9  # bits


def ours(symbols: np.ndarray) -> float:
    counts = count_blocks([symbols], ALPHABET, 1)
    return entropy(multiplicities(counts), Estimator.GRASSBERGER)


def formula_of_1988(symbols: np.ndarray) -> float:
    """Log N − (1/N) Σ n_i [ψ(n_i) + (−1)^n_i / (n_i + 1)], in bits (P. Grassberger, Physics Letters A 128)."""
    seen = multiplicities(count_blocks([symbols], ALPHABET, 1))
    g = digamma(seen.times) + (1.0 - 2.0 * (seen.times % 2)) / (seen.times + 1.0)
    return float(np.log(seen.observations) - seen.species @ (seen.times * g) / seen.observations) / math.log(2.0)


def shortest(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest run, and what it returned."""
    best, value = math.inf, math.nan
    for _ in range(repeats):
        began = time.perf_counter()
        value = run()
        best = min(best, time.perf_counter() - began)
    return best, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one list for machines")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, "infomeasure"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        sys.path.insert(0, folder)
        import infomeasure

        version = getattr(infomeasure, "__version__", "?")
        rows = []
        for size in SIZES:
            rng = np.random.default_rng(size)
            p = rng.dirichlet(np.full(ALPHABET, 0.5))
            symbols = rng.choice(ALPHABET, size, p=p).astype(np.int64)
            ours(symbols[:1000])
            seconds, _ = shortest(lambda s=symbols: ours(s), 5)
            peer_seconds, peer = shortest(
                lambda s=symbols: float(infomeasure.entropy(s, approach="grassberger", base=2)), 1
            )
            value = formula_of_1988(symbols)
            if not abs(value - peer) < TOLERANCE:
                raise SystemExit(f"the two disagree at n = {size}: {value} and {peer} bits")
            rows.append({
                "task": "entropy:counts",
                "peer": f"infomeasure {version}, Grassberger, n = {size:.0e}".replace("e+0", "e"),
                "ours": seconds,
                "theirs": peer_seconds,
                "unit": "s",
                "ratio": peer_seconds / seconds,
                "device": f"{platform.machine()} CPU, one core",
            })  # fmt: skip
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['task']}  {row['peer']}: ours {row['ours']:.3f} s, theirs {row['theirs']:.1f} s, "
            f"{row['ratio']:.0f} times faster"
        )


if __name__ == "__main__":
    main()
