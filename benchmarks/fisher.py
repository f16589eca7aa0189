"""Squares of gradients of single examples: ours against plain passes, loops and formed gradients, in one run.

The model is a small ModernBERT (``--preset``): windows of 64 tokens, 10 of them masked, a vocabulary of 261.

- ``fisher:sequence-vs-backward``: squares of all windows against one plain batched pass, which
  gives the gradient of their mean and no squares.
- ``fisher:sequence-vs-loop-1t`` and ``-2t``: against a pass for each window, on one thread and on two.
- ``fisher:sequence-vs-vmap``: against ``torch.func`` (vmap of grad), which forms the gradients.
- ``fisher:memory-vs-vmap``: growth of both, each in a process of its own.
- ``fisher:token-vs-loop``: squares of every masked token against a pass for each.
- ``fisher:sequence-vs-opacus`` and ``-vs-backpack``: against libraries whose hooks form the gradients of each
  layer for each window, where they run on this model.

The shortest of several repeats counts. A ratio above 1 is in our favour.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import common
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from gfm_utils import provenance
from gfm_utils.ensembles import PRESETS, build_model, masked_logits
from gfm_utils.measures.fisher.examples import MaskedTokens
from gfm_utils.measures.fisher.per_example_gradients import sums_of_squares

TASKS = (
    "fisher:sequence-vs-backward", "fisher:sequence-vs-loop-1t", "fisher:sequence-vs-loop-2t",
    "fisher:sequence-vs-vmap", "fisher:memory-vs-vmap", "fisher:token-vs-loop", "fisher:sequence-vs-opacus",
    "fisher:sequence-vs-backpack",
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


def seconds(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds of the shortest repeat of each; the two take turns, after one of each that does not count."""
    times_of: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for run, times in zip((ours, theirs), times_of, strict=True):
            began = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return min(times_of[0][1:]), min(times_of[1][1:])


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


