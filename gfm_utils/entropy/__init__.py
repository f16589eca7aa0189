"""Entropy of corpora: estimates from counts, and upper bounds from code lengths."""

from gfm_utils.entropy.codelength import Coder, code_lengths, dna_code_length, text_code_length
from gfm_utils.entropy.rows import corpus_entropy, token_entropy

__all__ = ["Coder", "code_lengths", "corpus_entropy", "dna_code_length", "text_code_length", "token_entropy"]
