"""Confounds: each experiment that asks what else may make the difference between text and DNA.

Records what the causal chapter tabulates, ``data/results/confounds``: every experiment of
``gfm_utils.claims.confounds``, those that say most first. What is done stands in ``--runs`` (a table an
experiment, and the ensembles) and is not done again, and the record is written anew after each experiment: a run
that is stopped has recorded what it has. ``--dry-run`` says what training will take, ``--only`` picks experiments.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from gfm_utils import provenance, tables
from gfm_utils.claims.confounds import EXPERIMENTS, Experiment, at_read, confound_table, planned, roles_of
from gfm_utils.ensembles import PRESETS, duration, expected_costs
from gfm_utils.ensembles.specification import FORMAT
from gfm_utils.errors import GfmError
from gfm_utils.files import digest
from gfm_utils.profiles import DEFAULT_CONDITIONS, PROFILES, Profile, profile
from gfm_utils.tokens import prepare

SEED = 42


def part_path(experiment: Experiment, roles: Mapping[str, str], size: Profile, runs: Path) -> Path:
    """Where the table of an experiment is kept; another profile, recipe or definition has another place."""
    models = [FORMAT, PRESETS[experiment.sized(size).preset].revision]
    about = ("confound", "change", "predictability")
    done = {name: value for name, value in asdict(experiment).items() if name not in about}
    key = digest([done, dict(roles), size.model_dump(mode="json"), models, tables.DEFINITIONS])
    return runs / "confounds" / f"{experiment.name}-{key}.parquet"


def done_parts(roles: Mapping[str, str], size: Profile, runs: Path) -> dict[str, pd.DataFrame]:
    """Experiment -> its table, of all that are done."""
    paths = {name: part_path(one, roles, size, runs) for name, one in EXPERIMENTS.items()}
    return {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}


def say_price(names: list[str], roles: Mapping[str, str], size: Profile, runs: Path) -> None:
    """What training will take, experiment by experiment; an ensemble that several read is priced once."""
    total, seen = 0.0, set[Path]()
    for name in names:
        experiment = EXPERIMENTS[name]
        if part_path(experiment, roles, size, runs).exists():
            print(f"{name}: done")
            continue
        ensembles = planned(experiment, roles, size, runs, SEED)
        members = [member.path for one in ensembles.values() for member in one.members]
        again = sum(path in seen for path in members) / len(members)
        seconds = 0.0
        if again < 1:
            conditions = [one.condition for one in ensembles.values()]
            changed = experiment.sized(size)
            every = expected_costs(conditions, changed, runs, SEED, experiment.members)[-1]
            seconds = (1 - again) * every.seconds
        seen.update(members)
        total += seconds
        print(f"{name}: {duration(seconds) if seconds else 'nothing to train'}", flush=True)
    print(f"training in all: {duration(total)}; then some 10 s for each condition of each experiment")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="quick", choices=list(PROFILES))
    parser.add_argument(
        "--conditions", nargs="+", default=DEFAULT_CONDITIONS,
        help="one of text, one of DNA cut by BPE, and one of DNA as k-mers",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS), metavar="NAME")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/results/confounds"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    size = at_read(profile(options.profile))
    roles = roles_of([prepare(name, size, options.runs, SEED) for name in options.conditions])
    if len(roles) < 3:
        raise GfmError(
            "the experiments need a text, DNA cut by BPE, and DNA as k-mers; give all with --conditions"
        )
    names = [name for name in EXPERIMENTS if name in options.only]
    if options.dry_run:
        say_price(names, roles, size, options.runs)
        return
    for name in names:
        path = part_path(EXPERIMENTS[name], roles, size, options.runs)
        tables.kept_table(path, partial(measured, EXPERIMENTS[name], roles, size, options.runs))
        record(done_parts(roles, size, options.runs), roles, size, options.out)


def measured(experiment: Experiment, roles: Mapping[str, str], size: Profile, runs: Path) -> pd.DataFrame:
    """The table of an experiment, which keeps the seconds that it took."""
    began = time.perf_counter()
    frame = confound_table(experiment, roles, size, runs, SEED)
    frame.attrs["seconds"] = time.perf_counter() - began
    print(f"{experiment.name}: {len(frame)} rows, {duration(frame.attrs['seconds'])}", flush=True)
    return frame


def record(parts: Mapping[str, pd.DataFrame], roles: Mapping[str, str], size: Profile, out: Path) -> None:
    """Write what there is, the experiments in their order."""
    seconds = {name: round(frame.attrs["seconds"]) for name, frame in parts.items()}
    configuration = {
        "profile": size.name, "steps": size.steps_taken, "conditions": dict(roles), "seed": SEED,
        "recipe": size.model_dump(mode="json"), "seconds_of_experiments": seconds,
    }  # fmt: skip
    command = ["python", "benchmarks/confounds.py", "--profile", size.name, "--conditions", *roles.values()]
    whole = pd.concat(parts.values(), ignore_index=True)
    provenance.record(whole, out, shlex.join(command), configuration, sum(seconds.values()))


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
