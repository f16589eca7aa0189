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
# :::{admonition} Answer
# :class: tip
#
# **Our shortest code of DNA needs {glue:md}`bits_dna` bits per base, {glue:md}`share_dna` of a uniform choice, and that of English {glue:md}`bits_text` bits per character, {glue:md}`share_text`.**
# These are {glue:md}`single_dna` and {glue:md}`single_text` of what single symbols need by their frequencies alone.
# Whole chromosomes, recorded once, need {glue:md}`whole_share_dna` of a uniform choice, and {glue:md}`whole_near_dna` where a code sees at most 12 bases: the difference lies in repeats.
# All of these are upper bounds: a shorter code may exist, and no code can show that the entropy is high.
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
from collections import Counter
from itertools import chain, islice

import numpy as np
from scipy.special import psi

from gfm_utils import figures, measures
from gfm_utils.book import open_chapter
from gfm_utils.provenance import recorded

chapter = open_chapter("entropy", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## The question, and what is known
#
# Shannon {cite:p}`shannon1948` measures unpredictability in bits.
# A source that emits symbol $x$ with probability $p(x)$ has entropy
#
# $$H = -\sum_x p(x) \log_2 p(x).$$
#
# Neighbouring symbols depend on each other, so one looks at blocks of $k$ symbols.
# Their *block entropy* is $H_k$, and the {term}`conditional entropy`
#
# $$h_k = H_k - H_{k-1}$$
#
# is what remains uncertain about a symbol when the $k - 1$ before it are known.
# $h_k$ falls with $k$ towards the *entropy rate* $h$ of the source {cite:p}`cover2006`.
# No model, a network included, has a lower loss per symbol on average.
#
# Shannon asked for $h$ of English by letting people guess the next letter.
# The same question has been asked of DNA with ever better compressors.
#
# | Source | Bits per symbol | How | Reference |
# | --- | --- | --- | --- |
# | English, 27 letters | 0.6 to 1.3 | people guess the next letter | {cite:t}`shannon1951` |
# | English, 27 letters | 1.25 to 1.35 | people bet on the next letter | {cite:t}`coverking1978` |
# | English, 95 characters | at most 1.75 | word trigrams | {cite:t}`brown1992` |
# | Wikipedia, bytes | at most 0.66 | a language model of 70 billion weights, its size not counted | {cite:t}`deletang2024` |
# | Four bases by chance | 2 | uniform choice | |
# | Human DNA, one chromosome | at most 1.61 | competing context and repeat models | {cite:t}`pratas2019` |
# | Human DNA, all, gap-free | at most 1.45 | GeCo3 {cite:p}`silva2020` | {cite:t}`stackexchange12824` |
#
# Four equally likely bases have two bits each; 95 equally likely characters would have 6.6.
# Codes of text need about a fifth of a uniform choice, and those of DNA three quarters or more.
# Per symbol the two are not far apart; as shares they are, in part because text uses most of its characters rarely.
#
# *At most* is not *equal to*: a better code lowers the number.
# A lower bound needs what no sequence contains: the law of its source, as for sequence made by a formula, or a predictor known to be optimal, as {cite:t}`shannon1951` had to assume of people.
# Of a genome we have neither.

# %% [markdown]
# ## Three kinds of evidence
#
# - **Counts** of blocks give estimates of $H_k$.
#   The frequencies that one sees give too low a value, since rare blocks are missed.
#   Miller and Madow {cite:p}`miller1955`, Grassberger {cite:p}`grassberger2003`, Chao and Shen {cite:p}`chao2003`, Chao, Wang and Jost {cite:p}`chao2013` and Nemenman, Shafee and Bialek (NSB) {cite:p}`nemenman2002` each correct that bias in a way of their own.
#   When more than one observation in a hundred would be a block never seen before, no correction can be trusted, and the point is drawn hollow.
# - **Matches** give estimates of $h$: the longer the stretch that occurred before, the lower the entropy.
#   With $\Lambda_i$ the length of the shortest block at position $i$ that does not occur earlier, $\log_2(i) / \Lambda_i$ tends to $h$ {cite:p}`grassberger1989,kontoyiannis1998`.
# - **Code lengths** give upper bounds ({term}`code`).
#   Text goes to the standard compressors and to prediction by partial matching {cite:p}`cleary1984`.
#   For DNA a *context mixer* of our own stands beside the compressors: it predicts each base from what followed the same context before, from copies of earlier sequence and of its reverse complement, mixes these predictions by logistic regression {cite:p}`mahoney2005,cao2007,silva2020`, and spends $-\log_2 p$ bits on the base that follows.
#   A last stage weighs the mixer against a plain adaptive code {cite:p}`krichevsky1981` of each order from 0 to 8 by Bayes' rule, with weights that may switch {cite:p}`herbster1998,vanerven2012`, so that the total is at most a few bits above that of the best of them.
#   The *repeat-free* mixer sees at most 12 bases and the local composition: what a model with a short context can hope for.
#   In a sequence much shorter than $4^{12}$ (17 million) bases most 12-mers are unique, and even it copies a little.
#
# Standard errors come from leaving out one twentieth of the corpus at a time {cite:p}`kunsch1989,efronstein1981`.

# %% [markdown]
# ## Can the estimators be trusted?
#
# That is known where the entropy rate is: on sources made by a formula.
# {numref}`fig-calibration` shows by how much each estimator is off on Markov chains, on Zipf's law, on sources drawn from a Dirichlet distribution, on an almost deterministic one and on noise with mutated repeats.

# %% mystnb={"figure": {"caption": "Error of each estimator on a source of known entropy rate, which the menu selects. Darker: larger samples, from above to below. Bars: one standard deviation, what one sample of that size is off by. Hollow: not trusted at that size.", "name": "fig-calibration"}}
calibration, about_calibration = recorded("calibration")
figures.calibration_chart(calibration, "markov_3")

# %%
figures.provenance_note(about_calibration)

# %%
figures.calibration_overview(calibration)

# %% [markdown]
# The table has the median error of each estimator over the sources, at the largest sample of each, and in brackets the largest error, in bits per symbol.
# The corrections can be trusted where the rule above holds, and none of them is best everywhere.
# NSB does well on sources drawn from a Dirichlet distribution, of which its prior is made, and less well on Zipf's law, which that prior does not expect; the next table has its error beside that of the best other estimator.
# No estimator from counts sees the repeats of the last source in the menu: at any $k$ that can be counted, a copy looks like noise.
# Only a code that copies can find them.

# %% tags=["hide-output"]
figures.nsb_overview(calibration)

# %% [markdown]
# ## What this run finds
#
# All estimators, on the corpora of this run.

# %% tags=["key-figure"] mystnb={"figure": {"caption": "Conditional entropy of a symbol given the k − 1 before it, as a share of a uniform choice (grey: chance). Filled: trusted, with 95 % intervals; hollow: undersampled, not a result. Dashed: code lengths, which are upper bounds; triangles at the left: the shortest code of the whole corpus, recorded once.", "name": "fig-conditional-entropy"}}
table, profiles = measures.corpus_entropies(chapter.corpora, chapter.stores, chapter.profile)
whole, about_whole = recorded("entropy")
figures.conditional_entropy_chart(table, whole)

# %% [markdown]
# In {numref}`fig-conditional-entropy` a curve falls steeply where a symbol can be predicted from those before it, and stays near the grey line where they barely help.
# Where a curve turns hollow is a property of the sample and not of the corpus: $4^k$ blocks of DNA soon outnumber the bases.
# Choose the plug-in estimator in the menu to see what happens without correction: it falls only because the corpus ends.
# The largest order that each estimator is trusted at, and its value there in bits:

# %%
figures.trust_overview(table)

# %% [markdown]
# ## Estimates beside bounds
#
# The last trusted $h_k$ overestimates the entropy rate where longer contexts help.
# The code lengths show by how much at least: the best of them find repeats from far back, which no block of a dozen symbols can.

# %%
figures.rate_overview(table)

# %% [markdown]
# The two match-length estimates cannot be relied on.
# On sources without any repeat they are off by as much as they differ from the code lengths here ({numref}`fig-calibration`).
# And a position inside a copied stretch of a thousand bases has a match of up to a thousand, where chance gives a dozen: the longer the corpus, the more the harmonic form depends on few such positions.
# For whole chromosomes, below, a table has the share of its sum that the longest 1 % of the matches contribute.
#
# ## Where the information lies
#
# A chromosome is not a stationary source.
# {numref}`fig-profile` follows the cost of a base, by the full mixer, along it.

# %% mystnb={"figure": {"caption": "Bits per base along the sequence, in windows of about 10,000 bases. Tracks: share of soft-masked repeats, of coding bases, of introns and untranslated exons, and of G and C. Dashed: two bits. Drag to move, scroll to zoom.", "name": "fig-profile"}}
figures.profile_chart(profiles)

# %% [markdown]
# Mean bits per base of each class of bases, with 95 % intervals by a bootstrap of long blocks:

# %%
figures.feature_overview(table)

# %% [markdown]
# How well the cost of a base separates classes: the probability that a window of the one class costs less than one of the other (chance: 0.5).

# %%
figures.separation_table(table)

# %% [markdown]
# Repeats cost little because they have occurred before, not because they are simple, and only when the sequence that is read contains their earlier copies.
# Where the corpus has an annotation and the intervals of coding and of intergenic bases overlap, what matters most to an organism is no more predictable, by this code, than what matters least.

# %% [markdown]
# ## Per token
#
# A masked language model is asked for tokens, not for symbols.
# The unigram entropy of its tokens is the loss of a model that knows how common each token is and nothing else, the baseline of every network in the next chapters.
# Bits per token depend on how much a token stands for ({numref}`fig-uncertainty` has them); bits per symbol (base, residue or character) do not, so that tokenizers compare.
# Beside them stand single symbols, and a uniform choice among the vocabulary or the alphabet:

# %%
figures.unigram_overview(table)

# %% [markdown]
# Where tokens need far fewer bits per symbol than single symbols do, merging has found structure, as in text.
# Where they need as many, merging gains nothing; tokens can even need *more* per base, as those of BPE of DNA do, because the lengths of the pieces are information too.

# %% [markdown]
# ## Whole chromosomes
#
# This run may have read only the beginning of each corpus (column *symbols*); here are corpora as a whole, recorded once.
# The mixer was tuned on the first four million bases of *A. thaliana* and on nothing else.

# %%
figures.rate_overview(whole)

# %%
figures.overview(whole, "longest_matches_share")

# %%
figures.provenance_note(about_whole)

# %% tags=["remove-output"]
chapter.save(table)
chapter.put(**figures.entropy_words(table, whole))

# %% [markdown]
# ## By hand
#
# What single symbols of the first corpus need, by which the answer divides the length of a code: from the counts $n_i$ of its $N$ symbols, by Grassberger's estimator {cite:p}`grassberger2003`
#
# $$\hat H = \log_2 N - \frac{1}{N \ln 2} \sum_i n_i\, G(n_i), \qquad G(n) = \psi(n) + \frac{(-1)^n}{2} \left(\psi\!\left(\tfrac{n+1}{2}\right) - \psi\!\left(\tfrac n2\right)\right).$$

# %%
first = chapter.corpora[0]
symbols = chain.from_iterable(segment.text for segment in first.segments)
n = np.array([*Counter(islice(symbols, chapter.profile.entropy_symbols)).values()])
g = psi(n) + (-1.0) ** n / 2 * (psi((n + 1) / 2) - psi(n / 2))
by_hand = np.log2(n.sum()) - n @ g / n.sum() / np.log(2)
single = "condition == @first.name and metric == 'unigram_entropy' and estimator == 'grassberger'"
assert np.isclose(by_hand, table.query(single)["value"].item())
print(f"{first.name}: {by_hand:.4f} bits per {first.unit}")

# %% [markdown]
# ## Caveats
#
# - An entropy is a property of a source, and a corpus is one sample of it.
#   What the code lengths bound is the information of this sample to a reader who has only the mixer's assumptions.
# - The alphabet of text counts every character that occurs, even once, so its share of a uniform choice flatters text; the bits per character and the share of what single characters cost stand beside it.
# - A base is not a character: bits per symbol of the two cannot be compared, only shares.
# - A code that learns begins with nothing, so that a longer corpus has a shorter code per symbol.
# - Standard errors treat the corpus as stationary; along a chromosome costs change over millions of bases, and the intervals show it.
#
# **What would change our mind.** A code that brings DNA far below the bounds of this page: then DNA looked unpredictable to our codes and is not.
# The lowest so far is {glue:md}`whole_bits_dna` bits per base for the whole chromosomes of this run's corpora; that there is no shorter one, nothing here can show.
#
# ## Exercises
#
# 1. Run the chapter on `tair10-chr1-cds@kmer3`.
#    Is coding DNA more predictable than the chromosome?
# 2. At which order does the curve for DNA turn hollow, and how does that depend on the length of the corpus?
# 3. `gfm entropy my/genome.fa.gz --annotation my/genes.gff3 --json` gives the same rows for a genome of your own.
#    Which class of bases is cheapest?
#
# :::{dropdown} Solutions
# 1. Compare the repeat-free mixer of both in the table under *Estimates beside bounds*.
#    Expect little difference: the reading frame and the use of codons make coding bases slightly more predictable to a code that knows the frame, and ours does not; coding sequence also has fewer repeats to copy.
# 2. Blocks of length k need several times $4^k$ observations, so that the order grows as $\log_4$ of the length: four times as many bases allow one order more ({numref}`fig-calibration` shows where trust ends).
# 3. Repeats, as in the table under *Where the information lies*: a copy costs little once its original has been read.
#    For the same reason coding bases, which hold few copies, are seldom cheap.
# :::
