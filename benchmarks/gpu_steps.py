"""The recorded run of ``benchmarks/gpu.py``: ensembles of some conditions, and their analyses.

- ``prepare``: the tokens of the conditions, a process each, and the compiled kernels of the analyses.
- ``run``: members of each condition are trained, then all conditions are analysed side by side, each in a process
  (``analyse``). The table is written anew whenever there is more of it.
"""

import argparse
import gc
import os
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from gpu import seconds_left

import gfm_utils
from gfm_utils import claims, measures, provenance, tables
from gfm_utils.ensembles import Ensemble, device, plan_ensembles
from gfm_utils.ensembles.cost import measure
from gfm_utils.ensembles.member_job import batch_members
from gfm_utils.ensembles.training import train_members
from gfm_utils.files import digest, sha256_of
from gfm_utils.measures.disagreement import disagreement_sums
from gfm_utils.measures.neighbours import compare_neighbours
from gfm_utils.profiles import Profile, profile
from gfm_utils.tokens import Condition, prepare
from gfm_utils.tokens.parallel import cores

SEED = 42
#: What the analyses read of the profile ``gpu``: half and a quarter, for the time's sake.
READ = {"gpu": {"test_windows": 2048, "fisher_windows": 128}}
#: Windows that the analysis of strands reads at most: of each it asks many questions.
STRAND_WINDOWS = 512
#: What the analyses take, about: no further condition is trained in that time before the end.
ANALYSIS_SECONDS = 90.0
#: The members of a recorded run take this many steps at least.
FEWEST_STEPS = 20
#: Chapter -> its analysis, in order of value.
ANALYSES = {
    "predictions": measures.output_distributions,
    "disagreement": measures.disagreement,
    "static": lambda ensembles, size, seed: measures.static_embeddings(ensembles),
    "contextual": measures.contextual_embeddings,
    "fisher": measures.fisher_information,
    "flow": measures.fisher_flow,
    "strands": lambda ensembles, size, seed: measures.strand_disagreement(ensembles, fewer(size), seed),
}


def fewer(size: Profile) -> Profile:
    return size.model_copy(update={"test_windows": min(size.test_windows, STRAND_WINDOWS)})


def sized(name: str, steps: int = 0) -> Profile:
    """A profile with what is read of it here, and with another number of steps."""
    read = profile(name).model_copy(update=READ.get(name, {}))
    return read.changed(steps=steps) if steps else read


def sources(size: Profile) -> str:
    """Digest of what the numbers of a recorded run mean: the code of the analyses, and the profile's fields.

    When it is another one, the run must be made anew.
    """
    root = Path(gfm_utils.__file__).parent
    code = {str(path.relative_to(root)): sha256_of(path) for path in sorted((root / "measures").rglob("*.py"))}
    return digest({"code": code, "profile": size.model_dump(mode="json")})


def prepare_one(condition: str, size: Profile, runs: Path) -> str:
    """Tokens of one condition; -> a line that says how long they took."""
    began = time.perf_counter()
    store = prepare(condition, size, runs, SEED)
    counts = {name: part["tokens"] for name, part in store.about["parts"].items()}
    return f"{condition}: {time.perf_counter() - began:.0f} s, {counts}"


def prepare_all(options: argparse.Namespace) -> None:
    size = sized(options.profile)
    with ProcessPoolExecutor(len(options.conditions), get_context("spawn")) as pool:
        made = [pool.submit(prepare_one, condition, size, options.runs) for condition in options.conditions]
        began = time.perf_counter()
        disagreement_sums([torch.randn(3, 4, 70).double().log_softmax(-1)])
        compare_neighbours([np.random.default_rng(seed).normal(size=(30, 8)) for seed in range(2)], [1, 3])
        print(f"kernels: {time.perf_counter() - began:.0f} s", flush=True)
        for one in made:
            print(one.result(), flush=True)


def steps_that_fit(conditions: Sequence[str], size: Profile, runs: Path, seconds: float) -> int:
    """Steps of a member for which all trainings take about so long, from some steps of the first condition."""
    (ensemble,) = plan_ensembles(conditions[:1], size, runs, SEED)
    programs = batch_members(ensemble.jobs, device())
    each = len(programs) * measure(programs[0], device()).step_seconds
    fit = min(size.steps_taken, max(FEWEST_STEPS, int(seconds / len(conditions) / each)))
    print(f"a step of all members of a condition takes {1e3 * each:.1f} ms", flush=True)
    return fit - fit % 10 ** max(0, len(str(fit)) - 2)  # a round number, if it is large


