"""How far every estimator is off, on sources whose entropy rate is known exactly.

For each source, size n and repeat a fresh sample is drawn (a smaller n is its beginning), and the rate is
estimated as h_k = H_k − H_{k−1} at the shortest k that sees the whole rate (see `gfm_utils.entropy.sources`),
from match lengths and by code lengths where n is small enough for that: the context mixer's on four letters, those
of prediction by partial matching on other alphabets of single bytes.
A code length is an upper bound, so its "bias" is what the code spends above the rate, learning included.

Record the full set: ``gfm calibrate --out data/results/calibration``.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t
from tqdm import tqdm

from gfm_utils.entropy.blocks import block_entropies
from gfm_utils.entropy.codelength import Coder, compressed_bits, dna_code_length
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import match_entropies
from gfm_utils.entropy.rows import entropy_rows
from gfm_utils.entropy.sources import (
    Source,
    dirichlet,
    near_deterministic,
    random_markov,
    repeats,
    uniform,
    zipf,
)

QUICK_SIZES = (10**4, 10**5, 10**6)
FULL_SIZES = (10**4, 10**5, 10**6, 10**7)


def quick_sources() -> list[Source]:
    """A source of each kind, small enough for a chapter."""
    return [*map(random_markov, (1, 3, 6)), zipf(), dirichlet(), near_deterministic(), repeats()]


def full_sources() -> list[Source]:
    """Every source of the calibration."""
    chains = [*map(random_markov, range(9)), random_markov(1, 256)]
    spread = [dirichlet(4096, b) for b in (0.05, 0.5, 5.0)] + [dirichlet(65_536, 0.5)]
    return [uniform(), *chains, zipf(), zipf(65_536), *spread, near_deterministic(), repeats()]


def calibrate(
    sources: Sequence[Source],
    sizes: Sequence[int],
    repeats: int = 5,
    seed: int = 0,
    slow_symbols: int = 10**5,
    progress: bool = False,
) -> pd.DataFrame:
    """Bias and spread of every estimator of the entropy rate, in bits per symbol.

    Rows, with the source's name as condition, axis ``symbols`` and x = n: ``entropy_bias``, the mean of ĥ − h
    over repeats with its 95 % interval (Student's t) and standard error; ``entropy_spread``, the standard
    deviation over repeats (none for a single one); ``entropy_rmse``, the root of the mean square of ĥ − h.
    ``trusted`` holds where the rule of `gfm_utils.entropy.blocks` does, at that order in every repeat.
    And once a source ``entropy_rate``, the exact h (kind ``exact``).

    Args:
        sources: what is sampled.
        sizes: numbers of symbols n.
        repeats: samples a source.
        seed: of the samples.
        slow_symbols: the largest n at which match lengths and code lengths are found too, the slow part.
        progress: show a bar.
    """
    rows: list[dict[str, Any]] = []
    for source in tqdm(sources, desc="calibration", unit="source", disable=not progress):
        rows.append({
            "condition": source.name, "metric": "entropy_rate", "value": source.rate, "unit": "bits/symbol",
            "estimator": "exact", "kind": "exact", "order": source.block, "trusted": True,
        })  # fmt: skip
        errors: dict[tuple[int, str], list[tuple[float, bool]]] = {}
        for repeat in range(repeats):
            sample = source.sample(max(sizes), int(np.random.SeedSequence((seed, repeat)).generate_state(1)[0]))
            for size in sizes:
                for name, value, sound in rate_estimates(sample[:size], source, slow_symbols):
                    errors.setdefault((size, name), []).append((value - source.rate, sound))
        for (size, name), pairs in errors.items():
            rows += _rows(source, size, name, np.array([e for e, _ in pairs]), all(sound for _, sound in pairs))
    return entropy_rows(rows)


def rate_estimates(sample: NDArray[Any], source: Source, slow_symbols: int) -> list[tuple[str, float, bool]]:
    """Name, bits per symbol and trust of every estimator of the rate on one sample of shape (n,).

    Match lengths and code lengths are found where n is no more than ``slow_symbols``.
    """
    counted = block_entropies([sample], source.alphabet, source.block, errors=False)[-len(Estimator) :]
    found = [(of.estimator.value, float(of.conditional), of.trusted) for of in counted]
    if len(sample) > slow_symbols:
        return found
    found += [(of.estimator.value, of.value, False) for of in match_entropies([sample], source.alphabet)]
    if source.alphabet == 4:
        for coder in (Coder.CONTEXT_MIXING, Coder.CONTEXT_MIXING_REPEAT_FREE):
            found.append((coder.value, dna_code_length([sample], coder).per_symbol, True))
    elif source.alphabet <= 256:
        bits = compressed_bits(sample.astype(np.uint8).tobytes(), Coder.PPMD)
        found.append((Coder.PPMD.value, bits / len(sample), True))
    return found


def nsb_advantage(calibration: pd.DataFrame) -> pd.DataFrame:
    """NSB's root mean square error beside that of the best other estimator from counts, by source and n.

    Returns:
        Columns ``condition``, ``symbols``, ``nsb`` and ``best`` (bits), ``other`` (whose that is), ``ratio``
        (best / nsb, above 1 where NSB is ahead), ``trusted`` (whether the sample suffices for NSB).
    """
    rows = calibration[calibration["metric"] == "entropy_rmse"]
    rows = rows[rows["estimator"].isin([estimator.value for estimator in Estimator])]
    compared = []
    for (condition, x), group in rows.groupby(["condition", "x"], sort=False):
        by_name = group.set_index("estimator")
        others = by_name["value"].astype(float).drop(Estimator.NSB.value)
        nsb = float(by_name["value"][Estimator.NSB.value])
        compared.append({
            "condition": condition, "symbols": int(x), "nsb": nsb, "best": float(others.min()),
            "other": others.idxmin(), "trusted": bool(by_name["trusted"][Estimator.NSB.value]),
            "ratio": float(others.min()) / nsb if nsb > 0 else math.inf,
        })  # fmt: skip
    return pd.DataFrame(compared)


def _rows(source: Source, size: int, name: str, errors: NDArray[np.float64], sound: bool) -> list[dict[str, Any]]:
    """Bias, spread and root mean square of the errors, shape (repeats,)."""
    shared = {
        "condition": source.name, "axis": "symbols", "x": str(size), "unit": "bits/symbol", "n": len(errors),
        "estimator": name, "kind": "upper bound" if name in set(Coder) else "estimate",
        "order": source.block if name in set(Estimator) else None, "trusted": sound,
    }  # fmt: skip
    bias, count = float(errors.mean()), len(errors)
    spread = se = low = high = None
    if count > 1:
        spread = float(errors.std(ddof=1))
        se = spread / math.sqrt(count)
        margin = float(t.ppf(0.975, count - 1)) * se
        low, high = bias - margin, bias + margin
    rows = [shared | {"metric": "entropy_bias", "value": bias, "se": se, "low": low, "high": high}]
    if spread is not None:
        rows.append(shared | {"metric": "entropy_spread", "value": spread})
    return [*rows, shared | {"metric": "entropy_rmse", "value": float(np.sqrt(np.mean(errors**2)))}]
