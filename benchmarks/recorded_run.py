"""A whole run for the record: ensembles at a profile, and the analyses of the chapters on them, as one table.

The front page takes its verdicts from the recorded run whose models have learned most; ``data/results/long`` is
made by this script as it is. Ensembles that are in ``--runs`` already are not trained again, and training that was
interrupted continues. So do the analyses: the table of each condition and chapter is kept in ``--runs`` until its
code changes. ``--dry-run`` says what it will take.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from gpu_steps import fewer, sources

from gfm_utils import claims, measures, provenance, tables
from gfm_utils.claims.paper import cost_overview
from gfm_utils.ensembles import Ensemble, duration, expected_costs, train_ensembles, without_layers
from gfm_utils.errors import GfmError
from gfm_utils.files import digest
from gfm_utils.measures.controls import no_layers_control
from gfm_utils.profiles import DEFAULT_CONDITIONS, PROFILES, Profile, profile
from gfm_utils.tokens import corpora_of, load_corpus

SEED = 42
Analysis = Callable[[Ensemble, Profile, Sequence[Ensemble]], pd.DataFrame]
#: Chapter -> its table of one ensemble, given those without layers.
CHAPTERS: dict[str, Analysis] = {
    "corpora": lambda one, size, bare: corpora_and_tokens(one, size),
    "ensembles": lambda one, size, bare: claims.learning_curves([one]),
    "predictions": lambda one, size, bare: measures.output_distributions([one], size, SEED, bare),
    "disagreement": lambda one, size, bare: measures.disagreement([one], size, SEED, bare),
    "static_embeddings": lambda one, size, bare: measures.static_embeddings([one]),
    "contextual_embeddings": lambda one, size, bare: measures.contextual_embeddings([one], size, SEED),
    "fisher": lambda one, size, bare: measures.fisher_information([one], size, SEED, no_layers=bare),
    "tasks": lambda one, size, bare: measures.task_performance([one], size, SEED),
    "strands": lambda one, size, bare: measures.strand_disagreement([one], fewer(size), SEED),
}


def corpora_and_tokens(one: Ensemble, size: Profile) -> pd.DataFrame:
    corpus = load_corpus(*corpora_of([one.condition]), size)
    frames = measures.corpus_table([corpus], size, SEED), measures.token_table([one.store])
    return pd.concat(frames, ignore_index=True)


def part(chapter: str, one: Ensemble, size: Profile, bare: Sequence[Ensemble], code: str) -> pd.DataFrame:
    """The table of one condition and chapter: as it was kept, or made and kept."""
    members = [str(member.path) for member in (*one.members, *(m for other in bare for m in other.members))]
    key = digest([chapter, members, code])
    path = one.members[0].path.parent / "recorded" / f"{chapter}-{key}.parquet"

    def make() -> pd.DataFrame:
        began = time.perf_counter()
        frame = CHAPTERS[chapter](one, size, bare)[list(tables.COLUMNS)]
        print(f"{one.condition}, {chapter}: {len(frame)} rows, {time.perf_counter() - began:.0f} s", flush=True)
        return frame

    return tables.kept_table(path, make)


def say_price(conditions: Sequence[str], size: Profile, runs: Path) -> None:
    total = 0.0
    for name, changed in (("members", size), ("without layers", size.changed(preset=without_layers(size.preset)))):
        every = expected_costs(conditions, changed, runs, SEED)[-1]
        print(f"{name}: {cost_overview([every])[0]}")
        total += every.seconds
    print(f"training in all: at most {duration(total)}; then some minutes for each condition")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="long", choices=list(PROFILES))
    parser.add_argument("--conditions", nargs="+", default=DEFAULT_CONDITIONS)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, help="data/results and the name of the profile, if not given")
    parser.add_argument("--dry-run", action="store_true", help="train nothing: say what it will take")
    options = parser.parse_args()
    size, began = profile(options.profile), time.perf_counter()
    if options.dry_run:
        say_price(options.conditions, size, options.runs)
        return
    ensembles = train_ensembles(options.conditions, size, options.runs, SEED)
    bare, code = no_layers_control(ensembles, size), sources(size)
    frames = [
        part(chapter, one, size, [other for other in bare if other.condition == one.condition], code)
        for one in ensembles
        for chapter in CHAPTERS
    ]
    seconds = sum(float(member.provenance["seconds"]) for one in (*ensembles, *bare) for member in one.members)
    configuration = {
        "profile": size.name, "steps": size.steps_taken, "tokens": ensembles[0].spec.tokens_seen,
        "conditions": list(options.conditions), "seed": SEED, "chapters": list(CHAPTERS),
        "strand_windows": fewer(size).test_windows, "sources": code,
        "recipe": size.model_dump(mode="json"), "seconds_of_training_added_up_over_members": round(seconds),
    }  # fmt: skip
    whole = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    out = options.out or Path("data/results") / size.name
    command = shlex.join(
        ["python", "benchmarks/recorded_run.py", "--profile", size.name, "--conditions", *options.conditions]
    )
    provenance.record(
        whole.drop_duplicates(ignore_index=True), out, command, configuration, time.perf_counter() - began
    )
    print(f"recorded {len(whole)} rows in {out}")


if __name__ == "__main__":
    try:
        main()
    except GfmError as error:
        sys.exit(str(error))