class Recorded:
    """The table of a run, in parts that come one by one, and its provenance."""

    def __init__(self, options: argparse.Namespace, size: Profile, parts: Path) -> None:
        self.options, self.size, self.parts, self.kept = options, size, parts, 0
        self.began, self.members = time.perf_counter(), dict[str, Any]()

    def trained(self, ensemble: Ensemble) -> None:
        """Keep the learning curves of members that are trained, and how they were."""
        first = ensemble.members[0].provenance
        self.members[ensemble.condition] = {name: first[name] for name in ("together", "compiled", "device")}
        write_part(self.parts, ensemble.condition, "ensembles", claims.learning_curves([ensemble]))
        self.keep()

    def keep(self) -> None:
        """Write what there is, if it is more than before."""
        found = sorted(self.parts.glob("*.parquet"))
        if len(found) == self.kept:
            return
        self.kept = len(found)
        frames = [pd.read_parquet(path) for path in found]
        whole = pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True)
        seconds = time.perf_counter() - self.began
        provenance.record(whole, self.options.out, self.command(), self.configuration(found), seconds)
        print(f"recorded {len(whole)} rows, {len(found)} parts", flush=True)

    def command(self) -> str:
        """What makes the same run anew."""
        given = ["--steps", "run", "--profile", self.options.profile, "--train-steps", str(self.size.steps_taken)]
        return shlex.join(["python", "benchmarks/gpu.py", *given, "--conditions", *self.options.conditions])

    def configuration(self, found: Sequence[Path]) -> dict[str, Any]:
        """What the command does not say, and what a later reader compares with the code of the day."""
        return {
            "profile": self.options.profile, "steps": self.size.steps_taken, "conditions": self.options.conditions,
            "seed": SEED, "test_windows": self.size.test_windows, "fisher_windows": self.size.fisher_windows,
            "strand_windows": fewer(self.size).test_windows,
            "chapters": sorted({path.stem.partition("+")[2] for path in found}), "members": self.members,
            "sources": sources(self.size), "recipe": self.size.model_dump(mode="json"),
        }  # fmt: skip


def write_part(parts: Path, condition: str, chapter: str, frame: pd.DataFrame) -> None:
    if len(frame):
        name = f"{Condition.parse(condition).slug}+{chapter}.parquet"
        tables.write_table(frame[list(tables.COLUMNS)], parts / name)


def trained(condition: str, size: Profile, runs: Path) -> Ensemble:
    """The ensemble of a condition, trained in this process.

    Raises:
        GfmError: a member diverged.
    """
    (ensemble,) = plan_ensembles([condition], size, runs, SEED)
    for group in batch_members(ensemble.jobs, device()):
        for diverged in train_members(group, device(), lambda *told: print(*told) if len(told) == 1 else None):
            raise diverged
    return ensemble


def recorded_run(options: argparse.Namespace) -> bool:
    """Train and analyse; what fails is told, and the rest goes on; -> whether something failed."""
    size = sized(options.profile, options.train_steps)
    if not options.train_steps:
        steps = steps_that_fit(options.conditions, size, options.runs, options.train_seconds)
        size = sized(options.profile, steps)
    print(f"{size.steps_taken} steps a member", flush=True)
    failed, longest = False, 0.0
    with tempfile.TemporaryDirectory() as folder:
        record = Recorded(options, size, Path(folder))
        ready: list[str] = []
        for condition in options.conditions:
            if ready and seconds_left() < ANALYSIS_SECONDS + longest:
                failed = True
                print(f"{condition}: no time left", flush=True)
                continue
            began = time.perf_counter()
            try:
                record.trained(trained(condition, size, options.runs))
                ready.append(condition)
            except Exception:
                failed = True
                traceback.print_exc()
            longest = max(longest, time.perf_counter() - began)
            print(f"{condition}: {time.perf_counter() - began:.0f} s", flush=True)
        return failed | analysed(record, ready)


def analysed(record: Recorded, conditions: Sequence[str]) -> bool:
    """Analyse conditions side by side, each in a process; -> whether something failed.

    Training is over by then: neither its speed nor its memory is touched.
    """
    gc.collect()
    torch.cuda.empty_cache()
    options = record.options
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, cores() // max(1, len(conditions))))}
    command = [sys.executable, __file__, "analyse", "--profile", options.profile, "--runs", str(options.runs)]
    command += ["--train-steps", str(record.size.steps_taken), "--out", str(record.parts), "--conditions"]
    running = [subprocess.Popen([*command, condition], env=environment) for condition in conditions]
    while any(process.poll() is None for process in running):
        time.sleep(0.5)
        record.keep()
    record.keep()
    return any(process.returncode for process in running)


def analyse(options: argparse.Namespace) -> bool:
    """Chapter by chapter; one that fails is told, and the others go on; -> whether one failed."""
    size, failed = sized(options.profile, options.train_steps), False
    (condition,) = options.conditions
    ensembles = plan_ensembles([condition], size, options.runs, SEED)
    for chapter, table in ANALYSES.items():
        began, said = time.perf_counter(), ""
        try:
            frame = table(ensembles, size, SEED)
            write_part(options.out, condition, chapter, frame)
            said = f"{len(frame)} rows"
        except Exception:
            said, failed = "failed", True
            traceback.print_exc()
        print(f"{condition}, {chapter}: {said}, {time.perf_counter() - began:.1f} s", flush=True)
    return failed


VERBS: dict[str, Callable[[argparse.Namespace], bool | None]] = {
    "prepare": prepare_all,
    "run": recorded_run,
    "analyse": analyse,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=list(VERBS))
    parser.add_argument("--profile", required=True)
    parser.add_argument("--conditions", nargs="+", required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--train-seconds", type=float, default=120.0)
    parser.add_argument("--train-steps", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sys.exit(VERBS[options.verb](options))


if __name__ == "__main__":
    main()
