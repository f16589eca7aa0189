"""Recipes for training small members, at about equal time on two cores: what each of their parts brings.

Each recipe trains members with the same seeds on the same tokens; what counts is their loss on hidden tokens of
the validation part, 15 % of them and all hidden by [MASK], whatever share they were trained on. Records
``validation_nll`` and ``context_gain`` (bits per token), axis ``recipe``, with the levels of token frequencies and
of n-grams on both sides beside them; and ``training_time``, the processor seconds of a member's steps, from some
steps of all recipes in turn in this process. Ensembles that are in ``--runs`` already are not trained again;
``--dry-run`` says what the others will take.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gfm_utils import provenance, tables
from gfm_utils.ensembles import (
    PRESETS,
    Ensemble,
    duration,
    expected_costs,
    masked_windows,
    plan_ensembles,
    predictions_of,
    train_planned,
)
from gfm_utils.ensembles.batches import batches
from gfm_utils.ensembles.presets import Preset
from gfm_utils.ensembles.train_step import Trainer
from gfm_utils.errors import GfmError
from gfm_utils.measures.counting import Counting, counting_levels
from gfm_utils.measures.output import output_moments
from gfm_utils.measures.rows import Row, member_rows
from gfm_utils.profiles import DEFAULT_CONDITIONS, Profile, profile

#: ModernBERT's own rotary base. Registered here, at import: processes that train import this file, too.
WIDE = "modernbert-2x64-base-160000"
PRESETS[WIDE] = Preset("modernbert", 2, 64, 2, 128, 0.1)
MEMBERS, VALIDATION_WINDOWS = 3, 512
#: Of the measurement of time: rounds, and steps of each recipe in a round.
ROUNDS, STEPS = 5, 40
_ADAMW: dict[str, Any] = {"matrix_rate": None, "schedule": "cosine", "steps": 1000}
#: Name -> what differs from the profile ``quick``.
RECIPES: dict[str, dict[str, Any]] = {
    "AdamW 3e-3, rotary base 160,000, cosine": {**_ADAMW, "preset": WIDE, "learning_rate": 3e-3},
    "... rotary base 100": {**_ADAMW, "learning_rate": 3e-3},
    "... and AdamW 6e-3": _ADAMW,
    "... and Muon 0.01 for the hidden matrices": {"schedule": "cosine"},
    "... and a linear decay: the profile quick": {},
    "quick, 40 % masked": {"train_mask": 0.4},
    "quick, twice the steps of half the batch": {"batch": 8, "steps": 1800},
    "quick, half the rates": {"learning_rate": 3e-3, "matrix_rate": 0.005},
    "quick, [MASK] at every hidden place": {"corruption": (1.0, 0.0, 0.0)},
}


def sized(changes: Mapping[str, Any]) -> Profile:
    return Profile.model_validate(profile("quick").model_dump() | dict(changes))


def hidden(ensemble: Ensemble) -> Any:
    """Windows of the validation part with the tokens that are hidden in them."""
    spec = ensemble.spec
    return masked_windows(ensemble.store, "validation", spec.window, VALIDATION_WINDOWS, 0.15, spec.data_seed)[:3]


def rows(name: str, ensemble: Ensemble, unigram: float) -> Iterator[Row]:
    models = [member.model() for member in ensemble.members]
    stream = predictions_of(models, *hidden(ensemble), ensemble.spec.vocabulary)
    losses = output_moments((batch.log_p, batch.targets) for batch in stream).nll.mean(1, dtype=np.float64)
    base = {"condition": ensemble.condition, "state": "trained", "axis": "recipe", "x": name}
    for metric, unit, values in (
        ("validation_nll", "bits/token", losses),
        ("context_gain", "bits/token", unigram - losses),
    ):
        yield from member_rows({**base, "metric": metric, "unit": unit}, ensemble.seeds, values, 1)


def training_times(ensembles: Mapping[str, Ensemble]) -> Iterator[Row]:
    """Processor seconds that the steps of a member take, the least of some rounds, each of all recipes in turn."""
    torch.set_num_threads(1)
    best = dict.fromkeys(ensembles, np.inf)
    trainers = {name: Trainer(one.spec, [1], "cpu") for name, one in ensembles.items()}
    for _ in range(ROUNDS):
        for name, one in ensembles.items():
            trainers[name].model.train()
            given = [batch.inputs() for batch in islice(batches(one.store, one.spec, one.spec.seeds(1)), STEPS)]
            began = time.process_time()
            for step, inputs in enumerate(given):
                trainers[name].learn(step, inputs)
            best[name] = min(best[name], (time.process_time() - began) / STEPS)
    for name, seconds in best.items():
        base = {"condition": "all", "state": "trained", "metric": "training_time", "unit": "s"}
        yield {**base, "axis": "recipe", "x": name, "value": seconds * ensembles[name].spec.steps, "n": ROUNDS}


def levels(ensemble: Ensemble) -> tuple[float, list[Row]]:
    """What token frequencies cost on the validation part, and that with n-grams on both sides as rows."""
    store = ensemble.store
    targets = hidden(ensemble)[2]
    level = Counting("", "", store.counts("train"), targets, store.token_lengths[targets])
    unigram = float(level.unigram.mean())
    base = {"condition": ensemble.condition, "unit": "bits/token", "n": targets.size}
    found: list[Row] = [{**base, "metric": "unigram_nll", "value": unigram}]
    test = [
        row
        for row in counting_levels(ensemble.store, ensemble.spec.window, profile("quick")).rows()
        if row["unit"] == "bits/token"
    ]
    return unigram, found + [row for row in test if row["metric"] == "ngram_nll" and row["x"] == "both"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conditions", nargs="+", default=DEFAULT_CONDITIONS)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/results/recipe"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    if options.dry_run:
        seconds = sum(
            expected_costs(options.conditions, sized(changes), options.runs, members=MEMBERS)[-1].seconds
            for changes in RECIPES.values()
        )
        print(f"training: {duration(seconds)}")
        return
    began = time.perf_counter()
    planned = {
        name: plan_ensembles(options.conditions, sized(changes), options.runs, members=MEMBERS)
        for name, changes in RECIPES.items()
    }
    train_planned([ensemble for ensembles in planned.values() for ensemble in ensembles])
    found: list[Row] = []
    unigram = {}
    for ensemble in next(iter(planned.values())):
        unigram[ensemble.condition], own = levels(ensemble)
        found += own
    for name, ensembles in planned.items():
        for ensemble in ensembles:
            found += rows(name, ensemble, unigram[ensemble.condition])
    found += training_times({name: ensembles[0] for name, ensembles in planned.items()})
    trained = sum(
        float(member.provenance["seconds"])
        for ensembles in planned.values()
        for ensemble in ensembles
        for member in ensemble.members
    )
    configuration = {
        "profile": "quick", "recipes": {name: dict(changes) for name, changes in RECIPES.items()},
        "members": MEMBERS, "validation_windows": VALIDATION_WINDOWS,
        "seconds_of_training_added_up_over_members": round(trained),
    }  # fmt: skip
    command = shlex.join(["python", "benchmarks/recipe.py", "--conditions", *options.conditions])
    provenance.record(tables.table(found), options.out, command, configuration, time.perf_counter() - began)


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
