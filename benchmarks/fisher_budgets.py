"""Shares of the Fisher information after the training of a profile, and after four times as much.

The chapter on Fisher information shows the table that this records. Conditions: text, DNA, and, after the
profile's training alone, the tokens of both in random order, from which nothing but frequencies can be learned.
Ensembles that are in ``--runs`` already are not trained again.
"""

import argparse
import time
from pathlib import Path

import pandas as pd

from gfm_utils import provenance
from gfm_utils.analyses import fisher_information
from gfm_utils.ensembles import train_ensembles
from gfm_utils.profiles import PROFILES, profile
from gfm_utils.tokens import Condition

CONDITIONS = ("news@bpe256", "tair10-chr1@kmer4")
TIMES = (1, 4)
#: What the chapter shows, of trained members and of those with a random context.
METRICS = ("fisher_share", "fisher_share_invariant", "fisher_share_paper", "context_gain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="quick", choices=list(PROFILES))
    parser.add_argument("--times", type=int, nargs="+", default=TIMES, help="of the profile's steps")
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="record rows and provenance there")
    options = parser.parse_args()
    began, frames = time.perf_counter(), []
    for times in options.times:
        chosen = profile(options.profile)
        steps = times * chosen.steps_taken
        budget = chosen.changed(steps=steps)
        given = list(map(Condition.resolve, options.conditions))
        controls = [condition.transformed("shuffle") for condition in given if times == 1]
        ensembles = train_ensembles([*given, *controls], budget, options.runs)
        frame = fisher_information(ensembles, budget)
        frame = frame[frame["metric"].isin(METRICS) & ~(frame["axis"] == "group_over_sequences")]
        frames.append(frame.assign(state=frame["state"] + f", {steps:,} steps"))
    command = f"python benchmarks/fisher_budgets.py --profile {options.profile} --out {options.out}"
    configuration = {"profile": options.profile, "times": options.times, "conditions": options.conditions}
    whole = pd.concat(frames, ignore_index=True)
    provenance.record(whole, options.out, command, configuration, time.perf_counter() - began)


if __name__ == "__main__":
    main()
