"""Everything that only a GPU can show, in order of value and within a number of seconds.

Each step is a process of its own with a log in ``OUT/logs``; it is cut off at its limit and at the end of all
seconds, and what it has written by then stays. Recorded runs (a table and its provenance) stand in folders of
``OUT``; copied to ``data/results/``, that named ``gpu`` is shown in the book. ``OUT/summary.txt`` says how the
steps ended and what they measured, and is written anew after each. The exit status is 1 if a step that was begun
did not end well.

- ``doctor``: what ``gfm doctor --json`` finds, in ``OUT/doctor.json``; if training does not work here, the steps
  that train are left out. With ``--steps`` and without this one they are not.
- ``speeds``: steps of the profiles ``quick``, ``colab`` and ``gpu``, of one member and of five in one program.
- ``run``: three conditions at the profile, with as many steps as ``--train-seconds`` allow, and the analyses of
  the chapters on models, in ``OUT/gpu``.
- ``utilisation``, ``fisher``, ``packed-quick``, ``bert-20m``, ``loss``: ``benchmarks/training.py`` and
  ``benchmarks/fisher.py``, at the sizes that a GPU is for.

``benchmarks/pack_gpu.sh`` packs what a machine lacks that has torch and transformers alone, and no network.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gfm_utils.files import atomic
from gfm_utils.profiles import DEFAULT_CONDITIONS, PROFILES

HERE = Path(__file__).resolve().parent
#: A step is not begun with fewer seconds than this.
LEAST = 10.0
#: Variable in a step's environment: when it will be cut off, in seconds since 1970.
CUT_OFF = "GPU_STEP_END"
DONE = "done"
DOCTOR = "doctor.json"
LEFT_OUT = "left out: training does not work here, see doctor.json"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: of the step and of its log.
        limit: seconds after which it is cut off.
        expected: what is expected of it, for people.
        command: what Python runs.
        before: what Python runs beside the earlier steps; the step waits for it.
        output: file of ``OUT`` for what it prints, instead of the log.
        trains: whether it needs training to work.
    """

    name: str
    limit: float
    expected: str
    command: Sequence[str]
    before: Sequence[str] = ()
    output: str | None = None
    trains: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        name: of the step.
        state: ``done``, or what happened instead.
        seconds: that it took.
        begun: whether it was begun at all.
    """

    name: str
    state: str
    seconds: float = 0.0
    begun: bool = True


def seconds_left() -> float:
    """For a step: until it is cut off."""
    return float(os.environ.get(CUT_OFF, "inf")) - time.time()


def steps_of(options: argparse.Namespace) -> list[Step]:
    """All steps, in order of value."""
    own, training = str(HERE / "gpu_steps.py"), str(HERE / "training.py")
    size = ["--profile", options.profile, "--runs", str(options.runs), "--conditions", *options.conditions]
    small = options.profile == "smoke"  # a test of this program
    seconds = "1" if small else "3"
    speeds = [f"gpu:speed-{name}" for name in (("quick", "colab", "gpu") if not small else ("smoke",))]
    fisher = ["fisher:sequence-vs-backward", "fisher:sequence-vs-vmap", "fisher:memory-vs-vmap"]
    fisher += ["fisher:token-vs-loop", "--repeats", "1" if small else "5"]
    fisher += ["--preset", "modernbert-2x64" if small else "bert-90m", "--windows", "8" if small else "64"]
    budget = ["--train-seconds", str(options.train_seconds), "--train-steps", str(options.train_steps)]

    def out(name: str) -> list[str]:
        return ["--out", str(options.out / name)]

    def trained(task: str, name: str, *more: str) -> list[str]:
        return [training, f"train:{task}", "--seconds", seconds, *more, *out(f"gpu-{name}")]

    return [
        Step(
            "doctor", 90, "every way to train, a few steps each, against the CPU",
            ["-m", "gfm_utils.cli", "doctor", "--json"], output=DOCTOR, trains=False,
        ),
        Step(
            "speeds", 120, "milliseconds a step, tokens/s, TFLOP/s and memory of each profile",
            [str(HERE / "gpu_speeds.py"), *speeds, "--seconds", seconds, *out("gpu-speeds")],
        ),
        Step(
            "run", 330, f"about {options.train_seconds:.0f} s of training, and as much for probes and analyses",
            [own, "run", *size, *budget, *out("gpu")], before=[own, "prepare", *size],
        ),
        Step(
            "utilisation", 160, "bert-90m: 35-40 % of the measured bfloat16 rate, compiled (a minute) 45-50 %",
            trained("bert-90m-mfu", "utilisation"),
        ),
        Step(
            "fisher", 75, "squares of gradients at a width of 768 against torch.func and loops",
            [str(HERE / "fisher.py"), *fisher, *out("gpu-fisher")], trains=False,
        ),
        Step(
            "packed-quick", 100, "five members in one program, ten times and more the Trainer's tokens/s",
            trained("packed-quick", "packed-quick"),
        ),
        Step(
            "bert-20m", 260, "bfloat16 and no dropout against the Trainer; ours compiles two plans, a minute each",
            trained("bert-20m", "bert-20m"),
        ),
        Step(
            "loss", 150, "no difference to the Trainer beyond the standard error",
            trained("loss", "loss", *(["--loss-steps", "20"] if small else [])),
        ),
    ]  # fmt: skip


class Begun:
    """A process of a step, with all that it starts; they end together."""

    def __init__(self, command: Sequence[str], log: Path, output: Path | None, limit: float, beside: bool) -> None:
        self.began = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {CUT_OFF: f"{time.time() + limit:.0f}", "PYTHONUNBUFFERED": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles torch and transformers anew
        with open(log, "ab") as said, open(output or log, "ab" if output is None else "wb") as printed:
            self.process = subprocess.Popen(
                [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=printed, stderr=said,
                env=environment, start_new_session=True,
            )  # fmt: skip
        if beside:  # the steps that are measured come first
            os.setpriority(os.PRIO_PROCESS, self.process.pid, 10)

    def end(self, seconds: float) -> str:
        """Wait until it ends, so many seconds at most, and say how it did."""
        try:
            status = self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return f"cut off after {time.monotonic() - self.began:.0f} s"
        finally:
            self.kill()
        return DONE if status == 0 else f"failed with status {status}"

    def kill(self) -> None:
        """End what is left of it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


