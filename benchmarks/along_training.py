"""Every primary measure along training: sizes, optimisers and conditions, at the checkpoints that members keep.

Records what the chapter on longer training shows, entry by entry: ``main`` (the profile as it is), ``smaller`` and
``larger`` models, ``adamw`` (the main model without Muon, at the rate that AdamW needs then), and, if asked for by
``--only``, ``bert`` (the paper's architecture, by AdamW) and ``annealed`` (the main model in runs of 1/2, 1/4, 1/8
and 1/16 of its steps: with the main run five ends at a learning rate of zero). Ensembles that are in ``--runs``
already are not trained again, and an entry that is recorded already is left as it is; a command that was stopped
continues where it was. ``--dry-run`` says what training will take.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gfm_utils import provenance
from gfm_utils.claims.along_training import AXIS, Setting, along_training
from gfm_utils.claims.confounds import READ
from gfm_utils.claims.paper import cost_overview
from gfm_utils.ensembles import duration, expected_costs, plan_ensembles, train_planned
from gfm_utils.errors import GfmError
from gfm_utils.profiles import PROFILES, Profile, profile

#: The first two have one tokenizer, and are what every entry reads; ``main`` reads the last, too.
CONDITIONS = ("news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4")
ALWAYS = ("main", "smaller", "larger", "adamw")
#: Parts of the steps of ``main`` in which its model is trained anew.
PARTS = (2, 4, 8, 16)
SEED = 42
#: What AdamW alone needs to get anywhere near on DNA cut by BPE, and what ``quick`` gives it.
ADAMW_RATE = PROFILES["quick"].learning_rate


@dataclass(frozen=True)
class Entry:
    """One model, its training, and what it reads.

    Attributes:
        preset: architecture and size; None: the profile's.
        steps: of a member; None: the profile's.
        adamw: whether AdamW trains the matrices too, at ``ADAMW_RATE``.
        conditions: how many of the given ones.
        part: of the steps; 2 is half of them.
    """

    preset: str | None = None
    steps: int | None = None
    adamw: bool = False
    conditions: int = 2
    part: int = 1

    def size(self, base: Profile) -> Profile:
        """The profile with this model and training."""
        steps = (self.steps or base.steps_taken) // self.part
        found = base.changed(steps=None if steps == base.steps_taken else steps, preset=self.preset)
        alone = {"matrix_rate": None, "learning_rate": ADAMW_RATE} if self.adamw else {}
        return found.model_copy(update={**alone, **READ})


ENTRIES: dict[str, Entry] = {
    "main": Entry(conditions=len(CONDITIONS)),
    "smaller": Entry("modernbert-2x32", 8000),
    "larger": Entry("modernbert-4x128", 2400),
    "adamw": Entry(adamw=True),
    "bert": Entry("bert-2x64", adamw=True),
    **{f"annealed-{part}": Entry(part=part) for part in PARTS},
}


def chosen_entries(names: Sequence[str], steps: Sequence[str]) -> dict[str, Entry]:
    """Entries by name, with other numbers of steps than the default.

    Args:
        names: of ``ENTRIES``; ``annealed`` means all of these.
        steps: ``NAME=STEPS`` each.

    Raises:
        GfmError: one is not of that form, or has no such name.
    """
    budgets: dict[str, int] = {}
    for given in steps:
        name, _, number = given.partition("=")
        if name not in ENTRIES or not number.isdigit() or int(number) < 1:
            raise GfmError(f"--steps {given!r}: write NAME=STEPS with a NAME of {', '.join(ENTRIES)}")
        budgets[name] = int(number)
    wanted = [name for name in ENTRIES if name.partition("-")[0] in names]
    return {
        name: Entry(**(vars(ENTRIES[name]) | {"steps": budgets.get(name, ENTRIES[name].steps)})) for name in wanted
    }


def read_record(folder: Path, size: Profile) -> tuple[pd.DataFrame, dict[str, Any], dict[str, float]]:
    """What is recorded with a profile: the table, and each entry's description and seconds."""
    try:
        frame, about = provenance.recorded_in(folder)
    except FileNotFoundError:
        return pd.DataFrame(), {}, {}
    made = about["configuration"]
    return (frame, made["entries"], made["seconds"]) if made["profile"] == size.name else (pd.DataFrame(), {}, {})


