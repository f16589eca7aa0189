"""Training: ours against transformers.Trainer set up as the paper's code sets it, in one run.

The peer trains the members one after the other in float32 with dropout 0.1 and logits at every position, with
the paper's collator (80/10/10), AdamW, cosine schedule and clipping; ours is what `gfm train` does. Same
architecture and size, same windows of the same tokens: a Markov chain of DNA that is made here. Speeds are of
steady steps, data included; starting (imports, processes, compiling, the first steps) is left out of both.
The peer needs the package ``accelerate`` (in the extra ``dev``).

- ``train:bert-4m``, ``train:quick``: tokens per second over the ensemble on all cores; and the parts of the gain.
- ``train:bert-20m``, ``train:packed-quick``: the same on one GPU, the second for five members in one program.
- ``train:packing``: members in one program against one after the other, ours both and plain both, for the rule in
  ``gfm_utils/ensembles/member_job.py``; of the profile ``gpu`` also compiled.
- ``train:bert-90m-mfu``: achieved floating-point operations over the measured rate of a large bfloat16 product of
  matrices, with the paper's model, window and batch, plain and compiled.
- ``train:loss``: validation loss after 2,000 steps (``--loss-steps``) of the ``quick`` preset, ours and the peer's
  (no dropout in either), each over three seeds; the unit is bits per token, the noise is printed beside it.

Ours is what `gfm train` would do, without compiling; "our loop" is one member in
one process, on a GPU step by step as they are recorded, not compiled. On a GPU our products of matrices are in
float32 for ``quick``, as in its profile, and in bfloat16 for the others; the peer's are always in float32.
A case that needs more memory than there is is told, and the others go on.

A ratio above 1 is in our favour. Tasks for a GPU are skipped without one.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import common
import numpy as np
import torch
from torch.utils.data import Dataset

from gfm_utils.ensembles import (
    EnsembleSpec,
    build_model,
    device,
    masked_logits,
    masked_windows,
    multiprocess,
    train_step,
)
from gfm_utils.ensembles.cost import Speed, measure, measure_program
from gfm_utils.ensembles.member_job import BITS, MemberJob, batch_members, work
from gfm_utils.ensembles.presets import parameters_of, preset
from gfm_utils.ensembles.training import train_members
from gfm_utils.entropy.sources import random_markov
from gfm_utils.errors import GfmError, first_line
from gfm_utils.profiles import Profile, profile
from gfm_utils.tokens import Condition, TokenStore, prepare

CPU_TASKS = ("train:bert-4m", "train:quick", "train:loss")
GPU_TASKS = ("train:bert-20m", "train:packed-quick", "train:packing", "train:bert-90m-mfu")
TASKS = (*CPU_TASKS, *GPU_TASKS)
PAPER_DROPOUT = 0.1
MEMBERS = 5
BASES = 4_000_000
LOSS_STEPS = 2_000
LOSS_SEEDS = (1, 2, 3)
#: Steps of the peer before those that count.
WARM = 5


@dataclass(frozen=True)
class Case:
    """What is trained: a preset in windows and batches of a size, over a vocabulary of k-mers.

    The precision is that of a GPU.
    """

    preset: str
    tokenizer: str
    window: int
    batch: int
    train_mask: float = 0.15
    precision: str = "bfloat16"

    def profile(self, dropout: float = 0.0, steps: int = 10_000) -> Profile:
        """The profile ``quick`` with this model and these windows."""
        update: dict[str, Any] = {
            "preset": self.preset, "window": self.window, "batch": self.batch, "train_mask": self.train_mask,
            "max_symbols": None, "dropout": dropout, "steps": steps, "precision": self.precision,
        }  # fmt: skip
        if self.preset.startswith("bert"):
            update["learning_rate"] = 1e-4
        return profile("quick").model_copy(update=update)


#: On two cores a batch of the paper's size would take half a minute.
BERT_4M = Case("bert-4m", "kmer6", 512, 8)
QUICK = Case("modernbert-2x64", "kmer4", 64, 16, 0.3, "float32")
BERT_20M = Case("bert-20m", "kmer6", 512, 96)
BERT_90M = Case("bert-90m", "kmer6", 512, 96)
GPU_PROFILE = Case("modernbert-6x256", "kmer6", 128, 256, 0.3)


class Windows(Dataset[dict[str, list[int]]]):
    """The training part's windows, as the peer's collator takes them."""

    def __init__(self, store: TokenStore, window: int) -> None:
        self.store, self.window = store, window
        self.starts = store.window_starts("train", window)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {"input_ids": self.store.windows("train", self.starts[[index]], self.window)[0].tolist()}


def prepared(case: Case, folder: Path) -> TokenStore:
    path = folder / "chain.fa"
    if not path.exists():
        codes = random_markov(order=4, concentration=0.3).sample(BASES, seed=0)
        path.write_text(">chain\n" + np.frombuffer(b"ACGT", np.uint8)[codes].tobytes().decode() + "\n")
    return prepare(Condition(str(path), case.tokenizer), case.profile(), folder / "runs")


def tasks_of(case: Case, store: TokenStore, folder: Path, seeds: Sequence[int], **options: Any) -> list[MemberJob]:
    spec = EnsembleSpec.of(store, case.profile(**options))
    return [MemberJob(spec, store, seed, folder / spec.key / f"member-{seed}") for seed in seeds]


def trainer(
    case: Case, store: TokenStore, folder: Path, dropout: float, steps: int, seed: int, callback: Any = None
) -> Any:
    """The peer, ready to train."""
    import transformers

    size = case.profile()
    model = build_model(case.preset, store.vocabulary, case.window, seed, dropout)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_train_batch_size=case.batch, max_steps=steps,
        learning_rate=size.learning_rate, lr_scheduler_type="cosine", warmup_steps=max(1, round(0.1 * steps)),
        max_grad_norm=size.clip, weight_decay=size.weight_decay, adam_beta1=size.betas[0],
        adam_beta2=size.betas[1], seed=seed, data_seed=42, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    collator = transformers.DataCollatorForLanguageModeling(store.tokenizer, mlm_probability=case.train_mask)
    return transformers.Trainer(
        model, arguments, data_collator=collator, train_dataset=Windows(store, case.window),
        callbacks=[callback] if callback else [],
    )  # fmt: skip


def peer_speed(case: Case, store: TokenStore, folder: Path, dropout: float, seconds: float) -> float:
    """Tokens per second of the peer, over the steps after the first few."""
    import transformers

    ends: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
            enough = len(ends) > WARM + 3 and ends[-1] - ends[WARM] > seconds
            control.should_training_stop = enough
            return control

    trainer(case, store, folder, dropout, 10_000, 1, Clock()).train()
    return (len(ends) - 1 - WARM) * case.batch * case.window / (ends[-1] - ends[WARM])


def our_speed(case: Case, store: TokenStore, folder: Path, seconds: float, **options: Any) -> float:
    """Tokens per second over the ensemble, as `gfm train` trains it."""
    tasks = tasks_of(case, store, folder, range(1, MEMBERS + 1), **options)
    speeds, workers = multiprocess.measured_speeds(tasks, seconds)
    each = 1 if device() == "cpu" else len(batch_members(tasks, "cuda")[0])
    return workers * each * case.batch * case.window / speeds[tasks[0].spec.key].step_seconds


class Plan(NamedTuple):
    """How members are trained: so many of them in one program, with compiled steps or without."""

    together: int = 1
    compiled: bool = False


def probe_plan(tasks: Sequence[MemberJob], plan: Plan, where: str, seconds: float) -> Speed:
    """Cost of members trained in this process on a GPU in a certain way.

    Raises:
        torch.OutOfMemoryError: a program needs more memory than the GPU has.
    """
    program = tasks[: plan.together]
    speed = measure_program(program, where, seconds, program[0].spec.batch, plan.compiled)
    return replace(speed, step_seconds=speed.step_seconds * -(-len(tasks) // plan.together))


def probe_of(tasks: Sequence[MemberJob], plan: Plan, seconds: float) -> Speed:
    """Cost of members trained in this process in a certain way; on a CPU, which knows one way, of the first alone.

    Raises:
        torch.OutOfMemoryError: a program needs more memory than the GPU has.
        GfmError: the steps cannot be compiled here.
    """
    if device() == "cpu":
        return measure(tasks[:1], "cpu", seconds)
    try:
        return probe_plan(tasks, plan, "cuda", seconds)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not plan.compiled:
            raise
        raise GfmError(f"steps are not compiled: {first_line(error)}") from error


def planned_speed(tasks: Sequence[MemberJob], plan: Plan, seconds: float) -> float:
    """Tokens per second over the members that ``probe_of`` measures."""
    members = 1 if device() == "cpu" else len(tasks)
    return members * tasks[0].spec.batch * tasks[0].spec.window / probe_of(tasks, plan, seconds).step_seconds


def alone_speed(
    case: Case, store: TokenStore, folder: Path, seconds: float, compiled: bool = False, **options: Any
) -> float:
    """Tokens per second of one member in this process, on all cores or the GPU."""
    return planned_speed(tasks_of(case, store, folder, [1], **options), Plan(1, compiled), seconds)


def all_logits(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """As ``masked_logits``, by way of the model's own logits at every position."""
    logits = model(input_ids=ids).logits
    return logits.gather(1, positions.unsqueeze(-1).expand(-1, -1, logits.shape[-1]))


