"""The files of a member in training: saved states to continue from, checkpoints, and the complete directory."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gfm_utils.ensembles.member_job import MemberJob, checkpoint_path, partial_path, step_of
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, flush, sha256_of, write_json

#: States that are kept: the newest, and one before it in case that one is damaged.
KEPT = 2


class Diverged(GfmError):
    """A member's loss is no longer a number, or far above that of a uniform guess."""


class MemberWriter:
    """The files of one member in training; nothing is written before ``start`` or ``resume``.

    Its states are ``state-<step>-<checksum>.pt`` in its folder. Each is written under another name, flushed and
    then renamed; its name holds the first 16 digits of its SHA-256, and it lists whose it is, and the checksums of
    the checkpoints that were there when it was written. A state that disagrees with any of these is never read.
    """

    def __init__(self, job: MemberJob) -> None:
        self.job = job
        self.folder = partial_path(job.path)
        self.member = self.folder / "member"  # what the directory will be
        self.owner = [job.spec.key, job.seed]
        self.rows: list[dict[str, float]] = []  # the metrics so far
        self.best: dict[str, Any] | None = None  # step, loss and weights of the best so far, where these are kept
        self.files: dict[str, str] = {}  # path below the folder -> SHA-256, of the checkpoints so far
        self.resumed_at: list[int] = []
        self.diverged: Diverged | None = None

    def start(self) -> None:
        """Begin with an empty folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.member.mkdir(parents=True)

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        for leftover in list(self.folder.rglob(".*.tmp")):  # of a killed run
            leftover.unlink()
        self.rows, self.files = list(saved["rows"]), dict(saved["files"])
        self.best = saved.get("best")
        self.resumed_at = [*saved["resumed_at"], saved["step"]]

    def measure(self, state: Mapping[str, Any], validation_loss: float) -> None:
        """Add a row of metrics, losses in bits per token; hold on to weights that are the best so far."""
        step = state["step"]
        self.rows.append({
            "step": step, "tokens": step * self.job.spec.batch * self.job.spec.window,
            "train_loss": state["loss"], "validation_loss": validation_loss, "seconds": state["seconds"],
        })  # fmt: skip
        better = self.best is None or validation_loss < self.best["loss"]
        if self.job.spec.keep == "best" and step and better:
            self.best = {"step": step, "loss": validation_loss, "weights": state["weights"]}

    def write_checkpoint(self, step: int, model: Any) -> None:
        """Write a model as the Hugging Face checkpoint of a step."""
        path = checkpoint_path(self.member, step, self.job.spec.steps)
        model.save_pretrained(path)
        flush(path)
        self.files |= {str(file.relative_to(self.folder)): sha256_of(file) for file in path.iterdir()}

    def save(self, state: Mapping[str, Any]) -> None:
        """Save a state to continue from (``step``, and all that the trainer needs), and remove old ones."""
        own = {"rows": self.rows, "best": self.best, "resumed_at": self.resumed_at, "files": self.files}
        buffer = io.BytesIO()
        torch.save({**state, **own, "owner": self.owner}, buffer)
        checksum = hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]
        with atomic(self.folder / f"state-{state['step']:09d}-{checksum}.pt") as temporary:
            temporary.write_bytes(buffer.getbuffer())
        for old in self._states()[KEPT:]:
            old.unlink()

    def newest_state(self, limit: int | None = None) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state up to a step that can be trusted, if any; and the names of newer, damaged ones."""
        damaged: list[str] = []
        for path in self._states():
            if limit is not None and step_of(path) > limit:
                continue
            if sha256_of(path).startswith(path.stem.rpartition("-")[2]):
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                files = {self.folder / name: checksum for name, checksum in content["files"].items()}
                intact = all(file.is_file() and sha256_of(file) == checksum for file, checksum in files.items())
                if content["owner"] == self.owner and intact:
                    return content, damaged
            damaged.append(path.name)
        return None, damaged

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("state-*-*.pt"), reverse=True)

    def diverge(self, step: int, loss: float, filled: Callable[[Mapping[str, Any]], Any]) -> None:
        """Give the member up after a step with such a loss, and keep its last good state as a checkpoint."""
        kept = "there is no good state before it"
        saved, _ = self.newest_state()
        if saved is not None:
            good = checkpoint_path(self.member, saved["step"], self.job.spec.steps)
            if f"{good.relative_to(self.folder)}/model.safetensors" not in saved["files"]:
                self.write_checkpoint(saved["step"], filled(saved["weights"]))
            kept = f"its last good state, step {saved['step']}, is {good}"
        spec = self.job.spec
        self.diverged = Diverged(
            f"training of {spec.condition!r}, member with seed {self.job.seed}, diverged at step {step} "
            f"(loss {loss:.3g} bits/token; {kept}): lower the learning rate ({spec.learning_rate:g}) "
            "in the profile"
        )

    def finish(
        self, filled: Callable[[Mapping[str, Any]], Any], last: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> None:
        """Write what belongs to a trained member, its best or last weights, and let its directory appear."""
        steps = self.job.spec.steps
        kept: Mapping[str, Any] = self.best or {"step": steps, "weights": last}
        if kept["step"] != steps:
            filled(last).save_pretrained(checkpoint_path(self.member, steps, kept["step"]))
        filled(kept["weights"]).save_pretrained(self.member)
        self.job.store.tokenizer.save_pretrained(self.member)
        pd.DataFrame(self.rows).to_parquet(self.member / "metrics.parquet", index=False)
        write_json(self.member / "spec.json", {"seed": self.job.seed, **self.job.spec.model_dump(mode="json")})
        write_json(
            self.member / "provenance.json",
            {**provenance, "resumed_at": self.resumed_at, "kept_step": kept["step"]},
        )
        flush(self.member)
        shutil.rmtree(self.job.path, ignore_errors=True)
        os.replace(self.member, self.job.path)
        shutil.rmtree(self.folder)
