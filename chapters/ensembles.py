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
# # Ensembles
#
# **Question.** What do networks learn from these corpora, if everything but their initial weights is the same?
#
# :::{admonition} Answer
# :class: tip
#
# **Knowing only how common each token is costs {glue:md}`level_text` bits per token on English and {glue:md}`level_dna` on DNA; context saves the models {glue:md}`gain_text` and {glue:md}`gain_dna` of them.**
# For comparison, counting the tokens before, on one side only, saves {glue:md}`counting_text` and {glue:md}`counting_dna`.
# Each line below is one {term}`member <member, ensemble>`: all have read the same tokens in the same order and differ in nothing but their initial weights.
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
import pandas as pd

from gfm_utils import claims, figures, measures
from gfm_utils.book import open_chapter
from gfm_utils.provenance import recorded

chapter = open_chapter("ensembles", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# A *masked language model* sees a window of tokens with some of them hidden, and gives a probability to every token of the vocabulary for each hidden place {cite:p}`devlin2019`.
# Training lowers the cross-entropy
#
# $$L = -\frac{1}{|M|} \sum_{t \in M} \log_2 p_\theta(x_t \mid x_{\setminus M}) \quad \text{bits per token}$$
#
# over the masked places $M$: of these 80 % show `[MASK]`, 10 % a random token, and 10 % the true one.
# The paper masks 15 % of each window; small models learn faster from 30 %, as in ModernBERT {cite:p}`warner2024`; the table under *What is shared, and what differs* has the share of this run.
# At test, 15 % are masked in every run.
#
# An *ensemble* {cite:p}`lakshminarayanan2017` is a handful of *members* that differ by the seed of their initial weights.
# Windows, their order and the masks are the same for all, computed from one seed, so that the data cannot be the reason if members disagree.
#
# The members are small {term}`encoders <encoder>` with rotary positions, in the manner of ModernBERT {cite:p}`warner2024`; each is an ordinary Hugging Face checkpoint in `runs/`.
# Its weights are kept at a dozen steps, evenly spaced on a logarithmic scale.
#
# The {term}`loss` has two baselines: the cross-entropy under token frequencies, and the *conditional entropy* $h_k = H_k - H_{k-1}$ of a token given the $k-1$ before it, estimated from the training part as in [the chapter on entropy](entropy), where the sample suffices.
# Blocks see only the tokens before a place and the network sees both sides, so that it may save more than either.

# %% mystnb={"figure": {"caption": "Bits saved over token frequencies on hidden tokens of the validation part during training, one line a member. Dotted: what counting saves, given the token before and the two before, where the sample suffices. Below zero token frequencies alone are better.", "name": "fig-learning"}}
table = claims.learning_curves(chapter.ensembles)
figures.learning_chart(table)

# %% [markdown]
# ## What we see
#
# A line in {numref}`fig-learning` at zero has learned how common each token is, and nothing about its neighbours.
# What lies above zero is {term}`context gain`.
# The spread of lines of one colour is the effect of the initial weights on the loss; what members of equal loss disagree about is the subject of [a later chapter](disagreement).

# %%
figures.summary_of_training(table)

# %% [markdown]
# ## What is shared, and what differs
#
# Windows, their order and the masks come from one seed, the initial weights from a seed of each member.
# `gfm train --vary order`, `masks`, `init+masks` or `all` trains ensembles that differ by something else, to tell the sources of disagreement apart; the paper's members differ by initial weights and masks.

# %%
figures.shared_overview(chapter.ensembles)

# %% [markdown]
# ## How members are trained
#
# How much a small model learns in a minute on two cores depends on its recipe.
# The book's members have a small rotary base, since windows are short; the matrices of their layers are moved by Muon {cite:p}`jordan2024,liu2025`, all else by AdamW {cite:p}`loshchilov2019`; and the learning rate falls in a line.
# Recipes were chosen by the loss on hidden tokens of the *validation* part, three members each:

# %% tags=["hide-output"]
recipes, about_recipes = recorded("recipe")
figures.recipe_table(recipes)

# %%
figures.provenance_note(about_recipes)

# %% [markdown]
# The optimiser is a confound: [the chapter on training](training) puts members that AdamW alone has trained beside these.
#
# ## Why not the paper's own encoder?
#
# The paper's members are BERTs: they know where a token stands from a vector that is learned for each place and added to the token's own.
# Three encoders of the same width and depth read the same batches, a few members each: the book's own; BERT; and RoFormer {cite:p}`su2024`, which is BERT but for its positions, that turn queries and keys by angles instead (*rotary*).

# %% mystnb={"figure": {"caption": "Bits saved over token frequencies by three encoders of one size, one line a member. Dotted: what counting saves, as above.", "name": "fig-positions"}}
positions = claims.position_curves(chapter.ensembles, chapter.profile)
figures.position_chart(positions)

# %% [markdown]
# An encoder that stays at the level of token frequencies has not learned which tokens are its neighbours.
# If RoFormer improves on it and BERT does not, the positions are the reason, since these two differ in nothing else.
# The likely mechanism: with rotary positions a score between two tokens depends on their distance from the first step on, so that "the token before" is one thing to learn for all places.
# Learned absolute positions contain no distance at first: it has to be learned for each pair of places.
# On the plateau all conditions look alike, whatever the corpus, so that at a small budget such encoders cannot tell corpora apart; the book trains them in the profile `paper` only.
#
# ## What the paper's size costs
#
# The expected time of one condition of the paper (members of 90 million parameters that read 5.12 billion tokens each), from a few steps of its model and batch on this machine.
# Where a GPU has less memory than a step needs, the time is that of part of a batch, scaled up.

# %%
figures.cost_table(claims.paper_costs())

# %% [markdown]
# ## Where the profile `paper` differs from the paper
#
# The profile `paper` trains and measures as the paper's code does, down to weight decay, masks and the choice of the weights that are kept, but for this:

# %%
figures.deviation_overview(claims.deviations())

# %% tags=["remove-output"]
chapter.save(table, positions)
slots = {"level": "validation_level", "gain": "validation_gain", "counting": "validation_counting"}
chapter.headline(pd.concat([table, measures.token_table(chapter.stores)]), **slots)

# %% [markdown]
# ## By hand
#
# The context gain on the validation part of the first condition: what its tokens cost by the frequencies of the training part (one added to each count), minus the mean of the members' last losses, which stand in the file `metrics.parquet` of each.

# %%
first = chapter.ensembles[0]
train, held_out = (first.store.counts(part) for part in ("train", "validation"))
level = -np.log2((train + 1) / (train + 1).sum()) @ held_out / held_out.sum()
files = [member.path / "metrics.parquet" for member in first.members]
loss = np.mean([pd.read_parquet(file)["validation_loss"].iloc[-1] for file in files])
assert np.isclose(level - loss, measures.estimate_of(table, "validation_gain", first.condition).interval.value)
print(f"{first.condition}: {level:.4f} - {loss:.4f} = {level - loss:.4f} bits per token")

# %% [markdown]
# ## Caveats
#
# - Every member reads the same number of *tokens*; at four bases a token that is more symbols of DNA than of text.
# - The curves still rise at the end: longer training saves more.
#   The profiles `long`, `colab`, `gpu` and `paper` train longer.
# - The loss here is that of the validation part, on which the recipe was chosen, so that it may be a little too good; the chapters that follow use the test part, with fewer tokens hidden.
# - The expected cost is measured in seconds, and other work on the machine changes it.
#
# **What would change our mind.** If models of DNA with a much larger budget saved as much as models of text do here, small budgets and not entropy would be the explanation.
# After the longest training that is recorded of these conditions they save {glue:md}`gain_dna` bits per token, models of English {glue:md}`gain_text`; [the chapter on training](training) follows both.
#
# ## Exercises
#
# 1. `papermill chapters/ensembles.ipynb out.ipynb -p conditions '["tair10-chr1@kmer1"]'` asks for single bases.
#    Is there any context gain?
# 2. `gfm train news@bpe256 --preset bert-2x64 --steps 20000` gives absolute positions twenty times the budget.
#    When do they leave the plateau?
# 3. `gfm train news@bpe256 --vary order` and look at the distances between members: which of the three sources of disagreement is the largest?
# 4. Load a member: `AutoModelForMaskedLM.from_pretrained("runs/.../member-00")`.
#
# :::{dropdown} Solutions
# 1. Hardly any: single bases of a chromosome depend on their neighbours only weakly ({numref}`fig-conditional-entropy` shows by how much a base is more predictable when those before it are known).
#    Expect at most a few hundredths of a bit per base.
# 2. Look at `validation_loss` of the member's metrics: the plateau is the level of token frequencies.
#    When a member leaves it differs between seeds, which is why a loss at one small budget says little.
# 3. Compare `js_distance` in the chapter on disagreement for `--vary init`, `order` and `masks`.
#    Training is chaotic: a small difference at the first steps grows, so expect the three to be of similar size.
# 4. It is an ordinary checkpoint: give it token ids of the same tokenizer, with `[MASK]` in place of one of them, and compare the five likeliest tokens of two members.
# :::