def speed_rows(task: str, case: Case, folder: Path, seconds: float) -> Iterator[common.Row]:
    """Ours against the peer; then the peer's own gain without dropout, and ours with and without each part."""
    store = prepared(case, folder)
    peer, alone, ours = (partial(way, case, store, folder) for way in (peer_speed, alone_speed, our_speed))

    def everywhere() -> float:
        with mock.patch.object(train_step, "masked_logits", all_logits):
            return alone(seconds)

    ways: dict[str, Callable[[], float]] = {
        "Trainer as in the paper": lambda: peer(PAPER_DROPOUT, seconds),
        "Trainer without dropout": lambda: peer(0.0, seconds),
        "our loop, logits everywhere": everywhere,
        "our loop, one process": lambda: alone(seconds),
        "ours": lambda: ours(seconds),
        "ours with dropout": lambda: ours(seconds, dropout=PAPER_DROPOUT),
    }

    @cache
    def speed(name: str) -> float:
        found = ways[name]()
        print(f"  {task}: {name}: {found:,.0f} tokens/s", flush=True)
        return found

    def compared(task: str, name: str, better: str, worse: str) -> Iterator[common.Row]:
        theirs = speed(worse)
        yield common.row(task, name, worse, speed(better), theirs, "tokens/s", True)

    name = f"{case.preset}, {case.tokenizer}, windows of {case.window}, batch {case.batch}"
    yield from common.if_it_fits(name, compared(task, name, "ours", "Trainer as in the paper"))
    for part, better, worse in (
        ("dropout left out", "Trainer without dropout", "Trainer as in the paper"),
        ("a lean loop", "our loop, logits everywhere", "Trainer without dropout"),
        ("head and last layer at masked positions only", "our loop, one process", "our loop, logits everywhere"),
        ("processes or programs of members", "ours", "our loop, one process"),
        ("all, dropout kept", "ours with dropout", "Trainer as in the paper"),
    ):
        name = f"{better} against {worse}"
        yield from common.if_it_fits(name, compared(f"{task}: {part}", name, better, worse))


