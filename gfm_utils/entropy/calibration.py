"""How far every estimator is off, on sources whose entropy rate is known exactly.

Record the full set: ``gfm calibrate --out data/results/calibration``.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.entropy.blocks import block_entropies
from gfm_utils.entropy.codelength import Coder, compressed_bits, dna_code_length
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import match_entropies, match_lengths
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

SIZES = (10**4, 10**5, 10**6, 10**7)


def every_source() -> list[Source]:
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

    Rows, with the source's name as condition, axis ``symbols`` and x = n: ``entropy_bias``, the mean of ĥ − h over
    repeats; ``entropy_spread``, their standard deviation (NaN for a single one); ``entropy_rmse``, the root of the
    mean square of ĥ − h. ``trusted`` holds where the rule of `gfm_utils.entropy.blocks` does in every repeat.
    And once a source ``entropy_rate``, the exact h (kind ``exact``).

    Args:
        sources: what is sampled.
        sizes: numbers of symbols n; a smaller sample is the beginning of a larger one.
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
        found = defaultdict(list)
        for repeat in range(repeats):
            sample = source.sample(max(sizes), int(np.random.SeedSequence((seed, repeat)).generate_state(1)[0]))
            for size in sizes:
                for name, rate, sound in rate_estimates(sample[:size], source, slow_symbols):
                    found[size, name].append((rate - source.rate, sound))
        for (size, name), pairs in found.items():
            errors = np.array([error for error, _ in pairs])
            shared = {
                "condition": source.name, "axis": "symbols", "x": str(size), "unit": "bits/symbol",
                "n": len(errors), "estimator": name, "kind": "upper bound" if name in set(Coder) else "estimate",
                "order": source.block if name in set(Estimator) else None,
                "trusted": all(sound for _, sound in pairs),
            }  # fmt: skip
            spread = errors.std(ddof=1) if repeats > 1 else np.nan
            rmse = np.sqrt(np.mean(errors**2))
            found_of = {"entropy_bias": errors.mean(), "entropy_spread": spread, "entropy_rmse": rmse}
            rows += [shared | {"metric": metric, "value": value} for metric, value in found_of.items()]
    return entropy_rows(rows)


def rate_estimates(sample: NDArray[Any], source: Source, slow_symbols: int) -> Iterator[tuple[str, float, bool]]:
    """Name, bits per symbol and trust of every estimator of the rate on one sample of shape (n,).

    Counts give h_k at the shortest k that sees the whole rate. Match lengths and code lengths (of four letters the
    context mixer's, of other alphabets of single bytes those of prediction by partial matching) are found where n
    is no more than ``slow_symbols``.
    """
    for of in block_entropies([sample], source.alphabet, source.block, errors=False)[-len(Estimator) :]:
        yield of.estimator, of.conditional, of.trusted
    if len(sample) > slow_symbols:
        return
    for matching, (rate, _) in match_entropies(match_lengths([sample], source.alphabet)).items():
        yield matching, rate, False
    if source.alphabet == 4:
        for coder in (Coder.CONTEXT_MIXING, Coder.CONTEXT_MIXING_REPEAT_FREE):
            yield coder, dna_code_length([sample], coder).per_symbol, True
    elif source.alphabet <= 256:
        bits = compressed_bits(sample.astype(np.uint8).tobytes(), Coder.PPMD)
        yield Coder.PPMD, bits / len(sample), True