def merged(old: pd.DataFrame, new: pd.DataFrame, described: dict[str, Any] | None) -> pd.DataFrame:
    """A table with new rows in the place of those of an entry, and of the same levels of counting.

    Args:
        old: recorded so far.
        new: of the entry.
        described: the entry as it was recorded, if it was.
    """
    if described is not None:
        same = old["x"].str.endswith("|" + described["setting"]) & (old["axis"] == AXIS)
        old = old[~(same.fillna(False) & old["condition"].isin(described["conditions"]))]
    keys = ["condition", "state", "member", "metric", "axis", "x", "unit"]
    return pd.concat([old, new], ignore_index=True).drop_duplicates(keys, keep="last", ignore_index=True)


def making(recorded: dict[str, Any], options: argparse.Namespace) -> str:
    """The command that makes all entries of a record anew."""
    words = ["python", "benchmarks/along_training.py", "--profile", options.profile]
    words += ["--conditions", *options.conditions] if tuple(options.conditions) != CONDITIONS else []
    words += ["--members", str(options.members)] if options.members else []
    words += ["--only", *dict.fromkeys(name.partition("-")[0] for name in recorded)]
    steps = [f"{name}={about['steps']}" for name, about in recorded.items() if ENTRIES[name].steps]
    return shlex.join([*words, *(["--steps", *steps] if steps else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="long", choices=list(PROFILES))
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS, help="the last of three for main alone")
    parser.add_argument(
        "--only", nargs="+", default=ALWAYS, choices=[*ALWAYS, "bert", "annealed"], metavar="ENTRY"
    )
    parser.add_argument("--steps", nargs="+", default=(), metavar="ENTRY=STEPS", help="another budget of an entry")
    parser.add_argument("--members", type=int, help="of each ensemble (the profile's number)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/results/along-training"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    base = profile(options.profile)
    entries = chosen_entries(options.only, options.steps)
    total = 0.0
    for name, entry in entries.items() if options.dry_run else ():
        given = options.conditions[: entry.conditions]
        every = expected_costs(given, entry.size(base), options.runs, SEED, options.members)[-1]
        print(f"{name}: {entry.size(base).preset}, {cost_overview([every])[0]}", flush=True)
        total += every.seconds
    if options.dry_run:
        print(f"training in all: {duration(total)}; then about a minute for each condition of an entry")
        return
    for name, entry in entries.items():
        began, size = time.perf_counter(), entry.size(base)
        planned = plan_ensembles(options.conditions[: entry.conditions], size, options.runs, SEED, options.members)
        described = {
            "setting": Setting.of(planned[0]).x(0).partition("|")[2],
            "conditions": [one.condition for one in planned],
            "keys": [one.spec.key for one in planned],
            "steps": size.steps_taken,
            "members": len(planned[0].members),
        }
        table, recorded, seconds = read_record(options.out, base)
        if recorded.get(name) == described:
            print(f"{name}: recorded already in {options.out}")
            continue
        train_planned(planned)
        new = along_training(planned, size, SEED)
        table = merged(table, new, recorded.get(name)) if len(table) else new
        seconds = {**seconds, name: round(time.perf_counter() - began)}
        recorded = {**recorded, name: described}
        configuration = {"profile": base.name, **READ, "entries": recorded, "seconds": seconds}
        command = making(recorded, options)
        provenance.record(table, options.out, command, configuration, sum(seconds.values()))
        print(f"{name}: recorded in {options.out} after {duration(seconds[name])}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
