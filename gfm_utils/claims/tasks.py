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
from gfm_utils.measures.intervals import Difference, difference
from gfm_utils.measures.registry import MEASURES, Measure, Term
from gfm_utils.measures.tasks import TASK, task_performance
from gfm_utils.profiles import Profile
from gfm_utils.provenance import recorded, recorded_runs
from gfm_utils.tokens import Condition

#: The recorded run of tasks along doses, and what it is called beside whole runs.
RECORDED, DOSES = "dose-response-tasks", "doses"
#: Share of the profile's windows that a chapter's live run takes.
LIVE_WINDOWS = 1 / 2
#: The dose that leaves nothing to be learned but token frequencies.
FREQUENCIES_ALONE = "shuffle"


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


def lost_without_context(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """How much a task loses where models were trained on tokens in random order, by condition and task.

    Returns:
        ``condition``, ``task``, ``value`` (area under the curve, models of the corpus as it is less those of its
        tokens in random order), ``low``, ``high`` over members (Welch) and blocks (taken as independent although
        both read the same stretches, which makes the interval too wide rather than too narrow), ``p``.
    """
    table = next((rows for name, rows in runs.items() if name.startswith(DOSES)), pd.DataFrame({"condition": []}))
    rows = []
    parsed = {name: Condition.parse(name) for name in dict.fromkeys(table["condition"])}
    for name, condition in parsed.items():
        other = str(condition.transformed(FREQUENCIES_ALONE))
        of_both = [table[table["condition"] == each] for each in (name, other)]
        if condition.transforms or of_both[1].empty:
            continue
        for task in dict.fromkeys(of_both[0].loc[of_both[0]["metric"] == "probe_gain", "x"].dropna()):
            pair = [gain_over_counting(each, task) for each in of_both]
            if pair[0] is not None and pair[1] is not None:
                windows = pair[0].windows + pair[1].windows
                found = difference(pair[0].members, pair[1].members, further=windows)
                rows.append({"condition": name, "task": task, **found._asdict()})
    return pd.DataFrame(rows, columns=["condition", "task", *Difference._fields])
