"""Tokenizers made as those of the paper's published members."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import EsmTokenizer, PreTrainedTokenizerFast


@pytest.fixture
def six_mers(tmp_path: Path) -> EsmTokenizer:
    """As the Nucleotide Transformer cuts DNA: 6-mers, what is left in single bases, ``<cls>`` in front."""
    words = ["<unk>", "<pad>", "<mask>", "<cls>", *map("".join, itertools.product("ATCG", repeat=6)), *"ATCGN"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    return EsmTokenizer(str(tmp_path / "vocab.txt"), eos_token=None)


@pytest.fixture
def byte_pairs() -> Callable[..., PreTrainedTokenizerFast]:
    """Text, template -> a tokenizer with special tokens ``<UNK>`` to ``<MASK>``, words split at white space."""
    roles = ("unk", "pad", "cls", "sep", "mask")
    special = [f"<{role.upper()}>" for role in roles]

    def make(text: str, template: str = "") -> PreTrainedTokenizerFast:
        made = Tokenizer(models.BPE(unk_token="<UNK>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=special, show_progress=False)
        made.train_from_iterator([text], trainer)
        if template:
            ids = [(token, made.token_to_id(token)) for token in special if token in template]
            made.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
        named = {f"{role}_token": token for role, token in zip(roles, special, strict=True)}
        return PreTrainedTokenizerFast(tokenizer_object=made, **named)

    return make
