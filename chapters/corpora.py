# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Corpora and tokenizers
#
# **Question.** What do the models read, and is what they are tested on really unseen?
#
# :::{admonition} Answer
# :class: tip
#
# **Of the test windows {glue:md}`leak_dna` of DNA and {glue:md}`leak_text` of English repeat a stretch of the training part exactly; the others are unseen, as far as exact matches can tell.**
# A token is {glue:md}`length_dna` bases or {glue:md}`length_text` characters long, and the training parts hold {glue:md}`tokens_dna` and {glue:md}`tokens_text` tokens.
# The commonest token is {glue:md}`commonest_dna` of DNA and {glue:md}`commonest_text` of English.
# All corpora enter on equal terms: the same number of symbols at most, and the same number of tokens read in training.
# :::

# %% tags=["remove-cell"]
import importlib.util

if importlib.util.find_spec("gfm_utils") is None:
    # %pip install -q "gfm_utils @ git+https://github.com/gfm-book/gfm-book"
    pass

# %% tags=["parameters", "hide-input"]
profile = "auto"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
import numpy as np

from gfm_utils import figures, measures
from gfm_utils.book import open_chapter

chapter = open_chapter("corpora", profile, conditions, runs_dir, results_dir, seed)

# %% mystnb={"figure": {"caption": "A stretch of each condition's test part cut into tokens (bold), and above each token the guess of every model of this run when that token alone is hidden. Darker: more probable; framed: right.", "name": "fig-strip"}}
along = measures.along_windows(chapter.ensembles, chapter.profile, windows=1)
figures.guess_strip(along)

# %% [markdown]
# The models of {numref}`fig-strip` are those of this run; no other number of this chapter needs a model.
# [Guess yourself](../play), against them.
#
# ## Method
#
# A {term}`corpus` is a set of named records: articles, chromosomes, transcripts.
# Text is repaired where its encoding was damaged, and its white space is made uniform.
# DNA is turned into upper case, with the lower-case *soft mask* (repeats found by the genome's annotators) kept apart.
# Where a chromosome holds N or another code that is not one of the four bases, it is cut in two; no base is ever invented.
# Protein is treated likewise, without the gaps of an alignment.
#
# The corpus is then split into training, validation and test parts: by record where there are many, and by blocks of 100,000 symbols, with gaps between them, where a record is long.
# Near-duplicate records stay on the same side.
# Tokenizers learn from the training part alone.
#
# A *tokenizer* cuts the sequence into {term}`tokens <token>`, the units that a model predicts.
# `kmer4` reads four bases at a time, without overlap, which gives $4^4 = 256$ tokens.
# `bpe256` learns 256 symbols and merges by byte-pair encoding {cite:p}`sennrich2016`: it starts from single bytes or bases, and merges the commonest neighbouring pair again and again.
# Five special tokens come on top, among them `[MASK]`.
#
# A split by position is no guarantee, because genomes repeat themselves: a transposon may have a copy in the training part and another in the test part.
# The *leak check* therefore counts the test windows (256 bases, 64 residues or 80 words) that hold an exact match of 64 bases, 16 residues or 20 words, with the training part.

# %%
data = measures.corpus_table(chapter.corpora, chapter.profile, seed)
figures.corpus_overview(data, chapter.corpora)

# %%
figures.leak_overview(data)

# %% [markdown]
# ## What the tokens look like
#
# In {numref}`fig-token-frequency` a uniform vocabulary would be a horizontal line.
# A steep curve means that a few tokens are very common and most are rare, so that a model can save much by knowing frequencies alone.

# %% mystnb={"figure": {"caption": "Share of the r-th commonest token of the training part, both axes logarithmic. A flat curve means that all tokens are equally common.", "name": "fig-token-frequency"}}
tokens = measures.token_table(chapter.stores)
figures.token_frequency_chart(tokens)

# %% [markdown]
# No uncertainty is drawn: each curve counts millions of tokens.
# A token of `kmer4` is always four bases long; the length of one of `bpe256` depends on the merges.

# %%
figures.overview(tokens, "tokens", "symbols_per_token", "vocabulary_used", digits=2)

# %% tags=["remove-output"]
table = chapter.save(data, tokens)
slots = {"leak": "leaked_windows", "length": "symbols_per_token", "tokens": "tokens"}
chapter.say(table, **slots, commonest="commonest_token")

# %% [markdown]
# ## By hand
#
# The commonest token's share of the training part of the first condition, from its array of tokens: the greatest of the tokens' counts over the sum of all.

# %%
first, size = chapter.stores[0], 2**24
ids = first.tokens("train")
parts = (ids[begin : begin + size] for begin in range(0, len(ids), size))
counts = sum(np.bincount(part, minlength=first.vocabulary) for part in parts)[5:]  # without special tokens
share, commonest = counts.max() / counts.sum(), first.readable(int(counts.argmax()) + 5)
assert counts.sum() == measures.estimate_of(table, "tokens", first.condition).interval.value
assert np.isclose(share, measures.estimate_of(table, "commonest_token", first.condition).interval.value)
print(f"{first.condition}: {share:.4f} of {counts.sum():,} tokens are {commonest!r}")

# %% [markdown]
# ## Caveats
#
# - One chromosome of one plant and one collection of news are two corpora, not "DNA" and "text"; [your own corpus](../your_corpus) may be a third.
# - Exact matches miss diverged repeats, so the leak check is a lower bound; it also counts short tandem repeats, which leak little.
# - A DNA token covers more symbols than a text token, so a window of the same number of tokens spans more bases than characters.
#
# **What would change our mind.** A corpus with a share of leaked windows far above that of the others: its test results would measure memory as much as prediction.
# Here that share is {glue:md}`leak_dna` for DNA and {glue:md}`leak_text` for English.
#
# ## Exercises
#
# 1. Set `conditions` to `["tair10-chr1@kmer1", "tair10-chr1@kmer6"]`: how does the curve in {numref}`fig-token-frequency` change with k, and why?
# 2. Add `tair10-chr1-cds@kmer3`.
#    Coding sequences have a reading frame: which 3-mers are missing?
# 3. Compare the leak check of `tair10-chr1` with that of `alyrata-chr12@kmer4`, the genome of a relative with more transposons.
#
# :::{dropdown} Solutions
# 1. With k = 1 it is four points near a quarter each, with A and T above; with k = 6 it is steeper than with k = 4.
#    The frequency of a k-mer is roughly a product of those of its bases, so that differences between bases multiply with k; words of A and T alone, such as AAAAAA, come first.
# 2. `TAA`, `TAG` and `TGA`, the stop codons, are rare: tokens of three bases keep the frame of a sequence that begins at its first codon, and a stop occurs only at the end.
# 3. Expect a larger share: copies of a young transposon are nearly identical and lie all over the genome, in training and in test blocks.
# :::
