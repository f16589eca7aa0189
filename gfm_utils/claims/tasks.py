"""Is what is more predictable more useful? What probes gain over counting, and models from context."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from gfm_utils.claims.dose import AXIS, GAIN, kept_rows, live_windows
from gfm_utils.ensembles import Ensemble, train_ensembles
from gfm_utils.measures.controls import CONTROL_MEMBERS
from gfm_utils.measures.estimates import Estimate, estimate, kinds
from gfm_utils.measures.registry import MEASURES, Measure, Term
from gfm_utils.measures.tasks import TASK, task_performance
from gfm_utils.profiles import Profile
from gfm_utils.provenance import recorded, recorded_runs

#: The recorded run of tasks along doses, and what it is called beside whole runs.
RECORDED, DOSES = "dose-response-tasks", "doses"
#: Share of the profile's windows that a chapter's live run takes.
LIVE_WINDOWS = 1 / 2


def live_tasks(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """``task_performance`` of a few of a run's own members, small enough for a chapter."""
    few = [replace(one, members=one.members[:CONTROL_MEMBERS]) for one in ensembles]
    return task_performance(few, live_windows(profile, LIVE_WINDOWS), seed)


def task_doses(
    conditions: Sequence[str], profile: Profile, runs_dir: Path, stretches: int, members: int | None, kept: Path
) -> pd.DataFrame:
    """``task_performance`` of conditions with and without transforms; what is not trained yet is trained.

    Args:
        conditions: with and without transforms.
        profile: of training.
        runs_dir: where ensembles are found or made.
        stretches: of every task at most.
        members: of each ensemble; None: the profile's number.
        kept: as of ``dose_response``.
    """
    size, frames = profile.model_copy(update={"test_windows": stretches}), []
    for one in train_ensembles(conditions, profile, runs_dir, members=members):

        def make(ensemble: Ensemble = one) -> pd.DataFrame:
            return task_performance([ensemble], size)

        frames.append(kept_rows(one, kept, "-tasks", [stretches], make))
    return pd.concat(frames, ignore_index=True)


def recorded_tasks() -> tuple[dict[str, pd.DataFrame], list[dict[str, Any]]]:
    """The recorded tables that hold tasks, by what they are called, and the provenance of each."""
    whole = [run for run in recorded_runs() if (run.rows["metric"] == "probe_gain").any()]
    runs = [(DOSES, *recorded(RECORDED)), *((run.name, run.rows, dict(run.about)) for run in whole)]
    named = {}
    for name, rows, about in runs:
        steps = about["configuration"]["steps"]  # None: fitted to its corpora
        named[name if steps is None else f"{name}, {steps:,} steps"] = rows
    return named, [about for *_, about in runs]


def task_points(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What probes gain over counting in every task, and what else is known of the models.

    Args:
        runs: of ``recorded_tasks``, or of one run: heading -> result tables, one below the other.

    Returns:
        A row a run, condition and task: ``run``, ``condition``, ``kind``, ``task``; ``value``, ``low``, ``high``:
        area under the curve above that of counting, with its 95 % interval over members and blocks, and
        ``untrained`` (the same of untrained members); ``context_gain``, with ``_low`` and ``_high``.
    """
    return pd.DataFrame([row for name, rows in runs.items() for row in _points(name, rows)])


def gain_over_counting(rows: pd.DataFrame, task: str, state: str = "trained") -> Estimate | None:
    """Area under the curve of a task above that of counting, in the rows of one condition."""
    return estimate(Measure("", "area", "tasks", (Term("probe_gain", TASK, task),), null=None), rows, state)


def _points(run: str, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    of_tasks = table[(table["metric"] == "probe_gain") & (table["axis"] == TASK).fillna(False)]
    kind_of = {name: kind for kind, names in kinds(table).items() for name in names}
    for condition in dict.fromkeys(of_tasks["condition"]):
        rows = table[table["condition"] == condition]
        of_doses = replace(MEASURES[GAIN], terms=(Term(GAIN, AXIS),), null=None)
        gain = estimate(of_doses, rows) or estimate(MEASURES[GAIN], rows)
        ends = dict(zip((GAIN, f"{GAIN}_low", f"{GAIN}_high"), gain.interval, strict=True)) if gain else {}
        for task in dict.fromkeys(of_tasks.loc[of_tasks["condition"] == condition, "x"]):
            one, untrained = (gain_over_counting(rows, task, state) for state in ("trained", "untrained"))
            if one is not None:
                about = {"run": run, "condition": condition, "kind": kind_of.get(condition, "dna"), "task": task}
                level = None if untrained is None else untrained.interval.value
                yield {**about, **one.over_both._asdict(), "untrained": level, **ends}
