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
# **Answer**, from this run:
#
# ```{glue:md} answer
# :format: myst
# ```

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

chapter = open_chapter("predictions", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# Each member predicts the same masked tokens of the same test windows; every masked place shows `[MASK]`.
# For each place it gives a distribution $p$ over the $V$ tokens of the vocabulary.
#
# - *Output entropy* $H(p) = -\sum_v p_v \log_2 p_v$ says how uncertain the model claims to be.
# - *Divergence from uniform* $\mathrm{KL}(p \,\|\, u) = \log_2 V - H(p)$ is the same on a scale where 0 means that all tokens are equally likely.
#   The paper's code computes $\mathrm{KL}(u \,\|\, p)$ instead, which weighs unlikely tokens much more.
# - *Loss* (negative log-likelihood, NLL) $-\log_2 p_{x}$ of the true token $x$ says how uncertain it ought to be.
#   A calibrated model has the two equal on average.
# - *Context gain* is the loss of a model that knows the training part's token frequencies alone, minus the model's loss on the same tokens: what the surrounding tokens were worth to it.
# - *Accuracy* is the share of places where the likeliest token is the true one; always naming the commonest token is its level of chance.
#
# Everything is given for the untrained members too, and in bits per base or character beside bits per token.

# %% mystnb={"figure": {"caption": "Output entropy and loss of every member, trained and untrained, in bits per token. Vertical rules: token frequencies alone, and a uniform choice.", "name": "fig-uncertainty"}}
table = analyses.output_distributions(chapter.ensembles, chapter.profile, seed)
figures.uncertainty_chart(table)

# %%
figures.overview(table, "output_entropy", "nll", "context_gain", "accuracy")

# %% [markdown]
# ## How flat are the distributions?
#
# Sort each distribution by probability and average over places: the curve in {numref}`fig-rank-probability` is the mean probability of the likeliest token, of the second likeliest, and so on.
# A horizontal line at $1/V$ would be a model that knows nothing.

# %% mystnb={"figure": {"caption": "Mean probability of the r-th likeliest token, trained (solid) and untrained (dashed). Click a condition in the legend to see it alone.", "name": "fig-rank-probability"}}
figures.rank_probability_chart(table)

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.predictions_answer(table))

# %% [markdown]
# ## Reading it
#
# The paper's first claim is that predictions on DNA stay close to uniform, and those on text do not {cite:p}`rochkoulets2026`.
# Look at the distance between the output entropy and the uniform level in {numref}`fig-uncertainty`, and at how much of it token frequencies alone explain: a model of DNA may be far from uniform and still have learned nothing but frequencies.
# Where loss and output entropy agree, the uncertainty is earned: the model is as unsure as it should be.
#
# ## Caveats
#
# - Brackets are intervals over members on a fixed set of test tokens: they say how another seed would do, not how another chromosome would.
# - Bits per base or character of a masked token are not an entropy rate: the model also sees what follows, and where BPE is used the borders of the tokens around the gap tell it something.
# - The untrained members' distributions are not uniform: random weights have preferences too.
# - A model that had more tokens hidden in training than at test is less certain than it could be: its output entropy then lies above its loss.
#
# **What would change our mind.** A model of DNA whose context gain per base is a large part of the two bits that a base can have.
#
# ## Exercises
#
# 1. Compare `tair10-chr1@kmer1`, `@kmer3` and `@kmer6` in bits per base.
#    Does the near-uniformity go away with smaller tokens?
# 2. Raise `steps` of the profile tenfold.
#    Which of the numbers move, and which hardly?
