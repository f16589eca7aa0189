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
# # Would more training change it?
#
# **Question.** The models of this book are small and have read little: what of what is said about them would change if they had learned more?
#
# **Answer.**
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

chapter = open_chapter("training", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## What is followed
#
# Every member keeps its weights at about ten steps of its training, evenly on a logarithmic scale.
# At each of them one measure of each of the paper's claims {cite:p}`rochkoulets2026` is taken on the same test windows: loss and output entropy as shares of $\log_2 V$, Jensen–Shannon distance between members, the ten nearest embeddings shared beyond chance, the encoder's share of the Fisher information; and whether two members choose the same token.
# They are those of the chapters before, and stand here against two things: the *tokens* that a member has read, and the *context gain*, what it has learned to save over token frequencies, in bits per token.
#
# Models of different size are followed, with text and DNA, and one of them by two optimisers: with Muon for the matrices between embeddings and decoder {cite:p}`jordan2024`, which is this book's recipe, and by AdamW alone {cite:p}`loshchilov2019`, which is the paper's.
# Where nothing is recorded, the figures show this run's own members.
#
# A number of a member is its own; what only pairs of members have is there as jackknife pseudo-values {cite:p}`arvesen1969`, so that members are independent.
# Intervals are over members.

# %%
live = claims.live_training(chapter.ensembles, chapter.profile, seed)
table, runs = claims.recorded_training(live)
figures.provenance_note(*runs)

# %% [markdown]
# ## Against the tokens read
#
# One thing has to be known to read {numref}`fig-training`.
# The learning rate of each run falls to zero at its end, and the loss falls with it.
# A checkpoint from the middle was taken at a high rate: it lies above what a member would have that was trained for just so long and whose rate had fallen by then.
# Only the last point of each curve is a member as the other chapters have them.

# %% mystnb={"figure": {"caption": "Any measure against the tokens that a member has read, with 95 % intervals over members; choose below. Dashes: models and optimisers; dotted levels: what counting n-grams on both sides saves.", "name": "fig-training"}}
figures.training_chart(table)

# %% [markdown]
# This run's own members, which read less, at some of their checkpoints:

# %% mystnb={"figure": {"caption": "The same of this run's members.", "name": "fig-training-live"}}
figures.training_chart(live)

# %% [markdown]
# Is the difference between DNA and text the same after little training as after much?
# In brackets is what is not told from none, each by itself at 95 %:

# %%
along = claims.equal_tokens(table)
figures.equal_tokens_table(along)

# %% [markdown]
# ## Against the context gain
#
# If a measure depends only on how much has been learned from context, all runs lie on one curve in {numref}`fig-one-curve`: text and DNA, small models and larger ones, either optimiser, early and late.
# Where DNA lies beside text, there is something of DNA's own; where one optimiser lies beside the other, the measure says something of the optimiser.

# %% mystnb={"figure": {"caption": "Each measure against the context gain along training, with 95 % intervals over members: colours are conditions, dashes models and optimisers.", "name": "fig-one-curve"}}
figures.one_curve_chart(table)

# %% [markdown]
# A bit is not the same achievement everywhere: text has many to gain and DNA few.
# {numref}`fig-one-curve-share` has the gain as a share of what counting on both sides saves on the same windows; a condition of which counting saves hardly anything is not in it.

# %% mystnb={"figure": {"caption": "The same against the gain as a share of what n-grams on both sides save.", "name": "fig-one-curve-share"}}
figures.one_curve_chart(table, share=True)

# %% [markdown]
# In numbers, where two runs have gained the same: with $g_A$ and $g_B$ the largest gains of two runs, and $m_A(g)$ a measure of the one along its training, straight between checkpoints, the difference is
#
# $$d = m_A(g^*) - m_B(g^*), \qquad g^* = \min(g_A, g_B).$$
#
# The gain is given with those of the two checkpoints around it in the run that went on: where these are further apart than the gain is large, the straight line between them is a guess, and the table says so.
# The difference is a function of means over members, and its interval is that of the jackknife for two samples: a member is left out with its whole curve {cite:p}`arvesen1969`.
# Members that two optimisers trained from the same weights are paired.

# %%
equal = claims.equal_gains(table)
figures.equal_gain_table(equal)

# %% [markdown]
# [The causal test](causal) compares at equal gain, too, but text that gains as little at the *end* of its own training, for want of anything more to learn, and it finds much less of a difference.
# How long a model has been trained matters as much as what it has gained.
#
# ## What there is to be learned
#
# A context gain says little without what could be gained.
# Counting n-grams on both sides, and a code that looks no further than a window, are two levels that need no network; what a window really holds is at least what the better of them saves.

# %%
figures.levels_table(table)

# %% [markdown]
# ## Where the loss would go
#
# To the validation losses $L$ of a run after $t$ tokens a power law above a floor is fitted by least squares {cite:p}`hestness2017,kaplan2020,hoffmann2022`,
#
# $$L(t) = L_\infty + a\, (t / T)^{-b}, \qquad L_\infty, a \ge 0,$$
#
# from the last 1/64 of the run's $T$ tokens on: to the checkpoints of one run, and, where runs of five lengths are recorded, to their ends.
# Two jackknives, over members and over points, give its interval; it goes no further than ten times the tokens that were read.
# A number whose interval reaches below zero, or up to the loss of today, is *not told*.
# The last column is a test of the law on what is known: by how much the law of all points but the last is too high at the last.

# %%
later = claims.extrapolations(table)
figures.extrapolation_table(later)

# %% [markdown]
# Along one run the first points are at a rising learning rate and the last at a falling one, and the law takes these for a law of learning: it says what a run of ten times the length would reach only as far as these cancel out.
# The ends of runs of different lengths have no such fault.
#
# ## Members unlike the others
#
# A member that went astray would make members look far apart.
# Loss and distance to the others, at the end of each run, are compared with the mean of the others, in standard errors of that difference {cite:p}`grubbs1950`: of normal numbers this is Student's t.
# The limit is corrected for all members and checks: of runs without outliers at most five in a hundred have a false alarm.
# The price is power: of five members one must lie far outside to be found.

# %% tags=["remove-output"]
chapter.save(live)
apart = claims.outliers(table)
chapter.answer(answers.training_answer(table, equal, along, later, apart))

# %% [markdown]
# ## Caveats
#
# - **Sizes and budgets vary together.** Models of different size read different numbers of tokens here; the context gain, not the tokens, makes the curves comparable.
# - **Context gain is an outcome.** Runs of equal gain have different histories: text has this gain early in its training and DNA late.
#   That a measure lies on one curve all the same is the stronger evidence; that it does not may come from the time at which the gain was reached.
# - **The learning rate falls.** Points along a run and ends of runs are not the same thing, as said above; at equal gain the end of DNA's run stands beside the middle of text's.
# - **Two optimisers, two rates.** Each was tuned for the loss of small models, by few trials; a third might lie elsewhere.
# - **Checkpoints are few.** Text passes DNA's gains within one or two of them, at the time at which it learns fastest, and between checkpoints a curve is taken for straight.
# - **The law is assumed.** Loss curves can have a second fall, and of that no point here knows anything.
# - **Intervals are over members**, on one set of test windows, of one text and one genome.
# - **Small models.** The largest has less than a hundredth of the parameters of the paper's.
#
# **What would change our mind.** A measure in which DNA and text come apart again at gains beyond those that are reached here would say that it was too early to call it a matter of training.
#
# ## Exercises
#
# 1. At which gain does the encoder's share begin to rise, and is it the same gain for text, DNA, and either optimiser?
# 2. Which measure falls after it has risen, and what does that say of a comparison at equal tokens?
# 3. Fit the law to the first half of the points: how far is it off at the last?
# 4. Run `python benchmarks/along_training.py --only annealed --dry-run`, and then without `--dry-run`, unless the ends of shorter runs are recorded already: how far below the curve along the long run do they lie?
