"""Any masked language models as an ensemble: local checkpoints or names of the Hugging Face hub.

Weights are read from safetensors only, and no code that comes with a model is run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from transformers import AutoModelForMaskedLM, AutoTokenizer

from gfm_utils import tables
from gfm_utils.analyses.alignment import FEWEST_TOKENS
from gfm_utils.analyses.contextual import LEVELS, contextual_rows, layers_of, sampled_windows
from gfm_utils.analyses.fisher.measuring import TOKENS_A_WINDOW, fisher_of_windows, group_rows
from gfm_utils.analyses.rows import Row
from gfm_utils.analyses.static import embedding_rows, frequency_bands, input_embeddings
from gfm_utils.corpora import Corpus
from gfm_utils.ensembles import device
from gfm_utils.errors import GfmError, unknown
from gfm_utils.tokens import FEWEST_WINDOWS

ANALYSES = ("static", "contextual", "fisher")
Integers = npt.NDArray[np.int64]


def members_of(names: Sequence[str]) -> list[str]:
    """Names of models; a directory of members (``member-00``, ...) stands for all of them.

    Raises:
        GfmError: fewer than two models are left.
    """
    found: list[str] = []
    for name in names:
        members = sorted(Path(name).glob("member-[0-9]*")) if Path(name).is_dir() else []
        found += [str(path) for path in members] or [name]
    if len(found) < 2:
        raise GfmError(f"one model ({found[0]}) has nothing to be compared with: name two or more")
    return found


def load_model(name: str) -> Any:
    """A masked language model in evaluation mode.

    Args:
        name: a directory with ``config.json`` and ``model.safetensors``, or a name of the Hugging Face hub.

    Raises:
        GfmError: there is no such model, it has no safetensors, or it is no masked language model.
    """
    try:
        loaded = AutoModelForMaskedLM.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise GfmError(
            f"{name} cannot be loaded as a masked language model with safetensors ({_first_line(error)}); "
            "give a directory that save_pretrained wrote, or a name of the Hugging Face hub"
        ) from error
    return loaded.eval().to(device())


def load_tokenizer(name: str) -> Any:
    """The tokenizer that stands beside a model.

    Raises:
        GfmError: there is none.
    """
    try:
        found = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise GfmError(f"{name} has no tokenizer ({_first_line(error)}); name one with --tokenizer") from error
    if len(found) <= len(found.all_special_ids):  # what transformers makes of a configuration alone
        raise GfmError(f"{name} has no tokenizer; name one with --tokenizer")
    return found


def analyse_models(
    names: Sequence[str],
    corpus: Corpus | None = None,
    tokenizer: str | None = None,
    only: Sequence[str] = ANALYSES,
    window: int = 64,
    windows: int = 512,
    seed: int = 42,
) -> pd.DataFrame:
    """Result table of models that share a vocabulary, with the metrics of the book's own ensembles.

    Members have the numbers 1, 2, ... in the order of the names, in place of seeds; the condition is the
    corpus with the first model's name, or that name alone. There are no untrained members.

    Args:
        names: two or more checkpoints or names of the hub; a directory of members stands for all of them.
        corpus: what contextual analyses read, without the special tokens of a sentence. With it the static
            analyses are of the tokens that occur there, in frequency bands; else of all but the special ones.
        tokenizer: a directory or name, instead of the one beside the first model.
        only: of ``ANALYSES``.
        window: tokens a window.
        windows: how many are read at most, spread evenly over the corpus.
        seed: of samples.

    Raises:
        GfmError: a model or tokenizer cannot be had, vocabularies differ, the corpus is missing or too short.
    """
    if unknown_names := [name for name in only if name not in ANALYSES]:
        raise unknown("analysis", unknown_names[0], ANALYSES)
    if {"contextual", "fisher"} & set(only) and corpus is None:
        raise GfmError("all but static embeddings need something to read: give --corpus, or --only static")
    members = members_of(names)
    reader = load_tokenizer(tokenizer or members[0]) if corpus is not None or tokenizer is not None else None
    ids = None if corpus is None else window_ids(corpus, reader, window, windows)
    seeds = list(range(1, len(members) + 1))
    label = Path(names[0]).name if Path(names[0]).exists() else names[0]
    base: Row = {"condition": label if corpus is None else f"{corpus.name}@{label}", "state": "trained"}
    matrices, layers, traces = [], [], []
    for name in members:  # one model at a time in memory
        model = load_model(name)
        matrices.append(input_embeddings(model))
        if len(matrices[-1]) != len(matrices[0]):
            raise GfmError(
                f"{name} has {len(matrices[-1])} tokens and {members[0]} {len(matrices[0])}: models must share "
                "a vocabulary to be compared token by token"
            )
        if ids is not None and ids.max() >= len(matrices[0]):
            raise GfmError(
                f"the tokenizer has tokens that {name} lacks ({ids.max()}): name its own by --tokenizer"
            )
        if "fisher" in only and ids is not None and reader is not None:
            traces.append(fisher_of_windows(model, ids, reader.mask_token_id, seed))
        if "contextual" in only and ids is not None:
            layers.append(layers_of(model, sampled_windows(ids, seed)))
    rows: list[Row] = []
    if "static" in only:
        chosen, bands = _compared(len(matrices[0]), reader, ids)
        if len(chosen) < FEWEST_TOKENS:
            raise GfmError(f"{len(chosen)} different tokens are too few to compare: give a longer corpus")
        rows += embedding_rows(base, seeds, [matrix[chosen] for matrix in matrices], bands)
    if traces and ids is not None:
        rows += group_rows(base, seeds, traces, len(ids) * TOKENS_A_WINDOW)
    if layers and ids is not None:
        if len({len(found[level]) for found in layers for level in LEVELS}) > 1:
            raise GfmError("the models have different numbers of layers: analyse them --only static")
        rows += contextual_rows(base, seeds, layers, sampled_windows(ids, seed).different)
    return tables.table(rows)


def window_ids(corpus: Corpus, tokenizer: Any, window: int, count: int) -> Integers:
    """Windows of the corpus's tokens, side by side, none crossing a record, spread evenly; shape (n, window).

    Raises:
        GfmError: the corpus has fewer than 4 windows.
    """
    found = []
    for segment in corpus.segments:
        ids = np.asarray(tokenizer(segment.text, add_special_tokens=False, verbose=False)["input_ids"], np.int64)
        whole = len(ids) // window * window
        found.append(ids[:whole].reshape(-1, window))
    stacked = np.concatenate(found)
    if len(stacked) < FEWEST_WINDOWS:
        raise GfmError(
            f"{corpus.name} has {len(stacked)} windows of {window} tokens and {FEWEST_WINDOWS} are needed: "
            "give a longer corpus or a smaller --window"
        )
    return stacked[np.linspace(0, len(stacked) - 1, min(count, len(stacked))).round().astype(np.int64)]


def _compared(vocabulary: int, tokenizer: Any, ids: Integers | None) -> tuple[Integers, dict[str, Integers]]:
    """Tokens whose embeddings are compared, and their frequency bands where there is a corpus."""
    special = [] if tokenizer is None else tokenizer.all_special_ids
    ordinary = np.setdiff1d(np.arange(vocabulary), special)
    if ids is None:
        return ordinary, {}
    counts = np.bincount(ids.ravel(), minlength=vocabulary)
    seen = ordinary[counts[ordinary] > 0]
    return seen, frequency_bands(counts[seen])


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:160].rstrip(".") if text else type(error).__name__
