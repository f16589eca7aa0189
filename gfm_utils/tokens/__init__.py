"""Tokenizers in Hugging Face's format, token arrays on disk, and seeded masking."""

from gfm_utils.tokens.conditions import (
    Condition,
    corpora_of,
    is_condition,
    is_control,
    names_tokenizer,
    resolve_transform,
    tokenizer_kind,
)
from gfm_utils.tokens.masking import (
    choose_independently,
    choose_positions,
    corrupt,
    corrupt_where,
    evenly_spaced,
    mask_all,
    masked_per_window,
    most_masked,
    places_of,
)
from gfm_utils.tokens.store import (
    FEWEST_WINDOWS,
    PARTS,
    TokenStore,
    cut_windows,
    load_corpus,
    prepare,
    random_store,
)
from gfm_utils.tokens.tokenizers import SPECIAL, encode, token_lengths, train_tokenizer
