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
# # Predictions
#
# **Question.** How certain are the models about masked tokens they have never seen, and how often are they right?
#
# :::{admonition} Answer
# :class: tip
#
# **Models of DNA guess {glue:md}`right_dna` of hidden tokens right, models of English {glue:md}`right_text`**; always naming the commonest token would be right {glue:md}`common_dna` and {glue:md}`common_text` of the time.
# Their {term}`output entropy` is {glue:md}`share_dna` of a uniform choice on DNA and {glue:md}`share_text` on English, where {term}`token frequencies` alone have {glue:md}`frequencies_dna` and {glue:md}`frequencies_text`.
# Context saves {glue:md}`gain_dna` and {glue:md}`gain_text` bits per token; counting n-grams on both sides saves {glue:md}`counting_dna` and {glue:md}`counting_text`.
# {term}`Calibration errors <calibration error>` are {glue:md}`error_dna` and {glue:md}`error_text`.
#
# Source: {glue:md}`source`.
# :::
#
# ```{glue:md} numbers
# :format: myst
# ```

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
from gfm_utils.ensembles import predictions

chapter = open_chapter("predictions", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# Each member predicts the same masked tokens of the same test windows; every masked place shows `[MASK]`.
# For each place it gives a distribution $p$ over the {term}`V` tokens of the vocabulary.
#
# - *Output entropy* $H(p) = -\sum_v p_v \log_2 p_v$ says how uncertain the model claims to be.
# - *Divergence from uniform* $\mathrm{KL}(p \,\|\, u) = \log_2 V - H(p)$ is the same on a scale where 0 means that all tokens are equally likely.
#   The paper's code computes $\mathrm{KL}(u \,\|\, p) = -\log_2 V - \frac1V \sum_v \log_2 p_v$ instead (here `kl_uniform_authors`).
#   It gives every token the same weight, so the smallest probabilities decide it: for Zipf's law over 4096 tokens the first is 3.25 bits and the second 1.71.
#   Of the paper's figures of the first only these are public, known here at second hand and not measured by this book: above 10 bits for text, about 3 for DNA with BPE, and below 1 for DNA in 6-mers {cite:p}`rochkoulets2026`.
# - {term}`Loss <loss>` (negative log-likelihood, NLL) $-\log_2 p_{x}$ of the true token $x$ says how uncertain it ought to be.
#   A calibrated model has the two equal on average.
# - {term}`Context gain <context gain>` is the loss of guessing by token frequencies, minus the network's loss on the same tokens; a gain over n-grams is called that.
#   One such model knows the training part's token frequencies; the others are interpolated n-gram models with modified Kneser–Ney smoothing {cite:p}`chengoodman1999` of the tokens before the gap, or of those on both sides.
#   They are counted on the training part, take the order that does best on the validation part, and see no token that the network does not see.
# - *Code within a window*: what a code spends on the same tokens that remembers nothing from further back than a window.
#   For DNA it is the repeat-free mixer of [the chapter on entropy](entropy), trained on a million bases of the training part; for text it is prediction by partial matching, which starts empty at each window.
#   A code reads from left to right: it knows what stands before a token, hidden or not, and nothing of what follows.
# - *Accuracy* is the share of places where the likeliest token is the true one; always naming the commonest token is its level of chance.
# - *Expected calibration error* {cite:p}`naeini2015` is $\sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|$ over 15 bins of predictions sorted by the probability of their likeliest token.
#   The bins hold equally many predictions {cite:p}`nguyen2015`: bins of equal width would put nearly all of DNA's into the first.
#   A calibrated model's error is not 0 in a finite sample, so its expected value stands beside it.
#
# Everything is given in bits per symbol (base, residue or character) beside bits per token, and for two controls too:
#
# - {term}`Untrained <untrained>`: the members before training.
# - *No layers*: up to three members for the first condition of text and of DNA, with the members' width, batches and budget, that are a BERT's embeddings and head without a transformer between them.
#   No prediction of theirs depends on another token, so that they can learn token frequencies and no more: where a member does better, the reason is context.

# %% mystnb={"figure": {"caption": "Output entropy and loss of every member, and of the controls, in bits per token. Vertical lines: token frequencies alone, a uniform choice, and the code within a window where it is shorter than that.", "name": "fig-uncertainty"}}
no_layers = measures.no_layers_control(chapter.ensembles, chapter.profile)
table = measures.output_distributions(chapter.ensembles, chapter.profile, seed, no_layers)
figures.uncertainty_chart(table)

# %%
figures.overview(table, "output_entropy", "nll", "context_gain", "accuracy")

# %% [markdown]
# ## Does the network know more than counting does?
#
# Token frequencies are a weak baseline.
# {numref}`fig-context` compares the network with models that count which tokens follow which: to the right of zero it has learned something that these counts do not contain.

# %% tags=["key-figure"] mystnb={"figure": {"caption": "What trained members save over three baselines on the same hidden tokens, in bits per character or base, with 95 % intervals over members. Left of zero the baseline is better.", "name": "fig-context"}}
figures.context_chart(table)

# %% [markdown]
# The n-gram models, the order that the validation part chose for each, and what they cost:

# %%
figures.overview(table, "ngram_order", "ngram_nll", axis="sides")

# %% [markdown]
# The loss of token frequencies and of the code within a window, which on text has little to learn from:

# %%
figures.overview(table, "unigram_nll", "window_code_nll")

# %% [markdown]
# ## How flat are the distributions?
#
# Sort each distribution by probability and average over places: the curve in {numref}`fig-rank-probability` is the mean probability of the likeliest token, of the second likeliest, and so on.
# A uniform choice is a horizontal line at $1/V$.

# %% mystnb={"figure": {"caption": "Mean probability of the r-th likeliest token, of trained members (solid) and controls (dashed). Both axes are logarithmic.", "name": "fig-rank-probability"}}
figures.rank_probability_chart(table)

# %% [markdown]
# ## Are the predictions calibrated?
#
# A point on the diagonal of {numref}`fig-reliability` is a group of predictions that are right as often as they say.
# Below it the model is overconfident, above it underconfident.

# %% mystnb={"figure": {"caption": "Share of hits against the probability of the likeliest token, trained members, in 15 bins of equally many predictions. Dashed: calibrated. Both axes are square roots.", "name": "fig-reliability"}}
figures.reliability_chart(table)

# %%
figures.overview(table, "expected_calibration_error", "expected_calibration_error_chance")

# %%
figures.overview(table, "kl_from_uniform", "kl_uniform_authors")

# %% [markdown]
# ## Another seed, or another test sequence?
#
# Intervals so far are over members, that is, over seeds on the same test windows.
# Those below resample the windows, all tokens of one together, and keep the members {cite:p}`efron1979`.

# %%
figures.overview(table, "nll", "context_gain", "accuracy", axis="interval_over")

# %% [markdown]
# [Guess hidden tokens yourself](../play), with the score beside counting and these models.

# %% tags=["remove-cell"]
from myst_nb import glue

games = measures.guessing_games(chapter.ensembles, chapter.profile, seed)
glue("guessing-game", figures.guessing_game(games), display=False)

# %% [markdown]
# ## The paper's claim
#
# The front page judges the claim by its {term}`primary measure`; the others test how robust that is, with nulls in brackets.
# The difference is that of the pair of conditions with the largest p-value, by Welch's test over members {cite:p}`welch1947`, with the variance over test windows added where a number depends on them.
# A measure counts *for* the claim if every condition of DNA differs from every one of text in the claimed direction, each p-value at most 0.05 {cite:p}`berger1982`; *against* it if all differ the other way.
# The verdict on the front page is corrected for all claims, and is given only where the models have learned enough.

# %%
figures.claims_overview(table)

# %% tags=["remove-output"]
chapter.save(table)
slots = {"right": "accuracy", "common": "accuracy:null", "share": "output_entropy_share"}
slots |= {"frequencies": "token_frequencies", "gain": "context_gain", "counting": "counting_gain"}
slots |= {"error": "calibration_error", "saved": "context_gain_share", "loss": "nll"}
chapter.headline(table, **slots)

# %% [markdown]
# ## By hand
#
# How many hidden tokens the members of the first condition guess right, and what context saves them, from their distributions: the share of places where $\arg\max_v p_v$ is the true token $x$, and the mean of $\log_2 p_x - \log_2 f_x$, with $f$ the frequencies of the training part (one added to each count).

# %%
first, run = chapter.ensembles[0], chapter.profile
counts = first.store.counts("train") + 1
bits = -np.log2(counts / counts.sum())
stream = predictions(first, "trained", run.test_windows, run.test_mask, seed)
batches = ((one.log_p.flatten(1, 2).numpy() / np.log(2), one.targets.flatten().numpy()) for one in stream)
each = [((p.argmax(-1) == x).mean(0), bits[x] + p[:, range(len(x)), x].mean(0)) for p, x in batches]
right, gain = np.concatenate(each, axis=1).mean(1)
assert np.isclose(right, measures.estimate_of(table, "accuracy", first.condition).interval.value)
assert np.isclose(gain, measures.estimate_of(table, "context_gain", first.condition).interval.value, atol=1e-5)
print(f"{first.condition}: {right:.4f} guessed right, {gain:.4f} bits per token saved")

# %% [markdown]
# ## Reading it
#
# The paper's first claim is that predictions on DNA stay close to uniform, and those on text do not {cite:p}`rochkoulets2026`.
# Look at the distance between the output entropy and the uniform level in {numref}`fig-uncertainty`, and at how much of it token frequencies alone explain: a model of DNA may be far from uniform and still have learned nothing but frequencies.
# Where loss and output entropy agree, the model is as uncertain as it should be.
#
# ## Caveats
#
# - Brackets are intervals over members on a fixed set of test tokens, unless said otherwise; neither kind covers another chromosome or another newspaper.
# - Windows are resampled as if they were independent, though neighbouring ones share an article or a repeat.
# - The n-gram models read the whole training part (of a very long one, 16.8 million tokens), the network as many tokens as its budget allows: at a small budget counting has seen more.
# - Bits per symbol of a masked token are not an entropy rate: the model also sees what follows, and where BPE is used the borders of the tokens around the gap tell it something.
# - The untrained members' distributions are not uniform: random weights have preferences too.
# - A model that had more tokens hidden in training than at test is less certain than it could be: its output entropy then lies above its loss.
#
# **What would change our mind.** A model of DNA that saves a large part of what token frequencies cost.
# Here models of DNA save {glue:md}`saved_dna` of it, models of English {glue:md}`saved_text` ({glue:md}`source`).
#
# ## Exercises
#
# 1. Compare `tair10-chr1@kmer1`, `@kmer3` and `@kmer6` in bits per base.
#    Does the near-uniformity go away with smaller tokens?
# 2. Raise `steps` of the profile tenfold.
#    Which of the numbers move, and which hardly?
#
# :::{dropdown} Solutions
# 1. Run `papermill chapters/predictions.ipynb out.ipynb -p conditions '["tair10-chr1@kmer1", "tair10-chr1@kmer3", "tair10-chr1@kmer6"]'` and read the rows per symbol.
#    Expect losses near each other, somewhat below two bits per base: a k-mer's probability is the product of those of its bases given the ones before, and no size of token adds information.
#    Longer tokens have more types, each seen less often, so that a small budget leaves more of them untrained.
# 2. The table below the answer has this run beside the longest recorded one.
#    Expect the loss on English to fall most, with accuracy and context gain rising, while the loss on DNA moves by tenths of a bit: {glue:md}`loss_dna` bits per token after the longest training, {glue:md}`loss_text` on English.
# :::
