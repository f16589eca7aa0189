"""Saved states of a training that is not finished: what a killed run continues from."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gfm_utils.files import atomic, sha256_of

#: States that are kept: the newest, and one before it in case that one is damaged.
KEPT = 2
_DIGITS = 16


def newest_step(folder: Path) -> int:
    """Step of the newest state in a folder going by its name, unchecked; 0 when there is none."""
    return max(map(step_of, folder.glob("state-*-*.pt")), default=0)


def step_of(path: Path) -> int:
    """Step of a saved state, going by its name."""
    return int(path.name.split("-")[1])


@dataclass(frozen=True)
class TrainingStates:
    """The states of one member in training, ``state-<step>-<checksum>.pt`` in a folder.

    Each is written under another name, flushed and then renamed; its name holds the first 16 digits of its
    SHA-256, and it lists the checksums of the checkpoints that were there when it was written. A state that
    disagrees with either is never read.

    Attributes:
        folder: where they stand.
        owner: what they are states of (key of the specification, seed); those of another owner are not read.
    """

    folder: Path
    owner: Sequence[str | int]

    def save(self, step: int, content: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Write a state after a step, and remove those that are older than the last ``KEPT``.

        Args:
            step: optimiser steps taken so far.
            content: tensors, numbers, texts, and lists and dictionaries of these.
            files: path below the folder -> SHA-256 of each file that the state relies on.
        """
        buffer = io.BytesIO()
        torch.save({**content, "owner": list(self.owner), "files": dict(files)}, buffer)
        checksum = hashlib.sha256(buffer.getbuffer()).hexdigest()[:_DIGITS]
        with atomic(self.folder / f"state-{step:09d}-{checksum}.pt") as temporary:
            temporary.write_bytes(buffer.getbuffer())
        for old in self._paths()[KEPT:]:
            old.unlink()

    def newest(self, limit: int | None = None) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state up to a step that can be trusted, if any; and the names of newer, damaged ones."""
        damaged: list[str] = []
        for path in self._paths():
            if limit is not None and step_of(path) > limit:
                continue
            if sha256_of(path).startswith(path.stem.rpartition("-")[2]):
                content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                if content["owner"] == list(self.owner) and self._intact(content["files"]):
                    return content, damaged
            damaged.append(path.name)
        return None, damaged

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("state-*-*.pt"), reverse=True)

    def _intact(self, files: Mapping[str, str]) -> bool:
        paths = {self.folder / name: checksum for name, checksum in files.items()}
        return all(path.is_file() and sha256_of(path) == checksum for path, checksum in paths.items())
