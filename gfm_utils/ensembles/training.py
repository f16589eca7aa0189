"""Training of one member: shared windows and masks, its own initial weights."""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn import functional

from gfm_utils.ensembles.presets import build_model, masked_logits
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, write_json
from gfm_utils.tokens import PARTS, SPECIAL, TokenStore, choose_positions, corrupt, mask_all

#: Windows on which the validation loss is measured along the way.
VALIDATION_WINDOWS = 128
BITS = 1 / np.log(2)
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        windows: indices of the windows, shape (batch,).
        ids: what the model sees, shape (batch, window).
        positions: positions to predict, shape (batch, m).
        targets: the true tokens there, shape (batch, m).
    """

    windows: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]


def check_windows(store: TokenStore, spec: EnsembleSpec) -> None:
    """Refuse a corpus that has too little for one batch, or for validation or test.

    Raises:
        GfmError: a part has too few windows; the message says which and what to do.
    """
    for part in PARTS:
        count = len(store.window_starts(part, spec.window))
        if part == "train" and count < spec.batch:
            raise GfmError(
                f"corpus of {spec.condition!r} is too short: its training part has {count} windows of "
                f"{spec.window} tokens, fewer than one batch of {spec.batch}; give a longer corpus"
            )


def batches(store: TokenStore, spec: EnsembleSpec) -> Iterator[Batch]:
    """The batches of every step, the same for all members: seeded order, seeded masks, epoch after epoch.

    Raises:
        GfmError: the training part has fewer windows than one batch.
    """
    check_windows(store, spec)
    starts = store.window_starts("train", spec.window)
    per_epoch = len(starts) // spec.batch
    order = np.zeros(0, np.int64)
    for step in range(spec.steps):
        epoch, within = divmod(step, per_epoch)
        if within == 0:
            order = np.random.default_rng([spec.data_seed, epoch]).permutation(len(starts))
        windows = order[within * spec.batch : (within + 1) * spec.batch]
        clean = store.windows("train", starts[windows], spec.window)
        positions = choose_positions(windows, spec.window, spec.train_mask, spec.data_seed, epoch)
        shown = corrupt(
            clean, positions, windows, SPECIAL.index("[MASK]"), (len(SPECIAL), spec.vocabulary),
            spec.corruption, spec.data_seed, epoch,
        )  # fmt: skip
        yield Batch(windows, shown, positions, np.take_along_axis(clean, positions, axis=1))


def masked_windows(
    store: TokenStore, part: str, window: int, count: int, rate: float, seed: int
) -> tuple[npt.NDArray[np.int64], ...]:
    """Windows of a part with pure ``[MASK]`` at seeded positions, spread evenly over the part.

    Args:
        store: the tokens.
        part: ``validation`` or ``test``.
        window: tokens a window.
        count: windows wanted; all that exist if there are fewer.
        rate: share of tokens masked.
        seed: of the masks.

    Returns:
        Masked ids (n, window), positions (n, m), true tokens there (n, m), offsets of the windows (n,).
    """
    starts = store.window_starts(part, window)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(np.int64))
    clean = store.windows(part, starts[chosen], window)
    positions = choose_positions(chosen, window, rate, seed)
    shown = mask_all(clean, positions, SPECIAL.index("[MASK]"))
    return shown, positions, np.take_along_axis(clean, positions, axis=1), starts[chosen]


def log_spaced(steps: int) -> list[int]:
    """Steps at which the validation loss is measured: 0, 1, 2, 4, 8 ... and the last."""
    return sorted({0, steps, *(2**power for power in range(steps.bit_length()) if 2**power < steps)})


def learning_rate_factor(step: int, spec: EnsembleSpec) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to zero."""
    rising = max(1, round(spec.warmup * spec.steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + float(np.cos(np.pi * (step - rising) / max(1, spec.steps - rising))))


def _optimizer(model: torch.nn.Module, spec: EnsembleSpec) -> torch.optim.AdamW:
    # Weight decay for matrices alone: norms and biases have no direction to shrink towards.
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": spec.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.betas, fused=True)


def train_member(
    spec: EnsembleSpec, store: TokenStore, seed: int, path: Path, device: str, report: Report | None = None
) -> None:
    """Train one member and write its directory: a Hugging Face checkpoint and its record.

    Written are ``config.json``, ``model.safetensors`` and the tokenizer, ``untrained/`` (the initial state
    as a checkpoint of its own), ``spec.json``, ``metrics.parquet`` (step, tokens, training and validation
    loss in bits per token, seconds) and ``provenance.json`` (versions, hardware, wall time).

    Args:
        spec: what all members share.
        store: the tokens.
        seed: of this member's initial weights (and dropout).
        path: the directory, written whole or not at all.
        device: ``cpu`` or ``cuda``.
        report: called with (step, training loss in bits per token) every few steps.

    Raises:
        GfmError: the loss is no longer a number.
    """
    model: Any = build_model(spec.preset, spec.vocabulary, spec.window, seed)
    model.to(device)
    with atomic(path) as temporary:
        temporary.mkdir(parents=True)
        model.save_pretrained(temporary / "untrained")
        began = time.perf_counter()
        metrics = _fit(model, spec, store, seed, device, report)
        model.save_pretrained(temporary)
        store.tokenizer.save_pretrained(temporary)
        metrics.to_parquet(temporary / "metrics.parquet", index=False)
        write_json(temporary / "spec.json", {"seed": seed, **spec.model_dump(mode="json")})
        write_json(temporary / "provenance.json", provenance(device) | {"seconds": time.perf_counter() - began})


def _fit(
    model: Any, spec: EnsembleSpec, store: TokenStore, seed: int, device: str, report: Report | None
) -> pd.DataFrame:
    optimizer = _optimizer(model, spec)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, spec))
    shown, positions, targets, _ = masked_windows(
        store, "validation", spec.window, VALIDATION_WINDOWS, spec.train_mask, spec.data_seed
    )
    held_out = [torch.from_numpy(array).to(device) for array in (shown, positions, targets)]
    torch.manual_seed(seed)
    measured, rows, began = set(log_spaced(spec.steps)), [], time.perf_counter()
    recent = torch.zeros((), device=device)
    model.train()
    for step, batch in enumerate(batches(store, spec)):
        if step in measured:
            rows.append(_measure(model, held_out, step, spec, float("nan") if step == 0 else float(recent), began))
        ids, where, truth = (torch.from_numpy(a).to(device) for a in (batch.ids, batch.positions, batch.targets))
        logits = masked_logits(model, ids, where)
        loss = functional.cross_entropy(logits.flatten(0, 1), truth.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        recent = loss.detach() * BITS
        if step % 20 == 19 or step == spec.steps - 1:
            value = float(recent)
            if not np.isfinite(value):
                raise GfmError(
                    f"training of {spec.condition!r}, member with seed {seed}, diverged at step {step + 1} "
                    f"(loss {value}); lower the learning rate ({spec.learning_rate}) in the profile"
                )
            if report is not None:
                report(step + 1, value)
    rows.append(_measure(model, held_out, spec.steps, spec, float(recent), began))
    return pd.DataFrame(rows)


@torch.no_grad()
def _measure(
    model: Any, held_out: list[torch.Tensor], step: int, spec: EnsembleSpec, train_loss: float, began: float
) -> dict[str, float]:
    model.eval()
    total, count = 0.0, 0
    for ids, where, truth in zip(*(tensor.split(spec.batch) for tensor in held_out), strict=True):
        logits = masked_logits(model, ids, where)
        total += float(functional.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="sum")) * BITS
        count += truth.numel()
    model.train()
    return {
        "step": step,
        "tokens": step * spec.batch * spec.window,
        "train_loss": train_loss,
        "validation_loss": total / count,
        "seconds": time.perf_counter() - began,
    }


def provenance(device: str) -> dict[str, Any]:
    """Versions and hardware of this process: what a result must be quoted with."""
    return {
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
