"""Entropy and code length: ours against others, on the same data in one run.

- ``entropy:counts``: seconds for the Grassberger estimate from symbols; infomeasure (AGPL) is installed by pip
  into a temporary folder that is deleted afterwards, and is no dependency. Its formula is Grassberger's of 1988,
  ours that of 2003, which is less biased; that both did the same work is checked by the older formula on our
  counts, which must agree with theirs to 1e-9 bits. Each figure is the shortest of some runs, after one that
  compiles.
- ``entropy:dna-code-length``: bits a base of each mode of the DNA mixer, and of the compressors of the standard
  library and GeCo3 (where it is installed).
- ``entropy:dna-code-speed``: the same, in megabases a second of CPU time, compilation left out.

A ratio above 1 is in our favour.
Without the network, name a FASTA file in place of the corpus.
"""

import functools
import math
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from gfm_utils import corpora
from gfm_utils.entropy.codelength import Coder, dna_code_length
from gfm_utils.entropy.counts import block_ids, multiplicities
from gfm_utils.entropy.dna_mixing import compile_kernels
from gfm_utils.entropy.estimators import Estimator, entropy
from gfm_utils.entropy.symbols import encode_letters

COUNTS, LENGTH, SPEED = TASKS = ("entropy:counts", "entropy:dna-code-length", "entropy:dna-code-speed")

SIZES = (10**6, 10**7)
ALPHABET = 4**8
TOLERANCE = 1e-9  # bits

OURS = {
    "full": Coder.CONTEXT_MIXING,
    "fast": Coder.CONTEXT_MIXING_FAST,
    "repeat_free": Coder.CONTEXT_MIXING_REPEAT_FREE,
}
PEERS = (Coder.LZMA, Coder.BZ2, Coder.ZLIB)
GECO3_LEVELS = (10, 16)


def grassberger(symbols: NDArray[np.int64]) -> float:
    (blocks,) = block_ids([symbols], ALPHABET, 1)
    return entropy(multiplicities(blocks.counts()), Estimator.GRASSBERGER, ALPHABET)


def formula_of_1988(symbols: NDArray[np.int64]) -> float:
    """Log N − (1/N) Σ n_i [ψ(n_i) + (−1)^n_i / (n_i + 1)], in bits (P. Grassberger, Physics Letters A 128)."""
    (blocks,) = block_ids([symbols], ALPHABET, 1)
    seen = multiplicities(blocks.counts())
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


def counts_rows() -> list[common.Row]:
    """Our estimate from counts against infomeasure's."""
    rows = []
    with common.peer("infomeasure", "--no-deps") as infomeasure:
        peer = f"infomeasure {getattr(infomeasure, '__version__', '?')}, Grassberger"
        for size in SIZES:
            rng = np.random.default_rng(size)
            symbols = rng.choice(ALPHABET, size, p=rng.dirichlet(np.full(ALPHABET, 0.5))).astype(np.int64)
            grassberger(symbols[:1000])
            seconds, _ = shortest(functools.partial(grassberger, symbols), 5)
            theirs = functools.partial(infomeasure.entropy, symbols, approach="grassberger", base=2)
            peer_seconds, value = shortest(theirs, 1)
            if not abs(formula_of_1988(symbols) - value) < TOLERANCE:
                raise SystemExit(f"the two disagree at n = {size}: {formula_of_1988(symbols)} and {value} bits")
            case = f"n = 10^{round(math.log10(size))}"
            rows.append(common.row(COUNTS, case, peer, seconds, peer_seconds, "s", more_is_better=False))
    return rows


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def geco3(codes: NDArray[np.uint8], level: int) -> float:
    """Bits a base of GeCo3 at a level."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bases"
        path.write_bytes(np.frombuffer(b"ACGT", np.uint8)[codes].tobytes())
        subprocess.run(["GeCo3", "-l", str(level), str(path)], check=True, capture_output=True)
        return 8 * path.with_suffix(".co").stat().st_size / len(codes)


def dna_rows(codes: NDArray[np.uint8], tasks: list[str]) -> list[common.Row]:
    """The modes of the mixer against the compressors."""
    compile_kernels(progress=True)

    def measured(code: Callable[[], float]) -> dict[str, float]:
        began = cpu_seconds()
        bits = code()
        return {"bits/base": bits, "Mb/s": len(codes) / 1e6 / (cpu_seconds() - began)}

    def coded(coder: Coder) -> float:
        return dna_code_length([codes], coder).per_symbol

    ours = {mode: measured(functools.partial(coded, coder)) for mode, coder in OURS.items()}
    peers = {str(coder): measured(functools.partial(coded, coder)) for coder in PEERS}
    if shutil.which("GeCo3"):
        for level in GECO3_LEVELS:
            peers[f"GeCo3 -l{level}"] = measured(functools.partial(geco3, codes, level))
    units = {LENGTH: "bits/base", SPEED: "Mb/s"}
    return [
        common.row(task, mode, peer, mine[units[task]], theirs[units[task]], units[task], task == SPEED)
        for task in units
        if task in tasks
        for mode, mine in ours.items()
        for peer, theirs in peers.items()
    ]


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--corpus", default="tair10-chr1", help="name of a DNA corpus, or a FASTA file")
    parser.add_argument("--bases", type=int, default=4_000_000, help="how many first bases; 0: all")
    options = parser.parse_args()
    tasks = common.chosen(parser, options, TASKS)
    began = time.perf_counter()
    rows: list[common.Row] = []
    configuration: dict[str, Any] = {"tasks": tasks}
    if COUNTS in tasks:
        rows += counts_rows()
    if LENGTH in tasks or SPEED in tasks:
        corpus = corpora.load(options.corpus)
        segments, _ = encode_letters([segment.text for segment in corpus.segments])
        codes = np.concatenate(segments)[: options.bases or None]
        configuration |= {"corpus": corpus.name, "checksum": corpus.checksum, "bases": len(codes)}
        rows += dna_rows(codes, tasks)
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