def with_vmap(model: Any, examples: MaskedTokens) -> None:
    """The same squares from gradients that ``torch.func`` forms."""
    values = {name: value.detach() for name, value in model.named_parameters()}
    attention = torch.ones_like(examples.ids[:1])
    model.set_attn_implementation("eager")  # the fused kernel has no rule for batches

    def loss(values: Any, ids: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        inputs = {"input_ids": ids[None], "attention_mask": attention}
        logits = functional_call(model, values, (), inputs).logits[0]
        return functional.cross_entropy(logits[positions], targets)

    given = (examples.ids, examples.positions, examples.targets)
    each = vmap(grad(loss), (None, 0, 0, 0))(values, *given)
    torch.stack([value.flatten(1).square().sum(1) for value in each.values()])


def peak_bytes(way: str, options: Any) -> float:
    """Growth of a fresh process."""
    sizes = ["--preset", options.preset, "--windows", str(options.windows)]
    command = [sys.executable, __file__, "--peak", way, *sizes]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_peak(way: str, options: Any) -> None:
    model, examples = problem(options.preset, options.windows)
    run: Callable[[Any, MaskedTokens], object] = {"ours": sums_of_squares, "vmap": with_vmap}[way]
    run(model, examples[:2])
    print(common.peak_growth(lambda: run(model, examples)))


def untied(options: Any) -> tuple[Any, MaskedTokens]:
    """The problem with a decoder of its own: both libraries refuse tied matrices."""
    model, examples = problem(options.preset, options.windows)
    decoder = model.get_output_embeddings()
    decoder.weight = torch.nn.Parameter(decoder.weight.detach().clone())
    return model, examples


def loss(model: Any, examples: MaskedTokens) -> torch.Tensor:
    """Mean loss through all of the model's own modules."""
    chosen = model(input_ids=examples.ids).logits.gather(
        1, examples.positions[..., None].expand(-1, -1, VOCABULARY)
    )
    return functional.cross_entropy(chosen.flatten(0, 1), examples.targets.flatten())


def with_opacus(options: Any) -> Callable[[], object]:
    """The same squares from gradients that Opacus forms."""
    with common.peer("opacus", "--no-deps") as opacus:
        model, examples = untied(options)
        wrapped = opacus.GradSampleModule(model.train(), loss_reduction="mean", strict=False)

    def run() -> None:
        wrapped.zero_grad()
        loss(wrapped, examples).backward()
        torch.stack([value.grad_sample.flatten(1).square().sum(1) for value in wrapped.parameters()])

    run()
    return run


def with_backpack(options: Any) -> Callable[[], object]:
    """The same squares from gradients that BackPACK forms."""
    with common.peer("backpack", "--no-deps", packages=("backpack-for-pytorch", "einops", "unfoldNd")) as backpack:
        from backpack.extensions import BatchGrad  # type: ignore[import-not-found]

        model, examples = untied(options)
        extended = backpack.extend(model)

    def run() -> None:
        model.zero_grad()
        with backpack.backpack(BatchGrad()):
            loss(extended, examples).backward()
        torch.stack([value.grad_batch.flatten(1).square().sum(1) for value in model.parameters()])

    run()
    return run


LIBRARIES = {
    "fisher:sequence-vs-opacus": ("Opacus", with_opacus),
    "fisher:sequence-vs-backpack": ("BackPACK", with_backpack),
}


def measured(task: str, options: Any) -> Iterator[common.Row]:
    """The rows of one task; a library that does not run here gives none, and says why."""
    torch.set_num_threads(1 if task.endswith("1t") else 2 if task.endswith("2t") else options.threads)
    model, examples = problem(options.preset, options.windows)
    case = f"{options.preset}, {options.windows} windows of {WINDOW}, {torch.get_num_threads()} threads"
    if task == "fisher:memory-vs-vmap":
        sizes = peak_bytes("ours", options), peak_bytes("vmap", options)
        yield common.row(task, case, "torch.func", *sizes, "bytes", False)
        return
    if task == "fisher:token-vs-loop":
        some = examples[:LOOPED]
        few = some.apart()[torch.arange(0, some.tokens, MASKED)]
        ours, theirs = seconds(
            lambda: sums_of_squares(model, some.apart()), lambda: looped(model, few), options.repeats
        )
        yield common.row(task, case, "a pass a token", ours / some.tokens, theirs / len(few), "s/token", False)
        return
    windows = options.windows
    if task in LIBRARIES:
        peer, made = LIBRARIES[task]
        try:
            other = made(options)
        except Exception as error:
            print(f"  {peer} does not run here: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            return
    elif task == "fisher:sequence-vs-backward":
        peer, other = "a plain backward pass", lambda: backward(model, examples)
    elif task == "fisher:sequence-vs-vmap":
        other_model, _ = problem(options.preset, options.windows)  # its attention is another one
        peer, other = "torch.func", lambda: with_vmap(other_model, examples)
    else:
        peer, windows = "a pass a window", min(LOOPED, options.windows)
        other = lambda: looped(model, examples[:LOOPED])  # noqa: E731
    ours, theirs = seconds(lambda: sums_of_squares(model, examples), other, options.repeats)
    yield common.row(task, case, peer, ours / options.windows, theirs / windows, "s/window", False)


def main() -> None:
    parser = common.parser(__doc__, TASKS)
    parser.add_argument("--preset", default="modernbert-2x64", choices=list(PRESETS))
    parser.add_argument("--windows", type=int, default=128, help="windows at once")
    parser.add_argument("--threads", type=int, default=1, help="of tasks that do not name a number")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peak", choices=("ours", "vmap"), help="print the memory of one way, and nothing else")
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak, options)
        return
    tasks, began = common.chosen(parser, options, TASKS), time.perf_counter()
    rows = (row for task in tasks for row in common.if_it_fits(task, measured(task, options)))
    configuration = {
        "tasks": tasks, "preset": options.preset, "windows": options.windows, "threads": options.threads,
        "repeats": options.repeats, "device": provenance.device_name(),
    }  # fmt: skip
    common.report(rows, options, configuration, began)


if __name__ == "__main__":
    main()