def run_steps(steps: Sequence[Step], out: Path, seconds: float) -> Iterator[Outcome]:
    """Run steps one after the other, each with what it needs beforehand beside the earlier ones."""
    end = time.monotonic() + seconds
    beside = {
        step.name: Begun(step.before, _log(out, f"{step.name}-before"), None, min(step.limit, seconds), True)
        for step in steps
        if step.before
    }
    works = True
    try:
        for step in steps:
            outcome = (
                _run(step, out, end, beside.get(step.name)) if works or not step.trains else _not(step, LEFT_OUT)
            )
            works = works and not (step.output == DOCTOR and outcome.state != DONE and finds_fault(out / DOCTOR))
            yield outcome
    finally:
        for process in beside.values():
            process.kill()


def _run(step: Step, out: Path, end: float, before: Begun | None) -> Outcome:
    began = time.monotonic()
    if end - began < LEAST:
        return _not(step, "no time left")
    until = min(end, began + step.limit)
    if before is not None and (state := before.end(until - began)) != DONE:
        print(f"  before {step.name}: {state}", flush=True)
    output = None if step.output is None else out / step.output
    left = until - time.monotonic()
    state = Begun(step.command, _log(out, step.name), output, left, False).end(left)
    return Outcome(step.name, state, time.monotonic() - began)


def _not(step: Step, why: str) -> Outcome:
    return Outcome(step.name, why, begun=False)


