"""Masked language models that other code saved: local checkpoints or names of the Hugging Face hub.

Weights are read from safetensors only, and no code that comes with a model is run.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForMaskedLM, AutoTokenizer

from gfm_utils.ensembles import device
from gfm_utils.errors import GfmError, first_line

#: Names of files that hold pickled weights.
_PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def members_of(names: Sequence[str]) -> list[str]:
    """Names of models; a directory of members (``member-00``, ...) stands for all of them."""
    found: list[str] = []
    for name in names:
        members = sorted(Path(name).glob("member-[0-9]*")) if Path(name).is_dir() else []
        found += [str(path) for path in members] or [name]
    return found


def load_model(name: str) -> Any:
    """A masked language model in evaluation mode, in float32.

    Args:
        name: a directory with ``config.json`` and ``model.safetensors``, or a name of the Hugging Face hub.

    Raises:
        GfmError: there is no such model, its weights are pickled or missing, it needs code of its own, or it
            is no masked language model.
    """
    # Without this transformers asks the hub to convert pickled weights.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    try:
        loaded, report = AutoModelForMaskedLM.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if (pickled := _pickled(Path(name))) is not None:
            raise GfmError(
                f"{name} has its weights in {pickled.name} alone, a pickle, which may run any code and is "
                "refused; give weights in safetensors, which save_pretrained writes where you trust that file"
            ) from None
        raise GfmError(
            f"{name} cannot be loaded as a masked language model with safetensors ({_short(error)}); "
            "give a directory that save_pretrained wrote, or a name of the Hugging Face hub"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise GfmError(
            f"{name} lacks {len(missing)} weights of a {type(loaded).__name__} (such as {missing[0]}), so it has "
            "no head for masked tokens or an architecture of its own: give a masked language model"
        )
    return loaded.eval().to(device())


def _pickled(folder: Path) -> Path | None:
    """The first file of pickled weights in a directory that has no others."""
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return None
    return next((found for pattern in _PICKLED for found in sorted(folder.glob(pattern))), None)


def load_tokenizer(name: str) -> Any:
    """The tokenizer that stands beside a model.

    Raises:
        GfmError: there is none, or it needs code of its own.
    """
    found = _tokenizer_of(name)
    if isinstance(found, str):
        raise GfmError(f"{name} has no tokenizer{found}; name one with --tokenizer")
    return found


def _tokenizer_of(name: str) -> Any:
    """The tokenizer that stands beside a model, or why there is none, as a clause."""
    try:
        found = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f" ({_short(error)})"
    if len(found) <= len(found.all_special_ids):  # what transformers makes of a configuration alone
        return ""
    return found


def same_tokenizers(members: Sequence[str], reader: Any) -> None:
    """Refuse members beside which another tokenizer stands than beside the first; none is no matter."""
    vocabulary = reader.get_vocab()
    for name in members[1:]:
        own = _tokenizer_of(name)
        if not isinstance(own, str) and own.get_vocab() != vocabulary:
            raise GfmError(
                f"{name} has another tokenizer than {members[0]}: models must share a vocabulary to be compared "
                "token by token (--tokenizer says which to use if they do)"
            )


def longest(model: Any) -> float:
    """Tokens that a model can read at once; infinite where its positions are relative or rotary."""
    found = next((part for name, part in model.named_modules() if name.endswith("position_embeddings")), None)
    if not isinstance(found, torch.nn.Embedding):
        return float("inf")
    return found.num_embeddings - (0 if found.padding_idx is None else found.padding_idx + 1)


def _short(error: Exception) -> str:
    return first_line(error)[:160].rstrip(".")
