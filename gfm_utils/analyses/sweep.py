"""One genome, many tokenizers: is what models predict of DNA a property of the tokens?"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.output import output_distributions
from gfm_utils.ensembles import train_ensembles
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, prepare

#: k-mers, and BPE by its number of symbols and merges.
TOKENIZERS = (*(f"kmer{k}" for k in range(1, 7)), *(f"bpe{size}" for size in (32, 128, 512, 1024, 4096)))
#: What is matched between tokenizers: the tokens that a model reads, or the bases.
MATCHED = ("tokens", "bases")
METRICS = ("output_entropy", "nll", "context_gain", "unigram_nll")


def tokenizer_sweep(
    conditions: Sequence[str], profile: Profile, runs_dir: Path, seed: int = 42, members: int | None = None
) -> pd.DataFrame:
    """Result table of the output distributions of one corpus under several tokenizers.

    Matched ``tokens``: windows, batches and steps are the profile's, so that a model with longer tokens reads
    more bases, and has more of them around. Matched ``bases``: a window has as many bases, on average, as the
    profile's window of the first condition that is k-mers of 4 (or of the first one), with as many windows a step
    and steps; context and budget in bases are equal, and the number of tokens differs.

    Axis ``matched``: ``METRICS`` of trained and untrained members as in ``output_distributions``;
    ``vocabulary`` (with special tokens), ``bases_per_token`` and ``window`` (tokens) of each condition.

    Args:
        conditions: of one corpus of DNA.
        profile: of training and test.
        runs_dir: where ensembles are found or made.
        seed: of splits, order of the windows and masks.
        members: of each ensemble; None: the profile's number.
    """
    parsed = {name: Condition.parse(name) for name in conditions}
    stores = {name: prepare(one, profile, runs_dir, seed) for name, one in parsed.items()}
    parts = {name: store.about["parts"]["train"] for name, store in stores.items()}
    bases = {name: part["symbols"] / part["tokens"] for name, part in parts.items()}
    reference = next((name for name in conditions if parsed[name].tokenizer == "kmer4"), conditions[0])
    found = []
    for matched in MATCHED:
        for name in conditions:
            window = profile.window
            if matched == "bases":
                window = max(8, round(profile.window * bases[reference] / bases[name]))
            size = profile.changed(window=window)
            table = output_distributions(
                train_ensembles([parsed[name]], size, runs_dir, seed, members), size, seed
            )
            kept = table[table["metric"].isin(METRICS) & table["axis"].isna()]
            base = {"condition": name, "unit": "1"}
            about = tables.table([
                {**base, "metric": "vocabulary", "value": stores[name].vocabulary},
                {**base, "metric": "bases_per_token", "value": bases[name]},
                {**base, "metric": "window", "value": window},
            ])  # fmt: skip
            found.append(pd.concat([kept, about], ignore_index=True).assign(axis="matched", x=matched))
    return pd.concat(found, ignore_index=True)