def finds_fault(path: Path) -> bool:
    """Whether a check is broken in what the doctor wrote, if it came so far."""
    try:
        return any(check["state"] == "broken" for check in json.loads(path.read_text()))
    except ValueError:
        return False


def _log(out: Path, name: str) -> Path:
    return out / "logs" / f"{name}.log"


def summary(steps: Sequence[Step], outcomes: Sequence[Outcome], out: Path) -> str:
    """For people: how the steps ended, what they recorded, and what else there is."""
    ended = {outcome.name: outcome for outcome in outcomes}
    lines = []
    for step in steps:
        one = ended.get(step.name, Outcome(step.name, "still to come"))
        lines.append(f"{one.name:<14}{one.seconds:6.0f} s of {step.limit:3.0f}  {one.state}")
    for path in sorted(out.glob("*/*.parquet")):
        frame = pd.read_parquet(path)
        lines += ["", f"{path.parent.name}: {len(frame)} rows"]
        if "ratio" in frame:
            shown = frame.drop(columns="device")
            lines.append(shown.to_string(index=False, float_format="{:.4g}".format))
        else:
            counted = frame["metric"].groupby(frame["condition"]).agg(["size", "nunique"])
            lines += [f"  {name}: {rows} rows, {metrics} metrics" for name, rows, metrics in counted.itertuples()]
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.suffix != ".tmp"]
    lines += ["", *(f"{path.stat().st_size:>10,} bytes  {path.relative_to(out)}" for path in files)]
    return "\n".join(lines)


def keep(text: str, out: Path, archive: Path | None) -> None:
    """Write the summary, and all of the folder into one file if that was asked for."""
    with atomic(out / "summary.txt") as temporary:
        temporary.write_text(text + "\n")
    if archive is not None:
        with atomic(archive) as temporary, tarfile.open(temporary, "w:gz") as packed:
            packed.add(out, out.name)


def run(steps: Sequence[Step], out: Path, seconds: float, archive: Path | None = None) -> int:
    """Run steps, keep what they give, and return the exit status."""
    outcomes: list[Outcome] = []
    out.mkdir(parents=True, exist_ok=True)
    began, text = time.monotonic(), ""
    for outcome in run_steps(steps, out, seconds):
        outcomes.append(outcome)
        print(f"{time.monotonic() - began:5.0f} s  {outcome.name}: {outcome.state}", flush=True)
        text = summary(steps, outcomes, out)
        keep(text, out, archive)
    print(f"\n{text}", flush=True)
    failed = [one for one in outcomes if one.begun and one.state != DONE]
    for one in failed:
        print(f"{one.name}: {one.state}; see {_log(out, one.name)}", file=sys.stderr)
    return 1 if failed else 0


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was begun ends with this process
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=520.0, help="of all steps")
    parser.add_argument("--out", type=Path, default=Path("_build/gpu-run"), metavar="DIR")
    parser.add_argument("--archive", type=Path, metavar="FILE.tar.gz", help="keep a copy of DIR in one file, too")
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="only these")
    parser.add_argument("--profile", default="gpu", choices=list(PROFILES), help="of the recorded run")
    parser.add_argument("--conditions", nargs="+", default=list(DEFAULT_CONDITIONS), metavar="CORPUS@TOKENIZER")
    parser.add_argument("--train-seconds", type=float, default=120.0, help="of all trainings of the recorded run")
    parser.add_argument("--train-steps", type=int, default=0, help="steps of a member, instead of what fits")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of token arrays and ensembles")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    options = parser.parse_args()
    steps = steps_of(options)
    if unknown := set(options.steps or ()) - {step.name for step in steps}:
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in steps)}")
    steps = [step for step in steps if options.steps is None or step.name in options.steps]
    if options.dry_run:
        for step in steps:
            print(f"{step.name:<14}{step.limit:4.0f} s  {step.expected}\n{'':<22}{shlex.join(step.command)}")
        return
    sys.exit(run(steps, options.out, options.seconds, options.archive))


if __name__ == "__main__":
    main()
