"""The causal test: the entropy of text and of DNA is changed by controls, and the tokenizer of DNA is varied.

Records what the chapter on the causal test shows, each part in a folder of its own: ``--out`` (every dose at three
budgets), ``--out`` with ``-controlled`` (another seed, doses around DNA's gain, floors, and a smaller model), with
``-longer`` (that with twice the longest training) and with ``-tokenizers``. Ensembles that are in ``--runs``
already are not trained again; ``--dry-run`` says what the others will take, ``--only`` picks parts.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from gfm_utils import provenance, tables
from gfm_utils.analyses.cost import cost_overview
from gfm_utils.analyses.dose import DNA_DOSES, TEXT_DOSES, dose_response, doses
from gfm_utils.analyses.rates import rate_rows
from gfm_utils.analyses.sweep import TOKENIZERS, tokenizer_sweep
from gfm_utils.ensembles import duration, expected_costs
from gfm_utils.errors import GfmError
from gfm_utils.profiles import PROFILES, Profile, profile
from gfm_utils.tokens import Condition, TokenStore, prepare

CONDITIONS = ("news@bpe256", "tair10-chr1@kmer4")
BUDGETS = (250, 750, 2250)
#: Seed of the parts that test what the first one found.
SEED, SMALLER = 43, "modernbert-2x32"
#: Doses of text around DNA's gain, of each of these parts, and the contrasts and the floor of DNA.
CLOSE_TEXT = (None, "noise0.3", "noise0.35", "noise0.4", "shuffle", "markov0")
SMALL_TEXT = (None, "noise0.2", "noise0.3", "noise0.4", "shuffle")
LONG_TEXT = (None, "noise0.3", "noise0.4", "noise0.45", "shuffle")
CONTROLLED_DNA = (None, "noise0.3", "shuffle", "markov4t0.33", "markov4t0.33+noise0.3")
#: DNA that is cut as text is; what is gained from bases in random order is the tokenizer's own.
ALIKE_DNA = (None, "shuffle", "markov0")
#: Test windows and windows for the Fisher information: half of what the chapters read, for the time's sake.
READ = {"test_windows": 256, "fisher_windows": 48}
SWEEP_STEPS, SWEEP_MEMBERS = 400, 3
PARTS = ("doses", "controlled", "longer", "tokenizers")


@dataclass(frozen=True)
class Grid:
    """Conditions, each at all budgets."""

    conditions: Sequence[str]
    budgets: Sequence[int]
    preset: str
    seed: int


def grids_of(part: str, stores: Sequence[TokenStore], size: Profile, budgets: Sequence[int]) -> list[Grid]:
    """What a part trains and measures."""
    if part == "doses":
        return [Grid(doses(stores, TEXT_DOSES, DNA_DOSES), budgets, size.preset, 42)]
    most = max(budgets)
    if part == "longer":
        return [Grid(doses(stores, LONG_TEXT, CONTROLLED_DNA), [2 * most], size.preset, SEED)]
    text, dna = (next(store for store in stores if store.kind == kind) for kind in ("text", "dna"))
    alike = replace(Condition.parse(dna.condition), tokenizer=Condition.parse(text.condition).tokenizer)
    close = [*doses(stores, CLOSE_TEXT, CONTROLLED_DNA), *(str(alike.transformed(dose)) for dose in ALIKE_DNA)]
    return [
        Grid(doses(stores, SMALL_TEXT, CONTROLLED_DNA), [most], SMALLER, SEED),
        Grid(close, [most], size.preset, SEED),
    ]


def measured(grids: Sequence[Grid], size: Profile, options: argparse.Namespace) -> pd.DataFrame:
    """The table of some grids, each condition's entropy once."""
    found = [
        dose_response(grid.conditions, size, options.runs, grid.budgets, [grid.preset], grid.seed, options.members)
        for grid in grids
    ]
    return pd.concat(found, ignore_index=True).drop_duplicates(ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="quick", choices=list(PROFILES))
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS, help="one of text and one of DNA")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="optimiser steps")
    parser.add_argument("--members", type=int, help="of each ensemble (the profile's number)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts (all)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/results/dose-response"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    size = profile(options.profile).model_copy(update=READ)
    stores = [prepare(name, size, options.runs) for name in options.conditions]
    if {store.kind for store in stores} != {"text", "dna"}:
        raise GfmError("the causal test needs a condition of text and one of DNA; give both with --conditions")
    dna = next(store for store in stores if store.kind == "dna")
    corpus = Condition.parse(dna.condition).corpus
    sweep = [str(Condition(corpus, name)) for name in TOKENIZERS]
    short = size.changed(steps=SWEEP_STEPS)
    grids = {part: grids_of(part, stores, size, options.budgets) for part in options.only if part != "tokenizers"}
    if options.dry_run:
        total = 0.0
        for part, own in grids.items():
            for grid in own:
                for steps in grid.budgets:
                    changed = size.changed(steps=steps, preset=grid.preset)
                    every = expected_costs(grid.conditions, changed, options.runs, grid.seed, options.members)[-1]
                    print(f"{part}: {grid.preset}, {steps} steps: {cost_overview([every])[0]}")
                    total += every.seconds
        if "tokenizers" in options.only:
            every = expected_costs(sweep, short, options.runs, members=SWEEP_MEMBERS)[-1]
            print(f"tokenizers at matched tokens (matched bases take as long): {cost_overview([every])[0]}")
            total += 2 * every.seconds
        print(f"training in all: {duration(total)}; then some 15 s for each condition and budget")
        return
    command = shlex.join(["python", *sys.argv])
    for part, own in grids.items():
        began = time.perf_counter()
        table = measured(own, size, options)
        if part == "controlled":  # the entropy of all doses, with this part's seed
            others = (
                prepare(Condition.parse(name), size, options.runs, SEED)
                for name in doses(stores, TEXT_DOSES, DNA_DOSES)
            )
            rates = tables.table(row for store in others for row in rate_rows(store))
            table = pd.concat([table, rates], ignore_index=True).drop_duplicates(ignore_index=True)
        trained = float(table.loc[table["metric"] == "training_time", "value"].sum())
        configuration = {
            "profile": options.profile, **READ, "members": options.members or size.members,
            "grids": [vars(grid) for grid in own],
            "seconds_of_training_added_up_over_members": round(trained),
        }  # fmt: skip
        out = options.out if part == "doses" else options.out.with_name(f"{options.out.name}-{part}")
        provenance.record(table, out, command, configuration, time.perf_counter() - began)
    if "tokenizers" in options.only:
        began = time.perf_counter()
        table = tokenizer_sweep(sweep, short, options.runs, members=SWEEP_MEMBERS)
        training = {"steps": SWEEP_STEPS, "members": SWEEP_MEMBERS}
        configuration = {"profile": options.profile, **READ, **training, "conditions": sweep}
        out = options.out.with_name(f"{options.out.name}-tokenizers")
        provenance.record(table, out, command, configuration, time.perf_counter() - began)


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
