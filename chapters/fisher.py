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
# # Fisher information
#
# **Question.** Which parts of a model do the predictions depend on: the embeddings, the transformer layers, or the head?
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

chapter = open_chapter("fisher", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# The *Fisher information* says how strongly a model's predictions react to a small change of each parameter {cite:p}`martens2020`.
# For test sequence $s$ with masked places $M_s$, let
#
# $$g_s = \nabla_\theta \; \frac{1}{|M_s|} \sum_{t \in M_s} -\ln p_\theta(x_t), \qquad F_G = \frac{1}{S} \sum_{s=1}^{S} \sum_{\theta \in G} g_s(\theta)^2 .$$
#
# $F_G$ is the trace of the empirical Fisher information of a group $G$ of parameters, in squared nats; its share is $F_G$ over the sum of all groups.
# It is *empirical* because it takes the tokens that really stand there, not tokens drawn from the model; the two differ {cite:p}`kunstner2019`.
# Each sequence has its own gradient, computed exactly.
# The paper's code squares the mean gradient of a batch instead, which is another quantity and depends on the size of the batch.
#
# Groups follow the paper: *embeddings* (with their norm), each *encoder* layer (the final norm counts with the encoder), and the *head*.
# One matrix plays two parts: the input embedding is also the decoder that turns hidden states into probabilities.
# Its gradient is the sum of what comes through the input and what comes through the output, so
#
# $$\|g\|^2 = \|g_\mathrm{in}\|^2 + \|g_\mathrm{out}\|^2 + 2\, g_\mathrm{in} \cdot g_\mathrm{out},$$
#
# and the three terms are shown apart.

# %% mystnb={"figure": {"caption": "Share of the Fisher information that sits in the encoder: every member, the mean (black tick) and its 95 % interval. For each condition the upper row is trained, the lower one untrained.", "name": "fig-encoder-share"}}
table = analyses.fisher_information(chapter.ensembles, chapter.profile, seed)
figures.encoder_chart(table)

# %% [markdown]
# ## What we see
#
# The paper's third claim is that models of DNA concentrate their Fisher information in the embeddings while models of text spread it over the transformer layers {cite:p}`rochkoulets2026`.
# {numref}`fig-encoder-share` shows the encoder's share, which the claim says is small for DNA, and {numref}`fig-fisher-shares` all groups.
# The untrained members are the control: they show what the architecture does by itself.

# %% mystnb={"figure": {"caption": "Shares of the Fisher information by group, as in the paper.", "name": "fig-fisher-shares"}}
figures.share_chart(table)

# %% [markdown]
# ## Two paths through one matrix
#
# {numref}`fig-fisher-paths` takes the embeddings apart.
# Gradient through the *output* says nothing about whether a model reads its input: a model that ignores all context and predicts token frequencies has it too.
# Only the *input* path is embedding in the ordinary sense of the word.
# The cross term can be negative, and is then drawn to the left of zero.

# %% mystnb={"figure": {"caption": "The same, with the tied embedding matrix taken apart into the input path, the output path and their cross term; embeddings.other is the norm of the embeddings.", "name": "fig-fisher-paths"}}
figures.share_chart(table, split_embeddings=True)

# %%
figures.overview(table, "fisher_share", axis="group")

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.fisher_answer(table))

# %% [markdown]
# ## Caveats
#
# - Shares are not invariant: rescaling the weights of one group and undoing it in the next leaves every prediction as it was and moves the shares.
# - The shares change during training; this is one moment of it.
# - A low share of the encoder does not prove that context is unused: the context gain in the chapter on predictions is the direct measurement.
# - Brackets are over members on one set of test sequences.
#
# **What would change our mind.** Shares of the encoder that are equal for text and DNA at equal context gain would say that the encoder's share follows what has been learned, not the kind of sequence.
#
# ## Exercises
#
# 1. Multiply the head's weights by 2 and divide the decoder's by 2. What happens to the shares, and to the loss?
# 2. Order the conditions by context gain and by the encoder's share.
#    Is it the same order?
