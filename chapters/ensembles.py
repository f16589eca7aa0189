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
profile = "quick"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
from gfm_utils import analyses, figures
from gfm_utils.book import answers, open_chapter

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
# The paper masks 15 % of each window; small models learn faster from 30 %, as in ModernBERT {cite:p}`warner2024`, and the table at the end of this page says what this run did.
# At test, 15 % are masked in every run.
#
# An *ensemble* {cite:p}`lakshminarayanan2017` is a handful of *members* that differ by the seed of their initial weights.
# Windows, their order and the masks are the same for all, computed from one seed, so that whatever members disagree about afterwards is not in the data.
#
# The members are small encoders with rotary positions, in the manner of ModernBERT {cite:p}`warner2024`; each is an ordinary Hugging Face checkpoint in `runs/`.
# An encoder with absolute positions, as in the paper, needs thousands of steps before it does better than token frequencies on any corpus, and would make all conditions look alike at this size; the profile `paper` trains it all the same.

# %% mystnb={"figure": {"caption": "Loss on masked tokens of the validation part while each member is trained, one line a member. Dashed: the loss of a model that knows token frequencies alone.", "name": "fig-learning"}}
table = analyses.learning_curves(chapter.ensembles)
figures.learning_chart(table)

# %% [markdown]
# ## What we see
#
# A line in {numref}`fig-learning` that stays on its dashed level has learned how common each token is, and nothing about what stands around it.
# What lies below is *context gain*: use made of the other tokens.
# Lines of one colour lie close together: members of an ensemble are nearly equally good, whatever else they disagree about.

# %%
figures.summary_of_training(table)

# %%
figures.shared_overview(chapter.ensembles)

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.ensembles_answer(table))

# %% [markdown]
# ## Caveats
#
# - Every member reads the same number of *tokens*; at four bases a token that is more symbols of DNA than of text.
# - The curves have not ended: a longer training moves each of them further down.
#   The profiles `colab`, `gpu` and `paper` go there.
# - The loss here is that of the validation part, which no choice was made on; the chapters that follow use the test part.
#
# **What would change our mind.** If DNA at a hundred times this budget fell as far below its dashed level as text does here, small budgets and not entropy would be the explanation.
#
# ## Exercises
#
# 1. `papermill chapters/ensembles.ipynb out.ipynb -p conditions '["tair10-chr1@kmer1"]'` asks for single bases.
#    Is there any context gain?
# 2. Train the paper's architecture at this budget: copy the profile `quick` in `gfm_utils/profiles.py` with `preset="bert-4m"` and a learning rate of 3e-4, and look for the plateau.
# 3. Load a member: `AutoModelForMaskedLM.from_pretrained("runs/.../member-00")`.
