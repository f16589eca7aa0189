"""The causal test: text and DNA with less and less to learn from context, and the tokenizer of DNA varied.

Records what the chapter on the causal test shows, each part in a folder of its own: ``--out`` (``doses``, trained
as the profile ``quick`` says), and ``--out`` with ``-longer`` (a quarter of the steps of the profile ``long``,
with fewer doses of text), ``-smaller`` (as ``quick``, a model of half the width), ``-longest`` (as ``long``, with
few doses), ``-tasks`` (as ``quick``, and what the models' states are worth in tasks) and ``-tokenizers``. What is
trained and measured is kept in ``--runs``, so that the same command goes on where it was ended; ``--dry-run`` says
what is left to train.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gfm_utils import provenance
from gfm_utils.claims.confounds import READ
from gfm_utils.claims.dose import (
    ALIKE_DOSES,
    DNA_DOSES,
    TEXT_DOSES,
    TOKENIZERS,
    dose_response,
    doses,
    tokenizer_sweep,
)
from gfm_utils.claims.tasks import task_doses
from gfm_utils.ensembles import Cost, duration, expected_costs
from gfm_utils.errors import GfmError
from gfm_utils.profiles import PROFILES, Profile, profile
from gfm_utils.tokens import Condition, TokenStore, prepare

CONDITIONS = ("news@bpe256", "tair10-chr1@kmer4")
SWEEP_STEPS, SWEEP_MEMBERS, SWEEP = 400, 3, "tokenizers"


@dataclass(frozen=True)
class Part:
    """Doses of text, of DNA, and of DNA cut as text is, with one model and budget.

    Attributes:
        base: profile of the training.
        share: of the profile's steps.
        preset: the model; None: the profile's.
        stretches: of every task at most; 0: tasks are not measured.
    """

    base: str = "quick"
    share: float = 1
    preset: str | None = None
    text: Sequence[str | None] = TEXT_DOSES
    dna: Sequence[str | None] = DNA_DOSES
    alike: Sequence[str | None] = ALIKE_DOSES
    stretches: int = 0

    def size(self, name: str | None) -> Profile:
        """The profile of this part, or another one in the place of its own."""
        whole = profile(name or self.base).model_copy(update=READ)
        return whole.changed(steps=max(1, round(self.share * whole.steps_taken)), preset=self.preset)

    def conditions(self, stores: Sequence[TokenStore]) -> list[str]:
        """What it trains and measures."""
        return doses(stores, self.text, self.dna, self.alike)


PARTS = {
    "doses": Part(),
    "longer": Part("long", 1 / 4, text=(None, "noise0.3", "noise0.4", "noise0.5", "noise0.6", "shuffle")),
    "smaller": Part(preset="modernbert-2x32"),
    "longest": Part("long", 1, None, (None, "noise0.3", "noise0.4", "noise0.5", "noise0.6"), (None,), (None,)),
    "tasks": Part(
        text=(None, "noise0.2", "noise0.3", "noise0.4", "noise0.5", "noise0.6", "shuffle"),
        dna=ALIKE_DOSES,
        stretches=1024,
    ),
}


def price(part: str, stores: Sequence[TokenStore], options: argparse.Namespace) -> Cost:
    """What the training of a part will take, of what is not trained yet."""
    if part == SWEEP:
        names, size, members = sweep_conditions(stores), sweep_size(options.profile), SWEEP_MEMBERS
    else:
        names, size, members = PARTS[part].conditions(stores), PARTS[part].size(options.profile), options.members
    return expected_costs([Condition.parse(name) for name in names], size, options.runs, members=members)[-1]


def record_doses(part: str, stores: Sequence[TokenStore], out: Path, options: argparse.Namespace) -> None:
    """Train and measure the doses of a part and write their table."""
    began = time.perf_counter()
    names, size = PARTS[part].conditions(stores), PARTS[part].size(options.profile)
    kept, stretches = options.runs / "doses", PARTS[part].stretches
    table = dose_response(names, size, options.runs, members=options.members, kept=kept)
    if stretches:
        table = pd.concat([table, task_doses(names, size, options.runs, stretches, options.members, kept)])
    trained = float(table.loc[table["metric"] == "training_time", "value"].sum())
    configuration = {
        "profile": size.name, **READ, "steps": size.steps_taken, "preset": size.preset,
        "members": options.members or size.members, "conditions": names, "stretches_of_a_task": stretches,
        "seconds_of_training_added_up_over_members": round(trained),
    }  # fmt: skip
    provenance.record(table, out, command(part, options), configuration, time.perf_counter() - began)


def sweep_conditions(stores: Sequence[TokenStore]) -> list[str]:
    """The genome with every tokenizer."""
    dna = next(store for store in stores if store.kind == "dna")
    return [str(Condition(Condition.parse(dna.condition).corpus, name)) for name in TOKENIZERS]


def sweep_size(name: str | None) -> Profile:
    """The profile of the tokenizer sweep, ``quick`` if none is given."""
    base = profile(name or "quick")
    return base.model_copy(update=READ).changed(steps=min(SWEEP_STEPS, base.steps_taken))


def record_sweep(stores: Sequence[TokenStore], out: Path, options: argparse.Namespace) -> None:
    """Train and measure one genome with every tokenizer and write the table."""
    began, size, names = time.perf_counter(), sweep_size(options.profile), sweep_conditions(stores)
    table = tokenizer_sweep(names, size, options.runs, members=SWEEP_MEMBERS)
    training = {"steps": size.steps_taken, "members": SWEEP_MEMBERS}
    configuration = {"profile": size.name, **READ, **training, "conditions": names}
    provenance.record(table, out, command(SWEEP, options), configuration, time.perf_counter() - began)


def command(part: str, options: argparse.Namespace) -> str:
    """What makes a part anew."""
    words = ["python", "benchmarks/dose_response.py"]
    words += ["--profile", options.profile] if options.profile else []
    words += ["--conditions", *options.conditions] if tuple(options.conditions) != CONDITIONS else []
    words += ["--members", str(options.members)] if options.members else []
    return shlex.join([*words, *(["--only", part] if part != "doses" else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=list(PROFILES), help="instead of each part's own")
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS, help="one of text and one of DNA")
    parser.add_argument("--members", type=int, help="of each ensemble (the profile's number)")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, SWEEP], help="parts (doses; to price: all)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/results/dose-response"), metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    stores = [prepare(name, PARTS["doses"].size(options.profile), options.runs) for name in options.conditions]
    if {store.kind for store in stores} != {"text", "dna"}:
        raise GfmError("the causal test needs a condition of text and one of DNA; give both with --conditions")
    if options.dry_run:
        for part in options.only or [*PARTS, SWEEP]:
            cost = price(part, stores, options)
            # The sweep trains twice: at equal tokens, and at equal bases.
            seconds = cost.seconds * (2 if part == SWEEP else 1)
            print(f"{part}: {cost.members} members to train in {duration(seconds)}, then some 15 s a condition")
        return
    for part in options.only or ["doses"]:
        out = options.out if part == "doses" else options.out.with_name(f"{options.out.name}-{part}")
        if part == SWEEP:
            record_sweep(stores, out, options)
        else:
            record_doses(part, stores, out, options)


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
