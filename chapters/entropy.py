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
# # Corpus entropy
#
# **Question.** How unpredictable is a corpus, before any network is trained?
#
# **Answer**, from this run:
#
# ```{glue:md} answer
# :format: myst
# ```
#
# The first numbers are upper bounds: a real code of that length exists, so the entropy cannot be higher.

# %% tags=["remove-cell"]
import importlib.util

if importlib.util.find_spec("gfm_utils") is None:
    # %pip install -q "gfm_utils @ git+https://github.com/gfm-book/gfm-book"
    pass

# %% tags=["parameters", "hide-input"]
profile = "quick"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
from gfm_utils import analyses, figures
from gfm_utils.book import answers, open_chapter

chapter = open_chapter("entropy", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# Shannon {cite:p}`shannon1948` measures unpredictability in bits.
# A source that emits symbol $x$ with probability $p(x)$ has entropy
#
# $$H = -\sum_x p(x) \log_2 p(x).$$
#
# Neighbouring symbols depend on each other, so one looks at blocks of $k$ symbols.
# Their *block entropy* is $H_k$, and the *conditional entropy*
#
# $$h_k = H_k - H_{k-1}$$
#
# is what remains uncertain about a symbol when the $k - 1$ before it are known.
# $h_k$ falls with $k$ towards the entropy rate of the source {cite:p}`cover2006`.
# Shannon himself estimated about one bit a letter for English {cite:p}`shannon1951`; four equally likely bases would have two bits each.
#
# Two kinds of numbers answer the question here.
#
# - **Estimates** from counts of blocks.
#   Counting the frequencies that one sees gives too low a value, since rare blocks are missed; Grassberger's estimator {cite:p}`grassberger2003` corrects most of that bias.
#   When blocks are so many that more than one in a hundred observations would be a block never seen before, no correction can be trusted, and the point is drawn hollow.
#   Standard errors come from leaving out one twentieth of the corpus at a time {cite:p}`efronstein1981`.
# - **Upper bounds** from code lengths.
#   Whatever a lossless compressor achieves bounds the entropy rate from above.
#   Beside `zlib`, `bz2` and `lzma` stands a *context mixer* of our own: it predicts each symbol from the counts of what followed the last few symbols, mixes the predictions of several orders, and pays $-\log_2 p$ bits for the symbol that comes, in the tradition of prediction by partial matching {cite:p}`cleary1984`.

# %% mystnb={"figure": {"caption": "Conditional entropy as a share of log2 of the alphabet, against the order k. Filled: trusted, with 95 % intervals; hollow: undersampled, not a result. Dashed rules: code lengths, upper bounds. Grey: a uniform choice, the level of chance.", "name": "fig-conditional-entropy"}}
table = analyses.entropy_table(chapter.corpora, chapter.stores, chapter.profile)
figures.conditional_entropy_chart(table)

# %% [markdown]
# ## What we see
#
# In {numref}`fig-conditional-entropy`, a curve that falls steeply is a corpus whose symbols can be told from those before them.
# A curve that stays near the grey rule is one where knowing the recent past barely helps.
# The last trusted point still overestimates the entropy rate when longer contexts help, and the code lengths show by how much: the mixer remembers repeats from far back, which no block of a dozen symbols can.

# %%
figures.code_length_overview(table)

# %% [markdown]
# ## Per token
#
# A masked language model is asked for tokens, not for symbols.
# The unigram entropy of its tokens is what a model pays that knows how common each token is and nothing else.
# It is the level that every network in the next chapters has to beat.

# %% mystnb={"figure": {"caption": "Unigram entropy in bits per token. The grey tick is a uniform choice among the vocabulary.", "name": "fig-unigram-token"}}
figures.unigram_chart(table, "token")

# %% mystnb={"figure": {"caption": "The same in bits per base or character, so that tokenizers compare. The grey tick is a uniform choice among the vocabulary.", "name": "fig-unigram-symbol"}}
figures.unigram_chart(table, "symbol")

# %% [markdown]
# Bits per token depend on how much a token stands for; bits per base or character do not ({numref}`fig-unigram-symbol`).
# Cutting DNA into frequent pieces makes a token cheaper but not the bases in it.

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.entropy_answer(table))

# %% [markdown]
# ## Caveats
#
# - The alphabet of text counts every character that occurs, even once, so its "share of chance" flatters text a little; read the bits per character beside it.
# - A code length is a bound, and ours is a simple mixer; the best DNA compressors reach lower.
#   The gap between text and DNA is far larger than any such improvement.
# - Code lengths read the first few million symbols (column *symbols*), the block entropies all of them.
#
# **What would change our mind.** A compressor that brings DNA to the share of chance that text has would say that the high entropy is a weakness of our models, not a property of the corpus.
#
# ## Exercises
#
# 1. Run the chapter on `tair10-chr1-cds@kmer3`.
#    Is coding DNA more predictable than the chromosome?
# 2. At which order does the curve for DNA turn hollow, and how does that depend on the length of the corpus?
# 3. `gfm entropy my/genome.fa.gz --json` gives the same rows for a genome of your own.
