"""Training of one member, from its initial weights or from where a killed run left it."""

import math
import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from gfm_utils.ensembles.batches import Batch, batches, masked_windows
from gfm_utils.ensembles.presets import build_model, masked_logits
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.ensembles.states import SavedStates, newest_step
from gfm_utils.errors import GfmError
from gfm_utils.files import flush, locked, sha256_of, write_json
from gfm_utils.tokens import TokenStore

#: Windows on which the validation loss is measured along the way.
VALIDATION_WINDOWS = 128
#: A state is saved this often at most, and no more than this share of the time goes into saving.
SAVE_SECONDS = 30.0
SAVE_SHARE = 0.02
#: A member whose loss is this many times that of guessing all tokens equally has diverged.
HOPELESS = 10
BITS = 1 / math.log(2)
Report = Callable[[int, float], None]
Notice = Callable[[str], None]


class Diverged(GfmError):
    """A member's loss is no longer a number, or beyond hope."""


def log_spaced(steps: int) -> list[int]:
    """Steps at which the validation loss is measured and the weights are kept.

    At most 12: before the first step, after the first, after the last, and evenly between these on a
    logarithmic scale.
    """
    return sorted({0, *np.geomspace(1, steps, 11).round().astype(int).tolist()})


def checkpoint_path(member: Path, step: int, steps: int) -> Path:
    """Where a member of ``steps`` steps has its weights after ``step`` of them, as a Hugging Face checkpoint."""
    between = member / "checkpoints" / f"step-{step:09d}"
    return {0: member / "untrained", steps: member}.get(step, between)


def is_trained(path: Path) -> bool:
    """Whether a member's directory is complete; it appears whole or not at all."""
    return (path / "spec.json").exists()


def partial_path(path: Path) -> Path:
    """Where a member is while it is trained: ``.member-00.partial`` beside its directory."""
    return path.with_name(f".{path.name}.partial")


@dataclass(frozen=True)
class Task:
    """One member to train.

    Attributes:
        spec: what all members of its ensemble share.
        store: the tokens.
        seed: of the member.
        path: its directory.
    """

    spec: EnsembleSpec
    store: TokenStore
    seed: int
    path: Path

    @property
    def steps_left(self) -> int:
        """Steps that are still to be taken, after those of the newest saved state if there is one."""
        if is_trained(self.path):
            return 0
        return self.spec.steps - newest_step(partial_path(self.path))


