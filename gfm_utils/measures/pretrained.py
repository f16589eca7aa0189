"""Masked language models that other code saved: local checkpoints or names of the Hugging Face hub.

Weights are read from safetensors only, and no code that comes with a model is run.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from transformers import AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from gfm_utils.errors import GfmError, first_line

Integers = npt.NDArray[np.int64]
#: Names inside a layer, and those of them that older versions of transformers saved although they follow from
#: the configuration.
_LAYER = re.compile(r"\b(?:layers?|h|blocks?)\.\d+\.")
_BUFFER = re.compile(r"inv_freq$|position_ids$|masked_bias$|attention\.bias$")
#: A name of the Hugging Face hub.
_HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")


def members_of(names: Sequence[str]) -> list[str]:
    """Names of models; a directory of members (``member-00``, ...) stands for all of them.

    Raises:
        GfmError: a name is neither a directory nor of a form that the Hugging Face hub knows.
    """
    members_found: list[str] = []
    for name in names:
        if not Path(name).is_dir() and not _HUB_NAME.fullmatch(name):
            raise GfmError(
                f"no directory {name}; give one that save_pretrained wrote, or a name of the Hugging Face hub "
                "(OWNER/NAME)"
            )
        members = sorted(Path(name).glob("member-[0-9]*")) if Path(name).is_dir() else []
        members_found += [str(path) for path in members] or [name]
    return members_found


def load_model(name: str) -> Any:
    """A masked language model in evaluation mode, in float32, on the CPU.

    Raises:
        GfmError: there is no such model, its weights are pickled, missing, misnamed or not finite, it needs code
            of its own, or it is no masked language model.
    """
    # Without this transformers asks the hub to convert pickled weights.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    try:
        with _quiet():
            loaded, report = AutoModelForMaskedLM.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32,
                output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise GfmError(
            f"{name} cannot be loaded as a masked language model with safetensors ({_short(error)}); pickled "
            "weights are refused: give a directory that save_pretrained wrote, or a name of the Hugging Face hub"
        ) from error
    _check_names(name, type(loaded).__name__, report)
    if loaded.config.is_encoder_decoder:
        raise GfmError(
            f"{name} ({type(loaded).__name__}) has an encoder and a decoder, which writes a text anew instead of "
            "predicting hidden tokens where they stand: give an encoder with a head for masked tokens"
        )
    if not isinstance(getattr(loaded.get_input_embeddings(), "weight", None), torch.Tensor):
        raise GfmError(
            f"{name} ({type(loaded).__name__}) has no vector for each token, as all analyses need: give a model "
            "with a matrix of input embeddings"
        )
    broken = {key: int((~value.isfinite()).sum()) for key, value in loaded.named_parameters()}
    if wrong := [key for key, count in broken.items() if count]:
        raise GfmError(
            f"{name} has NaN or infinite numbers among its weights ({sum(broken.values())}, the first in "
            f"{wrong[0]}): leave it out, or give a checkpoint from before its training failed"
        )
    return loaded.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers prints of names and shapes that do not fit: a sentence is made of it."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _check_names(name: str, kind: str, report: Mapping[str, Any]) -> None:
    """Refuse weights that do not fit the model, by what loading reports of their names and shapes."""
    missing, others = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing:
        beside = f"; it has {len(others)} others that fit nowhere (such as {others[0]})" if others else ""
        raise GfmError(
            f"{name} lacks {len(missing)} weights of a {kind} (such as {missing[0]}), so it has "
            f"no head for masked tokens, an architecture of its own or names that a wrapper left{beside}: give a "
            "masked language model as save_pretrained wrote it"
        )
    if unread := [key for key in others if _LAYER.search(key) and not _BUFFER.search(key)]:
        raise GfmError(
            f"{name} has weights in its layers that a {kind} does not use ({len(unread)}, such as {unread[0]}): "
            "its predictions would not be its own; give a model of the kind that its config.json names"
        )
    if report["mismatched_keys"]:
        key, saved, expected = min(report["mismatched_keys"])
        raise GfmError(
            f"{name} has weights of another shape than its config.json says (such as {key}: {tuple(saved)}, not "
            f"{tuple(expected)}): give the configuration and the weights of one model"
        )


def load_tokenizer(name: str) -> Any:
    """The tokenizer that stands beside a model.

    Raises:
        GfmError: there is none, or it needs code of its own.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        if len(tokenizer) > len(tokenizer.all_special_ids):  # else transformers made it of a configuration alone
            return tokenizer
        reason = ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f" ({_short(error)})"
    where = "" if Path(name).is_dir() else " is no directory here and, on the hub,"
    raise GfmError(f"{name}{where} has no tokenizer{reason}; name one with --tokenizer")


def same_tokenizers(members: Sequence[str], reader: Any) -> None:
    """Refuse members beside which another tokenizer stands than beside the first; none is no matter."""
    vocabulary = reader.get_vocab()
    for name in members[1:]:
        try:
            other = load_tokenizer(name).get_vocab()
        except GfmError:
            continue
        if other != vocabulary:
            raise GfmError(
                f"{name} has another tokenizer than {members[0]}: models must share a vocabulary to be compared "
                "token by token (--tokenizer says which to use if they do)"
            )


def special_ids(tokenizer: Any) -> list[int]:
    """Ids of the special tokens, those without a role of their own included."""
    added = {token for token, text in tokenizer.added_tokens_decoder.items() if text.special}
    return sorted({*tokenizer.all_special_ids, *added})


def template(tokenizer: Any, sample: str) -> tuple[Integers, Integers]:
    """The special tokens that a tokenizer puts in front of a text and behind it.

    Raises:
        GfmError: it does more than that.
    """
    bare, whole = (
        tokenizer(sample, add_special_tokens=added, verbose=False)["input_ids"] for added in (False, True)
    )
    for begin in range(len(whole) - len(bare) + 1):
        if whole[begin : begin + len(bare)] == bare:
            return np.asarray(whole[:begin], np.int64), np.asarray(whole[begin + len(bare) :], np.int64)
    raise GfmError(
        "what the tokenizer adds to a text stands neither in front of it nor behind it: give --special-tokens none"
    )


@torch.inference_mode()
def check_windows(name: str, model: Any, shown: Integers) -> None:
    """Refuse a model, on the CPU, that cannot read some windows, (n, window), n above 1, as they are.

    Raises:
        GfmError: it cannot, or what it says is not finite.
    """
    try:
        logits = model(input_ids=torch.from_numpy(shown)).logits
        if logits.shape[:2] != shown.shape:
            raise ValueError(f"logits have the shape {tuple(logits.shape)}")
    except (RuntimeError, ValueError, IndexError, AttributeError, TypeError) as error:
        most = getattr(model.config, "max_position_embeddings", None)
        raise GfmError(
            f"{name} cannot read windows of {shown.shape[1]} tokens ({_short(error)}): give another --window; its "
            f"config.json says that there are {most} positions"
        ) from error
    if not logits.isfinite().all():
        raise GfmError(f"{name} predicts NaN or infinite numbers although its weights are finite: leave it out")


def _short(error: Exception) -> str:
    return first_line(error)[:160].rstrip(".")
