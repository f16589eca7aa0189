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
# **Question.** What do networks learn from these corpora, when everything but their first random weights is the same?
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
profile = "auto"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
from gfm_utils import claims, figures
from gfm_utils.book import answers, open_chapter
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
# The paper masks 15 % of each window; small models learn faster from 30 %, as in ModernBERT {cite:p}`warner2024`, and a table below says what this run did.
# At test, 15 % are masked in every run.
#
# An *ensemble* {cite:p}`lakshminarayanan2017` is a handful of *members* that differ by the seed of their initial weights.
# Windows, their order and the masks are the same for all, computed from one seed, so that whatever members disagree about afterwards is not in the data.
#
# The members are small encoders with rotary positions, in the manner of ModernBERT {cite:p}`warner2024`; each is an ordinary Hugging Face checkpoint in `runs/`.
# Its weights are kept at a dozen steps, evenly spaced on a logarithmic scale.
#
# A loss means little by itself, so counting is put beside it:
# the cross-entropy under token frequencies, and the *conditional entropy* $h_k = H_k - H_{k-1}$ of a token given the $k-1$ before it, estimated from the training part as in [the chapter on entropy](entropy), where the sample suffices.
# Blocks see the tokens before a place only; the network sees both sides, so it may save more than each of them.

# %% mystnb={"figure": {"caption": "Bits saved over token frequencies on masked tokens of the validation part while each member is trained, one line a member. Dotted: what counting saves, given the token before and given the two before, where the sample suffices; below zero a member does worse than token frequencies alone.", "name": "fig-learning"}}
table = claims.learning_curves(chapter.ensembles)
figures.learning_chart(table)

# %% [markdown]
# ## What we see
#
# A line in {numref}`fig-learning` that stays at zero has learned how common each token is, and nothing about what stands around it.
# What lies above is *context gain*: use made of the other tokens.
# How far lines of one colour lie apart is how much the initial weights alone decide about the loss; what members with the same loss disagree about is the matter of [a later chapter](disagreement).

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
# Small models on two cores learn as much in a minute as their recipe lets them, and what has learned nothing says nothing about a corpus.
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

# %%
answers.positions_answer(positions)

# %% [markdown]
# An encoder that stays on the level of token frequencies has not found out which tokens are its neighbours.
# If RoFormer leaves it and BERT does not, the positions are the reason, for these two differ in nothing else.
# The likely mechanism: with rotary positions a score between two tokens depends on their distance from the first step on, so that "the token before" is one thing to learn for all places.
# Learned absolute positions say nothing about distance at first: it has to be put together from pairs of places, each by itself.
# All conditions look alike on the plateau, whatever the corpus, so at a small budget an ensemble of such encoders says nothing about entropy; the book trains them in the profile `paper` only.
#
# ## What the paper's size costs
#
# A few steps of the paper's own model and batch, taken on this machine, tell how long the whole would take:

# %%
cost = claims.paper_costs()
figures.cost_overview(cost)

# %%
answers.cost_answer(cost)

# %% [markdown]
# ## Where the profile `paper` differs from the paper
#
# The profile `paper` trains and measures as the paper's code does, down to weight decay, masks and the choice of the weights that are kept, but for this:

# %%
figures.deviation_overview(claims.deviations())

# %% tags=["remove-output"]
chapter.save(table, positions)
chapter.answer(answers.with_recorded_runs(answers.ensembles_answer, table))

# %% [markdown]
# ## Caveats
#
# - Every member reads the same number of *tokens*; at four bases a token that is more symbols of DNA than of text.
# - The curves have not ended: a longer training moves each of them further down.
#   The profiles `long`, `colab`, `gpu` and `paper` go there.
# - The loss here is that of the validation part, on which the recipe was chosen, so that it may be a little too good; the chapters that follow use the test part.
# - The expected cost is as steady as the machine: other work on it shows in the probe.
#
# **What would change our mind.** If DNA at a hundred times this budget fell as far below the level of token frequencies as text does here, small budgets and not entropy would be the explanation.
#
# ## Exercises
#
# 1. `papermill chapters/ensembles.ipynb out.ipynb -p conditions '["tair10-chr1@kmer1"]'` asks for single bases.
#    Is there any context gain?
# 2. `gfm train news@bpe256 --preset bert-2x64 --steps 20000` gives absolute positions twenty times the budget.
#    When do they leave the plateau?
# 3. `gfm train news@bpe256 --vary order` and look at the distances between members: which of the three sources of disagreement is the largest?
# 4. Load a member: `AutoModelForMaskedLM.from_pretrained("runs/.../member-00")`.
