"""Squares of gradients of single examples: ours against plain passes, loops and formed gradients, in one run.

The model is a small ModernBERT (``--preset``): windows of 64 tokens, 10 of them masked, a vocabulary of 261.

- ``fisher:sequence-vs-backward``: squares of all windows against one plain batched pass, which
  gives the gradient of their mean and no squares.
- ``fisher:sequence-vs-loop-1t`` and ``-2t``: against a pass for each window, on one thread and on two.
- ``fisher:sequence-vs-vmap``: against ``torch.func`` (vmap of grad), which forms the gradients.
- ``fisher:memory-vs-vmap``: growth of the largest resident size of both, each in a process of its own.
- ``fisher:token-vs-loop``: squares of every masked token against a pass for each.
- ``fisher:sequence-vs-opacus``: against Opacus, whose hooks form the gradients of each layer for each window.

The shortest of several repeats counts. A ratio above 1 is in our favour.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import common
import torch
from torch.nn import functional

from gfm_utils import provenance
from gfm_utils.analyses.fisher import exact, fallback
from gfm_utils.analyses.fisher.examples import MaskedTokens
from gfm_utils.ensembles import PRESETS, build_model, masked_logits

TASKS = (
    "fisher:sequence-vs-backward", "fisher:sequence-vs-loop-1t", "fisher:sequence-vs-loop-2t",
    "fisher:sequence-vs-vmap", "fisher:memory-vs-vmap", "fisher:token-vs-loop", "fisher:sequence-vs-opacus",
)  # fmt: skip
VOCABULARY, WINDOW, MASKED, MASK_ID = 261, 64, 10, 4
#: Examples that a loop is timed on; it is linear in their number.
LOOPED = 24


def problem(preset: str, windows: int) -> tuple[Any, MaskedTokens]:
    where = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (windows, WINDOW), generator=generator)
    positions = torch.stack([torch.randperm(WINDOW, generator=generator)[:MASKED] for _ in range(windows)])
    targets = ids.gather(1, positions)
    examples = MaskedTokens(ids.scatter(1, positions, MASK_ID), positions, targets, MASK_ID)
    return build_model(preset, VOCABULARY, WINDOW, 1).eval().to(where), examples.to(where)


def best(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the shortest repeat, after one that does not count."""
    found = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def backward(model: Any, examples: MaskedTokens) -> None:
    """One plain pass for the mean loss."""
    model.zero_grad()
    logits = masked_logits(model, examples.ids, examples.positions)
    functional.cross_entropy(logits.flatten(0, 1), examples.targets.flatten()).backward()


def looped(model: Any, examples: MaskedTokens) -> None:
    """A pass for each example, and the squares of its gradient."""
    for one in examples.batches(1):
        backward(model, one)
        torch.stack([value.grad.square().sum() for value in model.parameters()])


def peak_bytes(way: str, options: Any) -> float:
    """Growth of the largest resident size of a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--peak",
        way,
        "--preset",
        options.preset,
        "--windows",
        str(options.windows),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_peak(way: str, options: Any) -> None:
    model, examples = problem(options.preset, options.windows)
    run = {"ours": exact.sums_of_squares, "vmap": fallback.sums_of_squares}[way]
    if torch.cuda.is_available():
        run(model, examples[:2], "sequence")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(model, examples, "sequence")
        print(torch.cuda.max_memory_allocated() - before)
        return
    run(model, examples[:2], "sequence")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(model, examples, "sequence")
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def opacus_seconds(options: Any) -> float:
    """Seconds of Opacus for the same squares; its hooks refuse tied matrices, so the decoder has its own."""
    with common.peer("opacus", "--no-deps") as opacus:
        model, examples = problem(options.preset, options.windows)
        decoder = model.get_output_embeddings()
        decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
        wrapped = opacus.GradSampleModule(model.train(), loss_reduction="mean", strict=False)

        def run() -> None:
            wrapped.zero_grad()
            logits = wrapped(input_ids=examples.ids).logits
            chosen = logits.gather(1, examples.positions[..., None].expand(-1, -1, VOCABULARY))
            functional.cross_entropy(chosen.flatten(0, 1), examples.targets.flatten()).backward()
            torch.stack([value.grad_sample.flatten(1).square().sum(1) for value in wrapped.parameters()])

        return best(run, options.repeats)


def measured(task: str, options: Any) -> list[common.Row]:
    """The rows of one task; a peer that does not run here gives none, and says why."""
    torch.set_num_threads(1 if task.endswith("1t") else 2 if task.endswith("2t") else options.threads)
    model, examples = problem(options.preset, options.windows)
    case = f"{options.preset}, {options.windows} windows of {WINDOW}, {torch.get_num_threads()} threads"
    if task == "fisher:memory-vs-vmap":
        ours, theirs = peak_bytes("ours", options), peak_bytes("vmap", options)
        return [common.row(task, case, "torch.func", ours, theirs, "bytes", False)]
    if task == "fisher:token-vs-loop":
        apart = examples[:LOOPED].apart()
        few = apart[torch.arange(0, len(apart), MASKED)]
        ours = best(lambda: exact.sums_of_squares(model, examples, "token"), options.repeats) / examples.tokens
        theirs = best(lambda: looped(model, few), options.repeats) / len(few)
        return [common.row(task, case, "a pass a token", ours, theirs, "s/token", False)]
    ours = best(lambda: exact.sums_of_squares(model, examples, "sequence"), options.repeats) / options.windows
    if task == "fisher:sequence-vs-backward":
        theirs = best(lambda: backward(model, examples), options.repeats) / options.windows
        return [common.row(task, case, "a plain backward pass", ours, theirs, "s/window", False)]
    if task == "fisher:sequence-vs-vmap":
        formed = best(lambda: fallback.sums_of_squares(model, examples, "sequence"), options.repeats)
        return [common.row(task, case, "torch.func", ours, formed / options.windows, "s/window", False)]
    if task == "fisher:sequence-vs-opacus":
        try:
            theirs = opacus_seconds(options) / options.windows
        except Exception as error:
            print(f"  Opacus does not run here: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            return []
        return [common.row(task, case, "Opacus", ours, theirs, "s/window", False)]
    theirs = best(lambda: looped(model, examples[:LOOPED]), options.repeats) / min(LOOPED, options.windows)
    return [common.row(task, case, "a pass a window", ours, theirs, "s/window", False)]


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--preset", default="modernbert-2x64", choices=list(PRESETS))
    parser.add_argument("--windows", type=int, default=64, help="windows at once")
    parser.add_argument("--threads", type=int, default=1, help="of tasks that do not name a number")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peak", choices=("ours", "vmap"), help="print the memory of one way, and nothing else")
    options = parser.parse_args()
    if options.peak:
        measure_peak(options.peak, options)
        return
    tasks, began = common.chosen(parser, options, TASKS), time.perf_counter()
    rows = [row for task in tasks for row in measured(task, options)]
    configuration = {
        "tasks": tasks, "preset": options.preset, "windows": options.windows, "threads": options.threads,
        "repeats": options.repeats, "device": provenance.device_name(),
    }  # fmt: skip
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