def packing_rows(task: str, folder: Path, seconds: float) -> Iterator[common.Row]:
    """Five members in one program against one after the other, for models on both sides of the rule."""
    for case, compiled in (
        (QUICK, False), (GPU_PROFILE, False), (BERT_4M, False), (BERT_20M, False), (GPU_PROFILE, True)
    ):  # fmt: skip
        store = prepared(case, folder)
        how = "compiled" if compiled else "plain"
        operations = work(EnsembleSpec.of(store, case.profile()), case.batch * case.window)
        name = f"{case.preset}, {how}: {operations:.1e} operations a step"
        yield from common.if_it_fits(name, packed_rows(task, name, case, store, folder, compiled, seconds))


def packed_rows(
    task: str, name: str, case: Case, store: TokenStore, folder: Path, compiled: bool, seconds: float
) -> Iterator[common.Row]:
    tasks = tasks_of(case, store, folder, range(1, MEMBERS + 1))
    together, alone = (planned_speed(tasks, Plan(size, compiled), seconds) for size in (MEMBERS, 1))
    yield common.row(task, name, "ours, one member after the other", together, alone, "tokens/s", True)


def operations_per_token(size: Profile, vocabulary: int) -> float:
    """Of a step: 6 a parameter that multiplies, 12 a layer, unit of width and token of the window in attention.

    The output matrix counts at masked positions only, the embedding (a lookup) and positions not at all
    (Chowdhery et al., arXiv 2204.02311, appendix B, with what is not computed left out).
    """
    shape = preset(size.preset)
    total = parameters_of(size.preset, vocabulary, size.window)
    places = max(size.window, 512) + 2 if shape.family == "bert" else 0  # positions, and two types of tokens
    output = (vocabulary + shape.hidden) * shape.hidden
    body = total - output - places * shape.hidden
    return 6.0 * (body + size.train_mask * output) + 12.0 * shape.layers * shape.hidden * size.window