def learning_rate_factor(step: int, spec: EnsembleSpec) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to zero."""
    rising = max(1, round(spec.warmup * spec.steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + float(np.cos(np.pi * (step - rising) / max(1, spec.steps - rising))))


def train_member(
    spec: EnsembleSpec,
    store: TokenStore,
    seed: int,
    path: Path,
    device: str,
    report: Report | None = None,
    notice: Notice | None = None,
) -> None:
    """Train one member and write its directory: a Hugging Face checkpoint and its record.

    Written are ``config.json``, ``model.safetensors`` and the tokenizer, ``untrained/`` (the initial state
    as a checkpoint of its own), ``checkpoints/step-<step>/`` (weights at log-spaced steps), ``spec.json``,
    ``metrics.parquet`` (step, tokens, training and validation loss in bits per token, seconds) and
    ``provenance.json`` (versions, hardware, seconds of training, steps at which it was resumed).

    Until it is complete, all stands in ``.<name>.partial`` beside it, with saved states: a run that ends
    early, however it does, continues from the last of these when it is started again. On a CPU the weights
    are then, bit for bit, those of a run without interruption. A member that is there is left alone; one that
    another process is training is waited for.

    Args:
        spec: what all members share.
        store: the tokens.
        seed: of this member, 1 or more.
        path: the directory, written whole or not at all.
        device: ``cpu`` or ``cuda``.
        report: called with (step, training loss in bits per token) every few steps.
        notice: called with a sentence for people when the training does not start from the beginning, or
            when a saved state is damaged.

    Raises:
        Diverged: the loss is no longer a number or beyond hope; the last good state is kept as a checkpoint.
    """
    path = Path(path)
    threads = torch.get_num_threads()
    with locked(path.with_name(f".{path.name}")):
        if is_trained(path):
            shutil.rmtree(partial_path(path), ignore_errors=True)  # of a run killed right after it was done
            return
        try:
            Training(spec, store, seed, path, device, report, notice).run()
        finally:
            torch.set_num_threads(threads)


class Training:
    """A member in training, and all that decides its further course; nothing is written before ``run``.

    Takes what ``train_member`` takes.
    """

    def __init__(
        self,
        spec: EnsembleSpec,
        store: TokenStore,
        seed: int,
        path: Path,
        device: str,
        report: Report | None = None,
        notice: Notice | None = None,
    ) -> None:
        self.spec, self.store, self.seed, self.path, self.device = spec, store, seed, path, device
        self.report, self.notice = report, notice
        self.seeds = spec.seeds(seed)
        self.folder = partial_path(path)
        self.member = self.folder / "member"
        self.states = SavedStates(self.folder, [spec.key, seed])
        model: Any = build_model(spec.preset, spec.vocabulary, spec.window, self.seeds.init)
        self.model = model.to(device)
        self.optimizer = _optimizer(self.model, spec)
        shown, positions, targets, _ = masked_windows(
            store, "validation", spec.window, VALIDATION_WINDOWS, spec.train_mask, spec.data_seed
        )
        self.held_out = [torch.from_numpy(array).to(device) for array in (shown, positions, targets)]
        self.measured_at = set(log_spaced(spec.steps))
        self.step = 0
        self.loss = torch.full((), float("nan"), device=device)  # bits per token, of the last step
        self.rows: list[dict[str, float]] = []
        self.files: dict[str, str] = {}  # path below the folder -> SHA-256, of the checkpoints so far
        self.resumed_at: list[int] = []

    def run(self) -> None:
        """Train from the newest good state, or the beginning, to the end, and write the member's directory.

        Raises:
            Diverged: the loss is no longer a number or beyond hope.
        """
        self._begin()
        self.save_at = time.monotonic() + SAVE_SECONDS
        self.model.train()
        for batch in batches(self.store, self.spec, self.seeds, self.step):
            self._keep()
            self.learn(batch)
        self._keep()
        self._finish()

    def _begin(self) -> None:
        """Continue from the newest good state, or start from the initial weights."""
        saved, damaged = self.states.newest()
        if saved is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.member.mkdir(parents=True)
            torch.manual_seed(self.seeds.init)
            self.began = time.perf_counter()
        else:
            for leftover in list(self.folder.rglob(".*.tmp")):  # of a killed run
                leftover.unlink()
            self._restore(saved)
        if self.notice is not None and (saved or damaged):
            unused = f"saved states not used, damaged: {', '.join(damaged)}; " if damaged else ""
            begins = (
                f"continues at step {self.step} of {self.spec.steps}" if saved else "starts from the beginning"
            )
            self.notice(f"{self.spec.condition}, member with seed {self.seed}: {unused}{begins}")

    def _restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.rows, self.files = saved["step"], saved["rows"], saved["files"]
        self.loss = torch.tensor(saved["loss"], device=self.device)
        self.resumed_at = [*saved["resumed_at"], self.step]
        self.began = time.perf_counter() - saved["seconds"]
        torch.set_num_threads(saved["threads"])  # sums in another order would give other bits
        torch.set_rng_state(saved["generator"])
        if self.device == "cuda" and saved["cuda_generator"] is not None:
            torch.cuda.set_rng_state(saved["cuda_generator"])

    def _keep(self) -> None:
        """At log-spaced steps measure and keep the weights; then, and every now and again, save the state."""
        measured = self.step in self.measured_at and (not self.rows or self.rows[-1]["step"] < self.step)
        if not measured and time.monotonic() < self.save_at:
            return
        began = time.monotonic()
        validation_loss = self._validation_loss()
        self._check(validation_loss)
        if measured:
            self.rows.append({
                "step": self.step, "tokens": self.step * self.spec.batch * self.spec.window,
                "train_loss": float(self.loss), "validation_loss": validation_loss,
                "seconds": time.perf_counter() - self.began,
            })  # fmt: skip
            if self.step < self.spec.steps:
                self._write_checkpoint(checkpoint_path(self.member, self.step, self.spec.steps))
        self.states.save(
            self.step,
            {
                "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "step": self.step, "rows": self.rows, "loss": float(self.loss), "resumed_at": self.resumed_at,
                "seconds": time.perf_counter() - self.began, "threads": torch.get_num_threads(),
                "generator": torch.get_rng_state(),
                "cuda_generator": torch.cuda.get_rng_state() if self.device == "cuda" else None,
            },
            self.files,
        )  # fmt: skip
        now = time.monotonic()
        self.save_at = now + max(SAVE_SECONDS, (now - began) / SAVE_SHARE)

    def _write_checkpoint(self, path: Path) -> None:
        """The weights as they are, as a Hugging Face checkpoint."""
        self.model.save_pretrained(path)
        flush(path)
        self.files |= {str(file.relative_to(self.folder)): sha256_of(file) for file in path.iterdir()}

    def learn(self, batch: Batch) -> None:
        """One step.

        Raises:
            Diverged: the loss is no longer a number or beyond hope (looked at every 20 steps).
        """
        ids, where, truth = (
            torch.from_numpy(array).to(self.device) for array in (batch.ids, batch.positions, batch.targets)
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * learning_rate_factor(self.step, self.spec)
        logits = masked_logits(self.model, ids, where)
        loss = functional.cross_entropy(logits.flatten(0, 1), truth.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = loss.detach() * BITS
        self.step += 1
        if self.step % 20 == 0 or self.step == self.spec.steps:  # not more often: reading it waits for the GPU
            value = float(self.loss)
            self._check(value)
            if self.report is not None:
                self.report(self.step, value)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self.model.eval()
        total, count = 0.0, 0
        for ids, where, truth in zip(*(tensor.split(self.spec.batch) for tensor in self.held_out), strict=True):
            logits = masked_logits(self.model, ids, where)
            total += float(functional.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="sum"))
            count += truth.numel()
        self.model.train()
        return total * BITS / count

    def _check(self, loss: float) -> None:
        """Stop when a loss (bits per token) is no number or beyond hope, keeping the last good state.

        Raises:
            Diverged: it is.
        """
        if loss <= HOPELESS * np.log2(self.spec.vocabulary):
            return
        failed, (saved, _) = self.step, self.states.newest()
        kept = "there is no good state before it"
        if saved is not None:
            self._restore(saved)
            good = checkpoint_path(self.member, self.step, self.spec.steps)
            if f"{good.relative_to(self.folder)}/model.safetensors" not in self.files:
                self._write_checkpoint(good)
            kept = f"its last good state, step {self.step}, is {good}"
        raise Diverged(
            f"training of {self.spec.condition!r}, member with seed {self.seed}, diverged at step {failed} "
            f"(loss {loss:.3g} bits/token; {kept}): lower the learning rate ({self.spec.learning_rate:g}) "
            "in the profile"
        )

    def _finish(self) -> None:
        """Write what belongs to a trained member and let its directory appear."""
        self.model.save_pretrained(self.member)
        self.store.tokenizer.save_pretrained(self.member)
        pd.DataFrame(self.rows).to_parquet(self.member / "metrics.parquet", index=False)
        write_json(self.member / "spec.json", {"seed": self.seed, **self.spec.model_dump(mode="json")})
        took = {"seconds": time.perf_counter() - self.began, "resumed_at": self.resumed_at}
        write_json(self.member / "provenance.json", provenance(self.device) | took)
        flush(self.member)
        shutil.rmtree(self.path, ignore_errors=True)
        os.replace(self.member, self.path)
        shutil.rmtree(self.folder)


def _optimizer(model: torch.nn.Module, spec: EnsembleSpec) -> torch.optim.AdamW:
    # Weight decay for matrices alone: norms and biases have no direction to shrink towards.
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": spec.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.betas, fused=True)


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
