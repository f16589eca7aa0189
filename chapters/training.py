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
# **Question.** The models of this book are small and have read little: which findings about them would change if they had learned more?
#
# :::{admonition} Answer
# :class: tip
#
# **After {glue:md}`early` tokens a member, context gain is {glue:md}`early_text` bits per token on English and {glue:md}`early_dna` on DNA; after {glue:md}`tokens` tokens it is {glue:md}`gain_text` and {glue:md}`gain_dna`.**
# At the end it is {glue:md}`share_text` and {glue:md}`share_dna` of what counting n-grams on both sides saves.
# Of {glue:md}`clear` differences between DNA and English that are clear early, {glue:md}`same` have the same sign at the end, at {glue:md}`size` of their size, and {glue:md}`turned` the other sign.
# The optimiser matters as well: at equal context gain Muon and AdamW differ clearly in {glue:md}`by_optimiser` comparisons.
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

from gfm_utils import claims, figures
from gfm_utils.book import open_chapter
from gfm_utils.provenance import recorded

chapter = open_chapter("training", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## What is followed
#
# Every member keeps its weights at about ten steps of its training, evenly on a logarithmic scale.
# At each of them one measure of each of the paper's claims {cite:p}`rochkoulets2026` is taken on the same test windows: loss and output entropy as shares of $\log_2 V$, Jensen–Shannon distance between members, the ten nearest embeddings shared beyond chance, the encoder's share of the Fisher information; and whether two members choose the same token.
# They are those of the chapters before, drawn here against the *tokens* that a member has read and against its {term}`context gain`.
#
# Models of different size are followed, on text and DNA, and one of them by two optimisers: with Muon for the matrices between embeddings and decoder {cite:p}`jordan2024`, which is this book's recipe, and by AdamW alone {cite:p}`loshchilov2019`, which is the paper's.
#
# What only pairs of members have enters as {term}`jackknife` pseudo-values {cite:p}`arvesen1969`, so that members are independent.
# Intervals are over members.

# %%
live = claims.live_training(chapter.ensembles, chapter.profile, seed)
table, run = recorded("along-training")
figures.provenance_note(run)

# %% [markdown]
# ## Against the tokens read
#
# The learning rate of each run falls to zero at its end, and the loss falls with it.
# A checkpoint from the middle was taken at a high rate, and has a higher loss than a member that was trained for only as long, with a rate that had fallen by then.
# Only the last point of each curve is a member as in the other chapters.

# %% tags=["key-figure"] mystnb={"figure": {"caption": "Context gain, or another measure of the menu, against the tokens that a member has read, with 95 % intervals over members. Dashes tell models and optimisers apart, and what counting n-grams on both sides saves.", "name": "fig-training"}}
figures.training_chart(table)

# %% [markdown]
# This run's own members at some of their checkpoints:

# %% mystnb={"figure": {"caption": "Context gain, or another measure of the menu, of this run's members against the tokens that they have read.", "name": "fig-training-live"}}
figures.training_chart(live)

# %% [markdown]
# Is the difference between DNA and text the same after little training as after much?
# In brackets are differences whose 95 % interval contains zero, each by itself:

# %%
along = claims.equal_tokens(table)
figures.equal_tokens_table(along)

# %% [markdown]
# ## Against the context gain
#
# If a measure depends only on how much has been learned from context, all runs lie on one curve in {numref}`fig-one-curve`: text and DNA, small models and larger ones, either optimiser, early and late.
# Where DNA and text lie apart, the measure depends on the sequence; where two optimisers lie apart, it depends on the optimiser.

# %% mystnb={"figure": {"caption": "Each measure against the context gain along training, with 95 % intervals over members: colours are conditions, dashes models and optimisers.", "name": "fig-one-curve"}}
figures.one_curve_chart(table)

# %% [markdown]
# In numbers, for two runs of equal gain: with $g_A$ and $g_B$ the largest gains of two runs, and $m_A(g)$ a measure of the one along its training, straight between checkpoints, the difference is
#
# $$d = m_A(g^*) - m_B(g^*), \qquad g^* = \min(g_A, g_B).$$
#
# The difference is a function of means over members, and its interval is that of the jackknife for two samples: a member is left out with its whole curve {cite:p}`arvesen1969`.
# Members that two optimisers trained from the same weights are paired.

# %%
equal = claims.equal_gains(table)
figures.equal_gain_table(equal)

# %% [markdown]
# [The causal test](causal) compares at equal gain, too, but with text whose models gain as little at the *end* of their training because there is no more to learn.
#
# ## What there is to be learned
#
# How large is a context gain beside what could be gained?
# Counting n-grams on both sides, and a code that looks no further than a window, are two baselines without a network; a window contains at least the information that the better of them saves.

# %%
figures.levels_table(table)

# %% [markdown]
# ## Where the loss would go
#
# To the validation losses $L$ of a run after $t$ tokens a power law with a limit $L_\infty$ is fitted by least squares {cite:p}`hestness2017,kaplan2020,hoffmann2022`,
#
# $$L(t) = L_\infty + a\, (t / T)^{-b}, \qquad L_\infty, a \ge 0,$$
#
# from 1/64 of the run's $T$ tokens on, to its checkpoints.
# Two jackknives, over members and over points, give its interval; it goes no further than ten times the tokens that were read.
# A number whose interval reaches below zero, or up to today's loss, is *undetermined*.
# The last column is a test of the law on what is known: by how much the law of all points but the last is too high at the last.

# %%
later = claims.extrapolations(table)
figures.extrapolation_table(later)

# %% [markdown]
# The first points are at a rising learning rate and the last at a falling one, which biases the fit; the ends of runs of different lengths would have no such bias.
#
# ## Members unlike the others
#
# A single outlier would make members look far apart.
# Loss and distance to the others, at the end of each run, are compared with the mean of the others, in standard errors of that difference {cite:p}`grubbs1950`: of normal numbers this is Student's t.
# The limit is corrected for all members and checks: of runs without outliers at most five in a hundred have a false alarm.
# The price is power: of five members one must lie far outside to be found.

# %%
apart = claims.outliers(table)
figures.outliers_table(apart)

# %% tags=["remove-output"]
chapter.save(live)
chapter.put(**figures.training_words(table, equal, along))

# %% [markdown]
# ## By hand
#
# The context gain of the first condition at every checkpoint, from the losses in the table: what token frequencies cost on the same hidden tokens, minus the mean of the members' losses.

# %%
rows = table[table["condition"] == table["condition"].iloc[0]]
level = rows.query("metric == 'level_nll' and x == 'unigram' and unit == 'bits/token'")["value"].item()
loss = rows.query("metric == 'nll' and member.notna()").groupby("x")["value"].mean()
gain = rows.query("metric == 'context_gain' and member.isna()").set_index("x")["value"]
assert np.allclose(level - loss, gain[loss.index], atol=1e-5)
last = loss.index.str.split("|").str[0].astype(int).argmax()
end = loss.index[last]
print(f"At the end: {level:.4f} - {loss[end]:.4f} = {gain[end]:.4f} bits per token")

# %% [markdown]
# ## Caveats
#
# - **Sizes and budgets vary together.** Models of different size read different numbers of tokens here; the context gain, not the tokens, makes the curves comparable.
# - **Context gain is an outcome.** Runs of equal gain have different histories: text has this gain early in its training and DNA late.
#   A measure that lies on one curve all the same is therefore strong evidence; one that does not may depend on when the gain was reached.
# - **The learning rate falls.** Points along a run are not ends of runs, as said above; at equal gain the end of DNA's run is compared with the middle of text's.
# - **Two optimisers, two rates.** Each was tuned for the loss of small models, by few trials; a third might lie elsewhere.
# - **Checkpoints are few.** Text passes DNA's gains within one or two of them, at the time at which it learns fastest, and between checkpoints a curve is taken for straight.
# - **The law is assumed.** Loss curves can fall a second time, which no point here would show.
# - **Intervals are over members**, on one set of test windows, of one text and one genome.
# - **Small models.** The largest has less than a hundredth of the parameters of the paper's.
#
# **What would change our mind.** A difference between DNA and text that turns round with longer training: then what the other chapters say of that measure would hold for small models alone.
# In the runs followed here, of {glue:md}`clear` differences that are clear early, the sign at the end is the other for {glue:md}`turned` and the same for {glue:md}`same` (the table under *Against the tokens read* has which).
#
# ## Exercises
#
# 1. At which gain does the encoder's share begin to rise, and is it the same gain for text, DNA, and either optimiser?
# 2. Which measure falls after it has risen, and what does that say of a comparison at equal tokens?
# 3. Fit the law to the first half of the points: how far is it off at the last?
# 4. Run `python benchmarks/along_training.py --only annealed --dry-run`, and then without `--dry-run`, unless the ends of shorter runs are recorded already: how far below the curve along the long run do they lie?
#
# :::{dropdown} Solutions
# 1. Choose the encoder's share in {numref}`fig-one-curve`: follow each line from the left and note the gain at which its interval leaves that of the untrained members.
#    One gain for all runs would mean that the share depends only on what has been learned.
# 2. Go through the menu of {numref}`fig-training`.
#    A measure that rises and then falls has the same value at two times, so that a comparison at equal tokens may set the rise of one condition beside the fall of another.
# 3. Expect it to be too high, as the column *last point missed by* has it for the last point: most of the fall of the learning rate lies in the second half.
# 4. Expect them below, because their learning rate had fallen to zero; the gap is the bias of reading a long run's middle as the end of a short one.
# :::