def matrix_rate(size: int = 8192, repeats: int = 50) -> float:
    """Operations per second of a product of two square bfloat16 matrices on the GPU."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        a @ b
    torch.cuda.synchronize()
    return repeats * 2.0 * size**3 / (time.perf_counter() - began)


def utilisation_rows(task: str, folder: Path, seconds: float) -> Iterator[common.Row]:
    """The paper's model: share of the GPU's matrix rate that training achieves, ours and the peer's."""
    store = prepared(BERT_90M, folder)
    rate = matrix_rate() / 1e12
    operations = operations_per_token(BERT_90M.profile(), store.vocabulary) / 1e12
    best: list[float] = []

    def share(name: str, dropout: float, compiled: bool) -> Iterator[common.Row]:
        ours = alone_speed(BERT_90M, store, folder, seconds, compiled, dropout=dropout)
        if not dropout:
            best.append(ours)
        yield common.row(task, name, "matrix rate", ours * operations, rate, "TFLOP/s", True)

    def against_the_peer() -> Iterator[common.Row]:
        peer = peer_speed(BERT_90M, store, folder, PAPER_DROPOUT, seconds)
        yield common.row(task, "speed", "Trainer as in the paper", max(best), peer, "tokens/s", True)

    for dropout, compiled in ((0.0, False), (0.0, True), (PAPER_DROPOUT, False)):
        how = "compiled" if compiled else "plain"
        name = f"utilisation, {how}, dropout {dropout}; matrix rate {rate:.0f} TFLOP/s"
        yield from common.if_it_fits(name, share(name, dropout, compiled))
    if best:
        yield from common.if_it_fits("speed", against_the_peer())


def loss_rows(task: str, folder: Path, steps: int) -> Iterator[common.Row]:
    """Both trained to the end, and measured on the same masked windows."""
    store = prepared(QUICK, folder)
    tasks = tasks_of(QUICK, store, folder, LOSS_SEEDS, steps=steps)
    count = QUICK.profile().validation_windows
    held_out = masked_windows(store, "validation", QUICK.window, count, QUICK.train_mask, 42)[:3]
    ids, positions, targets = (torch.from_numpy(array).to(device()) for array in held_out)
    ours: list[float] = []
    theirs: list[float] = []
    for group in batch_members(tasks, device()):
        train_members(group, device())
    for made in tasks:
        made_by_us = build_model(QUICK.preset, store.vocabulary, QUICK.window, 1)
        models = [made_by_us.from_pretrained(made.path)]
        peer = trainer(QUICK, store, folder, 0.0, steps, made.seed)
        peer.train()
        models.append(peer.model)
        for model, losses in zip(models, (ours, theirs), strict=True):
            with torch.no_grad():
                logits = masked_logits(model.eval().to(device()), ids, positions)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            losses.append(float(loss) * BITS)
    noise = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(LOSS_SEEDS))
    name = f"after {steps} steps, {len(LOSS_SEEDS)} seeds; standard error of the difference {noise:.4f}"
    mean, peer_mean = float(np.mean(ours)), float(np.mean(theirs))
    yield common.row(task, name, "Trainer without dropout", mean, peer_mean, "bits/token", False)


def rows_of(task: str, folder: Path, options: Any) -> Iterator[common.Row]:
    """The rows of one task, as they are made."""
    speeds = {
        "train:bert-4m": BERT_4M,
        "train:quick": QUICK,
        "train:bert-20m": BERT_20M,
        "train:packed-quick": QUICK,
    }
    if task in speeds:
        return speed_rows(task, speeds[task], folder, options.seconds)
    if task == "train:packing":
        return packing_rows(task, folder, options.seconds)
    if task == "train:bert-90m-mfu":
        return utilisation_rows(task, folder, options.seconds)
    return loss_rows(task, folder, options.loss_steps)


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--seconds", type=float, default=20.0, help="that each speed is measured")
    parser.add_argument("--loss-steps", type=int, default=LOSS_STEPS, help="steps of train:loss")
    options = parser.parse_args()
    tasks = common.chosen(parser, options, TASKS)
    began = time.perf_counter()
    gpu = torch.cuda.is_available()
    if skipped := [task for task in tasks if task in GPU_TASKS and not gpu]:
        print(f"  no GPU here, so not measured: {', '.join(skipped)}", flush=True)
    wanted = [task for task in tasks if task not in GPU_TASKS or gpu]
    configuration = {
        "tasks": wanted, "members": MEMBERS, "bases": BASES, "seconds": options.seconds,
        "loss_steps": options.loss_steps,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        rows = (row for task in wanted for row in common.if_it_fits(task, rows_of(task, Path(folder), options)))
        common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
