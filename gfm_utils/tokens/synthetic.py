"""Tokens at random, to measure with: what a step costs does not depend on which tokens it reads."""

import json
from pathlib import Path

import numpy as np

from gfm_utils.tokens.store import PARTS, TokenStore
from gfm_utils.tokens.tokenizers import SPECIAL


def random_store(path: Path, vocabulary: int, tokens: int) -> TokenStore:
    """A token store without a tokenizer, each part one segment of tokens drawn uniformly.

    Args:
        path: the directory, which is made.
        vocabulary: tokens, special ones included (which do not occur).
        tokens: in each part.
    """
    path.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in PARTS:
        np.save(path / f"{part}.npy", rng.integers(len(SPECIAL), vocabulary, tokens).astype(np.uint16))
        np.save(path / f"{part}-lengths.npy", np.array([tokens]))
    about = {
        "condition": "random", "kind": "dna", "unit": "base", "vocabulary": vocabulary, "key": {"random": tokens},
    }  # fmt: skip
    (path / "store.json").write_text(json.dumps(about), encoding="utf-8")
    return TokenStore(path, about)
